//! HLS of a stream that is published again.

use super::hls::{asking, get, media_uri, playlist, seconds, watched};
use super::{finish, settle, start};
use crate::server::memory::picture;
use crate::support::readers::playlist_reader;
use crate::support::wait_until;

/// A stream ends and is published again at once: players of the old one are told its end, and those that
/// come are led to the new one.
#[test]
fn a_stream_that_is_published_again_has_playlists_of_its_own() {
    let server = start("");
    let (mut publisher, index) = watched(&server, "");
    let old = media_uri(&index);
    let before = playlist(&server, &old);
    let mut last = before.open_sequence();
    finish(&mut publisher);
    wait_until("the end", || playlist(&server, &old).is_over);
    let over = get(&server, &old).text();
    for round in 0..2 {
        let (mut publisher, index) = watched(&server, "");
        let new = media_uri(&index);
        assert_ne!(new, old, "{round}");
        let first = playlist(&server, &new);
        assert!(!first.is_over && first.media_sequence > last, "{round}");
        last = first.open_sequence();
        if round == 0 {
            assert_eq!(get(&server, &old).text(), over);
            for segment in &before.segments {
                let reply = get(&server, &format!("/live/cam/{}", segment.uri));
                assert_eq!(reply.status, 200, "{}", segment.uri);
            }
        }
        finish(&mut publisher);
        wait_until("the end", || playlist(&server, &new).is_over);
    }
    // One that has ended is kept beside what is published, no more.
    assert_eq!(get(&server, &old).status, 404);
}

/// A playlist that gives way to `-max-memory` goes on at its address, for the same viewers: no request is
/// told its end, and what comes later has later numbers.
#[test]
fn a_playlist_that_gives_way_goes_on() {
    let flags = "-max-memory 8m -gop-cache false -auth-mode token -auth-token live/cam=s3cret";
    let server = start(flags);
    let (mut publisher, index) = watched(&server, "?token=s3cret");
    let uri = media_uri(&index);
    let next = playlist(&server, &uri).open_sequence();
    let waits = asking(&server, &format!("{uri}&_HLS_msn={next}"));
    let snapshot = || server.server().snapshot();
    // One segment that is too large, of which little waits at a time.
    for number in 0..40 {
        publisher.send(&picture(number == 0, 200 << 10, 6000 + number * 20));
        settle(&mut publisher);
    }
    wait_until("a playlist that gives way", || {
        snapshot().totals.memory_playlists > 0 && snapshot().memory.held < 1 << 20
    });
    seconds(&mut publisher, 7, 12);
    let (status, text) = waits.join().expect("a reply");
    assert_eq!(status, 200);
    for after in [
        playlist_reader::read(&text).expect("one"),
        playlist(&server, &uri),
    ] {
        assert!(!after.is_over && after.media_sequence > next, "{after:?}");
    }
    assert_eq!(snapshot().totals.subscribers, 1);
}
