//! How long a viewer may be behind, by a clock that the test moves.

use rtmp_server::media::Codec;
use rtmp_server::memory::{Budget, Owner};
use rtmp_server::net::{self, SharedSocket};
use rtmp_server::queue::{self, Framing, Offer, Outbox, PeerKind};
use rtmp_server::registry::{
    BEHIND_MAX, LastHeard, Observer, Origin, Publication, PublicationStatus, Publisher, Recipient,
    Registry, StreamSettings, Subscription,
};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, StreamId};
use rtmp_server::stats::Counters;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a picture, and more pictures than a viewer's queue and sockets hold.
const PICTURE_LEN: usize = 256 << 10;
const PICTURES: usize = 200;

pub struct Nobody;

impl Observer for Nobody {
    fn stream_begins(&self, _: &StreamKey) {}
    fn stream_ends(&self, _: &StreamKey) {}
    fn audience_changes(&self, _: &StreamKey, _: usize) {}
    fn demand_changes(&self, _: &StreamKey, _: usize) {}
    fn codec_appears(&self, _: &StreamKey, _: &str, _: MessageType, _: Codec) {}
}

/// The way to a peer, with its writer thread, and the peer's socket.
pub fn connection(counters: &Arc<Counters>) -> (Arc<Outbox>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let peer = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (socket, _) = listener.accept().expect("accept");
    let line = Arc::new(SharedSocket(socket.into()));
    let budget = Arc::new(Budget::new(1 << 30));
    let (outbox, writer) = queue::outbox(
        line.clone(),
        PeerKind::Client(Owner::new([127, 0, 0, 1].into())),
        Framing::chunks(),
        Arc::clone(counters),
        budget,
    );
    thread::spawn(move || net::send_all(&line, writer));
    (outbox, peer)
}

fn picture(number: usize) -> Message {
    let mut payload = vec![if number == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.resize(PICTURE_LEN, 7);
    Message::untimed(MessageType::VIDEO, StreamId(1), payload)
}

fn registry(counters: &Arc<Counters>) -> Registry {
    let settings = StreamSettings {
        gop_cache: true,
        takeover: true,
        grace: Duration::from_secs(90),
        wait: Duration::ZERO,
        chunk_size: 4096,
    };
    let budget = Arc::new(Budget::new(1 << 30));
    Registry::new(settings, Arc::new(Nobody), Arc::clone(counters), budget)
}

/// A publisher that is sent things this way.
pub fn publisher(outbox: Arc<Outbox>) -> Publisher {
    Publisher {
        conn_id: "c1".to_owned(),
        outbox,
        heard: Arc::new(LastHeard::now()),
        origin: Origin::Client {
            stream: StreamId(1),
            name: "x".to_owned(),
        },
        via: Vec::new(),
    }
}

/// A stream with one viewer.
struct Watched {
    registry: Registry,
    publication: Publication,
    /// The far end of the publisher.
    _publisher: TcpStream,
    outbox: Arc<Outbox>,
    viewer: TcpStream,
    subscription: Subscription,
}

impl Watched {
    fn new() -> Watched {
        let counters = Arc::new(Counters::default());
        let registry = registry(&counters);
        let key = StreamKey::new("live/x").expect("a key");
        let (publishing, far_publisher) = connection(&counters);
        let publication = registry.publish(&key, publisher(publishing));
        let (outbox, viewer) = connection(&counters);
        let recipient = Recipient::player("c2".to_owned(), StreamId(1), "x".to_owned(), Vec::new());
        let subscription = registry.subscribe(&key, &outbox, recipient);
        Watched {
            registry,
            publication: publication.expect("published"),
            _publisher: far_publisher,
            outbox,
            viewer,
            subscription: subscription.expect("subscribed"),
        }
    }
}

/// It is counted, stays while the publisher is lost, and is hung up on when the stream ends.
#[test]
fn a_session_is_a_viewer_that_is_sent_nothing() {
    let counters = Arc::new(Counters::default());
    let registry = registry(&counters);
    let key = StreamKey::new("live/x").expect("a key");
    let (publishing, _publisher) = connection(&counters);
    let publish = || registry.publish(&key, publisher(publishing.clone()));
    let publication = publish().expect("published");
    let (outbox, _viewer) = connection(&counters);
    let subscription = registry.subscribe(&key, &outbox, Recipient::session("c2".to_owned()));
    let subscription = subscription.expect("subscribed");
    let is_open = || outbox.push_reply(Vec::new()) != Offer::Closed;
    for number in 0..3 {
        let status = publication.send([picture(number)]);
        assert_eq!(status, PublicationStatus::Current);
    }
    assert_eq!(registry.count(), (1, 1));
    drop(publication);
    assert_eq!(registry.count(), (0, 1));
    let publication = publish().expect("published again");
    assert_eq!(publication.send([picture(0)]), PublicationStatus::Current);
    assert_eq!((outbox.media(), outbox.waiting(), is_open()), (0, 0, true));
    publication.finish();
    assert!(subscription.is_over() && !is_open());
}

#[test]
fn a_viewer_that_has_taken_everything_is_not_behind() {
    for reads in [true, false] {
        let Watched {
            registry,
            publication,
            outbox,
            viewer,
            subscription,
            ..
        } = &mut Watched::new();
        assert!(publication.is_watched());
        for number in 0..PICTURES {
            let status = publication.send([picture(number)]);
            assert_eq!(status, PublicationStatus::Current);
        }
        assert!(outbox.drops() > 0, "the queue took everything");
        subscription.set_paused(true);
        if reads {
            let timeout = Some(Duration::from_millis(20));
            viewer.set_read_timeout(timeout).expect("timeout");
            let mut buffer = vec![0; 1 << 20];
            while outbox.waiting() > 0 {
                let _ = viewer.read(&mut buffer);
            }
        }
        let now = Instant::now();
        registry.expire(now);
        registry.expire(now + BEHIND_MAX + Duration::from_secs(1));
        let hung_up = outbox.push_reply(Vec::new()) == Offer::Closed;
        assert_eq!(hung_up, !reads);
    }
}

/// What it misses up to the next keyframe counts, also when it has taken everything before.
#[test]
fn what_needs_a_lost_picture_counts_as_lost() {
    let Watched {
        registry,
        publication,
        outbox,
        viewer,
        ..
    } = &mut Watched::new();
    let mut count = 0;
    while outbox.drops() == 0 {
        let _ = publication.send([picture(count)]);
        count += 1;
    }
    let timeout = Some(Duration::from_millis(20));
    viewer.set_read_timeout(timeout).expect("timeout");
    let mut buffer = vec![0; 1 << 20];
    while outbox.waiting() > 0 {
        let _ = viewer.read(&mut buffer);
    }
    registry.expire(Instant::now());
    for number in count..count + 3 {
        let _ = publication.send([picture(number)]);
    }
    assert_eq!((outbox.drops(), outbox.waiting()), (4, 0));
    let _ = publication.send([picture(0)]);
    let _ = publication.send([picture(1)]);
    assert_eq!(outbox.drops(), 4);
}
