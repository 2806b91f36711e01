//! Viewers whose beginning nobody can foretell to the frame: by HTTP, and of a relay on another server.
//! Each reads in a thread of its own; what it must have is a run: from a keyframe on everything, in
//! order, up to the end.

use super::doing;
use super::frame::{Frame, Kind, Mark};
use super::hls;
use super::patience;
use super::recordings::Sent;
use super::run::{Hole, Leave, check_run};
use crate::support::Client;
use crate::support::http::{HttpBody, HttpReply};
use crate::support::readers::flv::FlvReader;
use crate::support::readers::mp4_reader;
use rtmp_server::amf0::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a watcher is waited for before more is sent.
const ROUND: Duration = Duration::from_millis(200);

/// How somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Flv,
    Mp4,
    Hls,
    /// By RTMP, on a server that the stream is relayed to.
    Relay,
    /// By RTMP, on a server that pulls the stream on demand.
    Pull,
    /// The same, on one that always pulls it.
    StandingPull,
}

impl How {
    /// What it may be without.
    fn leave(self) -> Leave {
        Leave {
            all_tracks: !matches!(self, How::Flv | How::Mp4),
            keyframe: false,
            changes: self == How::Hls,
            ends: self == How::Hls,
            // They may have gone before the end.
            ends_early: matches!(self, How::Mp4 | How::Relay | How::StandingPull),
        }
    }
}

/// What a watcher has seen.
#[derive(Default)]
pub struct Seen {
    /// The marks of messages, as they came.
    marks: Vec<Mark>,
    /// The segments of HLS that they came in.
    pub segments: Vec<hls::Segment>,
    /// How it ended.
    end: Option<String>,
    socket: Option<TcpStream>,
    /// Whether it reads no more.
    is_held: bool,
}

