//! What viewers that have no room are told as soon as they have.

use super::slow::picture;
use crate::support::{Client, TestServer};
use rtmp_server::amf0::Value;
use std::time::Duration;

/// What happens to a publisher while a viewer has no room, and what the viewer is told of it then.
struct Loss {
    flags: &'static str,
    /// How often it comes back.
    returns: usize,
    /// Whether it is gone at last.
    is_lost: bool,
    told: &'static [&'static str],
}

#[test]
fn a_viewer_without_room_is_told_later_what_became_of_its_publisher() {
    let row = |flags, returns, is_lost, told| Loss {
        flags,
        returns,
        is_lost,
        told,
    };
    let end = &["dry 1", "eof 1", "status@1 NetStream.Play.UnpublishNotify"];
    let rows = [
        row("-grace 20s", 0, true, &["dry 1"][..]),
        row("-grace 20s", 1, false, &["dry 1", "begin 1"]),
        // What is over by then is not told.
        row("-grace 20s", 1, true, &["dry 1"]),
        row("-grace 20s", 2, false, &["dry 1", "begin 1"]),
        row("-grace 200ms", 0, true, end),
    ];
    std::thread::scope(|scope| {
        for row in &rows {
            scope.spawn(|| check_loss(row));
        }
    });
}

fn check_loss(row: &Loss) {
    let server = TestServer::start(row.flags);
    let publisher_of = || {
        let streams = server.server().snapshot().streams;
        streams.first().and_then(|stream| stream.publisher.clone())
    };
    let mut publisher = server.publisher("x");
    let mut viewer = server.playing("x");
    fill(&server, &mut publisher);
    for time in 1..=row.returns {
        publisher.vanish();
        crate::support::wait_until("the loss", || publisher_of().is_none());
        publisher = server.publisher("x");
        publisher.send_media(&[&format!("A sound {} @{time}", time + 1)]);
    }
    if row.is_lost {
        publisher.vanish();
        crate::support::wait_until("the loss", || publisher_of().is_none());
    }
    if row.told.contains(&"eof 1") {
        server.wait_for_count((1, 0, 0));
    }
    let lines = viewer.lines_until(row.told.last().expect("a line"));
    let is_told = |line: &&String| {
        ["dry", "begin", "eof", "status"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let told: Vec<_> = lines.iter().filter(is_told).collect();
    assert_eq!(
        told, row.told,
        "{} {} {}",
        row.flags, row.returns, row.is_lost
    );
}

#[test]
fn a_viewer_without_room_is_asked_to_reconnect_all_the_same() {
    for stops in [false, true] {
        let mut server = TestServer::start("-grace 20s");
        let mut publisher = server.publisher("x");
        let mut viewer = server.client();
        viewer.connect_with("live", 1);
        viewer.create_stream();
        viewer.call(1, "play", 0.0, vec![Value::text("x")]);
        viewer.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
        fill(&server, &mut publisher);
        let reading = std::thread::scope(|scope| {
            let asked = match stops {
                false => server.server().ask_to_reconnect(),
                true => 1,
            };
            assert_eq!(asked, 1);
            let reading =
                scope.spawn(|| viewer.lines_until("status@0 NetConnection.Connect.Reconnect"));
            if stops {
                assert!(server.stop(Duration::from_secs(5)));
            }
            reading.join()
        });
        assert!(reading.is_ok(), "stops: {stops}");
        // One that is gone is not counted.
        if !stops {
            viewer.vanish();
            server.wait_for_count((1, 1, 0));
            assert_eq!(server.server().ask_to_reconnect(), 0);
        }
    }
}

/// The publisher of `x` sends until its viewer has no room for anything.
fn fill(server: &TestServer, publisher: &mut Client) {
    let is_full = || {
        let connections = server.server().snapshot().connections;
        connections.iter().any(|connection| connection.drops > 0)
    };
    (0..30).for_each(|number| publisher.send(&picture(number)));
    for time in 0.. {
        // Messages that come together take one place.
        publisher.send_media(&[&format!("A sound 1 @{time}")]);
        publisher.call(0, "settle", 9.0, vec![]);
        publisher.lines_until("_error 9");
        if is_full() {
            return;
        }
    }
}
