//! Which files there are, what they are called, and what is in them, message by message.

use super::{
    FinishedFiles, Folder, at, in_a_process, key, messages, record, recorded, segments, whole,
    within,
};
use rtmp_server::amf0::{self, Value};
use rtmp_server::queue::feed;
use rtmp_server::record::{FEED_LIMITS, FileFormat, Pattern, RecordSettings, Recorder, Segments};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, StreamId};
use rtmp_server::stats::Counters;
use rtmp_server::sys;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages, and the files that come of them, without metadata: a line for each.
const FILES: [(&str, f64, &str, &[&str]); 14] = [
    (
        "times begin at 0, what is before is at 0",
        0.0,
        "audio @5000 2f 01; video @4990 22 01; audio @5020 2f 02",
        &["audio @0 2f 01; video @0 22 01; audio @20 2f 02"],
    ),
    (
        "headers wait for what they are of",
        0.0,
        "audio @0 af 00 01; video @0 17 00 00 00 00 01; audio @700 af 01 05; video @720 17 01 00 00 00 01",
        &[
            "video @0 17 00 00 00 00 01; audio @0 af 00 01; audio @0 af 01 05; video @20 17 01 00 00 00 01",
        ],
    ),
    (
        "headers alone are no recording",
        0.0,
        "audio @0 af 00 01; video @0 17 00 00 00 00 01; audio @5",
        &[],
    ),
    (
        "what is empty is left out",
        0.0,
        "audio @0 2f 01; audio @20; video @30; audio @40 2f 02",
        &["audio @0 2f 01; audio @40 2f 02"],
    ),
    (
        "a header that changes is in its place",
        0.0,
        "audio @0 af 00 01; audio @0 af 01 01; audio @20 af 00 02; audio @20 af 01 02",
        &["audio @0 af 00 01; audio @0 af 01 01; audio @20 af 00 02; audio @20 af 01 02"],
    ),
    (
        "data is as it was",
        0.0,
        "data @0 \"onCuePoint\", 1; audio @100 2f 01; data @110 \"onTextData\", 2; data3 @120 \"x\"; audio @130 2f 02",
        &[
            "data @0 02 00 0a 6f 6e 43 75 65 50 6f 69 6e 74 00 3f f0 00 00 00 00 00 00; audio @0 2f 01; \
             data @10 02 00 0a 6f 6e 54 65 78 74 44 61 74 61 00 40 00 00 00 00 00 00 00; \
             data3 @20 00 02 00 01 78; audio @30 2f 02",
        ],
    ),
    (
        "a jump back begins a file, with the headers of now",
        0.0,
        "audio @9000 af 00 01; audio @9000 af 01 01; audio @9020 af 00 02; audio @0 af 01 03; audio @20 af 01 04",
        &[
            "audio @0 af 00 01; audio @0 af 01 01; audio @20 af 00 02",
            "audio @0 af 00 02; audio @0 af 01 03; audio @20 af 01 04",
        ],
    ),
    (
        "a jump forward begins a file",
        0.0,
        "audio @0 2f 01; audio @10000 2f 02; audio @20001 2f 03",
        &["audio @0 2f 01; audio @10000 2f 02", "audio @0 2f 03"],
    ),
    (
        "the clock may wrap",
        0.0,
        "audio @0xfffffff0 2f 01; audio @0x10 2f 02",
        &["audio @0 2f 01; audio @32 2f 02"],
    ),
    (
        "segments begin at keyframes, with their headers",
        1.0,
        "video @0 17 00 00 00 00 01; audio @0 af 00 01; video @0 17 01 00 00 00 01; audio @990 af 01 01; \
         video @1010 27 01 00 00 00 01; audio @1030 af 01 02; video @1040 17 01 00 00 00 01; audio @1035 af 01 03",
        &[
            "video @0 17 00 00 00 00 01; audio @0 af 00 01; video @0 17 01 00 00 00 01; audio @990 af 01 01; \
             video @1010 27 01 00 00 00 01; audio @1030 af 01 02",
            "video @0 17 00 00 00 00 01; audio @0 af 00 01; video @0 17 01 00 00 00 01; audio @0 af 01 03",
        ],
    ),
    (
        "segments of sound",
        1.0,
        "audio @0 af 00 01; audio @0 af 01 01; audio @999 af 01 02; audio @1000 af 01 03; audio @2000 af 01 04",
        &[
            "audio @0 af 00 01; audio @0 af 01 01; audio @999 af 01 02",
            "audio @0 af 00 01; audio @0 af 01 03",
            "audio @0 af 00 01; audio @0 af 01 04",
        ],
    ),
    (
        "segments across the wrap",
        1.0,
        "audio @0xffffff00 2f 01; audio @0x2e7 2f 02; audio @0x2e8 2f 03",
        &["audio @0 2f 01; audio @999 2f 02", "audio @0 2f 03"],
    ),
    (
        "colour information and every track are repeated",
        1.0,
        "video @0 90 68 76 63 31 01; video @0 94 68 76 63 31 02; video @0 96 00 61 76 63 31 01 03; \
         video @0 93 68 76 63 31 01; video @1000 93 68 76 63 31 01",
        &[
            "video @0 90 68 76 63 31 01; video @0 94 68 76 63 31 02; video @0 96 00 61 76 63 31 01 03; \
             video @0 93 68 76 63 31 01",
            "video @0 90 68 76 63 31 01; video @0 94 68 76 63 31 02; video @0 96 00 61 76 63 31 01 03; \
             video @0 93 68 76 63 31 01",
        ],
    ),
    (
        "commands and aggregates are no media",
        0.0,
        "command @0 \"x\"; audio @0 2f 01; command @5 \"x\"",
        &["audio @0 2f 01"],
    ),
];

