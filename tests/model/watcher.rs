//! Viewers whose beginning nobody can foretell to the frame: by HTTP, and of a relay on another server.
//! Each reads in a thread of its own; what it must have is a run: from a keyframe on everything, in
//! order, up to the end.

use super::doing;
use super::frame::{Frame, Mark};
use super::patience;
use super::recordings::Sent;
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
    /// By RTMP, on a server that the stream is relayed to.
    Relay,
    /// By RTMP, on a server that pulls the stream on demand.
    Pull,
}

/// What a watcher has seen.
#[derive(Default)]
struct Seen {
    /// The marks of messages, as they came.
    marks: Vec<Mark>,
    /// How it ended.
    end: Option<String>,
    socket: Option<TcpStream>,
}

/// Somebody who watches.
pub struct Watcher {
    pub how: How,
    pub stream: usize,
    /// Whether nothing more is to come.
    pub is_done: bool,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
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
                How::Relay => read_rtmp(addr, "copy", &key, &shared),
                How::Pull => read_rtmp(addr, "live", &key, &shared),
            };
            lock(&shared).end = Some(read.unwrap_or_else(|error| error));
        });
        Watcher {
            how,
            stream,
            is_done: false,
            seen,
            thread: Some(thread),
        }
    }

    /// Whether it has seen this.
    fn has(&self, mark: Mark) -> bool {
        lock(&self.seen).marks.contains(&mark)
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
        self.thread.take().map(JoinHandle::join);
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
            check_run(&what, &seen, sent, self.how);
        }
    }
}

/// Of each track a run without a gap, that begins with a keyframe.
fn check_run(what: &str, seen: &[&Rc<Frame>], sent: &[Rc<Frame>], how: How) {
    let slot = |frame: &Rc<Frame>| (frame.medium(), frame.track);
    let slots: BTreeSet<_> = seen.iter().map(|frame| slot(frame)).collect();
    for track in slots {
        assert!(
            track.1 == 0 || matches!(how, How::Relay | How::Pull),
            "{what}: another track"
        );
        let seen: Vec<Mark> = seen
            .iter()
            .filter(|frame| slot(frame) == track)
            .map(|frame| frame.mark)
            .collect();
        let timed = |frame: &&Rc<Frame>| frame.is_timed() && slot(frame) == track;
        let sent: Vec<&Rc<Frame>> = sent.iter().filter(timed).collect();
        let first = sent
            .iter()
            .position(|frame| frame.mark == seen[0])
            .expect("it was sent");
        let begins = sent[first];
        assert!(!begins.is_dependent(), "{what}: begins with {begins}");
        let run = sent[first..].iter().map(|frame| frame.mark);
        for (seen, sent) in seen.iter().zip(run) {
            assert_eq!(*seen, sent, "{what}: {track:?}");
        }
        // The others may have gone before the end.
        let last = sent.last().map(|frame| frame.mark);
        assert!(
            !matches!(how, How::Flv | How::Pull) || seen.last().copied() == last,
            "{what}: ends before {last:?}"
        );
    }
}

fn note(seen: &Mutex<Seen>, bytes: &[u8]) {
    let marks = Mark::find(bytes);
    if !marks.is_empty() {
        lock(seen).marks.extend(marks);
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
    }
    tags.into_inner().expect_closed();
    Ok("whole".to_owned())
}

fn read_mp4(addr: SocketAddr, key: &str, seen: &Mutex<Seen>) -> Result<String, String> {
    let mut body = get(addr, &format!("/{key}.mp4?token=watcher"), seen)?;
    let (mut bytes, mut buffer, mut from) = (Vec::new(), vec![0; 64 << 10], 0);
    loop {
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
