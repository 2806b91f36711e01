//! What runs beside streams: hooks, programs, recordings, relays.

use super::{Changing, Row, see};
use crate::support::web_service::{Manner, WebService};
use crate::support::{Client, wait_until};
use rtmp_server::amf0::Value;
use std::fs;

/// A publication of `live/NAME` with a picture.
fn publish(it: &Changing, name: &str) -> Client {
    let mut publisher = it.server.publisher(name);
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    publisher
}

/// Whether `live/NAME`, published now, is recorded.
fn is_recorded(it: &Changing, name: &str) -> bool {
    let mut publisher = publish(it, name);
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.expect(&["_error 9"]);
    let mut json = String::new();
    wait_until("the stream", || {
        json = it.stream(name);
        json.contains("\"recording\":")
    });
    json.contains("\"recording\":true")
}

/// Waits for a file of a recording of `live/NAME` in a directory.
fn wait_for_recording(it: &Changing, dir: &str, name: &str, ending: &str) {
    let _publisher = publish(it, name);
    wait_until("a recording", || {
        let files = fs::read_dir(it.dir.path(dir))
            .into_iter()
            .flatten()
            .flatten();
        let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.any(|file| file.contains(name) && file.ends_with(ending))
    });
}

#[test]
fn what_runs_beside_the_next_publication_changes() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("run-on-publish", "run-on-publish echo one", "run-on-publish echo two", |it, after| {
            let _publisher = it.server.publisher("program");
            let line = it.server.wait_for_line("hook output");
            assert!(line.contains(if after { "\"two\"" } else { "\"one\"" }), "{line}");
        }),
        ("run-on-publish", "run-on-publish echo one", "", |it, after| {
            let _publisher = it.server.publisher("no-program");
            let lines = it.server.lines_until(if after { "publisher started" } else { "hook output" });
            assert!(!after || !lines.concat().contains("child started"));
        }),
        ("record-all", "", "record-all false", |it, after| {
            let name = if after { "unrecorded" } else { "recorded" };
            assert_eq!(is_recorded(it, name), !after);
        }),
        ("record-dir", "", "record-dir DIR/elsewhere", |it, after| match after {
            false => wait_for_recording(it, "records", "here", ".flv"),
            true => wait_for_recording(it, "elsewhere", "there", ".flv"),
        }),
        ("record-format", "", "record-format mp4", |it, after| match after {
            false => wait_for_recording(it, "records", "format", ".flv"),
            true => {
                // This publisher's pictures have no place in MP4.
                drop(publish(it, "mp4"));
                it.server.wait_for_line("recording as FLV");
            }
        }),
        ("segment-duration segment-pattern", "", "segment-duration 1s\nsegment-pattern %s-part%d", |it, after| match after {
            false => wait_for_recording(it, "records", "whole", ".flv"),
            true => wait_for_recording(it, "records", "cut", "-part1.flv"),
        }),
        ("gop-cache", "", "gop-cache false", |it, after| {
            let mut publisher = publish(it, "cached");
            let mut viewer = it.server.playing("cached");
            publisher.send_media(&["V key 2 @40"]);
            let lines = viewer.lines_until("V key");
            let first = if after { "V key 2" } else { "V key 1" };
            assert!(lines.last().is_some_and(|line| line.starts_with(first)), "{lines:?}");
        }),
    ];
    see(rows);
}

fn wait_for_request(service: &WebService, part: &str) {
    let requests = service.requests.iter();
    let found = requests.take(5).any(|request| request.contains(part));
    assert!(found, "no request with {part}");
}

#[test]
fn hooks_change_at_once() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("hook-script", "hook-script publish_start=DIR/a", "hook-script publish_start=DIR/b", |it, after| {
            let name = if after { "b" } else { "a" };
            let log = it.dir.path(&format!("told-{name}"));
            it.dir.write(name, &format!("echo $RTMP_STREAM_KEY >> {}\n", log.display()));
            let _publisher = it.server.publisher(name);
            wait_until("a hook", || fs::read_to_string(&log).is_ok_and(|text| text.contains(name)));
        }),
        ("hook-timeout", "hook-script publish_start=DIR/slow", "hook-script publish_start=DIR/slow\nhook-timeout 100ms", |it, after| {
            it.dir.write("slow", "sleep 0.4\necho slept\n");
            let _publisher = it.server.publisher("slow");
            let line = it.server.wait_for_line("\"hook");
            assert_eq!(line.contains("timed out"), after, "{line}");
        }),
    ];
    see(rows);
    let (before, after) = (
        WebService::start(Manner::Status(200)),
        WebService::start(Manner::Status(200)),
    );
    let changing = Changing::start(&format!(
        "hook-webhook publish_start={}",
        before.url("/before")
    ));
    let _first = changing.server.publisher("first");
    wait_for_request(&before, "live/first");
    let changed = changing.change(&format!(
        "hook-webhook publish_start={}\nhook-concurrency 3",
        after.url("/after")
    ));
    assert_eq!(changed, "hook-webhook hook-concurrency");
    let _second = changing.server.publisher("second");
    wait_for_request(&after, "live/second");
    assert!(before.requests.try_recv().is_err());
    for (service, name) in [(&before, "third"), (&after, "fourth")] {
        let changed = changing.change(&format!("notify on_publish={}", service.url("/")));
        assert!(changed.contains("notify"), "{changed}");
        let _publisher = changing.server.publisher(name);
        wait_for_request(service, &format!("name={name}"));
    }
    assert!(before.requests.try_recv().is_err());
}

const RELAY: &str = "relay-to live/x=rtmp://OTHER/copy";

/// Plays what comes to the other server of `live/x`.
fn watch(it: &Changing) -> Client {
    let mut viewer = Client::shake_hands(it.bystanders.other.addr);
    viewer.connect("copy");
    viewer.create_stream();
    viewer.call(1, "play", 0.0, vec![Value::text("x")]);
    viewer
}

#[test]
fn relays_come_and_go_while_their_stream_goes_on() {
    let mut it = Changing::start("");
    let mut publisher = publish(&it, "x");
    for turn in 1..4 {
        assert_eq!(it.change(RELAY), "relay-to");
        it.step();
        let mut viewer = watch(&it);
        viewer.expect(&["begin 1", "status@1 NetStream.Play.Start", "V head 1 @0"]);
        let picture = format!("V inter {turn} @{}", 40 * turn);
        publisher.send_media(&[&picture]);
        viewer.lines_until(&picture);
        assert_eq!(it.change(""), "relay-to");
        // It ended as a stream does that is finished.
        viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
        it.step();
    }
    it.bystanders.end(&it.dir);
}

#[test]
fn a_relay_that_comes_back_at_once_is_there_in_the_end() {
    let mut it = Changing::start("");
    let mut publisher = publish(&it, "x");
    for _ in 0..20 {
        it.change(RELAY);
        it.change("");
    }
    it.change(RELAY);
    it.step();
    wait_until("the relay", || {
        let streams = it.bystanders.other.server().snapshot().streams;
        let copies = streams.iter().filter(|stream| stream.key == "copy/x");
        copies.count() == 1
    });
    let mut viewer = watch(&it);
    viewer.lines_until("V head 1 @0");
    publisher.send_media(&["V inter 7 @40"]);
    viewer.lines_until("V inter 7 @40");
    it.step();
    it.bystanders.end(&it.dir);
}
