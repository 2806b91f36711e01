//! What a message stream of a peer is used for, from its beginning to its end.

use super::context::Context;
use super::events;
use crate::capacity::Share;
use crate::hooks::{Child, Event, Hooks};
use crate::log;
use crate::media::Codec;
use crate::queue::{self, Outbox};
use crate::record;
use crate::registry::{Ended, Publication, Subscription};
use crate::rtmp::session::Medium;
use crate::rtmp::stream_key::StreamKey;
use std::sync::Arc;
use std::time::Instant;

/// A publication or a playback.
pub enum Active {
    /// The peer publishes.
    Publishing(Publishing),
    /// The peer plays.
    Playing(Playing),
}

/// A publication.
pub struct Publishing {
    /// The right to publish.
    pub publication: Publication,
    /// Of which stream.
    pub key: StreamKey,
}

/// What lasts as long as a publication does, wherever that ends.
struct Beside {
    hooks: Arc<Hooks>,
    conn_id: String,
    key: StreamKey,
    since: Instant,
    /// The program that runs beside it.
    child: Option<Child>,
    /// Room in the system for what runs beside it.
    share: Share,
}

/// A playback.
pub struct Playing {
    /// The place in the audience.
    pub subscription: Subscription,
    /// Of which stream.
    pub key: StreamKey,
    /// Since when.
    pub since: Instant,
    /// The way to the viewer.
    outbox: Arc<Outbox>,
    /// Bytes and drops of its connection, when playing began.
    before: (u64, u64),
}

/// How an activity ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer said so.
    Finished,
    /// The connection did.
    Lost,
}

impl Active {
    /// The stream that it is about.
    pub fn key(&self) -> &StreamKey {
        match self {
            Active::Publishing(publishing) => &publishing.key,
            Active::Playing(playing) => &playing.key,
        }
    }

    /// What the connection is called that does this.
    pub fn role(&self) -> &'static str {
        match self {
            Active::Publishing(_) => "publisher",
            Active::Playing(_) => "subscriber",
        }
    }

    /// Turns a kind of media on or off, for a viewer.
    pub fn receive(&self, medium: Medium, on: bool) {
        match (self, medium) {
            (Active::Playing(playing), Medium::Audio) => playing.subscription.set_audio(on),
            (Active::Playing(playing), Medium::Video) => playing.subscription.set_video(on),
            (Active::Publishing(_), _) => {}
        }
    }

    /// Pauses a viewer, or lets it go on.
    pub fn pause(&self, paused: bool) {
        if let Active::Playing(playing) = self {
            playing.subscription.set_paused(paused);
        }
    }

    /// Ends it, and tells the log and the hooks.
    pub fn end(self, context: &Context, conn_id: &str, ending: Ending) {
        match self {
            Active::Publishing(publishing) => publishing.end(ending),
            Active::Playing(playing) => playing.end(context, conn_id, ending),
        }
    }
}

impl Publishing {
    /// A publication that begins now: hooks are told by `event`, and whatever is to run beside it
    /// is started.
    pub fn start(
        context: &Context,
        publication: Publication,
        key: StreamKey,
        event: Event,
        share: Share,
    ) -> Publishing {
        let begun = publication.begin(|| {
            let beside = Beside::start(context, &key, event, share);
            Box::new(move |ended| beside.end(&ended))
        });
        if begun {
            if let Some(recorder) = &context.recorder {
                let (feed, intake) = queue::feed(record::FEED_LIMITS);
                publication.attach(feed);
                recorder.start(&key, intake);
            }
            context.relays.start(&key, &context.registry);
        }
        Publishing { publication, key }
    }

    /// Ends it.
    pub fn end(self, ending: Ending) {
        match ending {
            Ending::Finished => self.publication.finish(),
            Ending::Lost => drop(self.publication),
        }
    }
}

impl Beside {
    fn start(context: &Context, key: &StreamKey, event: Event, share: Share) -> Beside {
        context.hooks.fire(event.clone());
        let conn_id = event.conn_id.clone();
        let supervisor = context.supervisor.as_ref();
        Beside {
            hooks: Arc::clone(&context.hooks),
            conn_id,
            key: key.clone(),
            since: Instant::now(),
            child: supervisor.map(|supervisor| supervisor.start(event)),
            share,
        }
    }

    /// Tells the log and the hooks.
    fn end(self, ended: &Ended) {
        let Beside {
            hooks,
            conn_id,
            key,
            since,
            child,
            share: _share,
        } = self;
        let (traffic, duration) = (&ended.traffic, since.elapsed());
        let codec = |codec: Option<Codec>| codec.map_or("-".to_owned(), |codec| codec.to_string());
        log!(Info, "publisher stopped"; conn_id = conn_id, stream_key = key, how = ended.reason,
            duration_sec = log::Seconds(duration),
            audio_codec = codec(traffic.audio_codec), audio_packets = traffic.audio,
            video_codec = codec(traffic.video_codec), video_packets = traffic.video,
            total_bytes = traffic.bytes, viewers = ended.viewers, dropped = traffic.dropped);
        hooks.fire(events::publish_stopped(&conn_id, &key, traffic, duration));
        drop(child);
    }
}

impl Playing {
    /// A playback that begins now.
    pub fn new(subscription: Subscription, key: StreamKey, outbox: &Arc<Outbox>) -> Playing {
        Playing {
            subscription,
            key,
            since: Instant::now(),
            outbox: Arc::clone(outbox),
            before: (outbox.bytes(), outbox.drops()),
        }
    }

    fn end(self, context: &Context, conn_id: &str, ending: Ending) {
        let Playing {
            subscription,
            key,
            since,
            outbox,
            before: (bytes, drops),
        } = self;
        let how = match (subscription.is_over(), ending) {
            (true, _) => "stream over",
            (false, Ending::Finished) => "finished",
            (false, Ending::Lost) => "lost",
        };
        drop(subscription);
        log!(Info, "player stopped"; conn_id = conn_id, stream_key = key, how = how,
            duration_sec = log::Seconds(since.elapsed()),
            total_bytes = outbox.bytes() - bytes, dropped = outbox.drops() - drops);
        context
            .hooks
            .fire(events::play_stopped(conn_id, &key, since.elapsed()));
    }
}
