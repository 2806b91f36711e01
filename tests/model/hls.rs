//! Somebody who watches by HLS: parts as they come, then the segments that they belong to.

use super::frame::Mark;
use super::watcher::{Seen, lock, note};
use crate::support::readers::mp4_reader;
use crate::support::readers::playlist_reader::history::History;
use crate::support::readers::playlist_reader::{self, Playlist, Segment as Named};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Between two requests for what is not there yet.
const RETRY: Duration = Duration::from_millis(20);

/// A segment that was watched.
pub struct Segment {
    /// Which of the stream's playlists it is of.
    pub playlist: usize,
    pub is_discontinuity: bool,
    /// Whether its first part says that a decoder can begin there.
    pub is_independent: bool,
    pub marks: Vec<Mark>,
}

/// Where it stands.
struct Player<'a> {
    addr: SocketAddr,
    /// Which of the stream's playlists it plays.
    playlist: usize,
    /// What it calls itself: each is a viewer of its own.
    agent: u32,
    folder: String,
    seen: &'a Mutex<Seen>,
    history: History,
    /// The segment that is watched: its number, the parts of it, and their bytes.
    number: u64,
    parts: usize,
    bytes: Vec<u8>,
    /// What was watched since the last break, with its map in front, and the name of that.
    movie: (String, Vec<u8>),
}

/// Watches a stream, all of its playlists, until they end.
pub fn read(addr: SocketAddr, key: &str, seen: &Mutex<Seen>) -> Result<String, String> {
    static AGENTS: AtomicU32 = AtomicU32::new(0);
    let agent = AGENTS.fetch_add(1, Ordering::Relaxed);
    let player = |playlist: usize| Player {
        addr,
        playlist,
        agent,
        folder: format!("/{key}/"),
        seen,
        history: History::default(),
        number: 0,
        parts: 0,
        bytes: Vec::new(),
        movie: Default::default(),
    };
    let index = player(0).wait_for("index.m3u8")?;
    let uris: BTreeSet<&str> = index.lines().filter_map(uri).collect();
    if uris.is_empty() {
        return Err("no playlist in the index".to_owned());
    }
    thread::scope(|scope| {
        let players = uris.into_iter().enumerate();
        let players = players.map(|(number, uri)| {
            let player = player(number);
            scope.spawn(move || play(player, uri))
        });
        let players: Vec<_> = players.collect();
        let ends = players.into_iter().map(|player| player.join());
        let ends = ends.map(|end| end.unwrap_or(Err("a panic".to_owned())));
        ends.reduce(Result::and).unwrap_or(Err(String::new()))
    })
}

/// The playlist that a line of the index names.
fn uri(line: &str) -> Option<&str> {
    match line.strip_prefix("#EXT-X-MEDIA:") {
        Some(media) => media.split_once("URI=\"")?.1.split('"').next(),
        None => Some(line).filter(|line| !line.starts_with('#')),
    }
}

/// Watches a playlist until it ends.
fn play(mut player: Player, uri: &str) -> Result<String, String> {
    let mut query = String::new();
    loop {
        let playlist = match player.get(&format!("{uri}{query}"))? {
            (200, bytes) => text(bytes)?,
            (503, _) => {
                thread::sleep(RETRY);
                query.clear();
                continue;
            }
            (status, _) => return Err(format!("status {status} for {uri}{query}")),
        };
        let playlist =
            playlist_reader::read(&playlist).map_err(|why| format!("{why}: {playlist}"))?;
        query = reload(&playlist);
        player.watch(&playlist)?;
        player.history.add(playlist.clone())?;
        if playlist.is_over {
            player.check_movie()?;
            return Ok("whole".to_owned());
        }
    }
}