#[test]
fn messages_are_where_they_belong() {
    for (what, seconds, sent, want) in FILES {
        let folder = Folder::new();
        let settings = match seconds {
            0.0 => whole(&folder),
            seconds => segments(&folder, seconds),
        };
        let files = recorded(settings, &messages(sent));
        let got: Vec<String> = files.iter().map(|file| file.text()).collect();
        let want: Vec<&str> = want.to_vec();
        assert_eq!(got, want, "{what}");
        assert_eq!(folder.files().len(), want.len(), "{what}");
    }
}

/// The names and values of a file's first tag that are the publisher's.
fn of_publisher(metadata: &Value) -> String {
    let own = ["duration", "filesize", "lasttimestamp", "hasKeyframes"];
    let own = [&own[..], &["keyframes", "unindexed", "padding"]].concat();
    let pairs = metadata.pairs().iter().filter_map(|(name, value)| {
        let name = String::from_utf8(name.clone()).unwrap();
        (!own.contains(&&*name)).then(|| format!("{name}={:?}", value.as_number()))
    });
    pairs.collect::<Vec<_>>().join(" ")
}

#[test]
fn metadata_is_that_of_the_file_and_that_of_now() {
    let folder = Folder::new();
    let sent = messages(
        "data @0 \"onMetaData\", ecma(3) {width: 1, duration: 99, filesize: 98}; audio @0 2f 01;
         data @0 \"onMetaData\", ecma(1) {width: 1, duration: 97};
         data3 @0 \"onMetaData\", {width: 2, hasKeyframes: true, height: 3};
         data @0 \"onMetaData\", ecma(1) {width: 2, height: 3}; audio @999 2f 02; audio @1000 2f 03",
    );
    let files = recorded(segments(&folder, 1.0), &sent);
    assert_eq!(files.len(), 2);
    assert_eq!(of_publisher(&files[0].metadata()), "width=Some(1.0)");
    let now = "width=Some(2.0) height=Some(3.0)";
    assert_eq!(of_publisher(&files[1].metadata()), now);
    // In between it changed once.
    let changes: Vec<_> = files[0].tags[1..]
        .iter()
        .filter(|tag| tag.kind == 18)
        .collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].time_ms, 0);
    let values = amf0::decode(&changes[0].body).unwrap();
    assert_eq!(of_publisher(&values[1]), now);
    assert_eq!(values[1].get("hasKeyframes"), None);
}

