//! A client that publishes or plays, from its beginning to its end.

use super::call::NotifyCall;
use super::form::{Form, NotifyClient, NotifyStream};
use super::updates::Repeat;
use super::{Notify, lanes::Then};
use crate::log;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// What a client does with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyRole {
    /// It publishes the stream.
    Publisher,
    /// It plays the stream.
    Player,
}

/// A look at what a client does, and a way to end it.
pub trait NotifyProbe: Send + Sync {
    /// The time that the stream has come to, in ms.
    fn timestamp(&self) -> u32;
    /// Ends the connection of the client.
    fn end(&self);
}

/// A client that publishes or plays. When it is dropped, the services are told that this is over.
#[must_use = "dropped, the services are told that it is over"]
pub struct NotifySession(Arc<Live>);

struct Live {
    /// Held weakly: what is called again and again must not keep itself.
    notify: Weak<Notify>,
    client: Arc<NotifyClient>,
    stream: Arc<NotifyStream>,
    role: NotifyRole,
    since: Instant,
    probe: Arc<dyn NotifyProbe>,
}

impl NotifySession {
    pub(super) fn begin(
        notify: &Arc<Notify>,
        client: &Arc<NotifyClient>,
        stream: Arc<NotifyStream>,
        role: NotifyRole,
        probe: Box<dyn NotifyProbe>,
    ) -> NotifySession {
        let live = Arc::new(Live {
            notify: Arc::downgrade(notify),
            client: Arc::clone(client),
            stream,
            role,
            since: Instant::now(),
            probe: Arc::from(probe),
        });
        let services = Arc::clone(&notify.services.read());
        if services.of(NotifyCall::Update).is_some() {
            let repeat = Arc::clone(&live) as Arc<dyn Repeat>;
            if let Err(error) = notify.updates.add(&repeat, services.update) {
                log!(Warn, "cannot start a thread for -notify on_update"; error = error);
            }
        }
        NotifySession(live)
    }
}

impl Drop for NotifySession {
    fn drop(&mut self) {
        let live = &self.0;
        let Some(notify) = live.notify.upgrade() else {
            return;
        };
        let (call, name) = match live.role {
            NotifyRole::Publisher => (NotifyCall::PublishDone, "publish_done"),
            NotifyRole::Player => (NotifyCall::PlayDone, "play_done"),
        };
        for (call, name) in [(call, name), (NotifyCall::Done, "done")] {
            let form = || {
                let form = Form::numbered(&live.client).text("call", name);
                live.named(form).query(&live.stream.query)
            };
            notify.tell(call, live.client.id, form, None);
        }
    }
}

impl Live {
    /// Adds the name, if it has one.
    fn named(&self, form: Form) -> Form {
        match self.stream.name.as_str() {
            "" => form,
            name => form.text("name", name),
        }
    }
}

impl Repeat for Live {
    fn is_due(&self) {
        let Some(notify) = self.notify.upgrade() else {
            return;
        };
        let name = match self.role {
            NotifyRole::Publisher => "update_publish",
            NotifyRole::Player => "update_play",
        };
        let form = || {
            let form = Form::numbered(&self.client)
                .text("call", name)
                .number("time", self.since.elapsed().as_secs())
                .number("timestamp", self.probe.timestamp().into());
            self.named(form).query(&self.stream.query)
        };
        let probe = Arc::clone(&self.probe);
        let end: Then = Box::new(move |reply| {
            if reply.status >= 400 {
                probe.end();
            }
        });
        notify.tell(NotifyCall::Update, self.client.id, form, Some(end));
    }
}
