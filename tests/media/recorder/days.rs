//! Recordings of publications that last longer than the times of messages count.

use super::mp4::{mp4, sent};
use super::{FinishedFile, FinishedFiles, Folder, at, key, whole, within};
use crate::media::mp4_reader;
use crate::support::readers::flv_file;
use rtmp_server::queue::feed;
use rtmp_server::record::{FEED_LIMITS, RecordSettings, Recorder};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const DAY_MS: u64 = 86_400_000;

/// Between two keyframes, and between two sounds, in ms: the longest that begins no new file.
const STEP_MS: u64 = 10_000;

/// Where the publication begins: a minute before its times wrap.
const START_MS: u64 = (1 << 32) - 60_000;

/// How many go into the feed at once, and how much time the recorder has for them.
const BATCH: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);

/// Records as many days of pictures and sound.
fn record_days(settings: RecordSettings, days: u64) -> Vec<FinishedFile> {
    let told = Arc::new(FinishedFiles::default());
    let recorder = Recorder::new(settings, told.clone(), Arc::default());
    let (feed, intake) = feed(FEED_LIMITS);
    let running = recorder.start(&key(), intake);
    let words = sent("H0 A0 k0 a0");
    let [headers, media] = [&words[..2], &words[2..]];
    feed.push(headers, Instant::now());
    let times = (START_MS..START_MS + days * DAY_MS).step_by(STEP_MS as usize);
    let media = times.flat_map(|ms| {
        media
            .iter()
            .map(move |message| at(message.clone(), ms as u32))
    });
    let media: Vec<_> = media.collect();
    for batch in media.chunks(BATCH) {
        feed.push(batch, Instant::now());
        assert!(feed.is_open(), "the recorder keeps up");
        thread::sleep(PAUSE);
    }
    drop(running);
    drop(feed);
    assert!(recorder.close(within(60)), "all files are closed");
    told.files()
}

/// How many days: `SOAK_DAYS`, or as many as a test in between has time for.
fn days(default: u64) -> u64 {
    let days = std::env::var("SOAK_DAYS").ok();
    days.and_then(|days| days.parse().ok()).unwrap_or(default)
}

/// A file ends where its times have no more room, the next begins there, and nothing is lost.
#[test]
fn flv_of_60_days() {
    let folder = Folder::new();
    let days = days(60);
    let files = record_days(whole(&folder), days);
    let last_ms = days * DAY_MS - STEP_MS;
    let mut sum_ms = 0;
    for (index, file) in files.iter().enumerate() {
        assert_eq!(file.error, None);
        let bytes = fs::read(&file.path).unwrap();
        let flv = flv_file::read(&bytes).unwrap();
        flv.check_complete(&bytes);
        // Behind headers, which are repeated: a picture and a sound at each time.
        let times: Vec<u64> = flv
            .media()
            .filter(|tag| tag.body[1] != 0)
            .map(|tag| tag.time_ms.into())
            .collect();
        let end_ms = *times.last().unwrap();
        let want = (0..=end_ms).step_by(STEP_MS as usize);
        assert!(
            times.into_iter().eq(want.flat_map(|ms| [ms, ms])),
            "{index}"
        );
        assert_eq!(file.duration.as_millis(), u128::from(end_ms));
        assert!(end_ms <= i32::MAX as u64);
        sum_ms += end_ms + if index > 0 { STEP_MS } else { 0 };
    }
    assert_eq!(
        (files.len() as u64, sum_ms),
        (last_ms / i32::MAX as u64 + 1, last_ms)
    );
}

#[test]
fn mp4_over_the_wrap() {
    let folder = Folder::new();
    let days = days(1);
    let files = record_days(mp4(whole(&folder)), days);
    let last_ms = days * DAY_MS - STEP_MS;
    let (mut pictures, mut sounds) = (0, 0);
    for file in &files {
        assert_eq!(file.error, None);
        let movie = mp4_reader::read(&fs::read(&file.path).unwrap()).unwrap();
        for track in &movie.tracks {
            let step = STEP_MS * u64::from(track.timescale) / 1000;
            let steps = track.samples.windows(2);
            let steps: Vec<u64> = steps.map(|pair| pair[1].decode - pair[0].decode).collect();
            assert!(
                steps.iter().all(|got| *got == step),
                "{} {:?}",
                track.handler,
                &steps[..9]
            );
            let count = match track.handler.as_str() {
                "vide" => &mut pictures,
                _ => &mut sounds,
            };
            *count += track.samples.len() as u64;
        }
    }
    let all = last_ms / STEP_MS + 1;
    assert_eq!(
        (files.len() as u64, pictures, sounds),
        (last_ms / i32::MAX as u64 + 1, all, all)
    );
}
