//! Messages in a short notation: `v@40:2701000000aa`, medium, time in ms, body in hex.

use rtmp_server::rtmp::MessageType;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub kind: MessageType,
    pub ms: u64,
    pub payload: Arc<[u8]>,
}

pub fn message(kind: MessageType, ms: u64, payload: &[u8]) -> Message {
    Message {
        kind,
        ms,
        payload: payload.into(),
    }
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

pub fn messages(words: &str) -> Vec<Message> {
    words.split_whitespace().map(one).collect()
}

fn one(word: &str) -> Message {
    let (front, hex) = word.split_once(':').expect("a colon");
    let (medium, ms) = front.split_once('@').unwrap_or((front, "0"));
    let kind = match medium {
        "v" => MessageType::VIDEO,
        "a" => MessageType::AUDIO,
        other => panic!("no medium: {other}"),
    };
    message(kind, ms.parse().expect("ms"), &bytes(hex))
}
