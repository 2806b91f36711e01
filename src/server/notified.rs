//! What the services of -notify may know of a client, and do to it.

use super::context::Context;
use crate::log;
use crate::notify::NotifyProbe;
use crate::queue::{Cause, Outbox};
use crate::registry::Registry;
use crate::rtmp::stream_key::StreamKey;
use std::sync::Arc;

/// The stream that a client publishes or plays, and the way to the client.
struct StreamProbe {
    registry: Registry,
    key: StreamKey,
    outbox: Arc<Outbox>,
    conn_id: String,
}

/// A look at the stream `key`, and a way to end the connection of a client that publishes or plays it.
pub(super) fn probe(
    context: &Context,
    key: &StreamKey,
    outbox: &Arc<Outbox>,
    conn_id: &str,
) -> Box<dyn NotifyProbe> {
    Box::new(StreamProbe {
        registry: context.registry.clone(),
        key: key.clone(),
        outbox: Arc::clone(outbox),
        conn_id: conn_id.to_owned(),
    })
}

impl NotifyProbe for StreamProbe {
    fn timestamp(&self) -> u32 {
        let time = self.registry.time_of(&self.key);
        time.map_or(0, |time| time.0)
    }

    fn end(&self) {
        log!(Info, "ended by on_update"; conn_id = self.conn_id, stream_key = self.key);
        self.outbox.hang_up(Cause::Asked);
    }
}
