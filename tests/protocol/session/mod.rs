//! The server's end of a conversation, and the client's: what is said and done in which state.

mod bounds;
mod client;
mod malformed;
mod pair;
mod states;
mod steps;

use crate::support::notation::Notation;
use crate::support::render;
use rtmp_server::rtmp::control::Error;
use rtmp_server::rtmp::session::{Session, SessionEvent};

/// A session that is spoken to in the notation of the vectors.
struct Peer(Session);

impl Peer {
    fn new() -> Peer {
        Peer(Session::new(4096))
    }

    /// What follows from messages, in one line. A client that wants to connect may.
    fn hears(&mut self, messages: &str) -> Result<String, Error> {
        let mut events = self.events(messages)?;
        if let Some(SessionEvent::Connect(_)) = events.last() {
            let sent = self.0.accept_connect(None);
            events.extend(sent.into_iter().map(SessionEvent::Send));
        }
        Ok(line(&events))
    }

    /// The same, but nothing is decided.
    fn says(&mut self, messages: &str) -> String {
        line(&self.events(messages).expect("no violation"))
    }

    fn events(&mut self, messages: &str) -> Result<Vec<SessionEvent>, Error> {
        let mut events = Vec::new();
        for scripted in Notation::new(messages).script().messages {
            self.0.handle(scripted.message, &mut events)?;
        }
        Ok(events)
    }

    /// As `hears`, of one command that arrives on `stream`.
    fn called(&mut self, stream: u32, call: &str) -> Result<String, Error> {
        self.hears(&format!("command {stream} @0 {call}"))
    }

    /// The messages that tell of a granted request, in one line.
    fn accepts(&mut self, stream: u32) -> String {
        let sent = self.0.accept(rtmp_server::rtmp::StreamId(stream));
        line(&sent.into_iter().map(SessionEvent::Send).collect::<Vec<_>>())
    }
}

fn line(events: &[SessionEvent]) -> String {
    events
        .iter()
        .map(render::event)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Collects what differs over all rows, so that one run shows all of it.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn compare(&mut self, what: &str, got: &str, want: &str) {
        if got != want {
            self.0.push(format!("{what}\n   got {got}\n  want {want}"));
        }
    }

    fn check(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}
