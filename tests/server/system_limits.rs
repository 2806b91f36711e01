//! Limits of the system: descriptors, memory mappings, threads. Those who come when one is reached are
//! refused, and what runs goes on.

use super::limits::time_of_an_honest_stream;
use crate::support::process::ServerProcess;
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::handshake;
use rtmp_server::sys;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};

/// How long the server lets a client be that neither publishes nor plays.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

#[test]
fn running_out_of_descriptors_does_not_end_the_listener() {
    let server = ServerProcess::start_with("ulimit -n 40", "");
    let many: Vec<_> = (0..80)
        .map(|_| TcpStream::connect(server.addr).expect("connect"))
        .collect();
    server.wait_for_line("connection refused");
    drop(many);
    crate::support::wait_until("descriptors", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .expect("fd")
            .count();
        open < 20
    });
    time_of_an_honest_stream(&server, "x");
}

#[test]
fn connections_leave_descriptors_for_recordings() {
    let dir = std::env::temp_dir().join(format!("rtmp-server-room-{}", std::process::id()));
    let flags = format!("-record-all true -record-dir {}", dir.display());
    let server = ServerProcess::start_with("ulimit -n 100", &flags);
    let mut publisher = server.connected();
    let many: Vec<_> = (0..120)
        .map(|_| TcpStream::connect(server.addr).expect("connect"))
        .collect();
    let line = server.wait_for_line("connection refused");
    assert!(line.contains("open files (ulimit -n)"), "{line}");
    publisher.call(1, "publish", 0.0, vec![Value::text("x")]);
    publisher.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    publisher.send_media(&["A head 1 @0", "A sound 1 @0"]);
    crate::support::wait_until("a recording", || {
        std::fs::read_dir(&dir).is_ok_and(|files| files.count() == 1)
    });
    drop((publisher, many, server));
    std::fs::remove_dir_all(&dir).expect("remove");
}

#[test]
fn running_out_of_memory_mappings_ends_nobody() {
    let number = |path| {
        std::fs::read_to_string(path)
            .ok()?
            .trim()
            .parse::<usize>()
            .ok()
    };
    let mappings = number("/proc/sys/vm/max_map_count").expect("a limit");
    let tasks = number("/proc/sys/kernel/pid_max").expect("a limit");
    let wanted = mappings / 8 + 100;
    let files = sys::raise_descriptor_limit().expect("limit") as usize;
    if wanted + 6000 > files || 2 * wanted + 12_000 > tasks {
        println!("not shown: other limits are lower than {mappings} mappings");
        return;
    }
    let server = ServerProcess::start("-max-connections 100000");
    let hello = [&[3][..], &handshake::hello(0, &handshake::random(1))].concat();
    let began = Instant::now();
    let mut inside = Vec::with_capacity(wanted);
    for _ in 0..wanted / 50 {
        let mut some: Vec<_> = (0..50)
            .map(|_| TcpStream::connect(server.addr).expect("connect"))
            .collect();
        // Those that are refused are closed by then.
        some.retain_mut(|socket| socket.write_all(&hello).is_ok());
        some.retain_mut(|socket| {
            let mut answer = [0; 1 + 2 * handshake::PACKET_LEN];
            let answered = socket.read_exact(&mut answer).is_ok();
            answered
                && socket
                    .write_all(&answer[1..1 + handshake::PACKET_LEN])
                    .is_ok()
        });
        inside.extend(some);
    }
    if began.elapsed() > SETUP_LIMIT {
        println!("not shown: the first have to go before the last are there");
        return;
    }
    let line = server.wait_for_line("connection refused");
    assert!(line.contains("vm.max_map_count"), "{line}");
    println!("{} connections with {mappings} mappings", inside.len());
    assert!(inside.len() > mappings / 9, "{} are few", inside.len());
    drop(inside);
    // They are many, so it may take a while: but they become fewer all the time.
    let mut left = server.threads();
    while left > 100 {
        crate::support::wait_until("room", || server.threads() < (left - left / 20).max(101));
        left = server.threads();
    }
    time_of_an_honest_stream(&server, "x");
}

/// A program that runs another which may have forty threads. The limit counts all threads of a user, and
/// not those of root: so the other is run as user `uid` then.
fn with_forty_threads(uid: u32) -> String {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    match is_root {
        true => format!("prlimit --nproc=40 setpriv --reuid {uid} --regid {uid} --clear-groups"),
        false => "prlimit --nproc=$(($(ps -L --no-headers -u $(id -u) | wc -l) + 40))".to_owned(),
    }
}

#[test]
fn nobody_is_let_in_when_the_last_listener_has_no_thread() {
    let addr = crate::support::free_addr();
    let (running, ended) = channel::<()>();
    let early = std::thread::spawn(move || {
        while ended.try_recv() == Err(TryRecvError::Empty) {
            let Ok(mut socket) = TcpStream::connect(addr) else {
                continue;
            };
            let hello = [3; 1 + handshake::PACKET_LEN];
            if socket.write_all(&hello).is_ok() && socket.read_exact(&mut [0]).is_ok() {
                return true;
            }
        }
        false
    });
    let many = " -http-listen 127.0.0.1:0".repeat(50);
    let flags = format!("-listen {addr} {many}");
    let mut server = ServerProcess::start_as("", &with_forty_threads(65532), &flags);
    assert_eq!(server.wait(), Some(1), "there were threads for all");
    drop(running);
    assert!(!early.join().expect("no panic"), "a client was answered");
}

#[test]
fn running_out_of_threads_does_not_end_the_listener() {
    let server = ServerProcess::start_as("", &with_forty_threads(65533), "");
    let many: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.addr).expect("connect"))
        .collect();
    assert!(
        server
            .wait_for_line("connection refused")
            .contains("cannot start a thread")
    );
    drop(many);
    // They are taken in turn: when this one is answered or refused, all were taken.
    let mut last = TcpStream::connect(server.addr).expect("connect");
    let _ = last.write_all(&[3; 1 + handshake::PACKET_LEN]);
    let _ = last.read(&mut [0; 1]);
    drop(last);
    crate::support::wait_until("threads", || server.threads() < 10);
    time_of_an_honest_stream(&server, "x");
}
