//! For any bytes in a message's properties, the resulting frame can be parsed and shows the original bytes.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::AMQPValue;
use proptest::prelude::*;

use super::*;

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

fn header_frame(flags: u16, properties: &[u8]) -> Vec<u8> {
    let fixed = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let payload = [&fixed[..], &flags.to_be_bytes(), properties].concat();
    reframed(&[FRAME_HEADER, 0, 7], &payload).unwrap()
}

fn properties(frame: &[u8]) -> AMQPProperties {
    match parse_frame(frame) {
        Ok(([], AMQPFrame::Header(7, header))) => header.properties,
        other => panic!("{other:?}"),
    }
}

fn marked(properties: &AMQPProperties) -> String {
    let headers = properties.headers().as_ref().unwrap().inner();
    match headers.get(UNREADABLE) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Content type, headers, message id and timestamp.
const FLAGS: u16 = 1 << 15 | 1 << 13 | 1 << 7 | 1 << 6;

fn with(entries: &[u8], message_id: &[u8]) -> Vec<u8> {
    let properties = [
        short(b"application/protobuf"),
        long(entries),
        short(message_id),
        42_u64.to_be_bytes().to_vec(),
    ];
    header_frame(FLAGS, &properties.concat())
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [short(name), b"S".to_vec(), long(value)].concat()
}

#[test]
fn a_frame_that_can_be_parsed_stays() {
    let frame = with(&entry("größe".as_bytes(), b"\xff"), b"an id");
    assert_eq!(mended(&frame), None);
}

#[test]
fn a_message_id_that_is_no_text_is_left_out_and_shown() {
    let frame = with(&entry(b"trace", b"1"), b"\xff\xfe");
    let properties = properties(&mended(&frame).unwrap());
    assert_eq!(*properties.message_id(), None);
    assert_eq!(*properties.timestamp(), Some(42));
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    assert_eq!(content_type.as_deref(), Some("application/protobuf"));
    assert_eq!(
        marked(&properties),
        r"its properties are no text: message_id: \xff\xfe"
    );
}

#[test]
fn a_header_name_that_is_no_text_is_left_out_alone() {
    let death = [short(b"x-death"), b"A".to_vec(), long(b"")].concat();
    let nested = [short(b"nested"), b"F".to_vec(), long(&entry(b"\xe4", b"1"))].concat();
    let entries = [entry(b"gr\xf6\xdfe", b"1"), nested, death].concat();
    let properties = properties(&mended(&with(&entries, b"an id")).unwrap());
    let headers = properties.headers().as_ref().unwrap().inner();
    let names: Vec<String> = headers.keys().map(ToString::to_string).collect();
    assert_eq!(names, [UNREADABLE, "x-death"]);
    let message_id = properties.message_id().as_ref().map(ToString::to_string);
    assert_eq!(message_id.as_deref(), Some("an id"));
    assert!(marked(&properties).contains(r"gr\xf6\xdfe"));
}

#[test]
fn a_value_of_an_unknown_type_is_no_harm() {
    let unknown = [short(b"what"), b"?".to_vec(), vec![0; 4]].concat();
    let properties = properties(&mended(&with(&unknown, b"an id")).unwrap());
    assert_eq!(properties.headers().as_ref().unwrap().inner().len(), 1);
    assert!(properties.message_id().is_some());
}

#[test]
fn an_exchange_or_routing_key_that_is_no_text_keeps_its_length() {
    let payload = [
        DELIVER.to_vec(),
        short(b"tag"),
        9_u64.to_be_bytes().to_vec(),
        vec![1],
        short(b"\xffx"),
        short(b"user.\xe4\xf6"),
    ]
    .concat();
    let frame = reframed(&[FRAME_METHOD, 0, 7], &payload).unwrap();
    match parse_frame(&*mended(&frame).unwrap()) {
        Ok(([], AMQPFrame::Method(7, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver))))) => {
            assert_eq!(deliver.routing_key.as_str(), "user.??");
            assert_eq!(deliver.exchange.as_str(), "?x");
            assert_eq!((deliver.delivery_tag, deliver.redelivered), (9, true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_read_is_the_same_when_the_message_comes_again() {
    let spoiled = entry(b"gr\xf6\xdfe", b"1");
    // A quorum queue adds a delivery count, and dead-lettering adds headers.
    let count = [short(b"x-delivery-count"), b"l".to_vec(), vec![0; 8]].concat();
    let first = mended(&with(&spoiled, b"an id")).unwrap();
    let again = mended(&with(&[spoiled, count].concat(), b"an id")).unwrap();
    assert_eq!(marked(&properties(&first)), marked(&properties(&again)));
}

#[test]
fn no_frame_grows_beyond_what_is_always_taken_or_it_was() {
    let large = entry(&[0xff; 200], &vec![0xff; 100_000]);
    let frame = with(&large, b"an id");
    let small = header_frame(1 << 7, &short(&[0xff; 255]));
    let readable = entry(b"large", &vec![b'x'; 100_000]);
    let both = with(&[readable, entry(b"\xff", b"")].concat(), b"an id");
    let texts = [&[0xff; 255][..]; 10].map(short).concat();
    let all_texts = header_frame(0b1100_0111_1011_1100, &texts);
    for frame in [frame, small, both, all_texts] {
        let mended = mended(&frame).unwrap();
        assert!(mended.len() <= frame.len().max(ALWAYS_TAKEN));
        marked(&properties(&mended));
    }
}

proptest! {
    #[test]
    fn any_properties_can_be_parsed_in_the_end(
        flags in any::<u16>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let frame = header_frame(flags, &bytes);
        if parse_frame(&*frame).is_err() {
            let mended = mended(&frame).unwrap();
            prop_assert!(mended.len() <= frame.len().max(ALWAYS_TAKEN));
            prop_assert!(marked(&properties(&mended)).len() > 30);
        }
    }
}
