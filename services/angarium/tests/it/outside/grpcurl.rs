//! grpcurl and reflection, in both versions: services, names, and wrong questions.

use serde_json::{Deserializer, Value, json};
use testkit::Tools;

use crate::process::{Process, command, run};

const SERVICE: &str = "angarium.order.v1.OrderService";

/// Of a successful call.
fn grpcurl(process: &Process, options: &[&str], verbs: &[&str]) -> Option<String> {
    let mut grpcurl = Tools::ready().program("grpcurl")?;
    grpcurl.arg("-plaintext").args(options);
    grpcurl
        .arg(process.orders.trim_start_matches("http://"))
        .args(verbs);
    let output = run(&mut grpcurl);
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{verbs:?}: {complained}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn grpcurl_lists_and_describes_what_is_served() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut command(data.path()));
    let Some(listed) = grpcurl(&process, &[], &["list"]) else {
        return;
    };
    let expected = [
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    for (name, described) in [
        (
            SERVICE,
            "rpc PlaceOrder ( .angarium.order.v1.PlaceOrderRequest )",
        ),
        ("google.rpc.ErrorInfo", "map<string, string> metadata = 3;"),
        (
            "angarium.event.v1.event",
            "extend .google.protobuf.MessageOptions",
        ),
        (
            "grpc.reflection.v1.ServerReflection",
            "rpc ServerReflectionInfo",
        ),
    ] {
        let text = grpcurl(&process, &[], &["describe", name]).unwrap();
        assert!(text.contains(described), "{name}: {text}");
    }
    assert_eq!(process.interrupt().code(), Some(0));
}

#[test]
fn reflection_goes_on_after_a_wrong_question_in_both_versions() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut command(data.path()));
    for version in ["v1", "v1alpha"] {
        let questions = [
            json!({ "file_containing_symbol": "no.such.Symbol" }),
            json!({ "file_by_filename": "no/such/file.proto" }),
            json!({ "all_extension_numbers_of_type": "google.protobuf.MessageOptions" }),
            json!({ "list_services": "" }),
        ];
        let questions = questions.map(|question| question.to_string()).join("\n");
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let Some(said) = grpcurl(&process, &["-d", &questions], &[&method]) else {
            return;
        };
        let answers: Vec<Value> = Deserializer::from_str(&said)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(answers.len(), 4, "{said}");
        for answer in &answers[..2] {
            assert_eq!(
                answer["errorResponse"]["errorCode"], 5,
                "{version}: {answer}"
            );
        }
        let numbers = &answers[2]["allExtensionNumbersResponse"]["extensionNumber"];
        assert!(
            numbers.as_array().unwrap().contains(&json!(50001)),
            "{numbers}"
        );
        let services = &answers[3]["listServicesResponse"]["service"];
        assert_eq!(services[0]["name"], SERVICE);
    }
    assert_eq!(process.interrupt().code(), Some(0));
}
