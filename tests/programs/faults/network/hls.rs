//! HLS over bad networks: what is fetched is what is fetched on loopback.

use super::super::is_long;
use super::{Beside, Row, WHOLE, delayed, finish, pace, path, picture};
use crate::support::TestServer;
use crate::support::http::HttpReply;
use crate::support::readers::playlist_reader;
use crate::support::real::real;
use path::{Conditions, Path};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Before the first cut, the stream has begun.
const LEAD: Duration = Duration::from_secs(2);

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

/// Follows the newest segments, each asked for before it is there; their numbers, and the longest time
/// between two.
fn follow(near: SocketAddr, far: SocketAddr, until: Instant) -> (Vec<u64>, Duration) {
    let index = text(far, "index.m3u8");
    let uri = index.lines().find(|line| !line.starts_with('#'));
    let uri = uri.expect("a URI");
    let (mut numbers, mut longest, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
    while Instant::now() < until {
        let query = numbers
            .last()
            .map_or(String::new(), |last| format!("?_HLS_msn={}", last + 1));
        let playlist =
            playlist_reader::read(&text(far, &format!("{uri}{query}"))).expect("a playlist");
        for (number, segment) in (playlist.media_sequence..).zip(&playlist.segments) {
            if numbers.last().is_none_or(|last| number > *last) {
                let bytes = get(far, &segment.uri);
                assert!(bytes == get(near, &segment.uri), "{number} is damaged");
                numbers.push(number);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
    (numbers, longest)
}

/// Runs `view` beside a stream of HLS over such a path: the addresses that it gets are those on this side
/// and on the other.
fn beside_stream<T: Send>(
    conditions: Conditions,
    view: impl FnOnce(SocketAddr, SocketAddr, &Path) -> T + Send,
) -> T {
    let path = Path::new(conditions);
    let server = TestServer::start(&format!(
        "-http-listen {}:0 -hls-segment 500ms",
        path.near()
    ));
    let beside = Beside::begin(&server);
    let mut publisher = server.publisher("hls");
    publisher.send(&real("V head 1 @0"));
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    let seen = thread::scope(|scope| {
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
        let path = &path;
        let seen = thread::scope(|scope| scope.spawn(|| view(near, path.to(near), path)).join());
        is_over.store(true, Ordering::Relaxed);
        seen.expect("all files")
    });
    beside.end("HLS");
    seen
}

fn show((network, conditions, _): &Row) {
    let began = Instant::now();
    let count = beside_stream(*conditions, |near, far, _| fetch(near, far));
    println!(
        "HLS, {network}: {count} files whole after {:.1?}",
        began.elapsed()
    );
}

/// A viewer through cuts: it misses nothing that the playlist still has.
#[test]
fn viewers_follow_through_cuts() {
    if !path::are_possible() {
        return;
    }
    let cuts: &[(u64, usize)] = match is_long() {
        true => &[(1000, 3), (2500, 2), (4000, 1)],
        false => &[(1000, 2)],
    };
    for (ms, times) in cuts {
        let cut = Duration::from_millis(*ms);
        let (numbers, longest) = beside_stream(delayed(10), |near, far, path| {
            // TCP may wait as long again when a cut is over.
            let each = 2 * cut + Duration::from_secs(1);
            let until = Instant::now() + LEAD + each * *times as u32;
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(LEAD);
                    for _ in 0..*times {
                        path.set_cut(true);
                        thread::sleep(cut);
                        path.set_cut(false);
                        thread::sleep(Duration::from_secs(1));
                    }
                });
                follow(near, far, until)
            })
        });
        println!(
            "{times} cuts of {cut:?}: segments {numbers:?}, {longest:.1?} between two at most"
        );
        let jumps = numbers
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .count();
        let allowed = if cut > Duration::from_secs(3) {
            *times
        } else {
            0
        };
        assert!(
            jumps <= allowed && numbers.len() > 2,
            "{cut:?}: {numbers:?}"
        );
    }
}

#[test]
fn playlists_and_segments_come_whole() {
    if path::are_possible() {
        let rows = WHOLE.iter().filter(|(.., cut)| *cut == 0);
        thread::scope(|scope| rows.for_each(|row| drop(scope.spawn(|| show(row)))));
    }
}
