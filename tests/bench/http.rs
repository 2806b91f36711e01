//! A viewer over HTTP, set up as a player would be: one response without end, or part after part of
//! a playlist, over one connection that lasts.

use crate::conn::APP;
use crate::media::{STAMP_LEN, Stamp, find_stamp};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that is to happen at once.
const LIMIT: Duration = Duration::from_secs(10);

/// What a stream is watched as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// FLV tags in one response.
    Flv,
    /// Fragments of MP4 in one response.
    Mp4,
    /// Parts of Low-Latency HLS, each as soon as it is there.
    Hls,
}

/// One viewer's connection to a server.
pub struct HttpConn {
    socket: TcpStream,
    addr: SocketAddr,
    format: Format,
    reply: Reply,
    playlist: Playlist,
    /// The last bytes that came, in which a stamp may begin.
    tail: Vec<u8>,
    /// When the media was asked for.
    pub played: Instant,
    /// When the first message had arrived.
    pub first_message: Option<Instant>,
    /// Bytes that have arrived.
    pub received: Arc<AtomicU64>,
}

/// What is being received.
enum Reply {
    /// The head of a response, as far as it has come.
    Head(Vec<u8>),
    /// A response that ends with the stream.
    Endless,
    /// The body of a response, as far as it has come, and how long it is.
    Body(Vec<u8>, usize),
}

/// Where a viewer of HLS is.
struct Playlist {
    /// The path of what was asked for last.
    asked: String,
    /// The path of the media playlist, once it is known.
    media: Option<String>,
    /// Parts to fetch, the next one last.
    parts: Vec<String>,
    /// The part that was fetched last.
    last: Option<String>,
    /// The segment and the part that the playlist is to have when it is asked for again.
    next: (usize, usize),
}

impl HttpConn {
    /// Connects and asks for the stream `name`.
    pub fn open(addr: SocketAddr, format: Format, name: &str) -> Result<HttpConn, String> {
        let failed = |error: io::Error| format!("{addr}: {error}");
        let socket = TcpStream::connect_timeout(&addr, LIMIT).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(LIMIT)).map_err(failed)?;
        let mut conn = HttpConn {
            socket,
            addr,
            format,
            reply: Reply::Head(Vec::new()),
            playlist: Playlist {
                asked: String::new(),
                media: None,
                parts: Vec::new(),
                last: None,
                next: (0, 0),
            },
            tail: Vec::new(),
            played: Instant::now(),
            first_message: None,
            received: Arc::default(),
        };
        let path = match format {
            Format::Flv => format!("/{APP}/{name}.flv"),
            Format::Mp4 => format!("/{APP}/{name}.mp4"),
            Format::Hls => format!("/{APP}/{name}/index.m3u8"),
        };
        conn.ask(path)?;
        Ok(conn)
    }

    /// Sets how long a read may wait from now on; `None`: reads do not wait.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), String> {
        let set = match patience {
            Some(limit) => self.socket.set_read_timeout(Some(limit)),
            None => self.socket.set_nonblocking(true),
        };
        set.map_err(|error| error.to_string())
    }

    /// Reads once and gives the stamps of messages to `take`. Returns how many bytes there were:
    /// none when there was nothing in time.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(Stamp),
    ) -> Result<usize, String> {
        let len = self.receive(buffer)?;
        self.tail.extend_from_slice(&buffer[..len]);
        let mut at = 0;
        while let Some((end, stamp)) = find_stamp(&self.tail, at) {
            self.first_message.get_or_insert_with(Instant::now);
            take(stamp);
            at = end;
        }
        let kept = at.max(self.tail.len().saturating_sub(STAMP_LEN - 1));
        self.tail.drain(..kept);
        self.follow(&buffer[..len])?;
        Ok(len)
    }

    /// Reads once and looks at no message.
    pub fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let len = self.receive(buffer)?;
        self.follow(&buffer[..len])?;
        Ok(len)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        match (&self.socket).read(buffer) {
            Ok(0) => Err("server has hung up".to_owned()),
            Ok(len) => {
                self.received.fetch_add(len as u64, Ordering::Relaxed);
                Ok(len)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    fn ask(&mut self, path: String) -> Result<(), String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench/{:?}\r\n\r\n",
            self.addr, self.format
        );
        self.playlist.asked = path;
        self.reply = Reply::Head(Vec::new());
        // A request fits into the buffer of any socket.
        (&self.socket)
            .write_all(request.as_bytes())
            .map_err(|error| error.to_string())
    }

    /// Follows the response, and asks for what comes next when it is complete.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.reply {
            Reply::Endless => return Ok(()),
            Reply::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = find(head, b"\r\n\r\n") else {
                    return Ok(());
                };
                let body = head.split_off(end + 4);
                let text = String::from_utf8_lossy(head).into_owned();
                if !text.starts_with("HTTP/1.1 200 ") {
                    return Err(format!("{}: {text}", self.playlist.asked));
                }
                self.reply = match self.format {
                    Format::Flv | Format::Mp4 => Reply::Endless,
                    Format::Hls => Reply::Body(body, content_length(&text)?),
                };
            }
            Reply::Body(body, _) => body.extend_from_slice(bytes),
        }
        let Reply::Body(body, len) = &mut self.reply else {
            return Ok(());
        };
        if body.len() < *len {
            return Ok(());
        }
        let body = std::mem::take(body);
        let next = self.playlist.next_path(&body)?;
        self.ask(next)
    }
}

