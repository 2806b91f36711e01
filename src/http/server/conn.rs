//! One connection: its thread reads requests and sends responses, each within its time.

use super::body::{self, StreamEnd, StreamFraming};
use super::connections::{Activity, HttpAdmission};
use super::request::{HttpRequest, Method};
use super::response::{
    LiveBody, LiveConnection, LiveEnd, Response, ResponseBody, ResponseDelivery,
};
use super::state::{Ends, Handler, NoRoom, ServerState};
use crate::awake;
use crate::http::Timed;
use crate::log;
use crate::log::RateLimit;
use crate::net::{AcceptError, Admit, SharedSocket, Socket};
use crate::sync::{self, WaitGroup};
use crate::sys;
use crate::text;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    Busy,
    /// The service takes no more, and has logged why.
    NoRoom,
    /// A system call failed.
    Io(io::Error),
}

impl fmt::Display for HttpRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HttpRefusal::Busy | HttpRefusal::NoRoom => f.write_str(TOO_MANY),
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
        let local = socket.local_addr().map_err(HttpRefusal::Io)?;
        let (socket, ends) = (Arc::new(SharedSocket(socket.into())), Ends { peer, local });
        let Some(admission) = self.state.connections.enter(&socket, peer.ip()) else {
            refuse(&self.state, &socket);
            return Err(HttpRefusal::Busy);
        };
        let handler = match self.state.service.connect(&socket, ends) {
            Ok(handler) => handler,
            Err(NoRoom) => {
                refuse(&self.state, &socket);
                return Err(HttpRefusal::NoRoom);
            }
        };
        let (state, member) = (Arc::clone(&self.state), self.threads.join());
        let name = format!("http-{}", admission.number());
        let spawned = sync::spawn(&name, sync::STACK_LEN, move || {
            serve(&state, &admission, &socket, ends, handler);
            drop(admission);
            drop(member);
        });
        spawned.map(drop).map_err(HttpRefusal::Io)
    }

    fn refused(&self, why: HttpRefusal) {
        if let HttpRefusal::NoRoom = why {
            return;
        }
        if let Some(more) = REFUSALS.pass() {
            log!(Warn, "HTTP connection refused"; error = why, suppressed = more);
        }
    }
}

/// How many bytes of a body that others have too are sent within the limit of time.
const SLICE_LEN: usize = 64 << 10;

/// Tells a peer that there is no room for it, if its socket takes that at once.
fn refuse(state: &ServerState, socket: &SharedSocket) {
    let response = (state.settings.error)(503, TOO_MANY);
    let head = response.head(
        SystemTime::now(),
        &state.headers.read(),
        ResponseDelivery::LAST,
    );
    if let ResponseBody::Whole(body) = &response.body {
        let _ = sys::send_now(&socket.0, &[&head[..], &body[..]].concat());
    }
    socket.hang_up();
}

/// Answers requests until either side ends it.
fn serve(
    state: &ServerState,
    admission: &HttpAdmission,
    socket: &Arc<SharedSocket>,
    ends: Ends,
    handler: Box<dyn Handler>,
) {
    let limits = &state.settings.limits;
    let timed = Timed::new(&socket.0, awake::now() + limits.first);
    let mut conn = HttpConn {
        state,
        admission,
        peer: ends.peer,
        handler,
        input: BufReader::with_capacity(limits.head_len, timed),
        patience: limits.first,
    };
    while conn.waits_for_request() {
        let Some((response, delivery)) = conn.answer() else {
            return;
        };
        let output = Output { state, socket };
        if delivery.lasts {
            // What only requests need is given back.
            drop(conn);
            return output.finish(output.send(response, delivery));
        }
        let sent = output.send(response, delivery);
        if !(delivery.keep_alive && matches!(sent, Ok(StreamEnd::Complete))) {
            return output.finish(sent);
        }
    }
}

/// The receiving side of a connection, and what answers.
struct HttpConn<'a> {
    state: &'a ServerState,
    admission: &'a HttpAdmission,
    peer: SocketAddr,
    handler: Box<dyn Handler>,
    input: BufReader<Timed<'a>>,
    /// How long the next request is waited for.
    patience: Duration,
}

