//! Viewers of live MP4 who take less than there is.

use super::{Mp4Viewer, enhanced};
use crate::server::web::{check_slow, send, settle, start};
use crate::support::wait_until;
use rtmp_server::rtmp::{Message, MessageType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const PICTURE_LEN: usize = 256 << 10;
const GROUP_LEN: u32 = 25;

fn picture(number: u32) -> Message {
    let front = if number.is_multiple_of(GROUP_LEN) {
        0x17
    } else {
        0x27
    };
    let mut payload = vec![front, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(PICTURE_LEN, number as u8);
    enhanced(MessageType::VIDEO, number * 40, &payload)
}

/// How far the publisher may be ahead of a viewer that is not to lose anything: its queue holds three
/// times as much.
const AHEAD_MAX: u32 = 20;

/// Reads pictures up to `last`, and says which was read last; each must be its own.
fn pictures(viewer: &mut Mp4Viewer, last: u32, read: &AtomicU32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let tracks = viewer.fragment().expect("a fragment").expect("a fragment");
        let [sample] = &tracks[0].samples[..] else {
            panic!("one picture")
        };
        let number = (sample.decode / 90 - 10_000) as u32 / 40;
        assert!(
            sample.data == picture(number).payload[5..],
            "picture {number} is damaged"
        );
        assert_eq!(sample.is_sync, number.is_multiple_of(GROUP_LEN));
        numbers.push(number);
        read.store(number, Ordering::Relaxed);
    }
    numbers
}

#[test]
fn a_slow_viewer_goes_on_at_a_keyframe_and_hurts_nobody() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0"]);
    publisher.send(&picture(0));
    settle(&mut publisher);
    let [mut healthy, mut slow] = [(); 2].map(|()| Mp4Viewer::playing(&server, "/live/x.mp4"));
    server.wait_for_count((3, 1, 2));
    let count = 200;
    let read = Arc::<AtomicU32>::default();
    let reads = Arc::clone(&read);
    let reader = thread::spawn(move || pictures(&mut healthy, count, &reads));
    for number in 1..=count {
        publisher.send(&picture(number));
        wait_until("the healthy one", || {
            read.load(Ordering::Relaxed) + AHEAD_MAX >= number
        });
    }
    let all: Vec<u32> = (0..=count).collect();
    assert_eq!(
        reader.join().expect("reader"),
        all,
        "the healthy one gets everything"
    );
    let sender = thread::spawn(move || {
        for number in count + 1..=2 * count {
            publisher.send(&picture(number));
            thread::sleep(Duration::from_millis(5));
        }
        publisher
    });
    let numbers = pictures(&mut slow, 2 * count, &read);
    check_slow(&numbers, 2 * count, GROUP_LEN);
    let drops = server.server().snapshot().totals.subscriber_drops;
    assert!(drops > 0, "what is left out is counted");
    drop(sender.join().expect("sender"));
}
