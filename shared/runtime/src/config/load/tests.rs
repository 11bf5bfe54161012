//! Loads the configuration of an example service, with a fake environment for the variables that name files.

use clap::Parser;

use super::*;
use crate::config::{
    DatabaseArgs, GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, Mode, TelemetryArgs,
    TelemetryConfig,
};
use store::DatabaseConfig;

#[derive(Parser)]
#[command(name = "example-service", version = "1.2.3")]
struct Example {
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    Migrate,
}

#[derive(Debug)]
struct Config {
    grpc: GrpcConfig,
    database: DatabaseConfig,
    telemetry: TelemetryConfig,
    lifecycle: LifecycleConfig,
    migrates: bool,
}

impl Settings for Example {
    type Config = Config;
    const DEFAULT_PORT: u16 = 50051;

    fn secrets() -> Vec<&'static str> {
        vec!["database_url"]
    }

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let grpc = self.grpc.check(50051, Mode::Development, problems);
        let database = self.database.check(problems);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        Some(Config {
            grpc: grpc?,
            database: database?,
            telemetry: telemetry?,
            lifecycle: lifecycle?,
            migrates: matches!(self.command, Some(Command::Migrate)),
        })
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn lifecycle(config: &Config) -> &LifecycleConfig {
        &config.lifecycle
    }
}

fn load_example(args: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let args = std::iter::once("example-service").chain(args.iter().copied());
    load_with::<Example>(args.map(OsString::from), &|name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    })
    .map(|(config, _)| config)
}

fn sentences(error: ConfigError) -> Vec<String> {
    match error {
        ConfigError::Invalid(sentences, _) => sentences,
        other => panic!("expected a list of problems, not {other:?}"),
    }
}

#[test]
fn flags_and_code_have_the_same_defaults() {
    let config = load_example(&["--database-url", "sqlite://users.db"], &[]).unwrap();
    assert_eq!(
        config.grpc,
        GrpcConfig::on("127.0.0.1:50051".parse().unwrap())
    );
    assert_eq!(config.telemetry, TelemetryConfig::default());
    assert_eq!(config.lifecycle, LifecycleConfig::default());
    let in_code = DatabaseConfig::new("sqlite://users.db");
    assert_eq!(format!("{:?}", config.database), format!("{in_code:?}"));
}

#[test]
fn every_mistake_is_named_at_once() {
    let error = load_example(
        &[
            "--grpc-listen=here",
            "--grpc-deadline=soon",
            "--grpc-max-in-flight=0",
            "--database-url=mysql://root:hunter2@db/users",
            "--database-pool-max=none",
            "--database-schema=Users; drop",
            "--log-format=xml",
            "--log-filter=info=trace=x",
            "--shutdown-grace=8",
        ],
        &[],
    )
    .unwrap_err();
    assert_eq!(error.exit_code(), 64);
    let text = error.to_string();
    for setting in [
        "GRPC_LISTEN (--grpc-listen): \"here\" given",
        "GRPC_DEADLINE (--grpc-deadline): \"soon\" given",
        "GRPC_MAX_IN_FLIGHT (--grpc-max-in-flight): \"0\" given",
        "DATABASE_URL (--database-url): the given value (not shown",
        "DATABASE_POOL_MAX (--database-pool-max): \"none\" given",
        "DATABASE_SCHEMA (--database-schema): \"Users; drop\" given",
        "LOG_FORMAT (--log-format): \"xml\" given",
        "LOG_FILTER (--log-filter): \"info=trace=x\" given",
        "SHUTDOWN_GRACE (--shutdown-grace): \"8\" given",
    ] {
        assert!(text.contains(setting), "{setting} is not named in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(sentences(error).len(), 9);
}

#[test]
fn a_missing_database_is_a_problem_and_not_a_usage_error() {
    let found = sentences(load_example(&[], &[]).unwrap_err());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("DATABASE_URL (--database-url): not set"));
}

#[test]
fn a_secret_from_a_file_has_no_final_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database-url");
    std::fs::write(&path, "postgres://app:p%20w@db/users\n").unwrap();
    let variables = [("DATABASE_URL_FILE", path.to_str().unwrap())];
    let config = load_example(&[], &variables).unwrap();
    assert_eq!(
        config.database.location().to_string(),
        "postgres://app:***@db/users"
    );
}

