//! How much of what a client says is kept and said again.

use super::Peer;
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::command::{CLIENT_INFO_LEN_MAX, HOP_LEN_MAX, HOPS_MAX};
use rtmp_server::rtmp::session::{APP_LEN_MAX, ConnectRequest, SessionEvent};
use rtmp_server::rtmp::status;
use rtmp_server::rtmp::{Message, MessageType, StreamId};
use rtmp_server::text::SHOWN_LEN_MAX;

/// Texts as long as a command can hold, and more than is kept of any.
const LONG: usize = 60_000;

fn hears(peer: &mut Peer, message: Message) -> Vec<SessionEvent> {
    let mut events = Vec::new();
    peer.0.handle(message, &mut events).expect("no violation");
    peer.0.accept_connect(None);
    events
}

fn connect(members: &[(&str, &str)]) -> Message {
    let members = members.iter();
    let members = members.map(|(key, value)| (key.as_bytes().to_vec(), Value::text(value)));
    let object = Value::Object(members.collect());
    status::call(StreamId(0), "connect", 1.0, object, vec![])
}

#[test]
fn what_a_client_says_of_itself_is_cut() {
    let app = format!("{}?token=x", "a".repeat(700));
    let flash_ver = "\u{1}".repeat(LONG);
    let message = connect(&[("app", &app), ("flashVer", &flash_ver)]);
    let events = hears(&mut Peer::new(), message);
    let Some(SessionEvent::Connect(request)) = events.last() else {
        panic!("{events:?}")
    };
    let ConnectRequest {
        app,
        flash_ver,
        via,
        about,
    } = &**request;
    assert!(
        app.starts_with("aaaa") && app.ends_with('\u{2026}'),
        "{app}"
    );
    assert!(flash_ver.ends_with('\u{2026}'), "{flash_ver}");
    assert!(app.len().max(flash_ver.len()) <= SHOWN_LEN_MAX && via.is_empty());
    let lens = [
        about.app.len(),
        about.flash_ver.len(),
        about.app_query.len(),
    ];
    assert_eq!(
        lens,
        [CLIENT_INFO_LEN_MAX, CLIENT_INFO_LEN_MAX, "token=x".len()]
    );
}

#[test]
fn of_the_servers_that_a_stream_came_through_few_are_read() {
    let rows = [
        (",".repeat(LONG), HOPS_MAX, 0),
        ("a".repeat(LONG), 1, HOP_LEN_MAX),
        ("\u{1f600}".repeat(LONG / 4), 1, 4 * HOP_LEN_MAX),
        ("one,two".to_owned(), 2, 3),
    ];
    for (via, hops, len) in rows {
        let message = connect(&[("app", "live"), ("via", &via)]);
        let events = hears(&mut Peer::new(), message);
        let Some(SessionEvent::Connect(request)) = events.last() else {
            panic!("{events:?}")
        };
        let via = &request.via;
        let longest = via.iter().map(String::len).max();
        assert_eq!((via.len(), longest), (hops, Some(len)));
        assert!(via.capacity() <= 2 * HOPS_MAX);
    }
}

#[test]
fn an_app_that_is_too_long_is_refused() {
    for (len, refused) in [(APP_LEN_MAX, false), (APP_LEN_MAX + 1, true), (LONG, true)] {
        let app = format!("live?{}", "x".repeat(len - 5));
        let events = hears(&mut Peer::new(), connect(&[("app", &app)]));
        let rejected = "> _error 1 null error NetConnection.Connect.Rejected on 0";
        let refusal = format!("refused NetConnection.Connect.Rejected; {rejected}; close");
        assert_eq!(super::line(&events) == refusal, refused, "{len}");
    }
}

#[test]
fn what_is_said_again_is_cut() {
    let mut peer = Peer::new();
    hears(&mut peer, connect(&[("app", "live")]));
    let name = "x".repeat(LONG);
    for call in ["FCPublish", "FCUnpublish", "releaseStream", &name] {
        let message = status::call(
            StreamId(0),
            call,
            7.0,
            Value::Null,
            vec![Value::text(&name)],
        );
        for event in hears(&mut peer, message) {
            let SessionEvent::Send(reply) = event else {
                panic!("{event:?}")
            };
            assert_eq!(reply.kind, MessageType::COMMAND);
            assert!(
                reply.payload.len() < 2 * SHOWN_LEN_MAX,
                "{}",
                reply.payload.len()
            );
        }
    }
}
