//! A client and a server session, each fed with what the other sends, over chunks.

use crate::support::render;
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::client::{self, Client, ConnectTarget, Purpose};
use rtmp_server::rtmp::session::{Session, SessionEvent};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, status};

/// One direction of a connection.
#[derive(Default)]
struct Transport {
    encoder: Encoder,
    decoder: Decoder,
}

impl Transport {
    fn carry(&mut self, messages: &[Message]) -> Vec<Message> {
        let mut bytes = Vec::new();
        messages
            .iter()
            .for_each(|message| self.encoder.encode(message, &mut bytes));
        let (mut input, mut carried) = (&bytes[..], Vec::new());
        while let Some(message) = self.decoder.decode(&mut input).expect("our own chunks") {
            carried.push(message);
        }
        assert_eq!(carried, messages);
        carried
    }
}

struct Pair {
    client: Client,
    session: Session,
    up: Transport,
    down: Transport,
    /// All that was said and done, the client's side behind `C`, the server's behind `S`.
    log: Vec<String>,
}

impl Pair {
    fn new(purpose: Purpose) -> Pair {
        let target = ConnectTarget {
            app: "live?k=v".to_owned(),
            tc_url: "rtmp://b.example/live".to_owned(),
            name: "cam?t=s".to_owned(),
            via: Vec::new(),
        };
        Pair {
            client: Client::new(purpose, target),
            session: Session::new(4096),
            up: Transport::default(),
            down: Transport::default(),
            log: Vec::new(),
        }
    }

    fn note(&mut self, side: char, line: String) {
        self.log.push(format!("{side} {line}"));
    }

    /// Carries messages to the server, what it answers to the client, and so on, until both are
    /// silent. The server grants every request.
    fn client_sends(&mut self, messages: Vec<Message>) -> Result<(), client::Error> {
        let mut replies = Vec::new();
        for message in self.up.carry(&messages) {
            let mut events = Vec::new();
            self.session
                .handle(message, &mut events)
                .expect("no violation");
            for event in events {
                self.note('S', render::event(&event));
                match event {
                    SessionEvent::Send(reply) => replies.push(reply),
                    SessionEvent::Connect(_) => {
                        for reply in self.session.accept_connect(None) {
                            self.note('S', format!("> {}", render::message(&reply)));
                            replies.push(reply);
                        }
                    }
                    SessionEvent::Publish(request) | SessionEvent::Play(request) => {
                        replies.extend(self.session.accept(request.stream));
                    }
                    _ => {}
                }
            }
        }
        if replies.is_empty() {
            Ok(())
        } else {
            self.server_sends(replies)
        }
    }

    fn server_sends(&mut self, messages: Vec<Message>) -> Result<(), client::Error> {
        let mut replies = Vec::new();
        for message in self.down.carry(&messages) {
            let mut events = Vec::new();
            self.client.handle(message, &mut events)?;
            for event in events {
                self.note('C', client_event(&event));
                if let client::ClientEvent::Send(reply) = event {
                    replies.push(reply);
                }
            }
        }
        if replies.is_empty() {
            Ok(())
        } else {
            self.client_sends(replies)
        }
    }

    fn begun(purpose: Purpose) -> Pair {
        let mut pair = Pair::new(purpose);
        let begin = pair.client.begin(60_000);
        pair.client_sends(begin).expect("a welcome");
        pair
    }
}

pub fn client_event(event: &client::ClientEvent) -> String {
    match event {
        client::ClientEvent::Send(message) => format!("> {}", render::message(message)),
        client::ClientEvent::Started(stream) => format!("started {}", stream.0),
        client::ClientEvent::Media(message) => render::message(message),
        client::ClientEvent::Ended => "ended".to_owned(),
        client::ClientEvent::Unreadable(error) => format!("unreadable: {error}"),
    }
}

fn media() -> Vec<Message> {
    let kinds = [
        MessageType::DATA,
        MessageType::VIDEO,
        MessageType::AUDIO,
        MessageType::VIDEO,
    ];
    let message = |(at, kind): (u32, MessageType)| Message {
        timestamp: Timestamp((u32::MAX - 30).wrapping_add(40 * at)),
        kind,
        stream: StreamId(1),
        payload: vec![at as u8; 5000].into(),
    };
    (0..).zip(kinds).take(4).map(message).collect()
}

