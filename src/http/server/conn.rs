//! One connection: its thread reads requests and sends responses, each within its time.

use super::body::{self, ResponseBody, StreamEnd, StreamFraming};
use super::connections::{Activity, HttpAdmission, hang_up};
use super::request::{HttpRequest, Method};
use super::response::{Response, ResponseDelivery};
use super::state::{Ends, ServerState};
use crate::http::Timed;
use crate::log;
use crate::log::RateLimit;
use crate::net::{AcceptError, Admit};
use crate::sync::{self, WaitGroup};
use crate::sys::{self, Woken};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long, and for how many bytes, we listen after the last response: a client that still sends
/// would otherwise lose it.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
const LINGER_LEN_MAX: u64 = 256 << 10;

/// What a refused peer is told.
const TOO_MANY: &str = "too many connections";

static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// Admits connections, each into a thread that is a member of `threads`.
pub(super) struct AdmitHttp {
    pub(super) state: Arc<ServerState>,
    pub(super) threads: WaitGroup,
}

/// Why a connection is refused.
#[derive(Debug)]
pub(super) enum HttpRefusal {
    /// All connections are being answered.
    NoRoom,
    /// A system call failed.
    Io(io::Error),
}

impl fmt::Display for HttpRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HttpRefusal::NoRoom => f.write_str(TOO_MANY),
            HttpRefusal::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for HttpRefusal {}

impl From<AcceptError> for HttpRefusal {
    fn from(AcceptError(error): AcceptError) -> HttpRefusal {
        HttpRefusal::Io(error)
    }
}

impl Admit for AdmitHttp {
    type Refusal = HttpRefusal;

    fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), HttpRefusal> {
        socket.set_nodelay(true).map_err(HttpRefusal::Io)?;
        let socket = Arc::new(socket);
        let Some(admission) = self.state.connections.enter(&socket, peer.ip()) else {
            refuse(&self.state, &socket);
            return Err(HttpRefusal::NoRoom);
        };
        let (state, member) = (Arc::clone(&self.state), self.threads.join());
        let name = format!("http-{}", admission.number());
        let spawned = sync::spawn(&name, sync::STACK_LEN, move || {
            serve(&state, &admission, &socket, peer);
            drop(admission);
            drop(member);
        });
        spawned.map(drop).map_err(HttpRefusal::Io)
    }

    fn refused(&self, why: HttpRefusal) {
        if let Some(more) = REFUSALS.pass() {
            log!(Warn, "HTTP connection refused"; error = why, suppressed = more);
        }
    }
}

/// Tells a peer that there is no room for it, if its socket takes that at once.
fn refuse(state: &ServerState, socket: &TcpStream) {
    let response = Response::error(503, TOO_MANY);
    let head = response.head(
        SystemTime::now(),
        state.settings.headers,
        ResponseDelivery::LAST,
    );
    if let ResponseBody::Whole(body) = &response.body {
        let _ = sys::send_now(socket, &[&head[..], &body[..]].concat());
    }
    hang_up(socket);
}

/// Answers requests until either side ends it.
fn serve(state: &ServerState, admission: &HttpAdmission, socket: &TcpStream, peer: SocketAddr) {
    let Ok(local) = socket.local_addr() else {
        return;
    };
    let limits = &state.settings.limits;
    let timed = Timed::new(socket, Instant::now() + limits.idle);
    let mut conn = HttpConn {
        state,
        admission,
        socket,
        ends: Ends { peer, local },
        input: BufReader::with_capacity(limits.head_len, timed),
    };
    while conn.waits_for_request() {
        let Some((response, delivery)) = conn.answer() else {
            return;
        };
        match conn.send(response, delivery) {
            Ok(StreamEnd::Complete) if delivery.keep_alive => {}
            Ok(StreamEnd::Complete) => return conn.linger(),
            Ok(StreamEnd::CutShort) | Err(_) => return,
        }
    }
}

struct HttpConn<'a> {
    state: &'a ServerState,
    admission: &'a HttpAdmission,
    socket: &'a TcpStream,
    ends: Ends,
    input: BufReader<Timed<'a>>,
}

impl HttpConn<'_> {
    /// Waits for the first byte of a request. `false`: none comes, or another connection needs the
    /// place.
    fn waits_for_request(&mut self) -> bool {
        if self.input.buffer().is_empty() {
            self.set_end(self.state.settings.limits.idle);
            let here = self.admission.set(Activity::Idle);
            if !here || self.input.fill_buf().map_or(true, <[u8]>::is_empty) {
                return false;
            }
        }
        self.admission.set(Activity::Reading)
    }

    fn set_end(&mut self, limit: Duration) {
        self.input.get_mut().set_end(Instant::now() + limit);
    }

    /// Reads a request and decides what is answered. `None`: the client or its place is gone.
    fn answer(&mut self) -> Option<(Response, ResponseDelivery)> {
        let limits = &self.state.settings.limits;
        self.set_end(limits.read);
        let request = match HttpRequest::read(&mut self.input, limits) {
            Ok(request) => request,
            Err(error) => {
                let (status, what) = error.answer()?;
                return Some((Response::error(status, what), ResponseDelivery::LAST));
            }
        };
        if !self.admission.set(Activity::Answering) {
            return None;
        }
        let response = self.state.handler.answer(&request, self.ends);
        log!(Debug, "HTTP request"; peer_addr = self.ends.peer, path = request.path, status = response.status);
        let streamed = matches!(response.body, ResponseBody::Stream(_));
        let keep_alive = request.keep_alive && !self.state.is_closing();
        let delivery = ResponseDelivery {
            head_only: request.method == Method::Head,
            keep_alive: keep_alive && (request.takes_chunks || !streamed),
            framing: match request.takes_chunks {
                true => StreamFraming::Chunked,
                false => StreamFraming::UntilClose,
            },
        };
        Some((response, delivery))
    }

    fn send(&self, response: Response, delivery: ResponseDelivery) -> io::Result<StreamEnd> {
        let (settings, socket) = (&self.state.settings, self.socket);
        let write = |bytes: &[u8]| {
            Timed::new(socket, Instant::now() + settings.limits.write).write_all(bytes)
        };
        let mut bytes = response.head(SystemTime::now(), settings.headers, delivery);
        match response.body {
            ResponseBody::Stream(mut stream) if !delivery.head_only => {
                write(&bytes)?;
                drop(bytes);
                let is_wanted = || !self.state.is_closing() && is_there(socket);
                body::send(&mut *stream, delivery.framing, write, is_wanted)
            }
            ResponseBody::Whole(body) if !delivery.head_only => {
                bytes.extend_from_slice(&body);
                write(&bytes).map(|()| StreamEnd::Complete)
            }
            ResponseBody::Stream(_) | ResponseBody::Whole(_) => {
                write(&bytes).map(|()| StreamEnd::Complete)
            }
        }
    }

    /// Ends our side and throws away what still comes.
    fn linger(mut self) {
        if self.socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        self.set_end(LINGER_LIMIT);
        // It ends at one of the limits, if not by itself.
        let _ = io::copy(&mut self.input.take(LINGER_LEN_MAX), &mut io::sink());
    }
}

/// Whether the peer has its side open. One that has sent another request already counts as there.
fn is_there(socket: &TcpStream) -> bool {
    let woken = sys::wait_readable(socket.as_fd(), None, Instant::now());
    let has_come = woken.is_ok_and(|woken| woken == Woken::Ready);
    !has_come || socket.peek(&mut [0]).is_ok_and(|len| len > 0)
}