/// Somebody who watches.
pub struct Watcher {
    pub how: How,
    pub stream: usize,
    /// Whether nothing more is to come.
    pub is_done: bool,
    /// Since when it does not read, if it does not.
    pub held_since: Option<Instant>,
    /// What it may be without because it did not read.
    pub holes: Vec<Hole>,
    /// What it must have begun with, or with more.
    pub due: Vec<Rc<Frame>>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

pub fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Watches `key` on the server at `addr`.
    pub fn start(how: How, stream: usize, addr: SocketAddr, key: String) -> Watcher {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let read = match how {
                How::Flv => read_flv(addr, &key, &shared),
                How::Mp4 => read_mp4(addr, &key, &shared),
                How::Hls => hls::read(addr, &key, &shared),
                How::Relay => read_rtmp(addr, "copy", &key, &shared),
                How::Pull | How::StandingPull => read_rtmp(addr, "live", &key, &shared),
            };
            lock(&shared).end = Some(read.unwrap_or_else(|error| error));
        });
        Watcher {
            how,
            stream,
            is_done: false,
            held_since: None,
            holes: Vec::new(),
            due: Vec::new(),
            seen,
            thread: Some(thread),
        }
    }

    /// Whether it has seen this, or what the publication has sent behind it.
    fn has(&self, mark: Mark) -> bool {
        let seen = lock(&self.seen);
        let is_late = |seen: &Mark| seen.publication == mark.publication && *seen >= mark;
        seen.marks.iter().any(is_late)
    }

    fn has_ended(&self) -> bool {
        lock(&self.seen).end.is_some()
    }

    /// Waits a little until it has seen this, or all that it is to see; whether it has.
    pub fn waits_for(&self, frame: &Frame) -> bool {
        doing(|| format!("{:?} of stream {} waits for {frame}", self.how, self.stream));
        let end = Instant::now() + ROUND;
        while Instant::now() < end {
            if self.has(frame.mark) || self.has_ended() {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// It reads no more. `last`: what was sent last.
    pub fn hold(&mut self, last: Mark) {
        lock(&self.seen).is_held = true;
        self.held_since = Some(Instant::now());
        self.holes.push(Hole {
            from: last,
            to: None,
        });
    }

    /// It reads again.
    pub fn read_on(&mut self) {
        lock(&self.seen).is_held = false;
        self.held_since = None;
    }

    /// It has all that was sent last, and must have all that follows.
    pub fn close_hole(&mut self, last: Mark) {
        if let Some(hole) = self.holes.last_mut() {
            hole.to.get_or_insert(last);
        }
    }

    /// By which address the server knows it.
    pub fn addr(&self) -> Option<SocketAddr> {
        lock(&self.seen).socket.as_ref()?.local_addr().ok()
    }

    /// The marks of what it has seen.
    pub fn marks(&self) -> BTreeSet<Mark> {
        lock(&self.seen).marks.iter().copied().collect()
    }

    /// Waits until nothing more comes.
    pub fn wait_for_end(&mut self) {
        self.is_done = true;
        doing(|| format!("{:?} of stream {} waits for the end", self.how, self.stream));
        let end = Instant::now() + patience();
        while !self.has_ended() {
            assert!(Instant::now() < end, "the response goes on");
            thread::sleep(Duration::from_millis(1));
        }
        let end = lock(&self.seen).end.clone();
        assert_eq!(
            end.as_deref(),
            Some("whole"),
            "{:?} of stream {}",
            self.how,
            self.stream
        );
    }

    /// Goes.
    pub fn leave(&mut self) {
        self.is_done = true;
        if let Some(socket) = lock(&self.seen).socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.read_on();
        self.thread.take().map(JoinHandle::join);
    }

    /// Whether the first that a playlist named was a segment inside of this publication that says of itself
    /// that no decoder can begin there.
    fn begins_inside(&self, publication: u32) -> bool {
        let seen = lock(&self.seen);
        let first = |playlist| {
            let mut segments = seen.segments.iter();
            segments.find(|segment| segment.playlist == playlist)
        };
        let playlists: BTreeSet<usize> = seen
            .segments
            .iter()
            .map(|segment| segment.playlist)
            .collect();
        playlists.into_iter().filter_map(first).any(|first| {
            let is_of = |mark: &Mark| mark.publication == publication;
            !first.is_independent && first.marks.first().is_some_and(is_of)
        })
    }

    /// It has begun with all that it must.
    fn check_beginning(&self, marks: &[Mark]) {
        let is_marked =
            |frame: &&Rc<Frame>| frame.is_timed() || matches!(frame.kind, Kind::Header(_));
        for frame in self.due.iter().filter(is_marked) {
            let Watcher { how, stream, .. } = self;
            let has = marks.contains(&frame.mark);
            assert!(
                has,
                "{how:?} of stream {stream} does not begin with {frame}"
            );
        }
    }

    /// Checks what it has seen, of publications that have sent all this.
    pub fn check(&self, sent: &Sent, stream_of: &BTreeMap<u32, usize>) {
        let marks = lock(&self.seen).marks.clone();
        let publications: BTreeSet<u32> = marks.iter().map(|mark| mark.publication).collect();
        for publication in publications {
            let what = format!(
                "{:?} of stream {}, publication {publication}",
                self.how, self.stream
            );
            assert_eq!(
                stream_of.get(&publication),
                Some(&self.stream),
                "{what}: of another stream"
            );
            let sent = &sent[&publication];
            let seen: Vec<&Rc<Frame>> = marks
                .iter()
                .filter(|mark| mark.publication == publication)
                .map(|mark| &sent[mark.number as usize])
                .filter(|frame| frame.is_timed())
                .collect();
            let leave = Leave {
                keyframe: self.begins_inside(publication),
                ..self.how.leave()
            };
            check_run(&what, &seen, sent, leave, &self.holes);
            if !matches!(self.how, How::Mp4 | How::Hls) {
                // What others keep for late joiners may have come without.
                check_headers(&what, &marks, sent, self.how != How::Flv);
            }
        }
        self.check_beginning(&marks);
        let mut lasts: BTreeMap<usize, u32> = BTreeMap::new();
        for segment in &lock(&self.seen).segments {
            check_segment(segment, sent, lasts.get(&segment.playlist).copied());
            if let Some(mark) = segment.marks.last() {
                lasts.insert(segment.playlist, mark.publication);
            }
        }
    }
}

/// In front of each frame is the header that it needs. `may_precede`: there may be one that was sent later.
fn check_headers(what: &str, marks: &[Mark], sent: &[Rc<Frame>], may_precede: bool) {
    let slot = |frame: &Frame| (frame.medium(), frame.track);
    let is_header = |frame: &Frame| matches!(frame.kind, Kind::Header(_));
    let mut came = BTreeMap::new();
    for mark in marks {
        let frame = sent.get(mark.number as usize);
        let Some(frame) = frame.filter(|frame| frame.mark == *mark) else {
            continue;
        };
        if is_header(frame) {
            came.insert(slot(frame), *mark);
        }
        if frame.is_timed() {
            let before = sent[..mark.number as usize].iter().rev();
            let mut headers = before.filter(|header| is_header(header));
            let due = headers.find(|header| slot(header) == slot(frame));
            let due = due.map(|due| due.mark);
            let came = came.get(&slot(frame)).copied();
            assert!(
                came == due || may_precede && due.is_none(),
                "{what}: the header of {frame} is {came:?} instead of {due:?}"
            );
        }
    }
}

/// A segment is of one publication, another begins with a break, and where it says so it begins with
/// a keyframe.
fn check_segment(segment: &hls::Segment, sent: &Sent, last: Option<u32>) {
    let mut frames = segment
        .marks
        .iter()
        .map(|mark| &sent[&mark.publication][mark.number as usize]);
    let Some(first) = segment.marks.first() else {
        return;
    };
    for mark in &segment.marks {
        assert_eq!(
            mark.publication, first.publication,
            "a segment of two publications"
        );
    }
    let is_other = last.is_some_and(|last| last != first.publication);
    assert!(
        !is_other || segment.is_discontinuity,
        "no break in front of {first:?}"
    );
    let picture = frames.find(|frame| frame.is_picture());
    if let Some(picture) = picture.filter(|_| segment.is_independent) {
        assert_eq!(picture.kind, Kind::Key, "a segment begins with {picture}");
    }
}

pub fn note(seen: &Mutex<Seen>, bytes: &[u8]) {
    let marks = Mark::find(bytes);
    if !marks.is_empty() {
        lock(seen).marks.extend(marks);
    }
}

/// Waits as long as nothing is to be read.
fn wait_while_held(seen: &Mutex<Seen>) {
    while lock(seen).is_held {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Notes by which socket it is read, so that it can be ended.
fn open(seen: &Mutex<Seen>, socket: &TcpStream) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    socket.set_read_timeout(None).map_err(text)?;
    lock(seen).socket = Some(socket.try_clone().map_err(text)?);
    Ok(())
}

fn get(addr: SocketAddr, path: &str, seen: &Mutex<Seen>) -> Result<HttpBody, String> {
    let reply = HttpReply::get(addr, path);
    open(seen, reply.body.socket())?;
    match reply.status {
        200 => Ok(reply.body),
        status => Err(format!("status {status}")),
    }
}

fn read_flv(addr: SocketAddr, key: &str, seen: &Mutex<Seen>) -> Result<String, String> {
    let mut tags = FlvReader::new(get(addr, &format!("/{key}.flv?token=watcher"), seen)?);
    while let Some(tag) = tags.next().map_err(|error| error.to_string())? {
        note(seen, &tag.payload);
        wait_while_held(seen);
    }
    tags.into_inner().expect_closed();
    Ok("whole".to_owned())
}

fn read_mp4(addr: SocketAddr, key: &str, seen: &Mutex<Seen>) -> Result<String, String> {
    let mut body = get(addr, &format!("/{key}.mp4?token=watcher"), seen)?;
    let (mut bytes, mut buffer, mut from) = (Vec::new(), vec![0; 64 << 10], 0);
    loop {
        wait_while_held(seen);
        let len = body.read(&mut buffer).map_err(|error| error.to_string())?;
        if len == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..len]);
        note(seen, &bytes[from..]);
        // A mark may come in two pieces, and must not be seen twice.
        let whole = bytes[from..].windows(Mark::LEN).rposition(Mark::is_at);
        from = whole.map_or(from, |at| from + at + Mark::LEN);
        from = from.max((bytes.len() + 1).saturating_sub(Mark::LEN));
    }
    mp4_reader::read_live(&bytes)?;
    Ok("whole".to_owned())
}

fn read_rtmp(addr: SocketAddr, app: &str, key: &str, seen: &Mutex<Seen>) -> Result<String, String> {
    let mut client = Client::shake_hands(addr);
    client.connect(app);
    let stream = client.create_stream();
    let name = Value::text(format!("{key}?tracks=all"));
    client.call(stream, "play", 0.0, vec![name]);
    open(seen, &client.socket)?;
    while let Some(message) = client.receive_within(Duration::from_secs(3600)) {
        note(seen, &message.payload);
    }
    Ok("whole".to_owned())
}
