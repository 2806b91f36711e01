//! Messages that are not what their type says.

use super::pair::client_event;
use rtmp_server::amf0::Error as Amf;
use rtmp_server::rtmp::client::{self, Client, ConnectTarget, Purpose};
use rtmp_server::rtmp::command::Error as Command;
use rtmp_server::rtmp::control::Error as Control;
use rtmp_server::rtmp::session::Session;
use rtmp_server::rtmp::{Message, MessageType, StreamId};

const DEEP: &[u8] = &[3, 0, 1, b'a', 3, 0, 1, b'a'];

/// Commands that cannot be read: message type, payload, and what is wrong with it. Both ends pass
/// them over.
#[rustfmt::skip]
const UNREADABLE: [(&str, u8, &[u8], Command); 17] = [
    ("an empty command", 20, b"", Command::NoName),
    ("a number for a name", 20, &[0, 0, 0, 0, 0, 0, 0, 0, 0], Command::NoName),
    ("null for a name", 20, &[5, 5], Command::NoName),
    ("a name that is not UTF-8", 20, &[2, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0], Command::NoName),
    ("no transaction", 20, b"\x02\0\x03foo", Command::NoTransaction),
    ("null for a transaction", 20, b"\x02\0\x03foo\x05", Command::NoTransaction),
    ("a string for a transaction", 20, b"\x02\0\x03foo\x02\0\x011", Command::NoTransaction),
    ("a name cut off", 20, b"\x02\0\x03fo", Command::Amf(Amf::Truncated)),
    ("a transaction cut off", 20, b"\x02\0\x03foo\0\x3f\xf0", Command::Amf(Amf::Truncated)),
    ("an object cut off", 20, b"\x02\0\x03foo\0\0\0\0\0\0\0\0\0\x03\0\x01a", Command::Amf(Amf::Truncated)),
    ("objects never closed", 20, DEEP, Command::Amf(Amf::Truncated)),
    ("a reserved marker", 20, b"\x02\0\x03foo\x04", Command::Amf(Amf::Marker(4))),
    ("an AMF3 object", 20, b"\x02\0\x03foo\x11\x0a", Command::Amf(Amf::Amf3Marker(10))),
    ("text", 20, b"GET / HTTP/1.1", Command::Amf(Amf::Marker(b'G'))),
    ("an AMF3 command of format 1", 17, b"\x01\x02\0\x03foo\0\0\0\0\0\0\0\0\0", Command::Amf3Format(Some(1))),
    ("an AMF3 command without its format", 17, b"", Command::Amf3Format(None)),
    ("an AMF3 command that is empty", 17, b"\0", Command::NoName),
];

/// Malformed control messages: message type, payload, and the error at both ends.
#[rustfmt::skip]
const VIOLATIONS: [(&str, u8, &[u8], Control); 10] = [
    ("a chunk size too short", 1, &[0; 3], Control::Truncated { kind: 1, len: 3 }),
    ("an abort too short", 2, &[0; 3], Control::Truncated { kind: 2, len: 3 }),
    ("an acknowledgement too short", 3, &[0; 3], Control::Truncated { kind: 3, len: 3 }),
    ("an empty user control message", 4, b"", Control::Truncated { kind: 4, len: 0 }),
    ("half an event", 4, &[0], Control::Truncated { kind: 4, len: 1 }),
    ("a stream cut off", 4, &[0, 0, 0, 0, 0], Control::Truncated { kind: 4, len: 5 }),
    ("a buffer length cut off", 4, &[0, 3, 0, 0, 0, 1, 0, 0, 0], Control::Truncated { kind: 4, len: 9 }),
    ("a ping without its time", 4, &[0, 6], Control::Truncated { kind: 4, len: 2 }),
    ("a window too short", 5, &[0; 3], Control::Truncated { kind: 5, len: 3 }),
    ("a bandwidth without its limit", 6, &[0; 4], Control::Truncated { kind: 6, len: 4 }),
];

fn message(kind: u8, payload: &[u8]) -> Message {
    Message::untimed(MessageType(kind), StreamId(0), payload.to_vec())
}

fn client() -> Client {
    let text = String::new;
    let target = ConnectTarget {
        app: text(),
        tc_url: text(),
        name: text(),
        via: Vec::new(),
    };
    Client::new(Purpose::Play, target)
}

#[test]
fn commands_that_cannot_be_read_are_passed_over() {
    for (name, kind, payload, error) in UNREADABLE {
        let want = format!("unreadable: {error}");
        let mut events = Vec::new();
        let got = Session::new(4096).handle(message(kind, payload), &mut events);
        assert_eq!(
            (got, super::line(&events)),
            (Ok(()), want.clone()),
            "{name}"
        );
        let mut events = Vec::new();
        let got = client().handle(message(kind, payload), &mut events);
        let lines: Vec<String> = events.iter().map(client_event).collect();
        assert_eq!((got, lines), (Ok(()), vec![want]), "{name}");
    }
}

#[test]
fn violations_end_a_session() {
    for (name, kind, payload, want) in VIOLATIONS {
        let mut events = Vec::new();
        let got = Session::new(4096).handle(message(kind, payload), &mut events);
        assert_eq!((got, events), (Err(want), vec![]), "{name}");
    }
}

#[test]
fn violations_end_a_client() {
    for (name, kind, payload, want) in VIOLATIONS {
        let mut events = Vec::new();
        let got = client().handle(message(kind, payload), &mut events);
        let want = Err(client::Error::Control(want));
        assert_eq!((got, events), (want, vec![]), "{name}");
    }
}

/// Odd, but no violation: more than the layout, or what no specification defines.
const TOLERATED: [(&str, u8, &[u8]); 10] = [
    ("a window of zero", 5, &[0; 4]),
    ("a window with a tail", 5, &[0, 0, 1, 0, 9]),
    ("an acknowledgement with a tail", 3, &[0, 0, 1, 0, 9]),
    ("a stream begin with a tail", 4, &[0, 0, 0, 0, 0, 1, 9]),
    ("an event that is not defined", 4, &[0, 5]),
    ("an event of another server", 4, &[0, 31, 0, 0, 0, 1]),
    ("an event far out", 4, &[0xff, 0xff]),
    (
        "an answer to no call",
        20,
        b"\x02\0\x07_result\0\0\0\0\0\0\0\0\0",
    ),
    ("an abort", 2, &[0, 0, 0, 6]),
    ("a chunk size", 1, &[0, 0, 16, 0]),
];

#[test]
fn oddities_are_passed_over() {
    for (name, kind, payload) in TOLERATED {
        let message = Message::untimed(MessageType(kind), StreamId(0), payload.to_vec());
        let mut events = Vec::new();
        let got = Session::new(4096).handle(message.clone(), &mut events);
        assert_eq!((got, events), (Ok(()), vec![]), "{name}");
        let mut events = Vec::new();
        let got = client().handle(message, &mut events);
        assert_eq!((got, events), (Ok(()), vec![]), "{name}");
    }
}

#[test]
fn types_that_are_not_served_are_ignored() {
    for kind in [0, 7, 10, 11, 12, 13, 14, 16, 19, 21, 23, 255] {
        let message = Message::untimed(MessageType(kind), StreamId(0), vec![1, 2, 3]);
        let mut events = Vec::new();
        assert_eq!(
            Session::new(4096).handle(message, &mut events),
            Ok(()),
            "{kind}"
        );
        let ignored = "ignored: message of a type that is not served";
        assert_eq!(super::line(&events), ignored, "{kind}");
    }
}
