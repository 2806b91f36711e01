//! Conversations of several steps.

use super::{Failures, Peer};
use crate::support::render;
use rtmp_server::rtmp::StreamId;
use rtmp_server::rtmp::session::SessionEvent;
use rtmp_server::rtmp::status::code;

/// A step and what follows from it: a message in the notation of the vectors, or a decision.
type Steps = &'static [(&'static str, &'static str)];

const START: &str = "> begin 1; > onStatus 0 null status NetStream.Publish.Start on 1";
const STRAY: &str = "ignored: media on a stream that does not publish";

#[rustfmt::skip]
const CONVERSATIONS: [(&str, Steps); 17] = [
    ("a publication", &[
        (r#"command 1 @0 "publish", 5, null, "cam", "live""#, "publish live/cam on 1"),
        ("audio 1 @0 af 00", STRAY),
        ("accept 1", START),
        ("accept 1", ""),
        ("audio 1 @0 af 00", "audio @0 2 bytes on 1"),
        (r#"command 0 @0 "FCUnpublish", 0, null, "cam""#, "ended 1; > onFCUnpublish 0 null status NetStream.Unpublish.Success on 0"),
        ("audio 1 @0 af 00", STRAY),
        (r#"command 0 @0 "deleteStream", 7, null, 1"#, ""),
    ]),
    ("a publication refused", &[
        (r#"command 1 @0 "publish", 5, null, "cam", "live""#, "publish live/cam on 1"),
        ("reject 1", "> onStatus 0 null error NetStream.Publish.Denied on 1; close"),
        ("accept 1", ""),
        ("audio 1 @0 af 00", STRAY),
    ]),
    ("a publication given up before it was granted", &[
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        (r#"command 1 @0 "closeStream", 0, null"#, ""),
        ("accept 1", ""),
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        (r#"command 0 @0 "deleteStream", 0, null, 1"#, ""),
        ("accept 1", ""),
    ]),
    ("a publication asked for twice before it was granted", &[
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        ("accept 1", START),
        ("accept 1", ""),
    ]),
    ("a playback", &[
        (r#"command 1 @0 "play", 4, null, "cam", -2000"#, "play live/cam on 1"),
        ("accept 1", "> begin 1; > onStatus 0 null status NetStream.Play.Start on 1"),
        ("audio 1 @0 af 00", STRAY),
        (r#"command 0 @0 "deleteStream", 5, null, 1"#, "ended 1"),
    ]),
    ("a playback with the reset flag", &[
        (r#"command 1 @0 "play", 0, null, "cam", -2, -1, true"#, "play live/cam on 1"),
        ("accept 1", "> begin 1; > onStatus 0 null status NetStream.Play.Reset on 1; > onStatus 0 null status NetStream.Play.Start on 1"),
    ]),
    ("a playback with reset as a number", &[
        (r#"command 1 @0 "play", 0, null, "cam", -2, -1, 1"#, "play live/cam on 1"),
        ("accept 1", "> begin 1; > onStatus 0 null status NetStream.Play.Reset on 1; > onStatus 0 null status NetStream.Play.Start on 1"),
    ]),
    ("a playback that waits cannot be paused", &[
        (r#"command 1 @0 "play", 0, null, "cam""#, "play live/cam on 1"),
        (r#"command 1 @0 "pause", 7, null, true, 0"#, "> _error 7 null error NetConnection.Call.Failed on 1"),
        (r#"command 1 @0 "closeStream", 0, null"#, ""),
        ("accept 1", ""),
    ]),
    ("a publication that ends by publish(false), and another on its stream", &[
        (r#"command 1 @0 "publish", 0, null, "cam", "live""#, "publish live/cam on 1"),
        ("accept 1", START),
        (r#"command 1 @0 "publish", 0, null, false"#, "ended 1; > onStatus 0 null status NetStream.Unpublish.Success on 1"),
        ("audio 1 @0 af 00", STRAY),
        (r#"command 1 @0 "publish", 0, null, false"#, "> onStatus 0 null status NetStream.Unpublish.Success on 1"),
        (r#"command 1 @0 "publish", 0, null, "cam", "live""#, "publish live/cam on 1"),
        ("accept 1", START),
    ]),
    ("a publication of the app itself is not ended by its empty name", &[
        (r#"command 1 @0 "publish", 0, null, """#, "publish live on 1"),
        ("accept 1", START),
        (r#"command 1 @0 "publish", 0, null, """#, "> onStatus 0 null status NetStream.Publish.Start on 1; published again 1"),
    ]),
    ("a stream is used again", &[
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        ("accept 1", START),
        (r#"command 1 @0 "closeStream", 0, null"#, "ended 1"),
        (r#"command 1 @0 "play", 0, null, "cam""#, "play live/cam on 1"),
        ("accept 1", "> begin 1; > onStatus 0 null status NetStream.Play.Start on 1"),
    ]),
    ("a stream is deleted", &[
        (r#"command 0 @0 "deleteStream", 0, null, 1"#, ""),
        (r#"command 1 @0 "publish", 0, null, "cam""#, "refused NetStream.Failed; > onStatus 0 null error NetStream.Failed on 1; close"),
        (r#"command 0 @0 "createStream", 8, null"#, "> _result 8 null 1 on 0"),
    ]),
    ("two streams, one name", &[
        (r#"command 0 @0 "createStream", 3, null"#, "> _result 3 null 2 on 0"),
        (r#"command 1 @0 "publish", 0, null, "cam""#, "publish live/cam on 1"),
        ("accept 1", START),
        (r#"command 2 @0 "publish", 0, null, "/cam""#, "> onStatus 0 null error NetStream.Publish.BadName on 2"),
        ("video 1 @0 17 00", "video @0 2 bytes on 1"),
        ("video 2 @0 17 00", STRAY),
        (r#"command 2 @0 "play", 0, null, "cam""#, "play live/cam on 2"),
        ("accept 2", "> begin 2; > onStatus 0 null status NetStream.Play.Start on 2"),
        ("video 1 @0 17 00", "video @0 2 bytes on 1"),
        (r#"command 0 @0 "deleteStream", 0, null, 1"#, "ended 1"),
        (r#"command 0 @0 "deleteStream", 0, null, 2"#, "ended 2"),
    ]),
    ("NetStream calls on the connection mean the stream created last", &[
        (r#"command 0 @0 "createStream", 3, null"#, "> _result 3 null 2 on 0"),
        (r#"command 0 @0 "publish", 0, null, "cam""#, "publish live/cam on 2"),
        ("accept 1", ""),
        ("accept 2", "> begin 2; > onStatus 0 null status NetStream.Publish.Start on 2"),
    ]),
    ("calls behind the AMF3 format byte", &[
        (r#"command3 0 @0 "createStream", 4, null"#, "> _result 4 null 2 on 0"),
        (r#"command3 2 @0 "publish", 0, null, "cam""#, "publish live/cam on 2"),
    ]),
    ("a stream made without an answer", &[
        (r#"command 0 @0 "createStream", 0, null"#, ""),
        (r#"command 2 @0 "publish", 0, null, "cam""#, "publish live/cam on 2"),
    ]),
    ("bandwidth that changes", &[
        ("bandwidth 5000 hard", "> window 5000"),
        ("bandwidth 5000 hard", ""),
        ("bandwidth 0 hard", ""),
        ("bandwidth 6000 soft", "> window 6000"),
    ]),
];

#[test]
fn conversations() {
    let mut failures = Failures::default();
    for (name, steps) in CONVERSATIONS {
        let mut peer = connected();
        for (step, want) in steps {
            let got = taken(&mut peer, step);
            failures.compare(&format!("{name}: {step}"), &got, want);
        }
    }
    failures.check();
}

/// A peer that is connected to `live` and has stream 1.
fn connected() -> Peer {
    let mut peer = Peer::new();
    for call in [
        r#""connect", 1, {app: "live"}"#,
        r#""createStream", 2, null"#,
    ] {
        peer.called(0, call).expect("no violation");
    }
    peer
}

/// Decisions on who wants to connect: what the client is told, and what it publishes then.
#[rustfmt::skip]
const DECISIONS: [(&str, &str, &str); 3] = [
    ("accept", "window; bandwidth; set-chunk-size; begin; _result", "publish live/cam on 1"),
    ("rename", "window; bandwidth; set-chunk-size; begin; _result", "publish studio/cam on 1"),
    ("reject", "_error", "> _error 5 null error NetConnection.Call.Failed on 1"),
];

#[test]
fn who_wants_to_connect_is_told_nothing_before_the_decision() {
    let too_early = [
        ("audio 1 @0 af 00", "ignored: media before connect"),
        (
            r#"command 0 @0 "createStream", 7, null"#,
            "> _error 7 null error NetConnection.Call.Failed on 0",
        ),
        (
            r#"command 0 @0 "connect", 7, {app: "other"}"#,
            "refused NetConnection.Connect.Rejected; > _error 7 null error NetConnection.Connect.Rejected on 0; close",
        ),
    ];
    let mut failures = Failures::default();
    for (decision, told, publish) in DECISIONS {
        let mut peer = Peer::new();
        let asked = peer.says(r#"command 0 @0 "connect", 3, {app: "live", flashVer: "me"}"#);
        failures.compare(decision, &asked, r#"connect live "me""#);
        for (step, want) in too_early {
            failures.compare(step, &taken(&mut peer, step), want);
        }
        let mut events = Vec::new();
        match decision {
            "reject" => peer.0.reject_connect("No.", &mut events),
            _ => {
                let other = (decision == "rename").then(|| "studio?k=v".to_owned());
                let sent = peer.0.accept_connect(other).into_iter();
                events.extend(sent.map(SessionEvent::Send));
            }
        }
        let names = events.iter().filter_map(|event| match event {
            SessionEvent::Send(message) => Some(render::message(message)),
            _ => None,
        });
        let names: Vec<_> = names
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        failures.compare(decision, &names.join("; "), told);
        let closes = events.contains(&SessionEvent::Close);
        assert_eq!(closes, decision == "reject");
        // It is decided on once.
        assert!(peer.0.accept_connect(None).is_empty());
        taken(&mut peer, r#"command 0 @0 "createStream", 4, null"#);
        let step = r#"command 1 @0 "publish", 5, null, "cam""#;
        failures.compare(decision, &taken(&mut peer, step), publish);
    }
    failures.check();
}

fn taken(peer: &mut Peer, step: &str) -> String {
    match step.split_once(' ') {
        Some(("accept", stream)) => peer.accepts(stream.parse().expect("a stream")),
        Some(("reject", stream)) => {
            let stream = StreamId(stream.parse().expect("a stream"));
            let mut events = Vec::new();
            peer.0
                .reject(stream, code::PUBLISH_DENIED, "No.", &mut events);
            super::line(&events)
        }
        _ => peer.hears(step).expect("no violation"),
    }
}

#[test]
fn streams_are_few_and_numbered_from_the_lowest() {
    let mut peer = connected();
    for id in 2..=16 {
        let got = peer.called(0, r#""createStream", 7, null"#);
        assert_eq!(got, Ok(format!("> _result 7 null {id} on 0")));
    }
    let full = "> _error 7 null error NetConnection.Call.Failed on 0";
    assert_eq!(
        peer.called(0, r#""createStream", 7, null"#).as_deref(),
        Ok(full)
    );
    peer.called(0, r#""deleteStream", 0, null, 5"#)
        .expect("no violation");
    peer.called(0, r#""deleteStream", 0, null, 3"#)
        .expect("no violation");
    let rows = ["> _result 7 null 3 on 0", "> _result 7 null 5 on 0", full];
    for want in rows {
        assert_eq!(
            peer.called(0, r#""createStream", 7, null"#).as_deref(),
            Ok(want)
        );
    }
}

#[test]
fn bytes_are_acknowledged_as_the_client_asks() {
    let mut peer = connected();
    peer.0.count_received(3073 + 300);
    assert_eq!(peer.0.acknowledgement(), None, "nobody asked yet");
    peer.hears("window 5000").expect("no violation");
    assert_eq!(peer.0.acknowledgement(), None, "not so many yet");
    peer.0.count_received(5000 - 3373);
    let sent = peer
        .0
        .acknowledgement()
        .map(|message| crate::support::render::message(&message));
    assert_eq!(sent.as_deref(), Some("ack 5000"));
    assert_eq!(peer.0.acknowledgement(), None, "once is enough");
    assert_eq!(peer.0.received(), 5000);
}

/// Set Peer Bandwidth binds a client that announces no window of its own.
#[test]
fn bytes_are_acknowledged_in_the_window_that_was_imposed() {
    let mut peer = connected();
    peer.hears("window 0").expect("no violation");
    peer.0.count_received(2_499_999);
    assert_eq!(peer.0.acknowledgement(), None);
    peer.0.count_received(1);
    let sent = peer
        .0
        .acknowledgement()
        .map(|message| crate::support::render::message(&message));
    assert_eq!(sent.as_deref(), Some("ack 2500000"));
}

#[test]
fn who_can_reconnect_said_so() {
    let rows = [
        (r#""connect", 1, {app: "live"}"#, false),
        (r#""connect", 1, {app: "live", capsEx: 14}"#, false),
        (r#""connect", 1, {app: "live", capsEx: 15}"#, true),
        (r#""connect", 1, {app: "live", capsEx: "15"}"#, false),
        (r#""connect", 1, {app: "live", capsEx: 1.5}"#, false),
        (r#""connect", 1, {capsEx: 15}"#, false),
    ];
    for (call, want) in rows {
        let mut peer = Peer::new();
        assert!(!peer.0.can_reconnect());
        peer.called(0, call).expect("no violation");
        assert_eq!(peer.0.can_reconnect(), want, "{call}");
    }
}
