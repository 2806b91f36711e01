//! Group M: bodies of audio and video messages.

use super::chunks::decoded;
use super::table::{Direction, Row};
use super::{Outcome, same, untested};
use rtmp_server::media::Packet;
use rtmp_server::rtmp::chunk::Encoder;
use rtmp_server::rtmp::{Message, MessageType, StreamId};

pub fn check(row: &Row, direction: Direction) -> Outcome {
    let kind = if row.meaning.starts_with("audio") {
        MessageType::AUDIO
    } else {
        MessageType::VIDEO
    };
    match direction {
        Direction::Decode => same(summary(kind, &row.bytes), row.meaning.clone()),
        Direction::Relay => {
            let message = Message::untimed(kind, StreamId(1), row.bytes.clone());
            let mut bytes = Vec::new();
            Encoder::default().encode(&message, &mut bytes);
            same(
                decoded(128, &bytes).map_err(|error| error.to_string())?,
                vec![message],
            )
        }
        _ => untested(),
    }
}

/// A body in one line: medium, codec, content, tracks.
pub fn summary(kind: MessageType, body: &[u8]) -> String {
    let packet = Packet::new(kind, body);
    let medium = if kind == MessageType::AUDIO {
        "audio"
    } else {
        "video"
    };
    let codec = packet
        .codec
        .map_or("none".to_owned(), |codec| codec.to_string());
    let tracks: Vec<String> = packet
        .tracks
        .iter()
        .map(|track| track.to_string())
        .collect();
    format!(
        "{medium} {codec} {:?} tracks {}",
        packet.content,
        tracks.join(" ")
    )
}
