//! Conversations: a server's session that is told anything, a client that is, and the two with each
//! other while messages between them are lost, doubled and damaged.

use super::draw::{Draw, blob};
use rtmp_server::amf0::{self, Value};
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::client::{Client, ClientEvent, ConnectTarget, Purpose};
use rtmp_server::rtmp::command::Call;
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::session::{STREAMS_MAX, Session, SessionEvent, StreamRequest};
use rtmp_server::rtmp::status::code;
use rtmp_server::rtmp::stream_key::KEY_LEN_MAX;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::collections::BTreeMap;

/// Names of commands that an input has by a number.
const NAMES: [&str; 24] = [
    "connect",
    "createStream",
    "publish",
    "play",
    "deleteStream",
    "closeStream",
    "FCPublish",
    "FCUnpublish",
    "releaseStream",
    "FCSubscribe",
    "play2",
    "seek",
    "pause",
    "pauseRaw",
    "receiveAudio",
    "receiveVideo",
    "getStreamLength",
    "_result",
    "_error",
    "onStatus",
    "onFCPublish",
    "onBWDone",
    "@setDataFrame",
    "other",
];

/// The head of a message that is a command of [`NAMES`]; others are a message type.
const COMMAND: u8 = 0xc0;

/// Messages of an input at most, and events that one message may have.
const MESSAGES_MAX: usize = 200;
const EVENTS_MAX: usize = 8;

/// The next message: its type and stream, and what is in it.
fn message(draw: &mut Draw) -> Message {
    let (head, stream) = (draw.u8(), u32::from(draw.u8()));
    // Few streams, and some that are far off.
    let stream = StreamId(if stream > 20 {
        stream << 24 | stream
    } else {
        stream
    });
    if head < COMMAND {
        let time = Timestamp(draw.u16().into());
        let kind = MessageType(head & 0x1f);
        let message = Message::untimed(kind, stream, draw.blob().to_vec());
        return Message {
            timestamp: time,
            ..message
        };
    }
    let name = NAMES[usize::from(head - COMMAND) % NAMES.len()];
    let mut payload = amf0::encode(&[Value::text(name), Value::Number(draw.u8().into())]);
    payload.extend_from_slice(draw.blob());
    Message::untimed(MessageType::COMMAND, stream, payload)
}

/// The input of [`session`] and [`client`] that means these messages.
pub fn written(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages.iter().filter(|message| message.kind.0 < 0x20) {
        out.extend([message.kind.0, message.stream.0.min(20) as u8]);
        out.extend((message.timestamp.0 as u16).to_be_bytes());
        out.extend(blob(&message.payload[..message.payload.len().min(600)]));
    }
    out
}

/// What a server knows of a session: what was asked for and granted.
struct Server {
    session: Session,
    streams: BTreeMap<StreamId, Use>,
    /// Requests that wait for their answer, as those for streams that are not there yet.
    waiting: BTreeMap<StreamId, Use>,
    is_connected: bool,
}

/// How requests are answered.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Yes,
    No,
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    Publishes,
    Plays,
}

impl Server {
    fn new() -> Server {
        Server {
            session: Session::new(4096),
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            is_connected: false,
        }
    }

    /// Takes a message and answers requests. What is to be sent; `None`: the connection is over.
    fn take(&mut self, message: Message, answer: Answer) -> Option<Vec<Message>> {
        let is_aggregate = message.kind == MessageType::AGGREGATE;
        let mut events = Vec::new();
        let result = self.session.handle(message, &mut events);
        assert!(is_aggregate || events.len() <= EVENTS_MAX, "{events:?}");
        result.ok()?;
        let mut sent = Vec::new();
        for event in events {
            sent.extend(self.event(event, answer)?);
        }
        Some(sent)
    }

    fn event(&mut self, event: SessionEvent, answer: Answer) -> Option<Vec<Message>> {
        match event {
            SessionEvent::Send(message) => return Some(vec![message]),
            SessionEvent::Connect(_) => return self.connect(answer),
            SessionEvent::Publish(request) => {
                return self.request(&request, Use::Publishes, answer);
            }
            SessionEvent::Play(request) => return self.request(&request, Use::Plays, answer),
            SessionEvent::PublishedAgain(stream) => {
                assert_eq!(self.streams.get(&stream), Some(&Use::Publishes));
            }
            SessionEvent::Ended(stream) => {
                assert!(self.streams.remove(&stream).is_some(), "the end of nothing");
            }
            SessionEvent::Media(message) => {
                let used = self.streams.get(&message.stream);
                assert_eq!(used, Some(&Use::Publishes), "media of nobody");
            }
            SessionEvent::Pause(stream, _) | SessionEvent::Receive(stream, ..) => {
                assert_eq!(self.streams.get(&stream), Some(&Use::Plays));
            }
            SessionEvent::Close => return None,
            SessionEvent::Refused(..) | SessionEvent::Ignored(_) | SessionEvent::Unreadable(_) => {}
        }
        Some(Vec::new())
    }

