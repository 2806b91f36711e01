//! Segments of HLS on their way to a client that takes its time: they stay for as long as that lasts.

use crate::memory::{Budget, GaveWay, HeldPayload, Holder, Holding, Owner, Source};
use crate::net::SharedSocket;
use std::fmt;
use std::sync::{Arc, Weak};

/// Responses of fewer bytes are part of what a connection costs.
const SERVED_LEN_MIN: usize = 64 << 10;

/// A response that is being sent.
struct Serving {
    payloads: Vec<HeldPayload>,
    socket: Arc<SharedSocket>,
    /// What is sent, by which others know that they are sent the same.
    source: Source,
    owner: Owner,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl Serving {
    fn len(&self) -> usize {
        self.payloads.iter().map(HeldPayload::len).sum()
    }
}

/// Counts a response of these `pieces` to `owner`, for as long as what is returned is held; nothing if it
/// is short.
pub(super) fn count(
    pieces: &[Arc<[u8]>],
    (socket, owner): (&Arc<SharedSocket>, Owner),
    budget: &Arc<Budget>,
) -> Option<Box<dyn fmt::Debug + Send>> {
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let first = pieces.first().filter(|_| len >= SERVED_LEN_MIN)?;
    let payloads = pieces.iter().map(|piece| HeldPayload::new(budget, piece));
    let serving = Arc::new(Serving {
        payloads: payloads.collect(),
        socket: Arc::clone(socket),
        source: Source::at(&**first),
        owner,
    });
    let holder: Weak<Serving> = Arc::downgrade(&serving);
    budget.enter(holder);
    Some(Box::new(serving))
}

impl Holder for Serving {
    fn held_bytes(&self) -> usize {
        self.len()
    }

    fn holding(&self) -> Holding {
        Holding {
            shared: Some((self.source, self.len())),
            ..Holding::own(Some(self.owner), self.len())
        }
    }

    fn give_way(&self) -> Option<GaveWay> {
        self.socket.hang_up();
        Some(GaveWay::Peer)
    }
}
