//! The end of the server, in order.

use super::Server;
use super::connections::Peer;
use crate::hooks::Supervisor;
use crate::log;
use crate::record::Recorder;
use crate::rtmp::StreamId;
use crate::rtmp::status::{self, StatusLevel};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// What clients are told.
const WHY: &str = "The server is shutting down.";

impl Server {
    /// Stops: accepts nobody any more, tells everyone, and waits until all that is under way is
    /// done, for `limit` at most. `false`: it took longer; exit without them.
    pub fn stop(self, limit: Duration) -> bool {
        let began = Instant::now();
        let end = began + limit;
        self.context.stopping.store(true, Ordering::Relaxed);
        drop(self.acceptors);
        self.context.connections.close();
        for thread in self.threads {
            // One that has panicked has ended as well.
            let _ = thread.join();
        }
        let context = self.context;
        let step = |done: bool, what: &str| {
            let elapsed_ms = began.elapsed().as_millis();
            if done {
                log!(Info, "stop step done"; step = what, elapsed_ms = elapsed_ms);
            } else {
                log!(Warn, "stop step not done in time"; step = what, elapsed_ms = elapsed_ms);
            }
            done
        };
        step(true, "no more connections are accepted");
        let peers = context.connections.peers();
        for peer in &peers {
            peer.ask_to_reconnect(self.reconnect_url.as_deref(), WHY);
        }
        context.relays.close();
        context.pulls.close();
        context.registry.close();
        close_all(&peers);
        drop(peers);
        step(true, "streams are ended and clients told");
        context.alive.lock().take();
        let linked = context.relays.wait_gone(end) && context.pulls.wait_gone(end);
        step(linked, "connections to other servers are closed");
        let left = end.saturating_duration_since(Instant::now());
        let gone = self.everyone.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        step(gone, "clients have what was queued for them and are gone");
        let record = |recorder: &Recorder| step(recorder.close(end), "recordings are complete");
        let recorded = context.recorder.as_ref().is_none_or(record);
        let supervise = |supervisor: &Supervisor| {
            step(supervisor.close(end), "programs beside streams have ended")
        };
        let ended = context.supervisor.as_ref().is_none_or(supervise);
        // The last events are fired: those are delivered yet.
        let told = context.hooks.close(end);
        step(told, "hooks are told of everything");
        drop(self.webs);
        linked && gone && recorded && ended && told
    }
}

fn close_all(peers: &[Arc<Peer>]) {
    for peer in peers {
        let code = "NetConnection.Connect.AppShutdown";
        let message = status::on_status(StreamId::CONTROL, StatusLevel::Error, code, WHY);
        peer.outbox.finish(vec![message]);
    }
}
