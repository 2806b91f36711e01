//! More viewers of live MP4 than one thread sends to, without sockets.

use super::{BOTH, real};
use crate::server::behind::Nobody;
use rtmp_server::media::mp4::live::TrackChoice;
use rtmp_server::memory::{Budget, Owner};
use rtmp_server::queue::{self, Framing, Outbox, PeerKind, Transport, Writer};
use rtmp_server::registry::{
    LastHeard, Notices, Origin, Publication, PublicationStatus, Publisher, Recipient, Registry,
    StreamSettings, Subscription,
};
use rtmp_server::rtmp::StreamId;
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::stats::Counters;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const VIEWERS: usize = 1200;

impl Notices for Nobody {}

/// Takes everything at once, unless it is to panic.
#[derive(Default)]
struct Taker(Mutex<Vec<u8>>, AtomicBool);

impl Transport for Taker {
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("a planted panic"));
        }
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn hang_up(&self) {}
}

fn outbox(taker: &Arc<Taker>) -> (Arc<Outbox>, Writer) {
    queue::outbox(
        taker.clone(),
        PeerKind::Client(Owner::new([127, 0, 0, 1].into())),
        Framing::body(
            b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n".to_vec(),
            "video/mp4",
            true,
        ),
        Arc::default(),
        Arc::new(Budget::new(1 << 30)),
    )
}

fn bytes(taker: &Taker) -> Vec<u8> {
    taker.0.lock().expect("a lock").clone()
}

/// A stream, and viewers who have its beginning.
struct Crowd {
    publication: Publication,
    _own: (Arc<Outbox>, Writer),
    viewers: Vec<(Arc<Taker>, Arc<Outbox>, Writer, Subscription)>,
}

impl Crowd {
    fn new() -> Crowd {
        let settings = StreamSettings {
            gop_cache: true,
            takeover: true,
            grace: Duration::ZERO,
            wait: Duration::ZERO,
            chunk_size: 4096,
        };
        let registry = Registry::new(
            settings,
            Arc::new(Nobody),
            Arc::<Counters>::default(),
            Arc::new(Budget::new(1 << 30)),
        );
        let key = StreamKey::new("live/x").expect("a key");
        let own = outbox(&Arc::default());
        let publisher = Publisher {
            conn_id: "c1".to_owned(),
            outbox: own.0.clone(),
            heard: Arc::new(LastHeard::now()),
            origin: Origin::Client {
                stream: StreamId(1),
                name: "x".to_owned(),
            },
            via: Vec::new(),
        };
        let mut crowd = Crowd {
            publication: registry.publish(&key, publisher).expect("published"),
            _own: own,
            viewers: Vec::new(),
        };
        assert_eq!(crowd.send(BOTH), PublicationStatus::Current);
        let join = |number: usize| {
            let taker = Arc::<Taker>::default();
            let (outbox, writer) = outbox(&taker);
            let notices = Box::new(Nobody);
            let recipient =
                Recipient::fragments(number.to_string(), TrackChoice::default(), notices);
            let subscription = registry.subscribe(&key, &outbox, recipient);
            (taker, outbox, writer, subscription.expect("subscribed"))
        };
        crowd.viewers = (0..VIEWERS).map(join).collect();
        crowd
    }

    fn send(&self, lines: &[&str]) -> PublicationStatus {
        self.publication.send(lines.iter().map(|line| real(line)))
    }
}

#[test]
fn a_crowd_is_sent_the_same_bytes() {
    let crowd = Crowd::new();
    let status = crowd.send(&[
        "V inter 4 @80",
        "A sound 5 @23",
        "V key 6 @120",
        "V inter 7 @160",
    ]);
    assert_eq!(status, PublicationStatus::Current);
    let first = bytes(&crowd.viewers[0].0);
    let moofs = first.windows(4).filter(|word| word == b"moof").count();
    assert_eq!(moofs, 4, "what it begins with as one, and three");
    let mut viewers = crowd.viewers.iter();
    assert!(viewers.all(|(taker, ..)| bytes(taker) == first));
}

/// Whichever thread sends to it: the stream and all its viewers stay.
#[test]
fn a_panic_while_a_crowd_is_sent_to_costs_no_viewer() {
    let crowd = Crowd::new();
    for number in [0, VIEWERS / 2, VIEWERS - 1] {
        crowd.viewers[number].0.1.store(true, Ordering::Relaxed);
        let send = || crowd.send(&["V inter 4 @80", "V inter 5 @120"]);
        let _ = catch_unwind(AssertUnwindSafe(send));
    }
    let before: Vec<usize> = crowd.viewers.iter().map(|v| bytes(&v.0).len()).collect();
    let status = crowd.send(&["V key 6 @160", "V inter 7 @200"]);
    assert_eq!(status, PublicationStatus::Current);
    for ((taker, ..), before) in crowd.viewers.iter().zip(before) {
        assert!(bytes(taker).len() > before);
    }
}
