//! Whether a client may publish or play, the same for all protocols.

use super::context::Context;
use super::ended::REFUSED_FOR;
use super::events;
use super::flood::flood_limit;
use crate::auth::{Action, Answer, Denied, Passed};
use crate::log;
use crate::log::RateLimit;
use crate::notify::{NotifyClient, NotifyQuestion, NotifyRefusal, NotifyStream, Verdict};
use crate::rtmp::session::RequestDetails;
use crate::rtmp::stream_key::{self, StreamKey, StreamPath};
use crate::text::HIDDEN;
use crate::web::Traits;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

static DENIALS: RateLimit = flood_limit();

/// A client that asks to publish or play.
pub(super) struct Client<'a> {
    /// Its connection's number, as the log writes it.
    pub(super) conn_id: &'a str,
    /// Where it comes from.
    pub(super) addr: SocketAddr,
}

/// What a client asks for.
pub(super) struct AccessRequest<'a> {
    pub(super) action: Action,
    pub(super) path: &'a StreamPath,
    pub(super) details: &'a RequestDetails,
    /// What the client calls itself.
    pub(super) agent: &'a str,
    /// What the services of -notify are told of the client and of the stream.
    pub(super) about: &'a NotifyClient,
    pub(super) stream: &'a NotifyStream,
    /// Which answer of the callback service will do.
    pub(super) answer: Answer,
}

/// A client may do what it asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted {
    /// Whether a web service was asked: the client may have left meanwhile.
    pub(super) waited: bool,
    /// Whether the client had to show something.
    pub(super) checked: bool,
    /// What the stream is to be called, if not as the client calls it.
    pub(super) renamed: Option<StreamPath>,
}

/// A client may not do what it asks for. The counters, the log and the hooks were told why.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessDenied;

/// Who refuses a client, and why.
enum Refused {
    /// A viewer that was ended a moment ago comes back.
    Ended,
    Auth(Denied),
    Notify(NotifyRefusal),
}

impl Refused {
    /// The stream, as it may be shown: where services of -notify are asked, a name may be a secret
    /// that they know.
    fn shown_key(&self, key: &StreamKey) -> String {
        match self {
            Refused::Ended | Refused::Auth(_) => key.as_str().to_owned(),
            Refused::Notify(_) => match key.as_str().rsplit_once('/') {
                Some((app, _)) => format!("{app}/{HIDDEN}"),
                None => HIDDEN.to_owned(),
            },
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refused::Ended => {
                let seconds = REFUSED_FOR.as_secs();
                write!(f, "ended over HTTP less than {seconds} s ago")
            }
            Refused::Auth(denied) => write!(f, "{denied}"),
            Refused::Notify(refusal) => write!(f, "{refusal}"),
        }
    }
}

/// Whether `client` may do what it asks for: the authentication and the services of -notify have to let it
/// in. Blocks while a web service is asked.
///
/// # Errors
///
/// [`AccessDenied`]: refuse it.
pub(super) fn check(
    context: &Context,
    client: &Client<'_>,
    request: &AccessRequest<'_>,
) -> Result<Admitted, AccessDenied> {
    let Client { conn_id, addr } = *client;
    let AccessRequest { action, path, .. } = *request;
    decide(context, addr, request).map_err(|refused| {
        context.counters.auth_failures.add(1);
        let key = refused.shown_key(&path.key);
        if let Some(more) = DENIALS.pass() {
            log!(Warn, "access denied"; conn_id = conn_id, peer_addr = addr, stream_key = key,
                action = action.name(), error = refused, suppressed = more);
        }
        if context.pacing.may_tell_of_denial(addr.ip(), Instant::now()) {
            let event = events::auth_failed(conn_id, &key, action, &refused);
            context.hooks.fire(event);
        }
        AccessDenied
    })
}

fn decide(
    context: &Context,
    addr: SocketAddr,
    request: &AccessRequest<'_>,
) -> Result<Admitted, Refused> {
    let AccessRequest {
        action,
        path,
        answer,
        ..
    } = *request;
    if action == Action::Play {
        let newcomer = Traits::new(addr.ip(), path, request.agent);
        if context.ended.has(&newcomer) {
            return Err(Refused::Ended);
        }
    }
    let passed = context.gate.check(action, path, addr, answer);
    let passed = passed.map_err(Refused::Auth)?;
    let verdict = context
        .notify
        .begin(request.about, request.stream, &question(request.details));
    let verdict = verdict.map_err(Refused::Notify)?;
    let waited = passed == Passed::Asked || verdict != Verdict::Unasked;
    let renamed = match verdict {
        Verdict::Renamed(name) => {
            Some(StreamPath::new(&stream_key::encoded_name(&path.app), &name))
        }
        Verdict::Allowed | Verdict::Unasked => None,
    };
    let bad_name = |error: stream_key::Error| NotifyRefusal::Name(error.to_string());
    let renamed = renamed.transpose().map_err(bad_name);
    let renamed = renamed.map_err(Refused::Notify)?;
    if passed != Passed::Open {
        context.counters.auth_successes.add(1);
    }
    Ok(Admitted {
        waited,
        checked: passed != Passed::Open || waited,
        renamed,
    })
}

fn question(details: &RequestDetails) -> NotifyQuestion {
    match details {
        RequestDetails::Publish(kind) => NotifyQuestion::Publish(kind.clone()),
        RequestDetails::Play {
            start,
            duration,
            reset,
        } => NotifyQuestion::Play {
            start: *start,
            duration: *duration,
            reset: *reset,
        },
    }
}
