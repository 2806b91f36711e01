//! Many changes in a row, while streams begin and end all the time.

use super::Changing;
use super::bystanders::recordings;
use crate::support::{Client, wait_until};
use rtmp_server::amf0::Value;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

/// How often the configuration changes.
const CHANGES: usize = 200;

/// Clients that begin and end streams meanwhile.
const RESTLESS: usize = 2;

/// What has to be as it was in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    threads: u64,
    descriptors: usize,
}

fn held(it: &Changing) -> Held {
    let open = fs::read_dir(format!("/proc/{}/fd", it.server.pid()));
    Held {
        threads: it.server.threads(),
        descriptors: open.expect("descriptors").count(),
    }
}

/// Publishes one stream after the other for a moment; one says so at the end, the next does not.
fn publish_restlessly(addr: SocketAddr, over: &AtomicBool, count: &AtomicU32) {
    while !over.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let name = format!("race/{number}?token=s3cret");
        let mut publisher = Client::publishing(addr, &name);
        publisher.send_media(&["V head 1 @0", "V key 1 @0", "V inter 2 @40"]);
        if number.is_multiple_of(2) {
            publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
        }
    }
}

#[test]
fn many_changes_while_streams_come_and_go_leave_nothing_behind() {
    let rest = "grace 200ms\nrecord-all false";
    let mut it = Changing::start("");
    let all = "grace 1s\nrelay-to live/race/*=rtmp://OTHER/copy\n\
        pull live/got=rtmp://OTHER/live/bystander\nhook-script play_stop=/bin/true\nhook-concurrency 7\n\
        auth-mode token\nauth-token *=s3cret\nauth-token live/*=s3cret\nmax-connections 100";
    wait_until("the recording", || !recordings(&it.dir).is_empty());
    let before = held(&it);
    let (over, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let restless: Vec<_> = (0..RESTLESS)
        .map(|_| {
            let (addr, over, count) = (it.server.addr, Arc::clone(&over), Arc::clone(&count));
            thread::spawn(move || publish_restlessly(addr, &over, &count))
        })
        .collect();
    let began = Instant::now();
    let mut memory = 0;
    for number in 0..CHANGES / 2 {
        it.change(all);
        it.change(rest);
        if number % 25 == 0 {
            it.step();
        }
        if number == CHANGES / 10 {
            memory = it.server.memory_kb();
        }
    }
    let (took, grown) = (
        began.elapsed(),
        it.server.memory_kb().saturating_sub(memory),
    );
    over.store(true, Ordering::Relaxed);
    restless
        .into_iter()
        .for_each(|client| client.join().expect("a client"));
    let publications = count.load(Ordering::Relaxed);
    println!(
        "{CHANGES} changes in {took:?}, {publications} publications, {grown} kB more, {before:?}"
    );
    assert!(publications > 20, "{publications}");
    assert!(grown < 8 << 10, "{grown} kB more");
    wait_until("everything to end", || held(&it) == before);
    it.step();
    // It is still what its configuration says.
    it.change(all);
    let mut publisher = it.server.publisher("race/last?token=s3cret");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_until("the relay", || {
        let streams = it.bystanders.other.server().snapshot().streams;
        streams.iter().any(|stream| stream.key == "copy/last")
    });
    it.step();
    it.bystanders.end(&it.dir);
}