    fn connect(&mut self, answer: Answer) -> Option<Vec<Message>> {
        assert!(!self.is_connected, "connected again");
        match answer {
            Answer::Yes => {
                self.is_connected = true;
                let sent = self.session.accept_connect(None);
                assert!(!sent.is_empty(), "nothing to accept");
                assert!(self.session.accept_connect(None).is_empty(), "twice");
                Some(sent)
            }
            Answer::No => {
                let mut events = Vec::new();
                self.session.reject_connect("no", &mut events);
                assert_eq!(events.last(), Some(&SessionEvent::Close));
                None
            }
            Answer::Later => Some(Vec::new()),
        }
    }

    fn request(
        &mut self,
        request: &StreamRequest,
        wanted: Use,
        answer: Answer,
    ) -> Option<Vec<Message>> {
        let (stream, key) = (request.stream, request.path.key.as_str());
        assert!(self.is_connected && (1..=STREAMS_MAX).contains(&stream.0));
        assert!(!self.streams.contains_key(&stream), "used already");
        assert!((1..=KEY_LEN_MAX).contains(&key.len()));
        self.waiting.insert(stream, wanted);
        match answer {
            Answer::Yes => {
                let sent = self.accept(stream);
                assert!(!sent.is_empty(), "nothing to accept");
                Some(sent)
            }
            Answer::No => {
                let mut events = Vec::new();
                self.session
                    .reject(stream, code::BAD_NAME, "no", &mut events);
                assert_eq!(events.last(), Some(&SessionEvent::Close));
                None
            }
            Answer::Later => Some(Vec::new()),
        }
    }

    /// Grants what waits on a stream, if it still does.
    fn accept(&mut self, stream: StreamId) -> Vec<Message> {
        let sent = self.session.accept(stream);
        assert!(self.session.accept(stream).is_empty(), "accepted twice");
        let wanted = self.waiting.remove(&stream);
        if let Some(wanted) = wanted.filter(|_| !sent.is_empty()) {
            self.streams.insert(stream, wanted);
        }
        sent
    }

    /// Grants all that waits.
    fn accept_all(&mut self) -> Vec<Message> {
        let connected = self.session.accept_connect(None);
        self.is_connected |= !connected.is_empty();
        let waiting: Vec<StreamId> = self.waiting.keys().copied().collect();
        let granted = waiting.into_iter().flat_map(|stream| self.accept(stream));
        connected.into_iter().chain(granted).collect()
    }
}

/// What is sent can be read, by type and as chunks.
fn check_sent(messages: &[Message]) {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::default();
    for message in messages {
        match message.kind {
            MessageType::COMMAND => {
                let call = Call::parse(message.kind, &message.payload).expect("a call");
                // Only connect is answered whether it wants that or not: with an object.
                let is_wanted = call.transaction != 0.0 || call.object != Value::Null;
                assert!(call.name != "_result" || is_wanted, "{call:?}");
            }
            MessageType::DATA => {}
            kind => _ = Control::parse(kind, &message.payload).expect("a control message"),
        }
        encoder.encode(message, &mut bytes);
    }
    let (mut decoder, mut input) = (Decoder::default(), &bytes[..]);
    for message in messages {
        assert_eq!(
            decoder.decode(&mut input).as_ref(),
            Ok(&Some(message.clone()))
        );
    }
    assert!(input.is_empty());
}

/// A session that is told anything answers with what can be read, takes media only on streams that
/// publish, and asks for each thing once.
pub fn session(data: &[u8]) {
    let mut draw = Draw(data);
    let mut server = Server::new();
    let mut count = 0;
    while !draw.is_empty() && count < MESSAGES_MAX {
        let answer = match draw.0[0] {
            0xff => Answer::No,
            0xe0..=0xfe => Answer::Later,
            head => {
                // Now and then a stream comes that was waited for.
                if head & 0x20 != 0 {
                    check_sent(&server.accept_all());
                }
                Answer::Yes
            }
        };
        let before = draw.0.len();
        let message = message(&mut draw);
        server.session.count_received(before - draw.0.len());
        let Some(sent) = server.take(message, answer) else {
            return;
        };
        check_sent(&sent);
        check_sent(server.session.acknowledgement().as_slice());
        count += 1;
    }
    let total = (data.len() - draw.0.len()) as u64;
    assert_eq!(server.session.received(), total);
}

