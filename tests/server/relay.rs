//! Relays: streams on their way to other servers, whatever those do.

use crate::support::other_server::{answer, redirecting};
use crate::support::{Client, TestServer, free_addr, media, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::StreamId;
use rtmp_server::rtmp::status::{self, StatusLevel};
use rtmp_server::stats::{LinkState, RelayStats};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn relaying_to(addr: SocketAddr, rest: &str) -> TestServer {
    TestServer::start(&format!("-relay-to rtmp://{addr}/{rest}"))
}

/// The only relay there is.
fn relay(server: &TestServer) -> RelayStats {
    let relays = server.server().snapshot().relays;
    assert_eq!(relays.len(), 1, "{relays:?}");
    relays.into_iter().next().expect("one")
}

fn wait_for_state(server: &TestServer, state: LinkState) {
    wait_until(&format!("a relay that is {state:?}"), || {
        let relays = server.server().snapshot().relays;
        relays.iter().any(|relay| relay.state == state)
    });
}

const BEGINNING: [&str; 5] = [
    "D meta 9 @0",
    "V head 1 @0",
    "A head 1 @0",
    "V key 1 @0",
    "A sound 1 @5",
];

#[test]
fn a_stream_arrives_whole_and_ends_when_it_ends() {
    let far = TestServer::start("");
    let near = relaying_to(far.addr, "copy");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    wait_for_state(&near, LinkState::Connected);
    let mut viewer = Client::shake_hands(far.addr);
    viewer.connect("copy");
    viewer.create_stream();
    let name = Value::text("cam");
    viewer.call(1, "play", 0.0, vec![name]);
    viewer.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    viewer.expect(&BEGINNING);
    publisher.send_media(&[
        "D meta 8 @0",
        "V inter 2 @40",
        "D text 3 @41",
        "V key 3 @80",
    ]);
    viewer.expect(&[
        "D meta 8 @0",
        "V inter 2 @40",
        "D text 3 @41",
        "V key 3 @80",
    ]);
    let stats = relay(&near);
    assert_eq!(stats.url, format!("rtmp://{}/copy", far.addr));
    assert_eq!(stats.stream_key, "live/cam");
    assert!(stats.messages >= 9 && stats.bytes > 100, "{stats:?}");
    assert_eq!((stats.drops, stats.reconnects), (0, 0));
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
    wait_until("no relay", || near.server().snapshot().relays.is_empty());
    near.wait_for_count((1, 0, 0));
}

#[test]
fn a_relay_is_nobodys_audience_and_outlasts_a_lost_publisher() {
    let far = TestServer::start("");
    let near = relaying_to(far.addr, "live");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @100"]);
    let mut viewer = far.player("cam");
    viewer.expect(&[
        "begin 1",
        "status@1 NetStream.Play.Start",
        "V head 1 @100",
        "V key 1 @100",
    ]);
    near.wait_for_count((1, 1, 0));
    publisher.vanish();
    near.wait_for_count((0, 0, 0));
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 2 @0", "V key 2 @0"]);
    viewer.expect(&["V head 2 @140", "V key 2 @140"]);
    assert_eq!(relay(&near).reconnects, 0);
}

#[test]
fn a_destination_that_comes_later_is_found_and_one_that_is_lost_again() {
    let port = free_addr();
    let near = relaying_to(port, "live");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_for_state(&near, LinkState::Waiting);
    assert!(
        relay(&near).last_error.contains("cannot connect"),
        "{:?}",
        relay(&near)
    );
    // The first asks to be connected anew when it stops. Where the second is there by then, that is no
    // further attempt.
    for _ in 0..2 {
        let far = TestServer::start(&format!("-listen {port}"));
        let mut viewer = far.player("cam");
        viewer.expect(&[
            "begin 1",
            "status@1 NetStream.Play.Start",
            "V head 1 @0",
            "V key 1 @0",
        ]);
        wait_for_state(&near, LinkState::Connected);
        assert!(relay(&near).reconnects >= 1);
        drop(viewer);
        drop(far);
    }
}

/// What a bad destination does with a connection.
type Behaviour = fn(TcpStream);

fn refuse(socket: TcpStream) {
    let code = "NetStream.Publish.BadName";
    answer(
        socket,
        &status::on_status(
            StreamId(1),
            StatusLevel::Error,
            code,
            "no room for cam?key=s3cret",
        ),
    );
}

#[test]
fn a_relay_goes_where_it_is_sent() {
    let far = TestServer::start("");
    let mut to = far.addr;
    for hop in 1..=5 {
        to = redirecting(|_| format!("rtmp://{to}/app{hop}?t=s3cret"));
    }
    let near = relaying_to(to, "live");
    let mut publisher = near.publisher("mp4:mp4:c%2541m.flv.flv");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_for_state(&near, LinkState::Connected);
    let stats = relay(&near);
    assert_eq!(stats.url, format!("rtmp://{to}/live"));
    let shown = format!("rtmp://{}/app1", far.addr);
    assert_eq!(stats.redirected_to.as_deref(), Some(&*shown));
    assert_eq!((stats.reconnects, &*stats.last_error), (0, ""));
    wait_until("the stream under its new name", || {
        let streams = far.server().snapshot().streams;
        streams
            .iter()
            .any(|stream| stream.key == "app1/mp4:c%41m.flv")
    });
}

#[test]
fn a_relay_does_not_go_wherever_it_is_sent() {
    let own = free_addr();
    let circle = redirecting(|addr| format!("rtmp://{addr}/other"));
    let mut chain = circle;
    for _ in 0..6 {
        chain = redirecting(|_| format!("rtmp://{chain}/other"));
    }
    let rows = [
        (circle, "server sends us elsewhere: in a circle"),
        (chain, "server sends us elsewhere: more than 5 times"),
        (redirecting(|_| format!("rtmp://{own}/live")), "Relay loop"),
        (
            redirecting(|_| "http://h/s3cret".to_owned()),
            "server sends us elsewhere: URL must begin with rtmp://",
        ),
        (
            redirecting(|_| "rtmp://u:s3cret@h/a".to_owned()),
            "a user or a password",
        ),
        (
            redirecting(|_| format!("rtmp://{own}/{}", "x".repeat(8192))),
            "server sends us elsewhere: URL exceeds 8192 bytes",
        ),
    ];
    for (addr, want) in rows {
        let near = TestServer::start(&format!("-listen {own} -relay-to rtmp://{addr}/live"));
        let _publisher = near.publisher("cam");
        wait_until(want, || relay(&near).last_error.contains(want));
        assert!(!relay(&near).last_error.contains("s3cret"));
    }
}

#[test]
fn a_long_address_is_followed_and_shown_cut() {
    let far = TestServer::start("");
    let app = "x".repeat(400);
    let to = redirecting(|_| format!("rtmp://{}/{app}", far.addr));
    let near = relaying_to(to, "live");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_for_state(&near, LinkState::Connected);
    let whole = format!("rtmp://{}/{app}", far.addr);
    let want = format!("{}\u{2026}", &whole[..253]);
    assert_eq!(relay(&near).redirected_to, Some(want));
    wait_until("the stream there", || {
        let streams = far.server().snapshot().streams;
        streams.iter().any(|it| it.key == format!("{app}/cam"))
    });
}

#[test]
fn a_relay_that_is_asked_to_connects_anew() {
    let next = TestServer::start("");
    let far = TestServer::start(&format!("-reconnect-url rtmp://{}/live", next.addr));
    let near = relaying_to(far.addr, "live");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_for_state(&near, LinkState::Connected);
    assert_eq!(far.server().ask_to_reconnect(), 1);
    let mut viewer = next.playing("cam");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    publisher.send_media(&["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);
    let shown = format!("rtmp://{}/live", next.addr);
    assert_eq!(relay(&near).redirected_to.as_deref(), Some(&*shown));
}

#[test]
fn a_bad_destination_is_tried_again_and_holds_up_nobody() {
    let rows: [(&str, Behaviour, Option<&str>); 4] = [
        ("closes", drop, Some("server closed")),
        (
            "speaks HTTP",
            |mut socket| {
                let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                let _ = socket.read_to_end(&mut Vec::new());
            },
            Some("a text protocol"),
        ),
        (
            "refuses",
            refuse,
            Some("NetStream.Publish.BadName: no room for ***"),
        ),
        (
            "says nothing",
            |mut socket| {
                let _ = socket.read_to_end(&mut Vec::new());
            },
            None,
        ),
    ];
    for (what, behaviour, want) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("addr");
        std::thread::spawn(move || listener.incoming().flatten().for_each(behaviour));
        let mut near = relaying_to(addr, "live");
        let mut publisher = near.publisher("cam");
        let mut viewer = near.playing("cam");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        viewer.expect(&["V head 1 @0", "V key 1 @0"]);
        if let Some(want) = want {
            wait_until(&format!("{what}: a failure"), || {
                relay(&near).last_error.contains(want)
            });
        }
        drop((publisher, viewer));
        let began = Instant::now();
        assert!(near.stop(Duration::from_secs(5)), "{what}: stopped in time");
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{what}: {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_destination_that_stops_reading_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut near = relaying_to(listener.local_addr().expect("addr"), "live");
    let mut publisher = near.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let far = TestServer::start("");
    let (stalled, _) = listener.accept().expect("a relay");
    // A real server answers for us until media flows; then nobody reads any more.
    let relayed = TcpStream::connect(far.addr).expect("connect");
    let (mut up, mut up_out) = (
        stalled.try_clone().expect("dup"),
        relayed.try_clone().expect("dup"),
    );
    let (mut down, mut down_out) = (relayed, stalled.try_clone().expect("dup"));
    std::thread::spawn(move || std::io::copy(&mut down, &mut down_out));
    let viewer = far.player("cam");
    let copier = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        for _ in 0..6 {
            let len = up.read(&mut buffer).expect("a relay that speaks");
            up_out
                .write_all(&buffer[..len])
                .expect("a server that listens");
        }
        up_out
    });
    wait_for_state(&near, LinkState::Connected);
    let mut watching = near.playing("cam");
    watching.expect(&["V head 1 @0", "V key 1 @0"]);
    let mut big = media("V inter 2 @40");
    big.payload = [&[0x27, 1, 0, 0, 0][..], &vec![7; 1 << 20]].concat().into();
    let began = Instant::now();
    for _ in 0..40 {
        publisher.send(&big);
        assert!(
            watching
                .receive()
                .is_some_and(|got| got.payload == big.payload)
        );
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    wait_until("drops", || relay(&near).drops > 10);
    let dropped = near.server().snapshot().totals;
    assert!(
        dropped.relay_drops > 10 && dropped.subscriber_drops == 0,
        "{dropped:?}"
    );
    viewer.vanish();
    drop((publisher, watching));
    let began = Instant::now();
    assert!(near.stop(Duration::from_secs(1)), "a clean stop");
    assert!(began.elapsed() < Duration::from_millis(900), "{began:?}");
    drop((copier.join().expect("copied"), stalled));
}

#[test]
fn a_stream_that_comes_back_is_refused() {
    for (own, flags) in [(true, "live"), (true, "other"), (false, "live")] {
        let port = free_addr();
        let second = TestServer::start(&format!("-relay-to rtmp://{port}/live"));
        let to = if own { port } else { second.addr };
        let near = TestServer::start(&format!("-listen {port} -relay-to rtmp://{to}/{flags}"));
        let mut publisher = near.publisher("cam");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let looped = if own { &near } else { &second };
        wait_until("a refusal", || {
            let relays = looped.server().snapshot().relays;
            relays
                .iter()
                .any(|relay| relay.last_error.contains("Relay loop"))
        });
        publisher.send_media(&["V key 2 @40"]);
        let mut viewer = near.playing("cam");
        viewer.expect(&["V head 1 @40", "V key 2 @40"]);
    }
}