#[test]
fn metadata_that_cannot_be_read_is_left_out() {
    let folder = Folder::new();
    let whole_body = messages("data @0 \"onMetaData\", ecma(1) {width: 1}").remove(0);
    let cut = whole_body.payload[..whole_body.payload.len() - 4].to_vec();
    let cut = Message::untimed(MessageType::DATA, StreamId(1), cut);
    let sent = [vec![cut], messages("audio @0 2f 01")].concat();
    let files = recorded(whole(&folder), &sent);
    assert_eq!(files[0].text(), "audio @0 2f 01");
    assert_eq!(of_publisher(&files[0].metadata()), "");
}

#[test]
fn a_kind_that_comes_late_is_in_the_flags_at_once() {
    let folder = Folder::new();
    let told = Arc::new(FinishedFiles::default());
    let counters: Arc<Counters> = Arc::default();
    let recorder = Recorder::new(whole(&folder), told, Arc::clone(&counters));
    let (feed, intake) = feed(FEED_LIMITS);
    let recording = recorder.start(&key(), intake);
    assert!(!recording.is_active());
    for (sent, flags, len) in [("audio @0 2f 01", 4, 2), ("video @10 22 01", 5, 3)] {
        feed.push(&messages(sent), Instant::now());
        let end = within(10);
        let path = loop {
            assert!(Instant::now() < end, "{sent} in time");
            let files = recorder.snapshot();
            let read = |path: &str| super::read(&fs::read(path).ok()?).ok();
            match files.first().and_then(|file| read(&file.path)) {
                Some(flv) if flv.tags.len() == len && flv.flags == flags => break files[0].clone(),
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!(path.stream_key, "live/cam");
        assert!(recording.is_active());
    }
    // The handle is no owner.
    drop(recording);
    feed.push(&messages("audio @20 2f 02"), Instant::now());
    drop(feed);
    assert!(recorder.close(within(10)));
    let bytes = fs::read(folder.path().join(&folder.files()[0])).unwrap();
    let flv = super::read(&bytes).unwrap();
    flv.check_complete(&bytes);
    assert_eq!(flv.media().count(), 3);
    assert_eq!(counters.recordings.get(), 1);
    assert!(recorder.snapshot().is_empty());
}

#[test]
fn an_index_has_room_for_all_or_evenly_many() {
    let folder = Folder::new();
    let keyframe = || messages("video @0 17 01 00 00 00 01").remove(0);
    let sent: Vec<Message> = (0..3000).map(|index| at(keyframe(), index * 500)).collect();
    let files = recorded(whole(&folder), &sent);
    let index = files[0].index();
    assert!((512..=1024).contains(&index.len()), "{}", index.len());
    assert_eq!(index[0].1, 0);
    let steps = index.windows(2).map(|pair| pair[1].1 - pair[0].1);
    let (least, most) = (steps.clone().min().unwrap(), steps.max().unwrap());
    assert!(most <= 2 * least, "{least} to {most}");
    let few = recorded(whole(&folder), &sent[..1024]);
    assert_eq!(few[0].index().len(), 1024);
    // Sound has no use for an index.
    let sound = recorded(whole(&folder), &messages("audio @0 2f 01"));
    assert!(sound[0].tags[0].body.len() < 512);
}

#[test]
fn no_file_is_ever_written_over() {
    let folder = Folder::new();
    let settings = || RecordSettings {
        dir: folder.path().join("a/b"),
        segments: Some(Segments {
            duration: Duration::from_secs(1),
            pattern: Pattern::new("%s/x").unwrap(),
        }),
        format: FileFormat::Flv,
    };
    let sent = messages("audio @0 2f 01; audio @1000 2f 02");
    recorded(settings(), &sent);
    let first = folder.files();
    assert_eq!(first, ["a/b/live_cam/x.flv", "a/b/live_cam/x_2.flv"]);
    let read = |name: &String| fs::read(folder.path().join(name)).unwrap();
    let before: Vec<_> = first.iter().map(read).collect();
    recorded(settings(), &sent);
    assert_eq!(first.iter().map(read).collect::<Vec<_>>(), before);
    let names = ["x.flv", "x_2.flv", "x_3.flv", "x_4.flv"];
    let names = names.map(|name| format!("a/b/live_cam/{name}"));
    assert_eq!(folder.files(), names);
}

#[test]
fn two_streams_at_once_have_files_of_their_own() {
    let folder = Folder::new();
    let told = Arc::new(FinishedFiles::default());
    let recorder = Recorder::new(whole(&folder), told.clone(), Arc::default());
    // Both are called the same in a file's name.
    let feeds = ["a/b_c", "a_b/c"].map(|name| {
        let (feed, intake) = feed(FEED_LIMITS);
        drop(recorder.start(&StreamKey::new(name).unwrap(), intake));
        feed
    });
    for number in 0..50 {
        for (feed, body) in feeds.iter().zip(["01", "02"]) {
            let sent = messages(&format!("audio @{number} 2f {body}"));
            feed.push(&sent, Instant::now());
        }
    }
    drop(feeds);
    assert!(recorder.close(within(10)));
    assert_eq!(folder.files().len(), 2);
    let mut keys = Vec::new();
    for (key, file) in told.0.lock().unwrap().iter() {
        let flv = super::read(&fs::read(&file.path).unwrap()).unwrap();
        let body = if key == "a/b_c" { 1 } else { 2 };
        assert_eq!(flv.media().count(), 50);
        assert!(flv.media().all(|tag| tag.body == [0x2f, body]));
        keys.push(key.clone());
    }
    keys.sort();
    assert_eq!(keys, ["a/b_c", "a_b/c"]);
}

#[test]
fn whole_files_are_called_by_key_and_local_time() {
    let folder = Folder::new();
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        sys::local_time(now.unwrap().as_secs())
    };
    let before = now();
    record(whole(&folder), &messages("audio @0 2f 01"));
    let name = |time: sys::LocalTime| {
        let sys::LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = time;
        format!("live_cam_{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}.flv")
    };
    let files = folder.files();
    assert_eq!(files.len(), 1);
    assert!(
        (name(before)..=name(now())).contains(&files[0]),
        "{files:?}"
    );
}

const TIMES: [u64; 4] = [0, 1_709_164_800, 1_720_000_000, u64::MAX];

pub fn print_local_times() {
    for seconds in TIMES {
        println!("{:?}", sys::local_time(seconds));
    }
}

#[test]
fn local_time_is_that_of_the_place() {
    let folder = Folder::new();
    #[rustfmt::skip]
    let rows = [
        ("UTC0", [[1970, 1, 1, 0, 0, 0], [2024, 2, 29, 0, 0, 0], [2024, 7, 3, 9, 46, 40]]),
        ("EST5EDT,M3.2.0,M11.1.0", [[1969, 12, 31, 19, 0, 0], [2024, 2, 28, 19, 0, 0], [2024, 7, 3, 5, 46, 40]]),
        ("XXX-5:45", [[1970, 1, 1, 5, 45, 0], [2024, 2, 29, 5, 45, 0], [2024, 7, 3, 15, 31, 40]]),
    ];
    for (zone, want) in rows {
        let text = in_a_process("local time", &folder, &format!("TZ={zone} $TEST"));
        let lines = text.lines().filter_map(|line| {
            let (_, fields) = line.split_once("LocalTime {")?;
            let numbers = fields.split(|c: char| !c.is_ascii_digit());
            let numbers = numbers.filter_map(|number| number.parse().ok());
            Some(numbers.collect::<Vec<i32>>())
        });
        let got: Vec<Vec<i32>> = lines.collect();
        assert_eq!(got.len(), TIMES.len(), "{text}");
        assert_eq!(got[..3], want.map(Vec::from), "{zone}");
    }
}
