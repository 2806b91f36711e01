//! What a viewer gets through its outbox, over a socket that takes a little now and a little later: chunks,
//! and FLV in a response over HTTP.

use super::draw::Draw;
use super::stream::messages;
use crate::support::readers::flv::FlvReader;
use rtmp_server::memory::{Budget, Owner};
use rtmp_server::queue::{Done, Framing, Offer, PeerKind, Transport, outbox};
use rtmp_server::rtmp::chunk::Decoder;
use rtmp_server::rtmp::{Message, MessageType, StreamId};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// What stands in front of FLV.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// A socket that takes as many bytes at a time as a plan says, over and over.
struct Socket {
    taken: Mutex<Vec<u8>>,
    plan: Vec<u8>,
    calls: Mutex<usize>,
}

impl Transport for Socket {
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut calls = self.calls.lock().expect("not poisoned");
        let room = match self.plan.get(*calls % self.plan.len().max(1)) {
            Some(0) => return Err(io::ErrorKind::WouldBlock.into()),
            Some(255) | None => bytes.len(),
            Some(room) => bytes.len().min(usize::from(*room)),
        };
        *calls += 1;
        let mut taken = self.taken.lock().expect("not poisoned");
        taken.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    fn hang_up(&self) {}
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the messages of an input; those that were taken, and the bytes that left.
fn sent(draw: &mut Draw, framing: Framing) -> (Vec<Message>, Vec<u8>) {
    let plan_len = usize::from(draw.u8() % 6);
    let socket = Arc::new(Socket {
        taken: Mutex::default(),
        plan: draw.take(plan_len).to_vec(),
        calls: Mutex::default(),
    });
    let budget = Arc::new(Budget::new(usize::MAX));
    let (outbox, writer) = outbox(
        socket.clone(),
        PeerKind::Client(Owner::new([127, 0, 0, 1].into())),
        framing,
        Arc::default(),
        budget,
    );
    let mut taken = Vec::new();
    for message in messages(draw) {
        match outbox.push_media(StreamId(1), vec![message.clone()]) {
            Offer::Sent | Offer::Queued => taken.push(message),
            Offer::Full => {}
            Offer::Closed => panic!("closed"),
        }
    }
    outbox.drain_and_close(Vec::new());
    assert_eq!(writer.run(&*socket).expect("sent"), Done::Drained);
    let bytes = std::mem::take(&mut *socket.taken.lock().expect("not poisoned"));
    (taken, bytes)
}

/// A player of RTMP gets what was taken, and nothing else.
pub fn chunks(data: &[u8]) {
    let mut draw = Draw(data);
    let (taken, bytes) = sent(&mut draw, Framing::chunks());
    let (mut decoder, mut input) = (Decoder::default(), &bytes[..]);
    for message in taken {
        assert_eq!(decoder.decode(&mut input), Ok(Some(message)));
    }
    assert!(input.is_empty() && decoder.is_between_messages());
}

/// A player of FLV gets tags of what was taken, in order and at their times.
pub fn flv(data: &[u8]) {
    let mut draw = Draw(data);
    let chunked = draw.u8() & 1 == 1;
    let (taken, bytes) = sent(&mut draw, Framing::flv(HEAD.to_vec(), chunked));
    let Some(body) = bytes.strip_prefix(HEAD) else {
        assert!(bytes.is_empty(), "something without a head");
        return;
    };
    let body = match chunked {
        true => unchunked(body),
        false => body.to_vec(),
    };
    let mut reader = FlvReader::new(&body[..]);
    let tags = std::iter::from_fn(|| reader.next().expect("a whole tag"));
    let tags: Vec<Message> = tags.collect();
    assert!(tags.len() <= taken.len());
    let mut tags_left = tags.iter();
    for message in taken.iter().filter(|message| has_place(message)) {
        let found = tags_left.any(|tag| tag == message);
        assert!(found, "no tag of {message:?} in {tags:?}");
    }
    let mut left = taken.iter();
    for tag in tags {
        let found = left.any(|message| message.timestamp == tag.timestamp);
        assert!(found, "{tag:?} at a time of nothing that was sent");
    }
}

/// Whether FLV has a place for a message as it is: for legacy media and AMF0 there is always one.
fn has_place(message: &Message) -> bool {
    let first = message.payload.first().copied().unwrap_or_default();
    match message.kind {
        MessageType::AUDIO => first >> 4 != 9,
        MessageType::VIDEO => first & 0x80 == 0,
        kind => kind == MessageType::DATA,
    }
}

/// The body of a chunked response, which has to be whole.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("a line");
        let digits = str::from_utf8(&rest[..end]).expect("digits");
        let len = usize::from_str_radix(digits, 16).expect("a length");
        let (chunk, after) = rest[end + 2..].split_at(len);
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").expect("the end of a chunk");
        if len == 0 {
            assert!(rest.is_empty(), "more behind the end");
            return body;
        }
    }
}