const CONNECTED: [&str; 7] = [
    r#"S connect live "FMLE/3.0 (compatible; rtmp-server)""#,
    "S > window 2500000",
    "S > bandwidth 2500000 hard",
    "S > set-chunk-size 4096",
    "S > begin 0",
    concat!(
        r#"S > _result 1 {fmsVer: "FMS/3,0,1,123", capabilities: 31, fourCcList: ["*"], "#,
        r#"videoFourCcInfoMap: {"*": 4}, audioFourCcInfoMap: {"*": 4}, capsEx: 15} "#,
        "status NetConnection.Connect.Success on 0",
    ),
    "C > window 2500000",
];

const MEDIA: [&str; 4] = [
    "data @4294967265 5000 bytes on 1",
    "video @9 5000 bytes on 1",
    "audio @49 5000 bytes on 1",
    "video @89 5000 bytes on 1",
];

fn media_of(side: char) -> Vec<String> {
    MEDIA.iter().map(|line| format!("{side} {line}")).collect()
}

#[test]
fn a_client_publishes() {
    let mut pair = Pair::begun(Purpose::Publish);
    let rest = [
        r#"C > releaseStream 2 null "cam?t=s" on 0"#,
        r#"C > FCPublish 3 null "cam?t=s" on 0"#,
        "C > createStream 4 null on 0",
        "S > _result 2 null null on 0",
        "S > _result 3 null null on 0",
        "S > onFCPublish 0 null status NetStream.Publish.Start on 0",
        "S > _result 4 null 1 on 0",
        r#"C > publish 0 null "cam?t=s" "live" on 1"#,
        "S publish live/cam on 1",
        "C started 1",
    ];
    assert_eq!(pair.log, [&CONNECTED[..], &rest].concat());
    pair.log.clear();
    pair.client_sends(media()).expect("no refusal");
    assert_eq!(pair.log, media_of('S'));
    pair.log.clear();
    let end = pair.client.end();
    pair.client_sends(end).expect("no refusal");
    let ended = [
        "S ended 1",
        "S > _result 5 null null on 0",
        "S > onFCUnpublish 0 null status NetStream.Unpublish.Success on 0",
    ];
    assert_eq!(pair.log, ended);
}

#[test]
fn a_client_plays() {
    let mut pair = Pair::begun(Purpose::Play);
    let rest = [
        "C > createStream 4 null on 0",
        "S > _result 4 null 1 on 0",
        r#"C > play 0 null "cam?t=s" -2 on 1"#,
        "C > buffer-length 1 3000",
        "S play live/cam on 1",
        "C started 1",
    ];
    assert_eq!(pair.log, [&CONNECTED[..], &rest].concat());
    pair.log.clear();
    pair.server_sends(media()).expect("no refusal");
    assert_eq!(pair.log, media_of('C'));
    pair.log.clear();
    pair.server_sends(status::play_end(StreamId(1), "cam").into())
        .expect("no refusal");
    assert_eq!(pair.log, ["C ended", "C ended"]);
    pair.log.clear();
    let end = pair.client.end();
    pair.client_sends(end).expect("no refusal");
    assert_eq!(pair.log, ["S ended 1"]);
}

#[test]
fn a_client_is_refused() {
    let refused = |code: &str| client::Error::Refused(code.to_owned(), "No.".to_owned());
    let connection = StreamId::CONTROL;
    let rejected = status::error(connection, 1.0, status::code::CONNECT_REJECTED, "No.");
    let failed = status::error(connection, 4.0, status::code::CALL_FAILED, "No.");
    let on_status = |code| status::on_status(StreamId(1), status::StatusLevel::Error, code, "No.");
    let rows = [
        (0, rejected, refused("NetConnection.Connect.Rejected")),
        (1, failed, refused("NetConnection.Call.Failed")),
        (
            1,
            status::result(4.0, rtmp_server::amf0::Value::Null),
            client::Error::NoStreamId,
        ),
        (
            1,
            status::result(4.0, rtmp_server::amf0::Value::Number(0.0)),
            client::Error::NoStreamId,
        ),
        (
            2,
            on_status(status::code::BAD_NAME),
            refused("NetStream.Publish.BadName"),
        ),
    ];
    let welcome = [
        status::connect_result(1.0, 0),
        status::result(4.0, rtmp_server::amf0::Value::Number(1.0)),
    ];
    for (steps, refusal, want) in rows {
        let mut client = Pair::new(Purpose::Publish).client;
        let mut events = Vec::new();
        for message in welcome.iter().take(steps) {
            client
                .handle(message.clone(), &mut events)
                .expect("a welcome");
        }
        let got = client.handle(refusal.clone(), &mut events);
        assert_eq!(got, Err(want), "{}", render::message(&refusal));
    }
}
