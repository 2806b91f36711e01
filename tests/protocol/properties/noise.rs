//! Any bytes at all: an answer or an error, and never a panic.

use super::amf::value;
use super::cases;
use super::chunks::decoded;
use proptest::prelude::*;
use rtmp_server::amf0::{self, Value};
use rtmp_server::media::Packet;
use rtmp_server::rtmp::command::Call;
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::data::Data;
use rtmp_server::rtmp::session::{Session, SessionEvent};
use rtmp_server::rtmp::stream_key::{KEY_LEN_MAX, StreamPath};
use rtmp_server::rtmp::{Message, MessageType, StreamId, aggregate};
use std::collections::BTreeSet;

/// Bytes with a liking for those that mean something: small numbers, markers, packet types.
fn bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => 0..0x18_u8,
        2 => prop::sample::select(&[0x17, 0x27, 0x80, 0x90, 0x91, 0x95, 0x96, 0x97, 0xaf, 0xc4, 0xff][..]),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..len_max)
}

fn kind() -> impl Strategy<Value = MessageType> {
    prop_oneof![0..24_u8, any::<u8>()].prop_map(MessageType)
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn bytes_are_payloads(kind in kind(), bytes in bytes(120)) {
        let message = Message::untimed(kind, StreamId(1), bytes.clone());
        _ = amf0::decode(&bytes);
        _ = Call::parse(kind, &bytes);
        _ = Control::parse(kind, &bytes);
        _ = Packet::new(kind, &bytes);
        // What passes is what came.
        if let Data::Pass(passed) = Data::new(message.clone()) {
            prop_assert_eq!(&passed, &message);
        }
        if let Ok(parts) = aggregate::split(&message) {
            let len: usize = parts.iter().map(|part| part.payload.len() + 15).sum();
            prop_assert_eq!(len, bytes.len());
        }
    }

    /// However bytes are cut, the same messages come out, and the same error after them.
    #[test]
    fn bytes_are_chunks(bytes in bytes(200), pieces in prop::collection::vec(1..40_usize, 1..5)) {
        let (whole, end) = decoded(&bytes, &[]);
        let (cut, cut_end) = decoded(&bytes, &pieces);
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(end.err(), cut_end.err());
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn text_is_an_address(app in "\\PC{0,20}|[a./?%&=]{0,30}|\\p{any}{0,600}", name in "\\PC{0,20}|[a./?%&=]{0,30}") {
        if let Ok(address) = StreamPath::new(&app, &name) {
            let key = address.key.as_str();
            prop_assert!(!key.is_empty() && key.len() <= KEY_LEN_MAX);
            prop_assert!(key.split('/').all(|segment| !["", ".", ".."].contains(&segment)));
            prop_assert!(!key.contains('?') && !key.chars().any(char::is_control));
        }
    }
}

/// A call of a name that is served, with arguments that need not fit.
fn call() -> impl Strategy<Value = (MessageType, Vec<u8>)> {
    let names = [
        "connect",
        "createStream",
        "deleteStream",
        "closeStream",
        "publish",
        "FCUnpublish",
        "play",
        "play2",
        "seek",
        "pause",
        "receiveAudio",
        "receiveVideo",
        "getStreamLength",
        "releaseStream",
        "_result",
        "onStatus",
        "foo",
    ];
    let argument = prop_oneof![
        Just(Value::Null),
        prop::sample::select(&["live", "cam", "cam?k=v", ""][..]).prop_map(Value::text),
        (-3..4_i32).prop_map(|number| Value::Number(f64::from(number))),
        Just(Value::object([("app", Value::text("live"))])),
        value(),
    ];
    let arguments = prop::collection::vec(argument, 0..5);
    (prop::sample::select(names.to_vec()), 0..3_u8, arguments).prop_map(
        |(name, transaction, rest)| {
            let mut values = vec![Value::text(name), Value::Number(f64::from(transaction))];
            values.extend(rest);
            (MessageType::COMMAND, amf0::encode(&values))
        },
    )
}

fn anything() -> impl Strategy<Value = Message> {
    let payload = prop_oneof![4 => call(), 1 => (kind(), bytes(60)), 2 => (8..10_u8, bytes(9)).prop_map(|(kind, bytes)| (MessageType(kind), bytes))];
    let stream = (0..4_u32).prop_map(StreamId);
    (payload, stream).prop_map(|((kind, payload), stream)| Message::untimed(kind, stream, payload))
}

/// Whom media may come from, by what a session was asked and told.
#[derive(Default)]
struct Publishing(BTreeSet<StreamId>);

impl Publishing {
    fn note(&mut self, event: &SessionEvent, session: &mut Session) -> Result<(), TestCaseError> {
        match event {
            SessionEvent::Connect(_) => {
                prop_assert!(!session.accept_connect(None).is_empty());
            }
            SessionEvent::Publish(request) => {
                session.accept(request.stream);
                self.0.insert(request.stream);
            }
            SessionEvent::Play(request) => {
                session.accept(request.stream);
                prop_assert!(
                    !self.0.contains(&request.stream),
                    "plays what it publishes on"
                );
            }
            SessionEvent::Ended(stream) => _ = self.0.remove(stream),
            SessionEvent::Media(message) => {
                prop_assert!(self.0.contains(&message.stream), "media of nobody")
            }
            SessionEvent::Send(reply) if reply.kind == MessageType::COMMAND => {
                let call = Call::parse(reply.kind, &reply.payload);
                prop_assert!(call.is_ok_and(|call| call.name.starts_with("on")
                    || call.transaction != 0.0
                    || call.name == "_error"));
            }
            SessionEvent::Send(reply) => {
                prop_assert!(Control::parse(reply.kind, &reply.payload).is_ok())
            }
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// A session that is told anything answers with what can be read, and takes media only on
    /// streams that publish.
    #[test]
    fn sessions_can_be_told_anything(messages in prop::collection::vec(anything(), 1..30)) {
        let mut session = Session::new(4096);
        let mut publishing = Publishing::default();
        let begin = [
            vec![Value::text("connect"), Value::Number(1.0), Value::object([("app", Value::text("live"))])],
            vec![Value::text("createStream"), Value::Number(2.0), Value::Null],
        ];
        let begin = begin.map(|values| Message::untimed(MessageType::COMMAND, StreamId(0), amf0::encode(&values)));
        for message in begin.into_iter().chain(messages) {
            let mut events = Vec::new();
            _ = session.handle(message, &mut events);
            for event in &events {
                publishing.note(event, &mut session)?;
            }
        }
    }
}
