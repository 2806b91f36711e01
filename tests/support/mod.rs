//! A server of our own on a free port, and a client that speaks to it over a real socket and
//! writes down what it is told, one line a message.

#![allow(dead_code)] // each binary uses its own part

pub mod browser;
pub mod http;
pub mod notation;
pub mod other_server;
pub mod page;
pub mod process;
pub mod readers;
pub mod real;
pub mod render;
pub mod web_service;

use rtmp_server::amf0::Value;
use rtmp_server::args::{self, Invocation};
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::command::Call;
use rtmp_server::rtmp::control::{Control, UserControl};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, handshake, status};
use rtmp_server::server::Server;
use rtmp_server::systemd::PassedSockets;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything that should happen may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing has to happen before a test believes that nothing does.
pub const SILENCE: Duration = Duration::from_millis(250);

/// A running server; dropping it stops it.
pub struct TestServer {
    server: Option<Server>,
    pub addr: SocketAddr,
}

impl TestServer {
    /// Starts one on a [free port](free_addr) with these further flags. It passes each message on at once,
    /// so that what was answered before is known to have been done.
    pub fn start(flags: &str) -> TestServer {
        let addr = free_addr();
        let line = format!("-listen {addr} -log-level error -merge 0 {flags}");
        let action = args::parse(line.split_whitespace().map(str::to_owned)).expect("flags");
        let Invocation::Run(config) = action else {
            panic!("{line}")
        };
        rtmp_server::log::init(config.log_level, config.log_format);
        let server = Server::start(&config, PassedSockets::default()).expect("start");
        let addr = server.addrs()[0];
        TestServer {
            server: Some(server),
            addr,
        }
    }

    /// Where it serves media over HTTP: it was started with `-http-listen`.
    pub fn media_addr(&self) -> SocketAddr {
        self.server().media_addrs()[0]
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("runs")
    }

    /// Stops it; whether everything was done in time.
    pub fn stop(&mut self, limit: Duration) -> bool {
        self.server.take().expect("runs").stop(limit)
    }

