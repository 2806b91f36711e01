//! The web services, and how they are called.

use super::call::NotifyCall;
use super::form::Form;
use crate::http::client::{Endpoint, PostError, Reply};
use std::fmt;
use std::time::Duration;

/// How long a service may take for an answer. nginx-rtmp waits as long.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// How the fields are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifyMethod {
    /// In the body of a request.
    #[default]
    Post,
    /// Behind the URL, as its query.
    Get,
}

/// Which services are called, and how.
#[derive(Clone, PartialEq)]
pub struct NotifySettings {
    /// The calls and their URLs; of two for the same call, the last counts.
    pub calls: Vec<(NotifyCall, String)>,
    /// Where the fields are put.
    pub method: NotifyMethod,
    /// The time between two calls of on_update about a client.
    pub update: Duration,
}

impl Default for NotifySettings {
    /// No services are called.
    fn default() -> NotifySettings {
        NotifySettings {
            calls: Vec::new(),
            method: NotifyMethod::Post,
            update: Duration::from_secs(30),
        }
    }
}

/// Without the URLs, which may hold passwords.
impl fmt::Debug for NotifySettings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let calls = self.calls.iter().map(|(call, _)| call);
        f.debug_list().entries(calls).finish()
    }
}

impl NotifySettings {
    /// The URLs that cannot be called, by their place in the list.
    pub fn wrong_urls(&self) -> impl Iterator<Item = (usize, PostError)> {
        let calls = self.calls.iter().enumerate();
        calls.filter_map(|(index, (_, url))| Some((index, Endpoint::new(url).err()?)))
    }
}

/// The service of each call that has one.
#[derive(Debug, Default)]
pub(super) struct Services {
    endpoints: Vec<(NotifyCall, Service)>,
    pub(super) update: Duration,
}

/// A web service that is called.
#[derive(Clone, Debug)]
pub(super) struct Service {
    endpoint: Endpoint,
    method: NotifyMethod,
}

impl Services {
    pub(super) fn new(settings: &NotifySettings) -> Result<Services, PostError> {
        let mut endpoints = Vec::new();
        for (call, url) in settings.calls.iter().rev() {
            let endpoint = Endpoint::new(url)?;
            let method = settings.method;
            endpoints.push((*call, Service { endpoint, method }));
        }
        Ok(Services {
            endpoints,
            update: settings.update,
        })
    }

    /// The service that `call` goes to.
    pub(super) fn of(&self, call: NotifyCall) -> Option<&Service> {
        let mut endpoints = self.endpoints.iter();
        endpoints.find_map(|(other, service)| (*other == call).then_some(service))
    }
}

impl Service {
    /// Sends the fields and waits for the answer, `timeout` at most.
    pub(super) fn call(&self, form: Form, timeout: Duration) -> Result<Reply, PostError> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let form = form.into_string();
        match self.method {
            NotifyMethod::Post => self.endpoint.post(&headers, &form, timeout),
            NotifyMethod::Get => self.endpoint.get(&form, timeout),
        }
    }
}
