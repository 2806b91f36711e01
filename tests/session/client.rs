//! What a client does with what a server says once it has begun.

use crate::notation::Notation;
use crate::pair::client_event;
use crate::{Failures, render};
use rtmp_server::rtmp::client::{Client, Event, Purpose, Target};

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

fn client(purpose: Purpose) -> Client {
    let text = str::to_owned;
    let target = Target {
        app: text("live"),
        tc_url: text("rtmp://h/live"),
        name: text("cam"),
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
            r#"connect 1 {{app: "live", {kind}flashVer: "FMLE/3.0 (compatible; rtmp-server)", tcUrl: "rtmp://h/live", fourCcList: ["*"], videoFourCcInfoMap: {{"*": 4}}, audioFourCcInfoMap: {{"*": 4}}, capsEx: 14}} on 0"#
        );
        assert_eq!(lines, ["set-chunk-size 5000", &connect]);
    }
}

#[test]
fn a_client_ends_only_what_it_began() {
    let mut client = client(Purpose::Publish);
    assert_eq!(client.end(), []);
    let mut events: Vec<Event> = Vec::new();
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
