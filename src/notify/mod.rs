//! The callbacks of nginx-rtmp, as they are: web services decide about clients and are told of them.
//!
//! on_connect, on_publish and on_play are asked, and only the connection of that client waits for the
//! answer. All other calls are made by a few threads of their own, those about one client in order.

mod answer;
mod call;
mod form;
mod lanes;
mod service;
mod session;
mod updates;

pub use answer::{NotifyRefusal, Verdict};
pub use call::NotifyCall;
pub use form::{NotifyClient, NotifyStream};
pub use lanes::{NOTIFY_BACKLOG_MAX, NOTIFY_LANES};
pub use service::{NOTIFY_TIMEOUT, NotifyMethod, NotifySettings};
pub use session::{NotifyProbe, NotifyRole, NotifySession};

use crate::http::client::PostError;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Counters;
use crate::sync::{Mutex, RwLock};
use crate::turns::Turns;
use form::Form;
use lanes::{Job, Lanes, Then};
use service::{Service, Services};
use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use updates::Updates;

/// Questions that are asked at a time; the others wait.
pub const NOTIFY_QUESTIONS_MAX: usize = 32;

/// Publications that are remembered for the files that are complete after their end.
const RECORDINGS_MAX: usize = 1024;

/// What a client wants to do with a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum NotifyQuestion {
    /// To publish; the kind of publication.
    Publish(String),
    /// To play: where to begin, how much, and whether to replace what plays.
    Play {
        /// The position to begin at, as it was sent.
        start: Option<f64>,
        /// How long to play, as it was sent.
        duration: Option<f64>,
        /// Whether what plays is to be replaced.
        reset: Option<bool>,
    },
}

/// A publisher, and what it called its stream.
type Described = (Arc<NotifyClient>, Arc<NotifyStream>);

/// The services, and the calls that are on their way to them.
pub struct Notify {
    services: RwLock<Arc<Services>>,
    turns: Turns,
    lanes: Lanes,
    updates: Updates,
    /// Who published a stream last, by what it is called here.
    publishers: Mutex<VecDeque<(StreamKey, Described)>>,
    counters: Arc<Counters>,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Notify")
    }
}

impl Notify {
    /// Calls the services of `settings`.
    ///
    /// # Errors
    ///
    /// [`PostError`]: the URL of one cannot be called.
    pub fn new(settings: &NotifySettings, counters: &Arc<Counters>) -> Result<Notify, PostError> {
        Ok(Notify {
            services: RwLock::new(Arc::new(Services::new(settings)?)),
            turns: Turns::new(NOTIFY_QUESTIONS_MAX),
            lanes: Lanes::new(counters),
            updates: Updates::default(),
            publishers: Mutex::default(),
            counters: Arc::clone(counters),
        })
    }

    /// Calls other services from now on. Clients that publish or play are updated as often as before.
    ///
    /// # Errors
    ///
    /// [`PostError`]: the services of before stay.
    pub fn replace(&self, settings: &NotifySettings) -> Result<(), PostError> {
        let services = Arc::new(Services::new(settings)?);
        *self.services.write() = services;
        Ok(())
    }

    /// Whether a client may connect, and to which app; the time is the server's, in ms.
    ///
    /// # Errors
    ///
    /// [`NotifyRefusal`]: it may not, or the question failed.
    pub fn connect(&self, client: &NotifyClient, epoch: u32) -> Result<Verdict, NotifyRefusal> {
        let form = || {
            Form::new(client)
                .number("epoch", epoch.into())
                .text("call", "connect")
                .query(&client.info.app_query)
        };
        self.ask(NotifyCall::Connect, client, form)
    }

    /// Whether a client may publish or play `stream`, and under which name.
    ///
    /// # Errors
    ///
    /// [`NotifyRefusal`]: it may not, or the question failed.
    pub fn begin(
        &self,
        client: &NotifyClient,
        stream: &NotifyStream,
        question: &NotifyQuestion,
    ) -> Result<Verdict, NotifyRefusal> {
        let (call, name) = match question {
            NotifyQuestion::Publish(_) => (NotifyCall::Publish, "publish"),
            NotifyQuestion::Play { .. } => (NotifyCall::Play, "play"),
        };
        let form = || {
            let form = Form::numbered(client).text("call", name);
            let form = form.text("name", &stream.name);
            let form = match question {
                NotifyQuestion::Publish(kind) => form.text("type", kind),
                NotifyQuestion::Play {
                    start,
                    duration,
                    reset,
                } => form
                    .number("start", unsigned(*start))
                    .number("duration", unsigned(*duration))
                    .number("reset", reset.unwrap_or(false).into()),
            };
            form.query(&stream.query)
        };
        self.ask(call, client, form)
    }

