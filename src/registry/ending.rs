//! The end of a publication, told where it happens.

use super::stream::Traffic;
use std::fmt;

/// Why a publication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The publisher said that it has finished.
    Finished,
    /// The publisher's connection ended.
    Lost,
    /// Another publisher has the stream.
    TakenOver,
    /// The server ended the stream.
    EndedByServer,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Reason::Finished => "finished",
            Reason::Lost => "lost",
            Reason::TakenOver => "taken over",
            Reason::EndedByServer => "ended by the server",
        })
    }
}

/// A publication that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: Reason,
    /// How many players it had then.
    pub viewers: usize,
    /// What passed through it.
    pub traffic: Traffic,
}

/// What is done when a publication ends, whatever ends it. Called once, under the stream's lock,
/// before anything of the next publication is told: it must not wait for anything.
pub type AtEnd = Box<dyn FnOnce(Ended) + Send>;
