//! HLS of a stream that is published again.

use super::hls::{get, media_uri, playlist, watched};
use super::{finish, start};
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
