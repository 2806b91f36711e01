//! HLS over bad networks: what is fetched is what is fetched on loopback.

use super::{Beside, Row, WHOLE, finish, pace, path, picture};
use crate::support::TestServer;
use crate::support::http::HttpReply;
use crate::support::readers::playlist_reader;
use crate::support::real::real;
use path::Path;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

fn get(addr: SocketAddr, uri: &str) -> Vec<u8> {
    let mut reply = HttpReply::get(addr, &format!("/live/hls/{uri}"));
    assert_eq!(reply.status, 200, "{uri}");
    let mut bytes = Vec::new();
    reply.body.read_to_end(&mut bytes).expect("the whole body");
    bytes
}

fn text(addr: SocketAddr, uri: &str) -> String {
    String::from_utf8(get(addr, uri)).expect("text")
}

/// Fetches the playlists and all that the last one names.
fn fetch(near: SocketAddr, far: SocketAddr) -> usize {
    let index = text(far, "index.m3u8");
    let uri = index
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("a URI");
    let segments = loop {
        let playlist = playlist_reader::read(&text(far, uri)).expect("a playlist");
        if playlist.segments.len() >= 2 {
            break playlist.segments;
        }
    };
    let maps = segments.iter().take(1).map(|segment| &segment.map);
    let uris: Vec<&String> = segments
        .iter()
        .map(|segment| &segment.uri)
        .chain(maps)
        .collect();
    for uri in &uris {
        assert!(get(far, uri) == get(near, uri), "{uri} is damaged");
    }
    uris.len()
}

fn show((network, conditions, _): &Row) {
    let path = Path::new(*conditions);
    let server = TestServer::start(&format!(
        "-http-listen {}:0 -hls-segment 500ms",
        path.near()
    ));
    let beside = Beside::begin(&server);
    let mut publisher = server.publisher("hls");
    publisher.send(&real("V head 1 @0"));
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                pace(began, number);
                publisher.send(&picture(number, 500));
                if is_over.load(Ordering::Relaxed) {
                    return finish(&mut publisher);
                }
            }
        });
        let near = server.media_addr();
        let count = thread::scope(|scope| scope.spawn(|| fetch(near, path.to(near))).join());
        is_over.store(true, Ordering::Relaxed);
        let count = count.expect("all files");
        println!(
            "HLS, {network}: {count} files whole after {:.1?}",
            began.elapsed()
        );
    });
    beside.end(network);
}

#[test]
fn playlists_and_segments_come_whole() {
    if path::are_possible() {
        let rows = WHOLE.iter().filter(|(.., cut)| *cut == 0);
        thread::scope(|scope| rows.for_each(|row| drop(scope.spawn(|| show(row)))));
    }
}
