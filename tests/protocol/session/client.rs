//! What a client does with what a server says once it has begun.

use super::Failures;
use super::pair::client_event;
use crate::support::notation::Notation;
use crate::support::render;
use rtmp_server::rtmp::client::{Client, ClientEvent, ConnectTarget, Error, Purpose};

/// What the server says, and what follows from it.
type Steps = &'static [(&'static str, &'static str)];

const WELCOME: &str = r#"command 0 @0 "_result", 1, {}, {level: "status"}"#;
const STREAM_3: &str = r#"command 0 @0 "_result", 4, null, 3"#;

#[rustfmt::skip]
const CONVERSATIONS: [(&str, Purpose, Steps); 6] = [
    ("play", Purpose::Play, &[
        (WELCOME, "> createStream 4 null on 0"),
        (WELCOME, ""),
        (STREAM_3, r#"> play 0 null "cam" -2 on 3; > buffer-length 3 3000"#),
        ("begin 3", ""),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.Reset"}"#, ""),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.Start"}"#, "started 3"),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.Start"}"#, ""),
        (r#"data 3 @0 "|RtmpSampleAccess", true, true"#, "data @0 24 bytes on 3"),
        (r#"data3 3 @0 "|RtmpSampleAccess", true, true"#, "data @0 24 bytes on 3"),
        ("video 3 @40 17 00", "video @40 2 bytes on 3"),
        ("aggregate 3 @100 audio @0 af | video @9 17", "audio @100 1 bytes on 3; video @109 1 bytes on 3"),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.Stop"}"#, "ended"),
    ]),
    ("publish", Purpose::Publish, &[
        (WELCOME, r#"> releaseStream 2 null "cam" on 0; > FCPublish 3 null "cam" on 0; > createStream 4 null on 0"#),
        (r#"command 0 @0 "_error", 2, null, {level: "error", code: "NetConnection.Call.Failed"}"#, ""),
        (r#"command 0 @0 "_result", 3, null, null"#, ""),
        (STREAM_3, r#"> publish 0 null "cam" "live" on 3"#),
        (r#"command 0 @0 "onFCPublish", 0, null, {}"#, ""),
        (r#"command 0 @0 "onFCPublish""#, "unreadable: command has no transaction number"),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Publish.Start"}"#, "started 3"),
        (r#"command 0 @0 "onBWDone", 0, null"#, ""),
    ]),
    ("answers out of order", Purpose::Play, &[
        (STREAM_3, ""),
        (r#"command 3 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.Start"}"#, ""),
        (WELCOME, "> createStream 4 null on 0"),
    ]),
    ("ends", Purpose::Play, &[
        ("eof 1", "ended"),
        (r#"command 1 @0 "onStatus", 0, null, {level: "status", code: "NetStream.Play.UnpublishNotify"}"#, "ended"),
        (r#"command 1 @0 "onStatus", 0, null"#, ""),
        ("dry 1", ""),
    ]),
    ("control", Purpose::Publish, &[
        ("window 5000", ""),
        ("window 0", ""),
        ("bandwidth 7000 dynamic", "> window 7000"),
        ("bandwidth 7000 hard", ""),
        ("bandwidth 0 hard", ""),
        ("bandwidth 8000 hard", "> window 8000"),
        ("ping 77", "> pong 77"),
        ("pong 77", ""),
        ("set-chunk-size 4096", ""),
    ]),
    ("behind the AMF3 format byte", Purpose::Play, &[
        (r#"command3 0 @0 "_result", 1, {}, {level: "status"}"#, "> createStream 4 null on 0"),
    ]),
];

#[test]
fn conversations() {
    let mut failures = Failures::default();
    for (name, purpose, steps) in CONVERSATIONS {
        let mut client = client(purpose);
        for (said, want) in steps {
            let mut events = Vec::new();
            for scripted in Notation::new(said).script().messages {
                client
                    .handle(scripted.message, &mut events)
                    .expect("no refusal");
            }
            let got = events
                .iter()
                .map(client_event)
                .collect::<Vec<_>>()
                .join("; ");
            failures.compare(&format!("{name}: {said}"), &got, want);
        }
    }
    failures.check();
}

#[test]
fn what_a_server_says_when_it_refuses_is_shown_without_secrets() {
    let rejected = r#"level: "error", code: "NetConnection.Connect.Rejected""#;
    let long = "x".repeat(300);
    #[rustfmt::skip]
    let rows = [
        (format!(r#""_error", 1, null, {{{rejected}, description: "no"}}"#), "server refused: NetConnection.Connect.Rejected: no"),
        (r#""onStatus", 0, null, {level: "error", code: "NetStream.Publish.BadName", description: "Stream cam-key is taken"}"#.to_owned(), "server refused: NetStream.Publish.BadName: Stream *** is taken"),
        (r#""onStatus", 0, null, {level: "error", code: "cam-key", description: "rtmp://h/live/inst/cam-key?token=s3cret s3cret inst"}"#.to_owned(), "server refused: ***: rtmp://h/live/*** *** ***"),
        (r#""onStatus", 0, null, {level: "error", code: "a", description: "other?auth=1 u:p@h"}"#.to_owned(), "server refused: a: other?*** ***@h"),
        (format!(r#""_error", 1, null, {{{rejected}, description: "{long}"}}"#), &*format!("server refused: NetConnection.Connect.Rejected: {}…", &long[..253])),
        (format!(r#""_error", 1, null, {{{rejected}, ex: {{code: 302, redirect: "rtmp://b/app"}}}}"#), "to rtmp://b/app"),
        (format!(r#""onStatus", 0, null, {{{rejected}, ex: {{code: 302, redirect: "rtmp://b/app"}}}}"#), "to rtmp://b/app"),
        (format!(r#""_error", 1, null, {{{rejected}, description: "d", ex: {{code: 301, redirect: "rtmp://b/app"}}}}"#), "server refused: NetConnection.Connect.Rejected: d"),
        (format!(r#""_error", 1, null, {{{rejected}, description: "d", ex: {{code: 302, redirect: ""}}}}"#), "server refused: NetConnection.Connect.Rejected: d"),
        (r#""onStatus", 0, null, {level: "status", code: "NetConnection.Connect.ReconnectRequest", tcUrl: "rtmp://b/app"}"#.to_owned(), r#"anew Some("rtmp://b/app")"#),
        (r#""onStatus", 0, null, {level: "status", code: "NetConnection.Connect.ReconnectRequest"}"#.to_owned(), "anew None"),
    ];
    let mut failures = Failures::default();
    for (said, want) in rows {
        let mut client = client_of(Purpose::Publish, "live/inst", "cam-key?token=s3cret");
        let mut script = Notation::new(&format!("command 0 @0 {said}")).script();
        let result = client.handle(script.messages.remove(0).message, &mut Vec::new());
        let got = match result.expect_err(&said) {
            Error::Redirected(to) => format!("to {to}"),
            Error::Reconnect(to) => format!("anew {to:?}"),
            error => error.to_string(),
        };
        failures.compare(&said, &got, want);
    }
    failures.check();
}

fn client(purpose: Purpose) -> Client {
    client_of(purpose, "live", "cam")
}

fn client_of(purpose: Purpose, app: &str, name: &str) -> Client {
    let target = ConnectTarget {
        app: app.to_owned(),
        tc_url: format!("rtmp://h/{app}"),
        name: name.to_owned(),
        via: Vec::new(),
    };
    Client::new(purpose, target)
}

#[test]
fn a_client_says_what_it_can() {
    let rows = [
        (Purpose::Publish, r#"type: "nonprivate", "#),
        (Purpose::Play, ""),
    ];
    for (purpose, kind) in rows {
        let begin = client(purpose).begin(5000);
        let lines: Vec<String> = begin.iter().map(render::message).collect();
        let connect = format!(
            r#"connect 1 {{app: "live", {kind}flashVer: "FMLE/3.0 (compatible; rtmp-server)", tcUrl: "rtmp://h/live", fourCcList: ["*"], videoFourCcInfoMap: {{"*": 4}}, audioFourCcInfoMap: {{"*": 4}}, capsEx: 15}} on 0"#
        );
        assert_eq!(lines, ["set-chunk-size 5000", &connect]);
    }
}

#[test]
fn a_client_ends_only_what_it_began() {
    let mut client = client(Purpose::Publish);
    assert_eq!(client.end(), []);
    let mut events: Vec<ClientEvent> = Vec::new();
    for said in [WELCOME, STREAM_3] {
        for scripted in Notation::new(said).script().messages {
            client
                .handle(scripted.message, &mut events)
                .expect("no refusal");
        }
    }
    let lines: Vec<String> = client.end().iter().map(render::message).collect();
    assert_eq!(
        lines,
        [
            r#"FCUnpublish 5 null "cam" on 0"#,
            "deleteStream 0 null 3 on 0"
        ]
    );
}

#[test]
fn a_client_acknowledges() {
    let mut client = client(Purpose::Play);
    client.count_received(3073);
    assert_eq!(client.acknowledgement(), None);
    for scripted in Notation::new("window 4000").script().messages {
        client
            .handle(scripted.message, &mut Vec::new())
            .expect("no refusal");
    }
    client.count_received(926);
    assert_eq!(client.acknowledgement(), None);
    client.count_received(1);
    let sent = client
        .acknowledgement()
        .map(|message| render::message(&message));
    assert_eq!(sent.as_deref(), Some("ack 4000"));
}
