//! Disks of recordings that are full, read-only, gone, or stand still: what is published goes on.

use super::as_root;
use crate::support::http::HttpReply;
use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A file system of its own, until this is dropped.
struct Disk(PathBuf);

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

impl Disk {
    fn named(name: &str) -> (Disk, String) {
        let path = std::env::temp_dir().join(format!("rtmp-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        let text = path.display().to_string();
        (Disk(path), text)
    }

    /// In memory, with room for this.
    fn of_memory(name: &str, options: &str) -> Disk {
        let (disk, path) = Disk::named(name);
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &path]);
        disk
    }

    /// On a device that can stand still. `None`: there is no such device here.
    fn on_device(name: &str) -> Option<Disk> {
        let (disk, path) = Disk::named(name);
        let image = format!("{path}.image");
        run("truncate", &["-s", "16m", &image]);
        run("mkfs.ext4", &["-q", &image]);
        let mounted = Command::new("mount")
            .args(["-o", "loop", &image, &path])
            .status();
        std::fs::remove_file(&image).expect("remove");
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    fn freeze(&self, how: &str) {
        run("fsfreeze", &[how, &self.path()]);
    }

    fn files(&self) -> usize {
        let entries = std::fs::read_dir(&self.0).expect("files").flatten();
        entries
            .filter(|it| it.path().extension().is_some_and(|it| it == "flv"))
            .count()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may not stand still, or be gone already.
        let _ = Command::new("fsfreeze").args(["-u", &self.path()]).output();
        let _ = Command::new("umount").args(["-l", &self.path()]).output();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A publisher of pictures of 50 kB, and a viewer that gets each of them.
struct Pair {
    publisher: Client,
    viewer: Client,
    pictures: u32,
}

impl Pair {
    fn begin(addr: SocketAddr, name: &str) -> Pair {
        let publisher = Client::publishing(addr, name);
        let viewer = Client::playing(addr, name);
        let mut pair = Pair {
            publisher,
            viewer,
            pictures: 0,
        };
        pair.go_on(1);
        pair
    }

    fn go_on(&mut self, pictures: u32) {
        for _ in 0..pictures {
            self.pictures += 1;
            let time = Timestamp(self.pictures * 40);
            let payload = [&[0x17, 1, 0, 0, 0][..], &vec![9; 50_000]].concat();
            self.publisher.send(&Message {
                timestamp: time,
                kind: MessageType::VIDEO,
                stream: StreamId(1),
                payload: payload.clone().into(),
            });
            let got = self.viewer.receive().expect("a picture");
            assert_eq!((got.timestamp, got.payload.len()), (time, payload.len()));
        }
    }

    fn finish(mut self) {
        self.publisher
            .call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
        self.viewer.lines_until("end");
    }
}

fn recording_to(disk: &Disk) -> (ServerProcess, SocketAddr) {
    let flags = format!(
        "-merge 0 -metrics-addr 127.0.0.1:0 -shutdown-timeout 1s -record-all true -record-dir {}",
        disk.path()
    );
    let server = ServerProcess::start(&flags);
    let admin = server.http_addr("serving HTTP");
    (server, admin)
}

fn errors(admin: SocketAddr) -> u64 {
    let text = HttpReply::get(admin, "/metrics").text();
    let name = "rtmp_recording_errors_total ";
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
fn a_disk_that_fails_costs_its_recording_and_the_next_one_is_made_when_it_is_back() {
    if !as_root("disks that fail") {
        return;
    }
    // What breaks the disk, before the recording begins and in the midst of it, what the log says, and
    // what mends it.
    let rows: [Row; 3] = [
        (
            "full",
            "size=1m",
            |_| {},
            |_| {},
            "No space left",
            |disk| run("mount", &["-o", "remount,size=8m", &disk.path()]),
        ),
        (
            "read-only",
            "size=8m",
            |disk| run("mount", &["-o", "remount,ro", &disk.path()]),
            |_| {},
            "Read-only file system",
            |disk| run("mount", &["-o", "remount,rw", &disk.path()]),
        ),
        (
            "emptied",
            "size=8m",
            |_| {},
            |disk| {
                wait_until("a file", || disk.files() == 1);
                let file = std::fs::read_dir(&disk.0).expect("files").flatten().next();
                std::fs::remove_file(file.expect("a file").path()).expect("remove");
            },
            "was removed",
            |_| {},
        ),
    ];
    for (name, options, before, amid, words, mend) in rows {
        let disk = Disk::of_memory(name, options);
        let (server, admin) = recording_to(&disk);
        before(&disk);
        let mut pair = Pair::begin(server.addr, "x");
        amid(&disk);
        pair.go_on(40);
        let line = server.wait_for_line("recording failed");
        assert!(line.contains(words), "{name}: {line}");
        assert_eq!(fact(&line, "stream_key"), Some("live/x"), "{name}: {line}");
        // It is counted right after it was logged, and shown again a moment later.
        wait_until("an error", || errors(admin) == 1);
        pair.go_on(5);
        pair.finish();
        mend(&disk);
        let mut pair = Pair::begin(server.addr, "y");
        pair.go_on(5);
        pair.finish();
        let line = server.wait_for_line("\"recording done\"");
        assert_eq!(fact(&line, "stream_key"), Some("live/y"), "{name}: {line}");
        assert_eq!(errors(admin), 1, "{name}");
    }
}

type Step = fn(&Disk);

/// A name, the options of the disk, two steps that break it, what the log says, and a step that mends it.
type Row = (&'static str, &'static str, Step, Step, &'static str, Step);

/// A disk of a network that is cut, or a device that hangs: whatever touches it waits for ever.
#[test]
fn a_disk_that_stands_still_holds_up_nobody() {
    let disk = as_root("a disk that stands still").then(|| Disk::on_device("frozen"));
    let Some(Some(disk)) = disk else {
        return;
    };
    let (server, admin) = recording_to(&disk);
    let mut before = Pair::begin(server.addr, "before");
    let mut ending = Pair::begin(server.addr, "ending");
    wait_until("the files", || disk.files() == 2);
    disk.freeze("-f");
    before.go_on(20);
    ending.go_on(5);
    ending.finish();
    // Another begins, and ends.
    let began = Instant::now();
    let mut amid = Pair::begin(server.addr, "amid");
    amid.go_on(20);
    amid.finish();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(errors(admin), 0);
    before.go_on(20);
    disk.freeze("-u");
    before.go_on(5);
    before.finish();
    for _ in 0..3 {
        server.wait_for_line("\"recording done\"");
    }
    assert_eq!((disk.files(), errors(admin)), (3, 0));
    drop(server);
}
