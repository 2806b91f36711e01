//! Consumers on this machine that come while a stream is published.

use crate::server::behind::{Nobody, connection, publisher};
use rtmp_server::memory::Budget;
use rtmp_server::queue::{FeedLimits, Taken};
use rtmp_server::registry::{PublicationStatus, Registry, StreamSettings, Tap};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use rtmp_server::stats::Counters;
use std::sync::Arc;
use std::time::Duration;

const LIMITS: FeedLimits = FeedLimits {
    bytes: 1 << 20,
    age: Duration::from_secs(5),
};

/// One message a word: h header, k keyframe, p picture of video; s sound; and its time.
fn message(word: &str) -> Message {
    let (letter, time) = word.split_at(1);
    let (kind, payload): (_, &[u8]) = match letter {
        "h" => (MessageType::VIDEO, &[0x17, 0, 0, 0, 0, 1]),
        "k" => (MessageType::VIDEO, &[0x17, 1, 0, 0, 0, 1]),
        "p" => (MessageType::VIDEO, &[0x27, 1, 0, 0, 0, 1]),
        _ => (MessageType::AUDIO, &[0x2f, 1]),
    };
    Message {
        timestamp: Timestamp(time.parse().expect("a time")),
        ..Message::untimed(kind, StreamId(1), payload.to_vec())
    }
}

fn words(messages: &[Message]) -> String {
    let word = |message: &Message| {
        let letter = match (message.kind, &message.payload[..2]) {
            (MessageType::VIDEO, [0x17, 0]) => 'h',
            (MessageType::VIDEO, [0x17, _]) => 'k',
            (MessageType::VIDEO, _) => 'p',
            _ => 's',
        };
        format!("{letter}{}", message.timestamp.0)
    };
    messages.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_tap_has_the_beginning_of_a_late_joiner() {
    #[rustfmt::skip]
    let rows = [
        // What was sent before, what after, what the tap has, the time between keyframes.
        ("", "h0 k0 p40", "h0 k0 p40", None),
        ("h0", "k0 p40", "h0 k0 p40", None),
        ("h0 k0 s10 p40 k80 p120", "s130 k160", "h80 k80 p120 s130 k160", Some(80)),
        ("s0 s20", "s40", "s40", None),
        ("h0 k0 k2000 k3000", "p3040", "h3000 k3000 p3040", Some(1000)),
    ];
    for gop_cache in [true, false] {
        for (before, after, want, keyframes_ms) in rows {
            let counters = Arc::new(Counters::default());
            let settings = StreamSettings {
                gop_cache,
                takeover: true,
                grace: Duration::ZERO,
                wait: Duration::ZERO,
                chunk_size: 4096,
            };
            let budget = Arc::new(Budget::new(1 << 30));
            let registry = Registry::new(settings, Arc::new(Nobody), Arc::clone(&counters), budget);
            let key = StreamKey::new("live/x").expect("a key");
            assert!(registry.tap(&key, LIMITS).is_none());
            let (outbox, _peer) = connection(&counters);
            let publication = registry
                .publish(&key, publisher(outbox))
                .expect("published");
            let send = |words: &str| {
                let status = publication.send(words.split_whitespace().map(message));
                assert_eq!(status, PublicationStatus::Current);
            };
            send(before);
            assert!(!publication.is_watched());
            let Tap {
                intake,
                keyframes_ms: told,
            } = registry.tap(&key, LIMITS).expect("a tap");
            assert!(publication.is_watched());
            send(after);
            let Taken::Messages(taken) = intake.take(Duration::ZERO) else {
                panic!("nothing");
            };
            assert_eq!(told, keyframes_ms, "{before}");
            if gop_cache {
                assert_eq!(words(&taken), want, "{before} | {after}");
            } else {
                assert!(words(&taken).ends_with(after), "{before} | {after}");
            }
            // It is no recording, and ends with the publication.
            assert!(!registry.stats()[0].recording);
            drop(publication);
            assert_eq!(intake.take(Duration::ZERO), Taken::Ended);
            assert!(registry.tap(&key, LIMITS).is_none());
        }
    }
}
