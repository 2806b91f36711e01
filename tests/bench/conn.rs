//! A connection to a server, set up as any client would.

use crate::media::is_keyframe;
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::client::{Client, ClientEvent, ConnectTarget, Purpose};
use rtmp_server::rtmp::{Message, StreamId, handshake};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The app that everything happens in.
pub const APP: &str = "live";

/// How long anything may take that is to happen at once.
const LIMIT: Duration = Duration::from_secs(10);

/// Chunk size of what we send.
const CHUNK_SIZE: u32 = 4096;

const BUFFER_LEN: usize = 64 << 10;

/// Pause before a socket is tried again that takes nothing.
const RETRY: Duration = Duration::from_millis(1);

/// One conversation with a server.
pub struct Conn {
    socket: TcpStream,
    client: Client,
    chunks: Decoder,
    encoder: Encoder,
    events: Vec<ClientEvent>,
    /// The message stream, once the server has said that it is on.
    pub stream: Option<StreamId>,
    /// When `play` was sent.
    pub played: Option<Instant>,
    /// When the first keyframe had arrived.
    pub first_keyframe: Option<Instant>,
    /// Bytes that have arrived, for whoever wants to watch.
    pub received: Arc<AtomicU64>,
}

impl Conn {
    /// Connects, shakes hands, and asks to publish or play `name`.
    pub fn open(addr: SocketAddr, purpose: Purpose, name: &str) -> Result<Conn, String> {
        let failed = |error: io::Error| format!("{addr}: {error}");
        let socket = TcpStream::connect_timeout(&addr, LIMIT).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(LIMIT)).map_err(failed)?;
        shake_hands(&socket).map_err(failed)?;
        let target = ConnectTarget {
            app: APP.to_owned(),
            tc_url: format!("rtmp://{addr}/{APP}"),
            name: name.to_owned(),
            via: Vec::new(),
        };
        let mut conn = Conn {
            socket,
            client: Client::new(purpose, target),
            chunks: Decoder::default(),
            encoder: Encoder::default(),
            events: Vec::new(),
            stream: None,
            played: None,
            first_keyframe: None,
            received: Arc::default(),
        };
        let first = conn.client.begin(CHUNK_SIZE);
        conn.send(&first).map_err(failed)?;
        Ok(conn)
    }

    /// Reads until the server says that the stream is on.
    pub fn start(&mut self) -> Result<StreamId, String> {
        let end = Instant::now() + LIMIT;
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            if let Some(stream) = self.stream {
                return Ok(stream);
            }
            self.read(&mut buffer, |_| {})?;
            if Instant::now() > end {
                return Err("server does not start the stream".to_owned());
            }
        }
    }

    /// Sets how long a read may wait from now on; `None`: neither reads nor writes wait.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), String> {
        let set = match patience {
            Some(limit) => self.socket.set_read_timeout(Some(limit)),
            None => self.socket.set_nonblocking(true),
        };
        set.map_err(|error| error.to_string())
    }

    /// Reads once and gives the media to `take`, answers what has to be answered. Returns how many
    /// bytes there were: none when there was nothing in time.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(Message),
    ) -> Result<usize, String> {
        let len = self.receive(buffer)?;
        let mut input = &buffer[..len];
        while let Some(message) = self
            .chunks
            .decode(&mut input)
            .map_err(|error| error.to_string())?
        {
            let mut events = std::mem::take(&mut self.events);
            self.client
                .handle(message, &mut events)
                .map_err(|error| error.to_string())?;
            for event in events.drain(..) {
                self.act(event, &mut take)?;
            }
            self.events = events;
        }
        self.acknowledge()?;
        Ok(len)
    }

    /// Reads once and looks at nothing; for viewers that are there to be sent to.
    pub fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let len = self.receive(buffer)?;
        self.acknowledge()?;
        Ok(len)
    }

    /// Sends messages, on the message streams that they name.
    pub fn send(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            self.encoder.encode(message, &mut bytes);
        }
        let end = Instant::now() + LIMIT;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match (&self.socket).write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                    thread::sleep(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        match (&self.socket).read(buffer) {
            Ok(0) => Err("server has hung up".to_owned()),
            Ok(len) => {
                self.client.count_received(len);
                self.received.fetch_add(len as u64, Ordering::Relaxed);
                Ok(len)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    fn acknowledge(&mut self) -> Result<(), String> {
        match self.client.acknowledgement() {
            Some(message) => self.send(&[message]).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn act(&mut self, event: ClientEvent, take: &mut impl FnMut(Message)) -> Result<(), String> {
        match event {
            ClientEvent::Send(message) => {
                // Of all that a viewer sends, only `play` is about a stream.
                if message.stream != StreamId::CONTROL {
                    self.played = Some(Instant::now());
                }
                self.send(&[message]).map_err(|error| error.to_string())?;
            }
            ClientEvent::Started(stream) => self.stream = Some(stream),
            ClientEvent::Media(message) => {
                if self.first_keyframe.is_none() && is_keyframe(&message) {
                    self.first_keyframe = Some(Instant::now());
                }
                take(message);
            }
            ClientEvent::Unreadable(_) => {}
            ClientEvent::Ended => return Err("server has ended the stream".to_owned()),
        }
        Ok(())
    }
}

fn shake_hands(mut socket: &TcpStream) -> io::Result<()> {
    let seed = u64::from(socket.local_addr()?.port()) << 1;
    let ours = handshake::hello(0, &handshake::random(seed));
    let hello = [&[handshake::VERSION][..], &ours].concat();
    socket.write_all(&hello)?;
    let mut version = [0];
    let mut theirs = [0; handshake::PACKET_LEN];
    socket.read_exact(&mut version)?;
    socket.read_exact(&mut theirs)?;
    socket.write_all(&handshake::echo(&theirs, 0))?;
    socket.read_exact(&mut theirs)
}
