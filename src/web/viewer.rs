//! A viewer by HTTP whose response lasts as long as the stream.

use super::host::{Outcome, PlayRefusal, Viewing, WebConnection};
use super::limits::WRITE_LIMIT;
use super::refusal::{error, not_found};
use crate::http::server::{LiveBody, LiveConnection, LiveEnd, Response, StreamFraming};
use crate::net::{SharedSocket, send_all_holding};
use crate::queue::{Done, Framing, Writer};
use crate::registry::Recipient;
use crate::rtmp::stream_key::StreamPath;
use crate::stats::Protocol;
use std::sync::Arc;

/// One who is let in and waits for the stream, or is sent it.
pub(super) struct LiveViewer {
    pub(super) connection: Arc<dyn WebConnection>,
    pub(super) path: StreamPath,
    pub(super) protocol: Protocol,
    pub(super) user_agent: String,
    /// How messages become bytes, behind the head of the response.
    pub(super) framing: fn(head: Vec<u8>, framing: StreamFraming) -> Framing,
    pub(super) recipient: Box<dyn FnOnce(String) -> Recipient + Send>,
    /// What is answered if the stream ends before anything was sent.
    pub(super) instead: Box<dyn FnOnce() -> Response + Send>,
}

impl LiveViewer {
    /// The response that sends the stream as this media type.
    pub(super) fn response(self, content_type: &'static str) -> Response {
        Response::live(content_type, Box::new(self))
            .with_header("Cache-Control", "no-store")
            // nginx would gather the stream until its buffers are full.
            .with_header("X-Accel-Buffering", "no")
    }
}

impl LiveBody for LiveViewer {
    fn run(self: Box<Self>, connection: LiveConnection) -> LiveEnd {
        let LiveConnection {
            socket,
            head,
            framing,
        } = connection;
        let LiveViewer {
            recipient, instead, ..
        } = *self;
        let (mut end, mut instead) = (LiveEnd::CutShort, Some(instead));
        let viewing = Viewing {
            path: &self.path,
            protocol: self.protocol,
            user_agent: &self.user_agent,
            framing: (self.framing)(head, framing),
            recipient,
        };
        let watched = self.connection.watch(viewing, &mut |outbox, writer| {
            let outcome = send(socket, &writer);
            end = match outcome {
                // Not even the head.
                Outcome::Complete if outbox.bytes() == 0 => {
                    LiveEnd::Instead(instead.take().map_or_else(not_found, |instead| instead()))
                }
                Outcome::Complete => LiveEnd::Complete,
                Outcome::Lost => LiveEnd::CutShort,
            };
            outcome
        });
        match watched {
            Ok(()) => end,
            Err(PlayRefusal::NotFound) => LiveEnd::Instead(not_found()),
            Err(PlayRefusal::Busy) => {
                LiveEnd::Instead(error(503, "too many streams are being fetched"))
            }
            Err(PlayRefusal::TooManyChoices) => {
                LiveEnd::Instead(error(503, "too many choices of tracks are watched"))
            }
            Err(PlayRefusal::Ended) => LiveEnd::Instead(error(403, "access denied")),
            Err(PlayRefusal::Full) => LiveEnd::Instead(error(503, "too many viewers")),
            Err(PlayRefusal::Stopping) => LiveEnd::Instead(error(503, "the server stops")),
        }
    }
}

/// Sends what the stream's publisher could not send at once, until either side ends it.
fn send(socket: &SharedSocket, writer: &Writer) -> Outcome {
    if socket.0.set_write_timeout(Some(WRITE_LIMIT)).is_err() {
        return Outcome::Lost;
    }
    match send_all_holding(socket, writer) {
        Ok(Done::Drained) => Outcome::Complete,
        Ok(Done::Abandoned | Done::HungUp) | Err(_) => Outcome::Lost,
    }
}