impl Playlist {
    /// What to ask for after `body` has come.
    fn next_path(&mut self, body: &[u8]) -> Result<String, String> {
        if body.starts_with(b"#EXTM3U") {
            let text = String::from_utf8_lossy(body);
            match &self.media {
                None => {
                    let path = text.lines().find(|line| !line.starts_with('#'));
                    let path = path.ok_or("no media playlist")?;
                    let path = self.absolute(path);
                    self.media = Some(path.clone());
                    return Ok(path);
                }
                Some(_) => self.read_media(&text)?,
            }
        }
        if let Some(part) = self.parts.pop() {
            self.last = Some(part.clone());
            return Ok(part);
        }
        let media = self.media.clone().unwrap_or_default();
        let joint = if media.contains('?') { '&' } else { '?' };
        let (segment, part) = self.next;
        Ok(format!("{media}{joint}_HLS_msn={segment}&_HLS_part={part}"))
    }

    fn read_media(&mut self, text: &str) -> Result<(), String> {
        let (mut segment, mut part) = (0, 0);
        let mut parts = Vec::new();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                segment = number.parse().map_err(|_| "bad media sequence")?;
            } else if let Some(attributes) = line.strip_prefix("#EXT-X-PART:") {
                let uri = attributes.split("URI=\"").nth(1);
                let uri = uri.and_then(|rest| rest.split('"').next());
                parts.push(self.absolute(uri.ok_or("part without URI")?));
                part += 1;
            } else if line.starts_with("#EXTINF:") {
                (segment, part) = (segment + 1, 0);
            }
        }
        self.next = (segment, part);
        let known = self.last.as_ref();
        let known = known.and_then(|last| parts.iter().position(|part| part == last));
        // At first only the newest part, which is what low latency is about.
        let from = known.map_or(parts.len().saturating_sub(1), |at| at + 1);
        self.parts = parts.split_off(from);
        self.parts.reverse();
        Ok(())
    }

    /// A path as it is said in what was asked for.
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let asked = self.asked.split('?').next().unwrap_or_default();
        let base = asked.rsplit_once('/').map_or("", |(base, _)| base);
        format!("{base}/{path}")
    }
}

fn content_length(head: &str) -> Result<usize, String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lens = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let len = lens.next().and_then(|(_, value)| value.trim().parse().ok());
    len.ok_or_else(|| format!("no length: {head}"))
}

/// Where `wanted` first is in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
