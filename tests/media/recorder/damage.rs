//! Files of a recorder that was stopped in the middle: all that is whole in them can be read.

use super::captures::{capture, ffmpeg, probe};
use super::{Folder, in_a_process, key, messages, recorded, whole, within};
use crate::support::readers::flv_file::{Flv, read};
use rtmp_server::queue::feed;
use rtmp_server::record::{FEED_LIMITS, FileFormat, RecordSettings, Recorder};
use rtmp_server::rtmp::Message;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A file as it is before it is complete, and afterwards.
fn unfinished(sent: &[Message]) -> (Vec<u8>, Vec<u8>) {
    let folder = Folder::new();
    let recorder = Recorder::new(
        whole(&folder),
        Arc::new(super::FinishedFiles::default()),
        Arc::default(),
    );
    let (feed, intake) = feed(FEED_LIMITS);
    drop(recorder.start(&key(), intake));
    // All but the last go in one batch, and then the file waits.
    feed.push(sent, Instant::now());
    let one = Folder::new();
    let len = recorded(whole(&one), sent).remove(0).tags.len();
    let end = within(10);
    let before = loop {
        assert!(Instant::now() < end, "written in time");
        let files = folder.files();
        let bytes = files.first().map(|name| fs::read(folder.path().join(name)));
        match bytes {
            Some(Ok(bytes)) if read(&bytes).is_ok_and(|flv| flv.tags.len() == len) => break bytes,
            _ => std::thread::yield_now(),
        }
    };
    drop(feed);
    assert!(recorder.close(within(10)));
    let after = fs::read(folder.path().join(&folder.files()[0])).unwrap();
    (before, after)
}

/// The tags that are whole within so many bytes.
fn within_bytes(flv: &Flv, len: usize) -> usize {
    let ends = flv
        .tags
        .iter()
        .map(|tag| tag.position + tag.body.len() + 15);
    ends.filter(|end| *end <= len).count()
}

#[test]
fn a_file_that_is_cut_anywhere_has_all_that_is_whole() {
    let small = messages(
        "data @0 \"onMetaData\", ecma(1) {width: 1}; audio @0 af 00 01; audio @0 af 01 01; \
         video @10 22 01 02 03 04 05; data @15 \"onCuePoint\", 1; audio @20 af 01 02",
    );
    for sent in [small, capture("ffmpeg8_hevc_aac_publish")] {
        let (bytes, _) = unfinished(&sent);
        let all = read(&bytes).unwrap();
        assert_eq!(all.rest, 0);
        for len in 13..=bytes.len() {
            let cut = read(&bytes[..len]).unwrap();
            let whole = within_bytes(&all, len);
            assert_eq!(cut.tags, all.tags[..whole], "cut at {len}");
        }
    }
}

#[test]
fn other_programs_read_files_that_are_cut() {
    let (bytes, after) = unfinished(&capture("ffmpeg_publish"));
    assert_eq!(bytes.len(), after.len());
    let all = read(&bytes).unwrap();
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    let path = folder.path().join("cut.flv");
    let last = all.tags.last().unwrap().position;
    let lens = (0..40).map(|step| last - step * 97).chain([bytes.len()]);
    for len in lens {
        fs::write(&path, &bytes[..len]).unwrap();
        let media = all.tags[..within_bytes(&all, len)].iter();
        let sound = media.filter(|tag| tag.kind == 8 && tag.body[1] != 0);
        let output = ffmpeg()
            .args(["-v", "fatal", "-i"])
            .arg(&path)
            .args(["-map", "0:a", "-c", "copy", "-f", "framecrc", "-"])
            .output()
            .expect("ffmpeg");
        assert!(output.status.success(), "cut at {len}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let frames = lines.lines().filter(|line| !line.starts_with('#')).count();
        // Of a tag that is cut, ffmpeg may give what there is.
        let sound = sound.count();
        assert!((sound..=sound + 1).contains(&frames), "cut at {len}");
    }
    // Uncut its duration can be found out: it is the time of the last tag.
    fs::write(&path, &bytes).unwrap();
    let seconds: f64 = probe(&path, "format=duration").parse().unwrap();
    let want = f64::from(all.tags.last().unwrap().time_ms) / 1000.0;
    assert!((seconds - want).abs() < 0.05, "{seconds} of {want}");
}

/// The first tag is written over at the end. If that stops anywhere, all tags are still there.
#[test]
fn a_file_that_is_completed_in_part_has_all_its_tags() {
    let mut sent = capture("ffmpeg_publish");
    let last = sent.last().unwrap().timestamp;
    let again = sent.clone().into_iter().filter(super::is_media);
    let again: Vec<Message> = again
        .map(|message| super::at(message.clone(), message.timestamp.plus(last.0 + 40).0))
        .collect();
    sent.extend(again);
    let (before, after) = unfinished(&sent);
    let all = read(&before).unwrap();
    let first_end = all.tags[1].position;
    assert_eq!(before[first_end..], after[first_end..]);
    assert_ne!(before[..first_end], after[..first_end]);
    for len in 13..=first_end {
        let torn = [&after[..len], &before[len..]].concat();
        let torn = read(&torn).unwrap();
        assert_eq!(torn.tags[1..], all.tags[1..], "torn at {len}");
    }
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    let path = folder.path().join("torn.flv");
    for len in (13..first_end).step_by(first_end / 40) {
        fs::write(&path, [&after[..len], &before[len..]].concat()).unwrap();
        let output = ffmpeg()
            .args(["-v", "fatal", "-i"])
            .arg(&path)
            .args(["-map", "0:a", "-c", "copy", "-f", "framecrc", "-"])
            .output()
            .expect("ffmpeg");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let frames = lines.lines().filter(|line| !line.starts_with('#')).count();
        let sound = all
            .tags
            .iter()
            .filter(|tag| tag.kind == 8 && tag.body[1] != 0);
        assert_eq!(frames, sound.count(), "torn at {len}");
    }
}

/// Records in `folder` and never ends; says so on standard output.
pub fn record_without_end(folder: &Path) {
    let settings = RecordSettings {
        dir: folder.to_owned(),
        segments: None,
        format: FileFormat::Flv,
    };
    let recorder = Recorder::new(
        settings,
        Arc::new(super::FinishedFiles::default()),
        Arc::default(),
    );
    let (feed, intake) = feed(FEED_LIMITS);
    drop(recorder.start(&key(), intake));
    for number in 0.. {
        let sent = messages(&format!("audio @{number} 82 01 02 03 04 05 06 07"));
        feed.push(&sent, Instant::now());
        let files = recorder.snapshot();
        if files.first().is_some_and(|file| file.bytes > 100_000) {
            // As kill -9 does.
            std::process::abort();
        }
    }
}

#[test]
fn a_recorder_that_is_killed_leaves_a_file_that_plays() {
    let folder = Folder::new();
    in_a_process("kill", &folder, "ulimit -c 0; $TEST; test $? -gt 128");
    let files = folder.files();
    assert_eq!(files.len(), 1);
    let path = folder.path().join(&files[0]);
    let flv = read(&fs::read(&path).unwrap()).unwrap();
    assert!(flv.media().count() > 2000);
    let mut times = flv.media().map(|tag| tag.time_ms);
    let first = times.next().unwrap();
    assert!(times.eq(first + 1..first + flv.media().count() as u32));
    assert!(probe(&path, "format=duration").parse::<f64>().unwrap() > 1.0);
}