    /// Waits until connections, streams and viewers are as many as this.
    pub fn wait_for_count(&self, want: (usize, usize, usize)) {
        let end = Instant::now() + PATIENCE;
        while self.server().count() != want {
            assert!(
                Instant::now() < end,
                "connections, streams and viewers are {:?}, not {want:?}: {:#?}",
                self.server().count(),
                self.server().snapshot().connections
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A client with its handshake done.
    pub fn client(&self) -> Client {
        Client::shake_hands(self.addr)
    }

    /// A client that is connected to the app `live` and has stream 1.
    pub fn connected(&self) -> Client {
        Client::connected(self.addr)
    }

    /// A client that publishes `live/NAME` on stream 1.
    pub fn publisher(&self, name: &str) -> Client {
        Client::publishing(self.addr, name)
    }

    /// A client that has asked to play `live/NAME` on stream 1.
    pub fn player(&self, name: &str) -> Client {
        Client::asking_to_play(self.addr, name)
    }

    /// A client that plays `live/NAME` and was told so.
    pub fn playing(&self, name: &str) -> Client {
        Client::playing(self.addr, name)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
    }
}

/// An address that nobody listens on, and that the system gives to nobody: its port is below those
/// that sockets without one of their own get, and no other test of this process gets it. So a relay that
/// still looks for the server of another test does not find this one.
pub fn free_addr() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 37 + NEXT.fetch_add(1, Ordering::Relaxed);
        let addr = SocketAddr::from(([127, 0, 0, 1], 16_000 + (number % 16_000) as u16));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client over a real socket.
pub struct Client {
    pub socket: TcpStream,
    decoder: Decoder,
    encoder: Encoder,
    unread: Vec<u8>,
}

impl Client {
    pub fn shake_hands(addr: SocketAddr) -> Client {
        Self::shake_hands_with(addr, |_, s1| *s1)
    }

    /// As `shake_hands`, with a C2 made from C1 and S1.
    pub fn shake_hands_with(
        addr: SocketAddr,
        c2: impl FnOnce(
            &handshake::HandshakePacket,
            &handshake::HandshakePacket,
        ) -> handshake::HandshakePacket,
    ) -> Client {
        Self::shake_hands_over(TcpStream::connect(addr).expect("connect"), c2)
    }

    /// As `shake_hands_with`, over a connection that there is.
    pub fn shake_hands_over(
        mut socket: TcpStream,
        c2: impl FnOnce(
            &handshake::HandshakePacket,
            &handshake::HandshakePacket,
        ) -> handshake::HandshakePacket,
    ) -> Client {
        socket.set_nodelay(true).expect("nodelay");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let hello = handshake::hello(0, &handshake::random(7));
        socket
            .write_all(&[&[3][..], &hello].concat())
            .expect("C0 C1");
        let mut answer = [0; 1 + 2 * handshake::PACKET_LEN];
        socket.read_exact(&mut answer).expect("S0 S1 S2");
        let s1 = answer[1..1 + handshake::PACKET_LEN].try_into().expect("S1");
        socket.write_all(&c2(&hello, &s1)).expect("C2");
        Client {
            socket,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            unread: Vec::new(),
        }
    }

    /// Connected to the app `live`, with stream 1.
    pub fn connected(addr: SocketAddr) -> Client {
        let mut client = Client::shake_hands(addr);
        client.connect("live");
        client.create_stream();
        client
    }

    /// Publishing `live/NAME` on stream 1.
    pub fn publishing(addr: SocketAddr, name: &str) -> Client {
        let mut client = Client::connected(addr);
        client.call(
            1,
            "publish",
            0.0,
            vec![Value::text(name), Value::text("live")],
        );
        client.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
        client
    }

    /// Having asked to play `live/NAME` on stream 1.
    pub fn asking_to_play(addr: SocketAddr, name: &str) -> Client {
        let mut client = Client::connected(addr);
        client.call(1, "play", 0.0, vec![Value::text(name), Value::Number(-2.0)]);
        client
    }

    /// Playing `live/NAME`, and told so.
    pub fn playing(addr: SocketAddr, name: &str) -> Client {
        let mut client = Client::asking_to_play(addr, name);
        client.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
        client
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("send");
    }

    pub fn send(&mut self, message: &Message) {
        self.try_send(message).expect("send");
    }

    pub fn try_send(&mut self, message: &Message) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.encoder.encode(message, &mut bytes);
        self.socket.write_all(&bytes)
    }

    pub fn call(&mut self, stream: u32, name: &str, transaction: f64, arguments: Vec<Value>) {
        self.send(&status::call(
            StreamId(stream),
            name,
            transaction,
            Value::Null,
            arguments,
        ));
    }

    pub fn connect(&mut self, app: &str) {
        self.connect_with(app, 0);
    }

    pub fn connect_with(&mut self, app: &str, caps_ex: u32) {
        let object = Value::object([
            ("app", Value::text(app)),
            ("capsEx", Value::Number(f64::from(caps_ex))),
        ]);
        self.send(&status::call(StreamId(0), "connect", 1.0, object, vec![]));
        self.expect(&[
            "window 2500000",
            "bandwidth 2500000 hard",
            "chunk-size 4096",
            "begin 0",
            "_result 1",
        ]);
    }

    /// Creates a stream and returns its id.
    pub fn create_stream(&mut self) -> u32 {
        self.call(0, "createStream", 2.0, vec![]);
        let line = self.next_line();
        let id = line
            .strip_prefix("_result 2 ")
            .unwrap_or_else(|| panic!("{line}"));
        id.parse().expect("stream id")
    }

    /// Sends media of stream 1, in the notation of [`media`].
    pub fn send_media(&mut self, lines: &[&str]) {
        for line in lines {
            self.send(&media(line));
        }
    }

    /// The next message; `None` at the end of the connection.
    pub fn receive(&mut self) -> Option<Message> {
        self.receive_within(PATIENCE)
    }

    /// The next message, if it comes in time; the socket's own time limit is the caller's.
    pub fn receive_within(&mut self, limit: Duration) -> Option<Message> {
        let end = Instant::now() + limit;
        loop {
            let mut input = &self.unread[..];
            let message = self
                .decoder
                .decode(&mut input)
                .expect("chunks of the server");
            let used = self.unread.len() - input.len();
            self.unread.drain(..used);
            if message.is_some() {
                return message;
            }
            assert!(Instant::now() < end, "the server says nothing");
            let mut buffer = vec![0; 256 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.unread.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the server says nothing: {error}"),
            }
        }
    }

    /// The next message as a line; `end` at the end of the connection.
    pub fn next_line(&mut self) -> String {
        self.receive()
            .map_or("end".to_owned(), |message| describe(&message))
    }

    /// The next messages are exactly these.
    pub fn expect(&mut self, lines: &[&str]) {
        for (index, want) in lines.iter().enumerate() {
            let got = self.next_line();
            assert!(
                got == *want || got.starts_with(&format!("{want} ")),
                "line {index}: {got:?} instead of {want:?}"
            );
        }
    }

    /// Whatever comes up to and including the first line that begins so.
    pub fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next_line();
            let found = line.starts_with(last);
            assert!(found || line != "end", "{last:?} did not come: {lines:?}");
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    /// Nothing comes for a while.
    pub fn expect_silence(&mut self) {
        assert!(self.unread.is_empty(), "bytes are left");
        self.socket
            .set_read_timeout(Some(SILENCE))
            .expect("timeout");
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => {
                self.unread.push(byte[0]);
                self.socket
                    .set_read_timeout(Some(PATIENCE))
                    .expect("timeout");
                panic!("{other:?}: {}", self.next_line());
            }
        }
        self.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("timeout");
    }

    /// Goes away without a word.
    pub fn vanish(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// A media message of stream 1: `V` key, inter, disposable, head, end; `A` sound or head; any of
/// them `bare-`, with nothing in it; `V` or `A` nothing, without a byte; `D` data; then a number that tells it from others, and `@` its time. For example `V key 3 @40`.
pub fn media(line: &str) -> Message {
    let words: Vec<&str> = line.split(' ').collect();
    let [medium, what, number, time] = words[..] else {
        panic!("{line:?}")
    };
    let number: u8 = number.parse().expect("number");
    let time: u32 = time
        .strip_prefix('@')
        .and_then(|time| time.parse().ok())
        .expect("time");
    let (kind, payload) = match (medium, what) {
        ("V", "head") => (MessageType::VIDEO, vec![0x17, 0, 0, 0, 0, number]),
        ("V", "key") => (MessageType::VIDEO, vec![0x17, 1, 0, 0, 0, number]),
        ("V", "inter") => (MessageType::VIDEO, vec![0x27, 1, 0, 0, 0, number]),
        ("V", "disposable") => (MessageType::VIDEO, vec![0x37, 1, 0, 0, 0, number]),
        ("V", "end") => (MessageType::VIDEO, vec![0x17, 2, 0, 0, 0, number]),
        ("V", "bare-head") => (MessageType::VIDEO, vec![0x17, 0, 0, 0, 0]),
        ("V", "bare-key") => (MessageType::VIDEO, vec![0x17, 1, 0, 0, 0]),
        ("V", "nothing") => (MessageType::VIDEO, vec![]),
        ("A", "bare-head") => (MessageType::AUDIO, vec![0xaf, 0]),
        ("A", "bare-sound") => (MessageType::AUDIO, vec![0xaf, 1]),
        ("A", "nothing") => (MessageType::AUDIO, vec![]),
        ("A", "head") => (MessageType::AUDIO, vec![0xaf, 0, number]),
        ("A", "sound") => (MessageType::AUDIO, vec![0xaf, 1, number]),
        ("D", "meta") => (
            MessageType::DATA,
            data(&["@setDataFrame", "onMetaData"], number),
        ),
        ("D", "text") => (MessageType::DATA, data(&["onTextData"], number)),
        other => panic!("{other:?}"),
    };
    Message {
        timestamp: Timestamp(time),
        kind,
        stream: StreamId(1),
        payload: payload.into(),
    }
}

fn data(names: &[&str], number: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    names
        .iter()
        .for_each(|name| Value::text(name).encode(&mut payload));
    Value::Number(f64::from(number)).encode(&mut payload);
    payload
}

/// A message in one line.
pub fn describe(message: &Message) -> String {
    let time = message.timestamp.0;
    let last = message.payload.last().copied().unwrap_or(0);
    match (message.kind, message.payload.first_chunk::<2>()) {
        (MessageType::VIDEO, Some([0x17, 0])) => format!("V head {last} @{time}"),
        (MessageType::VIDEO, Some([0x17, 1])) => format!("V key {last} @{time}"),
        (MessageType::VIDEO, Some([0x27, 1])) => format!("V inter {last} @{time}"),
        (MessageType::VIDEO, Some([0x37, 1])) => format!("V disposable {last} @{time}"),
        (MessageType::VIDEO, Some([0x17, 2])) => format!("V end {last} @{time}"),
        (MessageType::AUDIO, Some([0xaf, 0])) => format!("A head {last} @{time}"),
        (MessageType::AUDIO, Some([0xaf, 1])) => format!("A sound {last} @{time}"),
        (MessageType::DATA, _) => describe_data(message),
        (MessageType::COMMAND, _) => describe_command(message),
        (MessageType(1..=6), _) => describe_control(message),
        _ => format!("type {} {:02x?} @{time}", message.kind.0, message.payload),
    }
}

fn describe_data(message: &Message) -> String {
    let values = rtmp_server::amf0::decode(&message.payload).expect("AMF0");
    let name = values[0].as_text().unwrap_or("?");
    let number = values.last().and_then(Value::as_number).unwrap_or(-1.0);
    let what = match name {
        "onMetaData" => "meta",
        "onTextData" => "text",
        other => other,
    };
    format!("D {what} {number} @{}", message.timestamp.0)
}

fn describe_command(message: &Message) -> String {
    let call = Call::parse(message.kind, &message.payload).expect("command");
    let info = call.arguments.first().unwrap_or(&Value::Null);
    let code = info
        .get("code")
        .and_then(Value::as_text)
        .unwrap_or_default();
    let stream = message.stream.0;
    match (
        call.name.as_str(),
        info.get("level").and_then(Value::as_text),
    ) {
        ("onStatus", Some(level)) => {
            assert_eq!(call.transaction, 0.0, "onStatus has transaction 0");
            format!("{level}@{stream} {code}")
        }
        ("_result", _) if info.as_number().is_some() => {
            format!(
                "_result {} {}",
                call.transaction,
                info.as_number().unwrap_or_default()
            )
        }
        (name, _) => format!("{name} {} {code}", call.transaction)
            .trim_end()
            .to_owned(),
    }
}

fn describe_control(message: &Message) -> String {
    assert_eq!(
        message.stream,
        StreamId(0),
        "control belongs to the connection"
    );
    match Control::parse(message.kind, &message.payload).expect("control") {
        Control::SetChunkSize(size) => format!("chunk-size {size}"),
        Control::Abort(csid) => format!("abort {csid}"),
        Control::Acknowledgement(bytes) => format!("ack {bytes}"),
        Control::WindowAckSize(size) => format!("window {size}"),
        Control::SetPeerBandwidth { size, limit } => {
            format!(
                "bandwidth {size} {}",
                ["hard", "soft", "dynamic"][usize::from(limit.0)]
            )
        }
        Control::User(UserControl::StreamBegin(stream)) => format!("begin {}", stream.0),
        Control::User(UserControl::StreamEof(stream)) => format!("eof {}", stream.0),
        Control::User(UserControl::StreamDry(stream)) => format!("dry {}", stream.0),
        Control::User(UserControl::PingRequest(_)) => "ping".to_owned(),
        Control::User(UserControl::PingResponse(time)) => format!("pong {time}"),
        Control::User(other) => format!("{other:?}"),
    }
}