    /// The client that was let in publishes or plays from now on, until what comes back is dropped.
    /// `key` is what the stream is called here.
    pub fn session(
        self: &Arc<Notify>,
        client: &Arc<NotifyClient>,
        stream: NotifyStream,
        role: NotifyRole,
        key: &StreamKey,
        probe: Box<dyn NotifyProbe>,
    ) -> NotifySession {
        let stream = Arc::new(stream);
        if role == NotifyRole::Publisher && self.service(NotifyCall::RecordDone).is_some() {
            let mut publishers = self.publishers.lock();
            // That of another client has a file yet that is not complete.
            publishers.retain(|(other, (by, _))| other != key || by.id != client.id);
            let described = (Arc::clone(client), Arc::clone(&stream));
            publishers.push_back((key.clone(), described));
            if publishers.len() > RECORDINGS_MAX {
                publishers.pop_front();
            }
        }
        NotifySession::begin(self, client, stream, role, probe)
    }

    /// A file of the stream `key` is complete that the client of number `publisher` sent.
    pub fn recorded(&self, publisher: u64, key: &StreamKey, path: &str) {
        let publishers = self.publishers.lock();
        let is_of = |(other, (by, _)): &&(StreamKey, Described)| other == key && by.id == publisher;
        let found = publishers.iter().find(is_of);
        let Some((_, (client, stream))) = found.cloned() else {
            return;
        };
        drop(publishers);
        let path = std::path::absolute(Path::new(path));
        let path = path.map_or_else(|_| String::new(), |path| path.display().to_string());
        let form = || {
            Form::numbered(&client)
                .text("call", "record_done")
                .text("recorder", "")
                .text("name", &stream.name)
                .text("path", &path)
                .query(&stream.query)
        };
        self.tell(NotifyCall::RecordDone, client.id, form, None);
    }

    /// The client is gone.
    pub fn disconnect(&self, client: &NotifyClient) {
        let info = &client.info;
        let form = || {
            Form::numbered(client)
                .text("call", "disconnect")
                .text("app", &info.app)
                .query(&info.app_query)
        };
        self.tell(NotifyCall::Disconnect, client.id, form, None);
    }

    /// Makes no more calls, but those that wait. `false`: not all of them were made by `deadline`.
    pub fn close(&self, deadline: Instant) -> bool {
        self.updates.close();
        self.lanes.close(deadline)
    }

    fn service(&self, call: NotifyCall) -> Option<Service> {
        self.services.read().of(call).cloned()
    }

    /// Asks, and waits for the answer.
    fn ask(
        &self,
        call: NotifyCall,
        client: &NotifyClient,
        form: impl FnOnce() -> Form,
    ) -> Result<Verdict, NotifyRefusal> {
        let Some(service) = self.service(call) else {
            return Ok(Verdict::Unasked);
        };
        let began = Instant::now();
        let turn = self.turns.take(client.addr, NOTIFY_TIMEOUT);
        let _turn = turn.ok_or(NotifyRefusal::Busy)?;
        self.counters.notify_calls.add(1);
        let left = NOTIFY_TIMEOUT.saturating_sub(began.elapsed());
        let verdict = answer::verdict(service.call(form(), left));
        if let Err(NotifyRefusal::Failed(_)) = verdict {
            self.counters.notify_failures.add(1);
        }
        verdict
    }

    /// Has a call made that nobody waits for.
    fn tell(&self, call: NotifyCall, client: u64, form: impl FnOnce() -> Form, then: Option<Then>) {
        if let Some(service) = self.service(call) {
            let form = form();
            let job = Job {
                call,
                service,
                form,
                then,
            };
            self.lanes.push(client, job);
        }
    }
}

/// A number as nginx-rtmp writes it: of 32 bits without a sign, so that -2000 is 4294965296.
fn unsigned(number: Option<f64>) -> u64 {
    u64::from(number.map_or(0, |number| number as i32) as u32)
}