fn new_client(purpose: Purpose, name: String) -> Client {
    let target = ConnectTarget {
        app: "live".to_owned(),
        tc_url: "rtmp://host/live".to_owned(),
        name,
        via: vec!["one".to_owned()],
    };
    Client::new(purpose, target)
}

/// A client that is told anything: it begins once, sends what can be read, and tells no secret that a
/// reply has.
pub fn client(data: &[u8]) {
    let mut draw = Draw(data);
    let purpose = match draw.u8() & 1 {
        0 => Purpose::Publish,
        _ => Purpose::Play,
    };
    const NAME: &str = "cam-sEcReT";
    let mut client = new_client(purpose, NAME.to_owned());
    check_sent(&client.begin(4096));
    let (mut count, mut started) = (0, 0);
    while !draw.is_empty() && count < MESSAGES_MAX {
        let message = message(&mut draw);
        client.count_received(message.payload.len() + 12);
        let mut events = Vec::new();
        if let Err(error) = client.handle(message, &mut events) {
            let text = error.to_string();
            assert!(!text.contains(NAME), "{text}");
            break;
        }
        for event in events {
            match event {
                ClientEvent::Send(message) => check_sent(&[message]),
                ClientEvent::Started(stream) => {
                    assert!(stream.0 > 0);
                    started += 1;
                }
                ClientEvent::Media(_) | ClientEvent::Ended | ClientEvent::Unreadable(_) => {}
            }
        }
        check_sent(client.acknowledgement().as_slice());
        count += 1;
    }
    assert!(started <= 1, "started {started} times");
    check_sent(&client.end());
}

/// What becomes of a message on its way.
fn on_its_way(draw: &mut Draw, message: Message) -> Vec<Message> {
    match draw.u8() {
        1 => vec![],
        2 => vec![message.clone(), message],
        3 => {
            let mut payload = message.payload.to_vec();
            let (at, flip) = (usize::from(draw.u16()), draw.u8());
            if let Some(byte) = payload.get_mut(at) {
                *byte ^= flip;
            }
            vec![Message {
                payload: payload.into(),
                ..message
            }]
        }
        4 => {
            let len = usize::from(draw.u8()).min(message.payload.len());
            let payload = message.payload[..len].into();
            vec![Message { payload, ..message }]
        }
        _ => vec![message],
    }
}

/// A client and a server: undisturbed they get along, for any name that can be one.
pub fn pair(data: &[u8]) {
    let mut draw = Draw(data);
    let purpose = match draw.u8() & 1 {
        0 => Purpose::Publish,
        _ => Purpose::Play,
    };
    let name = draw.text();
    let is_undisturbed = draw.is_empty();
    let is_name = rtmp_server::rtmp::stream_key::StreamPath::new("live", &name).is_ok();
    let mut client = new_client(purpose, name);
    let mut server = Server::new();
    let (mut to_server, mut started) = (client.begin(4096), false);
    for _ in 0..12 {
        let mut to_client = Vec::new();
        for message in std::mem::take(&mut to_server) {
            for message in on_its_way(&mut draw, message) {
                let Some(sent) = server.take(message, Answer::Yes) else {
                    assert!(!is_undisturbed || !is_name, "hung up");
                    return;
                };
                to_client.extend(sent);
            }
        }
        check_sent(&to_client);
        for message in to_client {
            for message in on_its_way(&mut draw, message) {
                let mut events = Vec::new();
                if client.handle(message, &mut events).is_err() {
                    assert!(!is_undisturbed || !is_name, "refused");
                    return;
                }
                for event in events {
                    match event {
                        ClientEvent::Send(message) => to_server.push(message),
                        ClientEvent::Started(_) => started = true,
                        _ => {}
                    }
                }
            }
        }
    }
    let granted = match purpose {
        Purpose::Publish => Use::Publishes,
        Purpose::Play => Use::Plays,
    };
    if is_undisturbed && is_name {
        assert!(started && server.streams.values().any(|used| *used == granted));
        let ended = client.end();
        let ended = ended
            .into_iter()
            .all(|message| server.take(message, Answer::Yes).is_some());
        assert!(ended && server.streams.is_empty(), "not over");
    }
}