impl HttpConn<'_> {
    /// Waits for the first byte of a request. `false`: none comes, or another connection needs the
    /// place.
    fn waits_for_request(&mut self) -> bool {
        if self.input.buffer().is_empty() {
            self.handler.waits();
            self.set_end(self.patience);
            let here = self.admission.set(Activity::Idle);
            if !here || self.input.fill_buf().map_or(true, <[u8]>::is_empty) {
                return false;
            }
        }
        self.patience = self.state.settings.limits.idle;
        self.admission.set(Activity::Reading)
    }

    fn set_end(&mut self, limit: Duration) {
        self.input.get_mut().set_end(awake::now() + limit);
    }

    /// Reads a request and decides what is answered. `None`: the client or its place is gone.
    fn answer(&mut self) -> Option<(Response, ResponseDelivery)> {
        let settings = &self.state.settings;
        self.set_end(settings.limits.read);
        let request = match HttpRequest::read(&mut self.input, &settings.limits) {
            Ok(request) => request,
            Err(error) => {
                let (status, what) = error.answer()?;
                return Some(((settings.error)(status, what), ResponseDelivery::LAST));
            }
        };
        if !self.admission.set(Activity::Answering) {
            return None;
        }
        let response = self.handler.answer(&request);
        log!(Debug, "HTTP request"; peer_addr = self.peer, path = text::shown_path(&request.path), status = response.status);
        let whole = matches!(
            response.body,
            ResponseBody::Whole(_) | ResponseBody::Shared(_) | ResponseBody::None
        );
        let head_only = request.method == Method::Head;
        let lasts = matches!(response.body, ResponseBody::Live(_)) && !head_only;
        let keep_alive = request.keep_alive && !self.state.is_closing();
        let delivery = ResponseDelivery {
            head_only,
            lasts,
            keep_alive: keep_alive && (request.takes_chunks || whole) && !lasts,
            framing: match request.takes_chunks {
                true => StreamFraming::Chunked,
                false => StreamFraming::UntilClose,
            },
        };
        Some((response, delivery))
    }
}

/// The sending side of a connection.
#[derive(Clone, Copy)]
struct Output<'a> {
    state: &'a ServerState,
    socket: &'a Arc<SharedSocket>,
}

impl Output<'_> {
    fn write(self, bytes: &[u8]) -> io::Result<()> {
        let end = awake::now() + self.state.settings.limits.write;
        Timed::new(&self.socket.0, end).write_all(bytes)
    }

    fn send(self, response: Response, delivery: ResponseDelivery) -> io::Result<StreamEnd> {
        let headers = self.state.headers.read();
        let mut bytes = response.head(SystemTime::now(), &headers, delivery);
        drop(headers);
        match response.body {
            ResponseBody::Stream(mut stream) if !delivery.head_only => {
                self.write(&bytes)?;
                drop(bytes);
                let is_wanted = || !self.state.is_closing() && is_there(&self.socket.0);
                let write = |bytes: &[u8]| self.write(bytes);
                return body::send(&mut *stream, delivery.framing, write, is_wanted);
            }
            ResponseBody::Live(live) if !delivery.head_only => {
                return self.send_live(bytes, live, delivery.framing);
            }
            ResponseBody::Whole(body) if !delivery.head_only => bytes.extend_from_slice(&body),
            ResponseBody::Shared(pieces) if !delivery.head_only => {
                self.write(&bytes)?;
                // However long it is, a client that takes some of it is not cut off.
                let mut slices = pieces.iter().flat_map(|piece| piece.chunks(SLICE_LEN));
                return slices
                    .try_for_each(|slice| self.write(slice))
                    .map(|()| StreamEnd::Complete);
            }
            _ => {}
        }
        self.write(&bytes).map(|()| StreamEnd::Complete)
    }

    fn send_live(
        self,
        head: Vec<u8>,
        live: Box<dyn LiveBody>,
        framing: StreamFraming,
    ) -> io::Result<StreamEnd> {
        let connection = LiveConnection {
            socket: self.socket,
            head,
            framing,
        };
        match live.run(connection) {
            LiveEnd::Complete => Ok(StreamEnd::Complete),
            LiveEnd::CutShort => Ok(StreamEnd::CutShort),
            LiveEnd::Instead(response) => self.send(response, ResponseDelivery::LAST),
        }
    }

    /// Ends our side, if the client has all that was sent, and throws away what still comes.
    fn finish(self, sent: io::Result<StreamEnd>) {
        let socket = &self.socket.0;
        let complete = matches!(sent, Ok(StreamEnd::Complete));
        if !complete || socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let rest = Timed::new(socket, awake::now() + LINGER_LIMIT);
        // It ends at one of the limits, if not by itself.
        let _ = io::copy(&mut rest.take(LINGER_LEN_MAX), &mut io::sink());
    }
}

/// Whether the peer has its side open.
fn is_there(socket: &Socket) -> bool {
    !sys::is_hung_up(socket.as_fd()).unwrap_or(false)
}
