//! Segments of HLS on their way to a client that takes its time: they stay for as long as that lasts.

use crate::memory::{Budget, GaveWay, HeldPayload, Holder};
use crate::net::SharedSocket;
use std::fmt;
use std::sync::{Arc, Weak};

/// Responses of fewer bytes are part of what a connection costs.
const SERVED_LEN_MIN: usize = 64 << 10;

/// A response that is being sent.
struct Serving {
    payloads: Vec<HeldPayload>,
    socket: Arc<SharedSocket>,
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

/// Counts a response of these `pieces` for as long as what is returned is held; nothing if it is short.
pub(super) fn count(
    pieces: &[Arc<[u8]>],
    socket: &Arc<SharedSocket>,
    budget: &Arc<Budget>,
) -> Option<Box<dyn fmt::Debug + Send>> {
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    if len < SERVED_LEN_MIN {
        return None;
    }
    let payloads = pieces.iter().map(|piece| HeldPayload::new(budget, piece));
    let serving = Arc::new(Serving {
        payloads: payloads.collect(),
        socket: Arc::clone(socket),
    });
    let holder: Weak<Serving> = Arc::downgrade(&serving);
    budget.enter(holder);
    Some(Box::new(serving))
}

impl Holder for Serving {
    fn held_bytes(&self) -> usize {
        self.len()
    }

    fn give_way(&self) -> Option<GaveWay> {
        self.socket.hang_up();
        Some(GaveWay::Peer)
    }
}
