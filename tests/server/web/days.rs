//! Streams whose times go past what messages, tags and files count in: after 24.8 days the sign of a
//! time changes, and after 49.7 days it wraps.

use super::mp4::Mp4Viewer;
use super::{FlvViewer, finish, send, start};
use crate::support::{Client, TestServer, wait_until};

/// A step before, at and behind the time at which the sign changes or the times wrap.
const EDGES: [u64; 2] = [1 << 31, 1 << 32];

/// Times of a stream around such an edge.
struct Around(u64);

impl Around {
    /// A message at so many ms from the edge.
    fn at(&self, what: &str, ms: i64) -> String {
        format!("{what} @{}", self.0.wrapping_add_signed(ms) as u32)
    }

    fn all(&self, rows: &[(&str, i64)]) -> Vec<String> {
        rows.iter().map(|(what, ms)| self.at(what, *ms)).collect()
    }
}

fn words(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

fn send_all(publisher: &mut Client, lines: &[String]) {
    send(publisher, &words(lines));
}

/// Waits until the other server has the stream that is relayed to it.
fn relayed(far: &TestServer) -> Client {
    wait_until("the relay", || far.server().count().1 == 1);
    far.playing("x")
}

/// Everybody who is there gets every message with its own time, and whoever comes behind the edge
/// begins at the keyframe there.
#[test]
fn viewers_go_over_the_edge_and_join_behind_it() {
    for edge in EDGES {
        let around = Around(edge);
        let far = TestServer::start("");
        let server = start(&format!("-relay-to rtmp://{}/live", far.addr));
        let mut publisher = server.publisher("x");
        let before = around.all(&[
            ("V head 1", -80),
            ("A head 0", -80),
            ("V key 1", -80),
            ("A sound 1", -70),
        ]);
        send_all(&mut publisher, &before);
        let mut player = server.playing("x");
        let mut flv = FlvViewer::playing(&server, "/live/x.flv");
        let mp4 = Mp4Viewer::joining(&server, "/live/x.mp4");
        let mut over = relayed(&far);
        let across = around.all(&[
            ("V inter 2", -40),
            ("A sound 2", -1),
            ("V inter 3", 0),
            ("A sound 3", 1),
            ("V key 4", 40),
            ("A sound 4", 50),
        ]);
        send_all(&mut publisher, &across);
        for lines in [&before, &across] {
            player.expect(&words(lines));
            flv.expect(&words(lines));
            over.expect(&words(lines));
        }
        let shown = |ms: i64| edge.wrapping_add_signed(ms);
        let mut mp4 = mp4.join().expect("a viewer");
        mp4.expect_times(&[shown(-80), shown(-40), shown(0)]);
        let joined = around.all(&[
            ("V head 1", 40),
            ("A head 0", 40),
            ("V key 4", 40),
            ("A sound 4", 50),
        ]);
        let mut late = server.playing("x");
        late.expect(&words(&joined));
        let mut late = FlvViewer::playing(&server, "/live/x.flv");
        late.expect(&words(&joined));
        let end = around.all(&[("V inter 5", 80), ("V inter 6", 120)]);
        let late_mp4 = Mp4Viewer::joining(&server, "/live/x.mp4");
        send_all(&mut publisher, &end);
        let mut late_mp4 = late_mp4.join().expect("a viewer");
        late_mp4.expect_times(&[shown(40)]);
        late.expect(&words(&end));
        finish(&mut publisher);
        late.expect_end();
        flv.expect(&words(&end));
        flv.expect_end();
    }
}

/// A publisher that is lost right before the edge and begins at 0 again goes on behind it.
#[test]
fn a_publisher_returns_over_the_edge() {
    for edge in EDGES {
        let around = Around(edge);
        let server = start("-grace 5s");
        let mut publisher = server.publisher("x");
        let before = around.all(&[("V head 1", -20), ("V key 1", -20), ("V inter 2", -10)]);
        send_all(&mut publisher, &before);
        let mut player = server.playing("x");
        let mut flv = FlvViewer::playing(&server, "/live/x.flv");
        player.expect(&words(&before));
        flv.expect(&words(&before));
        publisher.vanish();
        player.expect(&["dry 1"]);
        let mut publisher = server.publisher("x");
        player.expect(&["begin 1"]);
        send(
            &mut publisher,
            &["V head 1 @0", "V key 3 @0", "V inter 4 @40"],
        );
        let after = around.all(&[("V head 1", 30), ("V key 3", 30), ("V inter 4", 70)]);
        player.expect(&words(&after));
        flv.expect(&words(&after));
    }
}
