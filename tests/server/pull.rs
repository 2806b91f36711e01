//! Pulls: streams that come from other servers, always or on demand.

use crate::support::{Client, TestServer, free_addr, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::stats::{LinkState, PullStats};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const BEGINNING: [&str; 4] = ["D meta 9 @0", "V head 1 @0", "A head 1 @0", "V key 1 @0"];

const PLAYING: [&str; 2] = ["begin 1", "status@1 NetStream.Play.Start"];

fn pulls(server: &TestServer) -> Vec<PullStats> {
    server.server().snapshot().pulls
}

fn wait_for_state(server: &TestServer, state: LinkState) {
    wait_until(&format!("a pull that is {state:?}"), || {
        pulls(server).iter().any(|pull| pull.state == state)
    });
}

fn finish(publisher: &mut Client) {
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
}

#[test]
fn a_stream_of_another_server_is_here_and_ends_when_it_ends() {
    let origin = TestServer::start("");
    let edge = TestServer::start(&format!("-pull live/copy=rtmp://{}/live/cam", origin.addr));
    let mut publisher = origin.publisher("cam");
    publisher.send_media(&BEGINNING);
    edge.wait_for_count((0, 1, 0));
    let mut viewer = edge.playing("copy");
    viewer.expect(&BEGINNING);
    publisher.send_media(&["V inter 2 @40", "D text 3 @41"]);
    viewer.expect(&["V inter 2 @40", "D text 3 @41"]);
    let stats = &pulls(&edge)[0];
    assert_eq!(stats.url, format!("rtmp://{}/live", origin.addr));
    assert_eq!(
        (stats.stream_key.as_str(), stats.state),
        ("live/copy", LinkState::Connected)
    );
    assert!(stats.bytes > 100, "{stats:?}");
    finish(&mut publisher);
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
    edge.wait_for_count((1, 0, 0));
}

/// What lies between two servers, and can be cut.
struct Wire {
    addr: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// A port from which connections go to `far`. It is there until the test's process ends.
    fn to(far: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address");
        let ends = Arc::new(Mutex::new(Vec::new()));
        let wire = Wire { addr, ends };
        let ends = Arc::clone(&wire.ends);
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.expect("a connection");
                // Nobody is there: the near end is closed as well.
                let Ok(far) = TcpStream::connect(far) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let [mut from, mut to] = [from, to].map(|end| end.try_clone().expect("a copy"));
                    thread::spawn(move || io::copy(&mut from, &mut to));
                }
                ends.lock().expect("no panic").extend([near, far]);
            }
        });
        wire
    }

    /// Ends all connections, as when a machine is lost.
    fn cut(&self) {
        for end in self.ends.lock().expect("no panic").drain(..) {
            // The other side may have closed it already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn viewers_stay_when_the_origin_is_lost_and_comes_back() {
    let port = free_addr();
    let wire = Wire::to(port);
    let edge = TestServer::start(&format!("-pull live/cam=rtmp://{}/live/cam", wire.addr));
    let mut viewer = edge.player("cam");
    let mut origin = TestServer::start(&format!("-listen {port}"));
    let mut publisher = origin.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @100"]);
    viewer.expect(&PLAYING);
    viewer.expect(&["V head 1 @100", "V key 1 @100"]);
    // As by a crash: nobody is told anything.
    wire.cut();
    viewer.expect(&["dry 1", "begin 1", "V head 1 @140", "V key 1 @140"]);
    drop(publisher);
    assert!(origin.stop(Duration::from_secs(5)));
}

#[test]
fn on_demand_there_is_a_pull_for_each_stream_that_is_watched() {
    let origin = TestServer::start("");
    let flags = format!("-pull live/*=rtmp://{}/live -pull-on-demand", origin.addr);
    let mut edge = TestServer::start(&flags);
    let mut publishers = ["a", "b"].map(|name| origin.publisher(name));
    publishers[0].send_media(&["V head 1 @0", "V key 1 @0"]);
    publishers[1].send_media(&["V head 2 @0", "V key 2 @0"]);
    origin.wait_for_count((2, 2, 0));
    assert!(pulls(&edge).is_empty(), "nobody watches");
    let mut viewers = ["a", "b", "b"].map(|name| edge.player(name));
    for (viewer, number) in viewers.iter_mut().zip([1, 2, 2]) {
        viewer.expect(&PLAYING);
        viewer.expect(&[
            &format!("V head {number} @0"),
            &format!("V key {number} @0"),
        ]);
    }
    assert_eq!(pulls(&edge).len(), 2);
    origin.wait_for_count((4, 2, 2));
    let mut stranger = Client::shake_hands(edge.addr);
    stranger.connect("other");
    stranger.create_stream();
    stranger.call(1, "play", 0.0, vec![Value::text("a")]);
    edge.wait_for_count((4, 2, 4));
    assert_eq!(pulls(&edge).len(), 2, "other/a is nobody's");
    drop((viewers, stranger));
    edge.wait_for_count((0, 2, 0));
    origin.wait_for_count((4, 2, 2));
    let began = Instant::now();
    assert!(edge.stop(Duration::from_secs(5)));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    origin.wait_for_count((2, 2, 0));
}

#[test]
fn names_that_nobody_has_cost_little_and_not_for_long() {
    let origin = TestServer::start("");
    let flags = format!("-pull live/*=rtmp://{}/live -pull-on-demand", origin.addr);
    let edge = TestServer::start(&flags);
    // One connection would begin too often before its address wants too much.
    let mut viewers = [(); 2].map(|()| edge.connected());
    for (number, viewer) in viewers.iter_mut().enumerate() {
        for stream in 1..=16 {
            if stream > 1 {
                viewer.create_stream();
            }
            let name = Value::text(format!("nobodys{number}-{stream}"));
            viewer.call(stream, "play", 0.0, vec![name]);
        }
    }
    wait_until("pulls", || pulls(&edge).len() == 32);
    wait_until("pulls", || pulls(&edge).len() == 32);
    let mut refused = edge.player("nobodys");
    refused.expect(&["error@1 NetStream.Play.Failed"]);
    assert_eq!(edge.server().snapshot().totals.pulls_refused, 1);
    let all = pulls(&edge).len();
    assert!(all <= 32, "{all} pulls");
    drop((viewers, refused));
    let began = Instant::now();
    wait_until("no pulls", || pulls(&edge).is_empty());
    origin.wait_for_count((0, 0, 0));
    assert!(began.elapsed() < Duration::from_secs(3), "they linger");
    // Others are served meanwhile, and so is that address a second later.
    let mut publisher = origin.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    std::thread::sleep(Duration::from_millis(1100));
    let mut viewer = edge.player("cam");
    viewer.expect(&PLAYING);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn servers_that_pull_from_each_other_give_up() {
    let (a, b) = (free_addr(), free_addr());
    let start = |own: SocketAddr, other: SocketAddr| {
        TestServer::start(&format!(
            "-listen {own} -wait-stream 500ms -pull live/*=rtmp://{other}/live -pull-on-demand"
        ))
    };
    let servers = [start(a, b), start(b, a)];
    let watching = [a, b].map(|addr| Client::asking_to_play(addr, "nobodys"));
    wait_until("pulls", || {
        servers.iter().all(|server| !pulls(server).is_empty())
    });
    for mut viewer in watching {
        viewer.expect(&["error@1 NetStream.Play.StreamNotFound"]);
    }
    for server in &servers {
        wait_until("no pulls", || pulls(server).is_empty());
        server.wait_for_count((0, 0, 0));
    }
    let mut publisher = Client::publishing(a, "cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = Client::asking_to_play(b, "cam");
    viewer.expect(&PLAYING);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn what_is_published_here_comes_first() {
    let origin = TestServer::start("");
    let mut far = origin.publisher("cam");
    far.send_media(&["V head 1 @0", "V key 1 @0"]);
    let edge = TestServer::start(&format!("-pull live/cam=rtmp://{}/live/cam", origin.addr));
    wait_for_state(&edge, LinkState::Connected);
    let mut viewer = edge.playing("cam");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let mut near = edge.publisher("cam");
    near.send_media(&["V head 2 @0", "V key 2 @0"]);
    viewer.expect(&["V head 2 @40", "V key 2 @40"]);
    wait_until("a pull that has given way", || {
        pulls(&edge)[0].last_error.contains("published here")
    });
    near.send_media(&["V inter 3 @40"]);
    viewer.expect(&["V inter 3 @80"]);
    near.vanish();
    viewer.expect(&["dry 1", "begin 1"]);
    far.send_media(&["V key 4 @5000"]);
    viewer.expect(&["V head 1 @120", "V key 1 @120"]);
}

#[test]
fn a_server_does_not_pull_from_itself() {
    let port = free_addr();
    let flags = format!("-listen {port} -pull live/a=rtmp://{port}/live/b");
    let server = TestServer::start(&flags);
    let mut publisher = server.publisher("b");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_until("a refusal", || {
        pulls(&server)[0].last_error.contains("Relay loop")
    });
}

#[test]
fn an_unwatched_stream_is_given_up_after_30_s() {
    let origin = TestServer::start("");
    let mut publisher = origin.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let flags = format!(
        "-pull live/cam=rtmp://{}/live/cam -pull-on-demand true",
        origin.addr
    );
    let edge = TestServer::start(&flags);
    let mut viewer = edge.player("cam");
    viewer.expect(&PLAYING);
    let began = Instant::now();
    drop(viewer);
    edge.wait_for_count((0, 1, 0));
    while !pulls(&edge).is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "it goes on for ever"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        began.elapsed() > Duration::from_secs(28),
        "{:?}",
        began.elapsed()
    );
    edge.wait_for_count((0, 0, 0));
    origin.wait_for_count((1, 1, 0));
    let mut viewer = edge.player("cam");
    viewer.expect(&PLAYING);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn a_stream_does_not_go_in_a_circle() {
    // The edge sends to the origin what it has from there.
    let origin = TestServer::start("");
    let flags = format!(
        "-pull live/cam=rtmp://{0}/live/cam -relay-to rtmp://{0}/live",
        origin.addr
    );
    let edge = TestServer::start(&flags);
    let mut publisher = origin.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = edge.player("cam");
    viewer.expect(&PLAYING);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let refused = |edge: &TestServer| {
        let relays = edge.server().snapshot().relays;
        relays
            .iter()
            .any(|relay| relay.last_error.contains("Relay loop"))
    };
    wait_until("a refusal", || refused(&edge));
    publisher.send_media(&["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);
    // It has from the origin, under another name, what it has sent there.
    let flags = format!(
        "-pull back/cam=rtmp://{0}/copy/cam -relay-to rtmp://{0}/copy",
        origin.addr
    );
    let edge = TestServer::start(&flags);
    origin.wait_for_count((3, 1, 2));
    let mut publisher = edge.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    wait_until("a relay", || {
        let relays = edge.server().snapshot().relays;
        relays
            .iter()
            .any(|relay| relay.state == LinkState::Connected)
    });
    wait_until("a refusal", || {
        pulls(&edge)[0].last_error.contains("Relay loop")
    });
    publisher.send_media(&["V inter 2 @40"]);
    wait_until("what was sent, and nothing that has come back", || {
        edge.server().snapshot().totals.messages_video == 3
    });
}
