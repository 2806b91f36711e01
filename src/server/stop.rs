//! The end of the server, in order.

use super::connections::Peer;
use super::context::Context;
use crate::log;
use crate::rtmp::StreamId;
use crate::rtmp::status::{self, StatusLevel};
use crate::sync;
use crate::tls::TlsFront;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What clients are told.
const WHY: &str = "The server is shutting down.";

/// How long input may take to be passed on once it does not wait any more.
const INPUT_TIME: Duration = Duration::from_millis(10);

/// How long other servers may take what is queued for them; half of the time that is left, if that is
/// less.
const LINKS_PATIENCE: Duration = Duration::from_secs(2);

/// A stop that is under way.
pub(super) struct Stop {
    began: Instant,
    /// When it has to be over.
    end: Instant,
}

impl Stop {
    /// A stop that begins now and takes `limit` at most.
    pub(super) fn begin(limit: Duration) -> Stop {
        let began = Instant::now();
        Stop {
            began,
            end: began + limit,
        }
    }

    /// Tells everyone and waits until all that is under way is done; nobody is accepted any more
    /// by now. `false`: not all of it was done in time.
    #[must_use]
    pub(super) fn run(&self, context: &Context, tls: Option<&TlsFront>) -> bool {
        self.step(true, "no more connections are accepted");
        let peers = context.connections.peers();
        let reconnect_url = context.reconnect_url();
        for peer in &peers {
            peer.ask_to_reconnect(reconnect_url.as_deref(), WHY);
        }
        self.await_input(context);
        context.ingest.relays.close();
        context.pulls.close();
        context.registry.close();
        close_all(&peers);
        drop(peers);
        self.step(true, "streams are ended and clients told");
        let linked = self.end_links(context);
        self.step(linked, "connections to other servers are closed");
        let gone = context.connections.wait_gone(self.end);
        self.step(gone, "clients have what was queued for them and are gone");
        let close = |tls: &TlsFront| self.step(tls.close(self.end), "TLS has ended");
        let closed = tls.is_none_or(close);
        let recorded = context.ingest.recorder.close(self.end);
        self.step(recorded, "recordings are complete");
        let ended = context.ingest.supervisor.close(self.end);
        self.step(ended, "programs beside streams have ended");
        // The last events are fired by now; they are still delivered.
        let notified = context.notify.close(self.end);
        let told = context.hooks.close(self.end) && notified;
        self.step(told, "hooks are told of everything");
        linked && gone && closed && recorded && ended && told
    }

    /// Other servers get some time to take what is queued for them. That one does not is its fault, and
    /// nothing that a stop could wait for. `false`: a connection is still there.
    fn end_links(&self, context: &Context) -> bool {
        let (relays, pulls) = (&context.ingest.relays, &context.pulls);
        let now = Instant::now();
        let left = self.end.saturating_duration_since(now);
        let patience = now + LINKS_PATIENCE.min(left / 2);
        if relays.wait_gone(patience) && pulls.wait_gone(patience) {
            return true;
        }
        relays.cut();
        pulls.cut();
        relays.wait_gone(self.end) && pulls.wait_gone(self.end)
    }

    /// Waits until what publishers have sent by now is passed on: it may be waiting for more.
    fn await_input(&self, context: &Context) {
        let (publishers, _) = context.registry.count();
        if let Some(longest) = context.link_settings.merge.longest()
            && publishers > 0
        {
            let left = self.end.saturating_duration_since(Instant::now());
            sync::sleep((longest + INPUT_TIME).min(left / 2));
        }
    }

    /// Logs how a step ended; returns `done`.
    fn step(&self, done: bool, what: &str) -> bool {
        let elapsed_ms = self.began.elapsed().as_millis();
        if done {
            log!(Info, "stop step done"; step = what, elapsed_ms = elapsed_ms);
        } else {
            log!(Warn, "stop step not done in time"; step = what, elapsed_ms = elapsed_ms);
        }
        done
    }
}

fn close_all(peers: &[Arc<Peer>]) {
    for peer in peers {
        let code = "NetConnection.Connect.AppShutdown";
        let message = status::on_status(StreamId::CONTROL, StatusLevel::Error, code, WHY);
        peer.outbox.drain_and_close(vec![message]);
    }
}
