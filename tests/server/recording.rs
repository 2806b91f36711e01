//! Recordings of a running server: when they begin and end, and who is told. What is in the files
//! is tested by itself.

use crate::support::process::ServerProcess;
use crate::support::{Client, TestServer, media, wait_until};
use rtmp_server::amf0::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A directory that is removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let name = format!("rtmp-recording-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    /// The recordings in it, by name.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).expect("entries").flatten();
        let files = entries.map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files
            .filter(|path| {
                path.extension()
                    .is_some_and(|ending| ending == "flv" || ending == "mp4")
            })
            .collect();
        files.sort();
        files
    }

    fn start(&self, more: &str) -> TestServer {
        let dir = self.0.display();
        TestServer::start(&format!("-record-all true -record-dir {dir} {more}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Type and time of each tag with sound or a picture in it.
fn tags(path: &Path) -> Vec<(u8, u32)> {
    let bytes = std::fs::read(path).expect("a file");
    let mut rest = bytes.get(13..).unwrap_or_default();
    let mut tags = Vec::new();
    while let Some([kind, a, b, c, d, e, f, g, ..]) = rest.first_chunk::<11>() {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        // After a crash the last may have been cut.
        let Some(next) = rest.get(11 + len + 4..) else {
            break;
        };
        if matches!(kind, 8 | 9) {
            tags.push((*kind, u32::from_be_bytes([*g, *d, *e, *f])));
        }
        rest = next;
    }
    tags
}

fn finish(publisher: &mut Client) {
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
}

fn wait_for_files(server: &TestServer, count: u64) {
    wait_until(&format!("{count} complete files"), || {
        let snapshot = server.server().snapshot();
        snapshot.totals.recordings == count && snapshot.recordings.is_empty()
    });
}

#[test]
fn a_publication_is_recorded_from_its_first_message_to_its_last() {
    let dir = Dir::new("whole");
    let server = dir.start("");
    let mut publisher = server.publisher("cam");
    publisher.send_media(&["D meta 1 @0", "V head 1 @1000", "A head 1 @1000"]);
    publisher.send_media(&["V key 1 @1000", "A sound 1 @1010", "V inter 2 @1040"]);
    wait_until("a recording", || {
        let snapshot = server.server().snapshot();
        snapshot.recordings.len() == 1 && snapshot.streams[0].recording
    });
    assert_eq!(
        server.server().snapshot().recordings[0].stream_key,
        "live/cam"
    );
    finish(&mut publisher);
    wait_for_files(&server, 1);
    let files = dir.files();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().expect("a name").to_string_lossy();
    assert!(name.starts_with("live_cam_2"), "{name}");
    assert_eq!(tags(&files[0]), [(9, 0), (8, 0), (9, 0), (8, 10), (9, 40)]);
}

#[test]
fn a_recording_ends_with_its_publication_whoever_ends_that() {
    let dir = Dir::new("ends");
    let server = dir.start("-grace 10s");
    let mut viewer = server.player("cam");
    let mut first = server.publisher("cam");
    first.send_media(&["V head 1 @0", "V key 1 @0"]);
    viewer.lines_until("V key 1");
    let mut second = server.publisher("cam");
    second.send_media(&["V head 2 @0", "V key 2 @0", "V inter 2 @40"]);
    viewer.lines_until("V inter 2");
    wait_until("the end of the first", || {
        server.server().snapshot().totals.recordings == 1
    });
    second.vanish();
    viewer.lines_until("dry");
    wait_for_files(&server, 2);
    let mut third = server.publisher("cam");
    third.send_media(&[
        "V head 3 @0",
        "V key 3 @0",
        "V inter 3 @40",
        "V inter 4 @80",
    ]);
    viewer.lines_until("V inter 4");
    finish(&mut third);
    wait_for_files(&server, 3);
    let mut lens: Vec<usize> = dir.files().iter().map(|file| tags(file).len()).collect();
    lens.sort_unstable();
    assert_eq!(lens, [2, 3, 4]);
}

#[test]
fn a_stop_leaves_complete_files_and_hooks_are_told_of_them() {
    let dir = Dir::new("stop");
    let script = dir.0.join("told.sh");
    let told = dir.0.join("told");
    let text = format!(
        "echo \"$RTMP_STREAM_KEY $RTMP_PATH $RTMP_BYTES $RTMP_DURATION_SEC\" >>{}\n",
        told.display()
    );
    std::fs::write(&script, text).expect("a script");
    let hook = format!("-hook-script recording_done={}", script.display());
    let mut server = dir.start(&format!(
        "-segment-duration 1s -segment-pattern %s-%d {hook}"
    ));
    let mut publisher = server.publisher("cam");
    let media = [
        "V head 1 @0",
        "V key 1 @0",
        "V key 2 @990",
        "V key 3 @1000",
        "V inter 4 @1040",
    ];
    publisher.send_media(&media);
    wait_until("the last", || {
        server.server().snapshot().totals.messages_video == 5
    });
    assert!(server.stop(Duration::from_secs(5)));
    let files = dir.files();
    let lens: Vec<usize> = files.iter().map(|file| tags(file).len()).collect();
    assert_eq!(lens, [3, 3]);
    let told = std::fs::read_to_string(told).expect("what was told");
    let want: Vec<String> = files
        .iter()
        .zip(["0.99", "0.04"])
        .map(|(file, duration)| {
            let bytes = file.metadata().expect("metadata").len();
            format!("live/cam {} {bytes} {duration}", file.display())
        })
        .collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), want);
}

#[test]
fn hooks_are_told_why_a_file_is_not_mp4() {
    let dir = Dir::new("format");
    let script = dir.0.join("told.sh");
    let told = dir.0.join("told");
    let text = format!(
        "echo \"$RTMP_PATH: $RTMP_FORMAT_REASON\" >>{}\n",
        told.display()
    );
    std::fs::write(&script, text).expect("a script");
    let script = script.display();
    let flags = format!("-record-format mp4 -hook-script recording_done={script}");
    let mut server = dir.start(&flags);
    let mut publisher = server.publisher("cam");
    // Their headers are none, which FLV does not mind.
    publisher.send_media(&["V head 1 @0", "A head 1 @0", "V key 1 @0", "A sound 1 @10"]);
    wait_until("the last", || {
        server.server().snapshot().totals.messages_audio == 2
    });
    assert!(server.stop(Duration::from_secs(5)));
    let files = dir.files();
    assert_eq!(tags(&files[0]).len(), 4);
    let told = std::fs::read_to_string(told).expect("what was told");
    let want = format!("{}: no track has a configuration\n", files[0].display());
    assert_eq!((files.len(), told), (1, want));
}

#[test]
fn a_disk_that_takes_nothing_ends_the_recording_and_not_the_stream() {
    let dir = Dir::new("nothing");
    let file = dir.0.join("file");
    std::fs::write(&file, "").expect("a file");
    let flags = format!("-record-all true -record-dir {}", file.display());
    let server = TestServer::start(&flags);
    let mut publisher = server.publisher("cam");
    let mut viewer = server.playing("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    wait_until("an error", || {
        server.server().snapshot().totals.recording_errors == 1
    });
    publisher.send_media(&["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);
    let snapshot = server.server().snapshot();
    assert!(!snapshot.streams[0].recording && snapshot.recordings.is_empty());
}

/// Publishes a picture each millisecond until that is impossible; how many were sent.
fn publish_until_killed(mut publisher: Client) -> usize {
    publisher.send_media(&["V head 1 @0", "V key 0 @0"]);
    let inter = media("V inter 1 @0");
    for time in 1.. {
        let mut message = inter.clone();
        message.timestamp.0 = time;
        if publisher.try_send(&message).is_err() {
            return time as usize;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    unreachable!("there are not so many milliseconds")
}

#[test]
fn a_server_that_is_killed_leaves_all_but_the_last_moment() {
    for round in 0..10 {
        let dir = Dir::new(&format!("killed-{round}"));
        let flags = format!("-merge 0 -record-all true -record-dir {}", dir.0.display());
        let server = ServerProcess::start(&flags);
        let publisher = server.publisher("cam");
        let publishing = std::thread::spawn(move || publish_until_killed(publisher));
        server.wait_for_line("recording started");
        // The first moment is no more than the last: until then the file is empty.
        wait_until("a picture in the file", || {
            dir.files().iter().any(|file| tags(file).len() > 1)
        });
        std::thread::sleep(Duration::from_millis(31 * round));
        let pid = server.pid().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid])
            .status();
        assert!(killed.expect("kill").success());
        let sent = publishing.join().expect("published");
        let files = dir.files();
        assert_eq!(files.len(), 1, "round {round}");
        let tags = tags(&files[0]);
        let (header, pictures) = tags.split_first().expect("a header");
        assert_eq!(*header, (9, 0));
        let whole = pictures
            .iter()
            .zip(0..)
            .all(|(tag, time)| *tag == (9, time));
        assert!(whole, "round {round}: {pictures:?}");
        let lost = sent.saturating_sub(pictures.len());
        println!("round {round}: {sent} sent, {lost} lost");
        assert!(lost < 300, "round {round}: {sent} sent, {lost} lost");
    }
}