#[test]
fn a_flag_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database-url");
    std::fs::write(&path, "sqlite://from-file.db").unwrap();
    let variables = [("DATABASE_URL_FILE", path.to_str().unwrap())];
    let config = load_example(&["--database-url=sqlite://from-flag.db"], &variables).unwrap();
    assert_eq!(
        config.database.location().to_string(),
        "sqlite://from-flag.db"
    );
}

#[test]
fn flags_and_files_work_before_and_after_a_subcommand() {
    let flag = "--database-url=sqlite://a.db";
    for args in [[flag, "migrate"], ["migrate", flag]] {
        let config = load_example(&args, &[]).unwrap();
        assert!(config.migrates);
        assert_eq!(config.database.location().to_string(), "sqlite://a.db");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database-url");
    std::fs::write(&path, "sqlite://from-file.db").unwrap();
    let variables = [("DATABASE_URL_FILE", path.to_str().unwrap())];
    let config = load_example(&["migrate"], &variables).unwrap();
    assert_eq!(
        config.database.location().to_string(),
        "sqlite://from-file.db"
    );
}

#[test]
fn variable_and_file_together_are_a_problem() {
    let variables = [
        ("DATABASE_URL", "sqlite://a.db"),
        ("DATABASE_URL_FILE", "/run/secrets/database-url"),
    ];
    let found = sentences(load_example(&["--database-url=sqlite://a.db"], &variables).unwrap_err());
    assert_eq!(
        found,
        ["DATABASE_URL and DATABASE_URL_FILE are both set: keep one of them"]
    );
}

#[test]
fn a_secret_file_that_cannot_be_read_is_named_with_its_path() {
    let variables = [("DATABASE_URL_FILE", "/nowhere/database-url")];
    let found = sentences(load_example(&[], &variables).unwrap_err());
    assert!(found[0].contains("DATABASE_URL_FILE"), "{found:?}");
    assert!(found[0].contains("/nowhere/database-url"), "{found:?}");
}

#[test]
fn help_and_version_are_answers_and_not_mistakes() {
    for flag in ["--help", "--version"] {
        let error = load_example(&[flag], &[]).unwrap_err();
        assert_eq!(error.exit_code(), 0, "{flag}");
    }
    let help = load_example(&["--help"], &[]).unwrap_err().to_string();
    assert!(help.contains("GRPC_LISTEN"), "{help}");
}

#[test]
fn an_unknown_flag_is_a_configuration_error() {
    let error = load_example(&["--grpc-lisen=:1"], &[]).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("--grpc-listen"), "{error}");
}

#[test]
fn the_debug_form_of_a_configuration_holds_no_password() {
    let config = load_example(&["--database-url=postgres://app:hunter2@db/users"], &[]);
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("postgres://app:***@db/users"), "{shown}");
}

#[test]
fn a_secret_is_the_same_from_file_variable_and_flag() {
    let url = "postgres://ada:hunter2@db/users";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    for written in [
        url.to_owned(),
        format!("{url}\n"),
        format!("{url}\r\n"),
        format!("{url}\n\n"),
        format!("\u{feff}{url}\r\n"),
    ] {
        let by_flag = load_example(&["--database-url", &written], &[]).unwrap();
        std::fs::write(&file, &written).unwrap();
        let variables = [("DATABASE_URL_FILE", file.to_str().unwrap())];
        let by_file = load_example(&[], &variables).unwrap();
        for config in [by_flag, by_file] {
            let given = secrecy::ExposeSecret::expose_secret(&config.database.url).to_owned();
            assert_eq!(given, url, "{written:?}");
        }
    }
}
