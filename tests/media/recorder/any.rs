//! What holds for any messages: the files are right, and every message is in them once.

use super::{FinishedFiles, Folder, whole, within};
use crate::support::readers::flv_file::{Flv, is_frame, read};
use proptest::collection::vec;
use proptest::prelude::*;
use rtmp_server::queue::feed;
use rtmp_server::record::{FEED_LIMITS, Pattern, RecordSettings, Recorder, Segments};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The front of bodies that mean something, and of some that mean nothing.
const FRONTS: [(u8, &[u8]); 16] = [
    (8, &[0xaf, 0]),
    (8, &[0xaf, 1]),
    (8, &[0x2f]),
    (8, b"\x90Opus"),
    (8, b"\x91Opus"),
    (8, &[]),
    (9, &[0x17, 0, 0, 0, 0]),
    (9, &[0x17, 1, 0, 0, 0]),
    (9, &[0x27, 1, 0, 0, 0]),
    (9, &[0x17, 2, 0, 0, 0]),
    (9, b"\x96\x01avc1\x01"),
    (9, b"\x94hvc1"),
    (9, &[0xff]),
    (9, &[]),
    (18, b"\x02\0\x0aonMetaData\x08\0\0\0\0"),
    (15, b"\0\x02\0\x01x"),
];

/// Messages whose clock mostly goes on, and sometimes leaps.
fn any_messages() -> impl Strategy<Value = Vec<Message>> {
    let step = prop_oneof![
        20 => 0..60_i32,
        4 => -900..900_i32,
        2 => -20_000..20_000_i32,
        1 => any::<i32>(),
    ];
    let message = (0..FRONTS.len(), step, vec(any::<u8>(), 0..40));
    (any::<u32>(), vec(message, 0..80)).prop_map(|(start, messages)| {
        let mut time = Timestamp(start);
        let messages = messages.into_iter().map(|(front, step, rest)| {
            time = time.plus(step as u32);
            let (kind, front) = FRONTS[front];
            // What is empty stays so.
            let payload = if front.is_empty() {
                vec![]
            } else {
                [front, &rest].concat()
            };
            Message {
                timestamp: time,
                ..Message::untimed(MessageType(kind), StreamId(1), payload)
            }
        });
        messages.collect()
    })
}

fn frames<'a>(bodies: impl Iterator<Item = (u8, &'a [u8])>) -> Vec<(u8, &'a [u8])> {
    bodies
        .filter(|(kind, body)| is_frame(*kind, body))
        .collect()
}

/// The files of a publication by number, complete and right in themselves.
fn check(sent: &[Message], files: &[Flv]) {
    let got = files.iter().flat_map(|file| file.tags.iter());
    let got = frames(got.map(|tag| (tag.kind, &tag.body[..])));
    let want = frames(sent.iter().map(|sent| (sent.kind.0, &sent.payload[..])));
    assert_eq!(got, want);
    for file in files {
        let mut media = file.media().filter(|tag| is_frame(tag.kind, &tag.body));
        assert_eq!(media.next().map(|tag| tag.time_ms), Some(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_message_is_in_a_file_once(
        publications in vec(any_messages(), 1..16),
        segment_ms in prop_oneof![Just(0), 1..2000_u64],
    ) {
        let folder = Folder::new();
        let segments = (segment_ms > 0).then(|| Segments {
            duration: Duration::from_millis(segment_ms),
            pattern: Pattern::new("%s/%09d").unwrap(),
        });
        let settings = RecordSettings { segments, ..whole(&folder) };
        let told = Arc::new(FinishedFiles::default());
        let recorder = Recorder::new(settings, told.clone(), Arc::default());
        for (number, sent) in publications.iter().enumerate() {
            let (feed, intake) = feed(FEED_LIMITS);
            let key = StreamKey::new(&format!("p{number}")).unwrap();
            drop(recorder.start(&key, intake));
            let (first, second) = sent.split_at(sent.len() / 2);
            feed.push(first, Instant::now());
            feed.push(second, Instant::now());
        }
        prop_assert!(recorder.close(within(60)));
        let told = told.0.lock().unwrap();
        for (number, sent) in publications.iter().enumerate() {
            let key = format!("p{number}");
            let files = told.iter().filter(|(of, _)| *of == key);
            let files: Vec<Flv> = files
                .map(|(_, file)| {
                    prop_assert_eq!(&file.error, &None);
                    let bytes = fs::read(&file.path).unwrap();
                    let flv = read(&bytes).map_err(TestCaseError::fail)?;
                    flv.check_complete(&bytes);
                    Ok(flv)
                })
                .collect::<Result<_, _>>()?;
            check(sent, &files);
        }
    }
}
