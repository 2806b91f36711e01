//! Numbers of connections.

use std::fmt;

/// A connection's number, from 1 on. Shown as `c000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ConnId(pub(super) u64);

impl ConnId {
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "c{:06}", self.0)
    }
}
