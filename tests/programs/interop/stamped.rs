//! A publisher that can start its timestamps anywhere, which no program here can: ffmpeg writes 31
//! bits of them, GStreamer starts at 0.

use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::client::{Client, ClientEvent, ConnectTarget, Purpose};
use rtmp_server::rtmp::handshake;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the server may take for each step.
const LIMIT: Duration = Duration::from_secs(10);

/// One tag of an FLV file (FLV E.4).
struct Tag {
    kind: u8,
    time: u32,
    body: Vec<u8>,
}

/// Publishes the FLV file `file` as `live/x`, at the pace of its timestamps, which count on from
/// `start`.
pub fn publish(server: SocketAddr, file: &Path, start: u32) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(text)?;
    let tags = tags(&bytes);
    let mut peer = Peer::connect(server).map_err(text)?;
    peer.shake_hands()?;
    let first = peer.client.begin(4096);
    peer.send(&first)?;
    let begun = Instant::now();
    let stream = loop {
        if let Some(stream) = peer.started {
            break stream;
        }
        if begun.elapsed() > LIMIT {
            return Err("publishing was not accepted in time".to_owned());
        }
        peer.receive(LIMIT)?;
    };
    let begun = Instant::now();
    for tag in tags {
        // What the server says meanwhile is answered: reading is what fills the time.
        let due = Duration::from_millis(u64::from(tag.time));
        while let Some(left) = due
            .checked_sub(begun.elapsed())
            .filter(|left| !left.is_zero())
        {
            peer.receive(left)?;
        }
        peer.send(&[message(tag, stream, start)])?;
    }
    let last = peer.client.end();
    peer.send(&last)?;
    peer.socket.shutdown(Shutdown::Write).map_err(text)
}

fn text(error: std::io::Error) -> String {
    format!("own client: {error}")
}

fn message(tag: Tag, stream: StreamId, start: u32) -> Message {
    let kind = MessageType(tag.kind);
    let payload = match kind {
        MessageType::DATA => [b"\x02\x00\x0d@setDataFrame".as_slice(), &tag.body].concat(),
        _ => tag.body,
    };
    Message {
        timestamp: Timestamp(start).plus(tag.time),
        kind,
        stream,
        payload: payload.into(),
    }
}

/// The tags of a whole FLV file: a header of 9 bytes, then tags between back pointers.
fn tags(mut file: &[u8]) -> Vec<Tag> {
    let mut tags = Vec::new();
    file = &file[9 + 4..];
    while let [kind, a, b, c, d, e, f, high, _, _, _, rest @ ..] = file {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        tags.push(Tag {
            kind: *kind,
            time: u32::from_be_bytes([*high, *d, *e, *f]),
            body: rest[..len].to_vec(),
        });
        file = &rest[len + 4..];
    }
    tags
}

/// The connection to the server.
struct Peer {
    socket: TcpStream,
    client: Client,
    decoder: Decoder,
    encoder: Encoder,
    started: Option<StreamId>,
}

impl Peer {
    fn connect(server: SocketAddr) -> std::io::Result<Peer> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(LIMIT))?;
        socket.set_read_timeout(Some(LIMIT))?;
        let target = ConnectTarget {
            app: "live".to_owned(),
            tc_url: format!("rtmp://{server}/live"),
            name: "x".to_owned(),
            via: Vec::new(),
        };
        Ok(Peer {
            socket,
            client: Client::new(Purpose::Publish, target),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            started: None,
        })
    }

    fn shake_hands(&mut self) -> Result<(), String> {
        let hello = handshake::hello(0, &handshake::random(1));
        let first = [&[handshake::VERSION], hello.as_slice()].concat();
        self.socket.write_all(&first).map_err(text)?;
        let mut theirs = [[0; handshake::PACKET_LEN]; 2];
        self.socket.read_exact(&mut [0; 1]).map_err(text)?;
        for packet in &mut theirs {
            self.socket.read_exact(packet).map_err(text)?;
        }
        self.client.count_received(1 + 2 * handshake::PACKET_LEN);
        handshake::check_echo(&hello, &theirs[1]).map_err(|error| error.to_string())?;
        let echo = handshake::echo(&theirs[0], 0);
        self.socket.write_all(&echo).map_err(text)
    }

    fn send(&mut self, messages: &[Message]) -> Result<(), String> {
        let mut bytes = Vec::new();
        for message in messages {
            self.encoder.encode(message, &mut bytes);
        }
        self.socket.write_all(&bytes).map_err(text)
    }

    /// Reads once, for `limit` at most, and answers what is to be answered.
    fn receive(&mut self, limit: Duration) -> Result<(), String> {
        self.socket.set_read_timeout(Some(limit)).map_err(text)?;
        let mut buffer = [0; 4096];
        let len = match self.socket.read(&mut buffer) {
            Ok(0) => return Err("own client: the server hung up".to_owned()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(text(error)),
        };
        self.client.count_received(len);
        let mut input = &buffer[..len];
        let mut events = Vec::new();
        while let Some(message) = self.decoder.decode(&mut input).map_err(|e| e.to_string())? {
            let handled = self.client.handle(message, &mut events);
            handled.map_err(|error| format!("own client: {error}"))?;
        }
        for event in events {
            match event {
                ClientEvent::Send(message) => self.send(&[message])?,
                ClientEvent::Started(stream) => self.started = Some(stream),
                ClientEvent::Media(_) | ClientEvent::Ended | ClientEvent::Unreadable(_) => {}
            }
        }
        let due = self.client.acknowledgement();
        self.send(due.as_slice())
    }
}