/// The request for what comes next.
fn reload(playlist: &Playlist) -> String {
    let part = playlist.open.as_ref().map_or(0, |open| open.parts.len());
    format!("?_HLS_msn={}&_HLS_part={part}", playlist.open_sequence())
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

impl Player<'_> {
    /// Status and body of what is at a URI.
    fn get(&self, uri: &str) -> Result<(u16, Vec<u8>), String> {
        let failed = |error: std::io::Error| format!("{uri}: {error}");
        let mut socket = TcpStream::connect(self.addr).map_err(failed)?;
        let request = format!(
            "GET {}{uri} HTTP/1.1\r\nHost: {}\r\nUser-Agent: player {}\r\nConnection: close\r\n\r\n",
            self.folder, self.addr, self.agent
        );
        socket.write_all(request.as_bytes()).map_err(failed)?;
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).map_err(failed)?;
        let head = reply.windows(4).position(|window| window == b"\r\n\r\n");
        let body = reply.split_off(head.ok_or("no head")? + 4);
        let head = text(reply)?;
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        if len.and_then(|len| len.parse().ok()) != Some(body.len()) {
            return Err(format!("{uri}: {} bytes of {len:?}", body.len()));
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok((status.ok_or("no status")?, body))
    }

    /// What will be at a URI.
    fn wait_for(&self, uri: &str) -> Result<String, String> {
        loop {
            match self.get(uri)? {
                (200, bytes) => return text(bytes),
                (503, _) => thread::sleep(RETRY),
                (status, _) => return Err(format!("status {status} for {uri}")),
            }
        }
    }

    fn fetch(&self, uri: &str) -> Result<Vec<u8>, String> {
        match self.get(uri)? {
            (200, bytes) => Ok(bytes),
            (status, _) => Err(format!("status {status} for {uri}")),
        }
    }

    /// Watches what a playlist has that was not watched.
    fn watch(&mut self, playlist: &Playlist) -> Result<(), String> {
        if self.parts > 0 && self.number < playlist.media_sequence {
            return Err(format!("segment {} was gone too soon", self.number));
        }
        for (number, segment) in (playlist.media_sequence..).zip(playlist.all()) {
            if number < self.number {
                continue;
            }
            self.number = number;
            if self.parts == 0 {
                self.begin(segment)?;
            }
            for part in segment.parts.iter().skip(self.parts) {
                let bytes = self.fetch(&part.uri)?;
                self.take(&bytes);
                self.parts += 1;
            }
            if !segment.uri.is_empty() {
                self.finish(segment)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, segment: &Named) -> Result<(), String> {
        if segment.is_discontinuity || self.movie.0 != segment.map {
            self.check_movie()?;
            self.movie = (segment.map.clone(), self.fetch(&segment.map)?);
        }
        let first = segment.parts.first();
        lock(self.seen).segments.push(Segment {
            playlist: self.playlist,
            is_discontinuity: segment.is_discontinuity,
            is_independent: first.is_some_and(|part| part.is_independent),
            marks: Vec::new(),
        });
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        note(self.seen, bytes);
        let mut seen = lock(self.seen);
        let mut own = seen.segments.iter_mut().rev();
        if let Some(segment) = own.find(|segment| segment.playlist == self.playlist) {
            segment.marks.extend(Mark::find(bytes));
        }
        drop(seen);
        self.bytes.extend_from_slice(bytes);
    }

    /// A segment is whole: it is what its parts were.
    fn finish(&mut self, segment: &Named) -> Result<(), String> {
        let whole = self.fetch(&segment.uri)?;
        let rest = whole.strip_prefix(&self.bytes[..]);
        let rest = rest.ok_or_else(|| format!("segment {} is not its parts", self.number))?;
        if !segment.parts.is_empty() && !rest.is_empty() {
            return Err(format!("segment {} is more than its parts", self.number));
        }
        self.take(rest);
        self.movie.1.append(&mut self.bytes);
        (self.number, self.parts) = (self.number + 1, 0);
        Ok(())
    }

    /// What lies between two breaks is a movie.
    fn check_movie(&self) -> Result<(), String> {
        match self.movie.1.is_empty() {
            true => Ok(()),
            false => mp4_reader::read_live(&self.movie.1).map(|_| ()),
        }
    }
}
