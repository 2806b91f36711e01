//! A web service that is told of each event.

use super::event::Fired;
use super::failure::HookFailure;
use crate::http::client::{Endpoint, PostError};
use std::time::Duration;

/// A web service, and how long it may take.
#[derive(Debug)]
pub(super) struct Webhook {
    endpoint: Endpoint,
    timeout: Duration,
}

impl Webhook {
    /// The service at `url`.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::new`].
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Webhook, PostError> {
        let endpoint = Endpoint::new(url)?;
        Ok(Webhook { endpoint, timeout })
    }

    /// Scheme, host and port: the rest of the URL may be secret.
    pub(super) fn place(&self) -> String {
        self.endpoint.url().to_string()
    }

    /// Posts the event as JSON; any 2xx will do.
    ///
    /// # Errors
    ///
    /// [`HookFailure::Http`] and [`HookFailure::Status`].
    pub(super) fn run(&self, fired: &Fired) -> Result<(), HookFailure> {
        let headers = [("Content-Type", "application/json")];
        let reply = self.endpoint.post(&headers, &fired.json(), self.timeout);
        match reply.map_err(HookFailure::Http)?.status {
            200..300 => Ok(()),
            status => Err(HookFailure::Status(status)),
        }
    }
}
