//! Connections of the HTTP server: a thread for each, a few at a time, each within its time.

use super::request::{self, Method};
use super::response::Response;
use super::routes::Ends;
use super::{AdminState, routes};
use crate::http::Timed;
use crate::log;
use crate::log::RateLimit;
use crate::net::{AcceptError, Admit};
use crate::sync::{self, Mutex};
use crate::sys;
use std::cmp::Reverse;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Connections at a time. For one more, another gives way: see [`HttpConnectionList::to_give_way`].
pub const CONNECTIONS_MAX: usize = 32;

/// How long a connection may be idle between two requests.
pub const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// How long a request may take to arrive.
pub const READ_LIMIT: Duration = Duration::from_secs(10);

/// How long a response may take to be sent.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, we listen after the last response: whoever still sends would
/// otherwise lose it.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
const LINGER_LEN_MAX: u64 = 256 << 10;

/// What a refused peer is told.
const TOO_MANY: &str = "too many connections";

const STACK_LEN: usize = 256 << 10;

static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// The connections there are.
#[derive(Debug, Default)]
pub struct HttpConnections {
    members: Mutex<HttpConnectionList>,
}

#[derive(Debug, Default)]
struct HttpConnectionList {
    next_number: u64,
    list: Vec<HttpConnection>,
}

#[derive(Debug)]
struct HttpConnection {
    number: u64,
    ip: IpAddr,
    socket: Arc<TcpStream>,
    activity: Activity,
    /// Since when.
    since: Instant,
}

/// What a connection is at, in the order in which connections give way to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    /// Waiting for a request.
    Idle,
    /// Receiving one.
    Reading,
    /// Answering it.
    Answering,
}

impl HttpConnectionList {
    /// The one that gives way to a connection from `newcomer`: the one that has been idle longest;
    /// else, of the address that has most, the one whose request has been arriving longest, or
    /// one that is being answered if that address has more than the newcomer's would.
    fn to_give_way(&self, newcomer: IpAddr) -> Option<usize> {
        let places = |ip| self.list.iter().filter(|member| member.ip == ip).count();
        let own = places(newcomer) + 1;
        let members = self.list.iter().enumerate();
        let gives_way = |(_, member): &(usize, &HttpConnection)| {
            member.activity != Activity::Answering || places(member.ip) > own
        };
        let last_first = |(_, member): &(usize, &HttpConnection)| {
            let crowding = match member.activity {
                Activity::Idle => 0,
                Activity::Reading | Activity::Answering => places(member.ip),
            };
            (member.activity, Reverse(crowding), member.since)
        };
        let first = members.filter(gives_way).min_by_key(last_first);
        first.map(|(index, _)| index)
    }
}

impl HttpConnections {
    fn members(&self) -> MutexGuard<'_, HttpConnectionList> {
        self.members.lock()
    }

    /// Lets a connection from `ip` in; returns its number. `None`: there is no room.
    fn enter(&self, socket: &Arc<TcpStream>, ip: IpAddr) -> Option<u64> {
        let mut members = self.members();
        if members.list.len() >= CONNECTIONS_MAX {
            let index = members.to_give_way(ip)?;
            hang_up(&members.list.swap_remove(index).socket);
        }
        let number = members.next_number;
        members.next_number += 1;
        members.list.push(HttpConnection {
            number,
            ip,
            socket: Arc::clone(socket),
            activity: Activity::Idle,
            since: Instant::now(),
        });
        Some(number)
    }

    /// Notes what a connection is at. `false`: it was hung up on to make room.
    fn set(&self, number: u64, activity: Activity) -> bool {
        let mut members = self.members();
        let mut list = members.list.iter_mut();
        let member = list.find(|member| member.number == number);
        member.is_some_and(|member| {
            (member.activity, member.since) = (activity, Instant::now());
            true
        })
    }

    fn leave(&self, number: u64) {
        self.members().list.retain(|member| member.number != number);
    }

    /// Hangs up on everyone.
    pub fn hang_up(&self) {
        let members = self.members();
        members
            .list
            .iter()
            .for_each(|member| hang_up(&member.socket));
    }
}

fn hang_up(socket: &TcpStream) {
    // It may be closed already.
    let _ = socket.shutdown(Shutdown::Both);
}

/// A connection's place in the crowd, given up when dropped.
struct HttpAdmission<'a> {
    crowd: &'a HttpConnections,
    number: u64,
}

impl HttpAdmission<'_> {
    /// Notes what the connection is at. `false`: it was hung up on to make room.
    fn set(&self, activity: Activity) -> bool {
        self.crowd.set(self.number, activity)
    }
}

impl Drop for HttpAdmission<'_> {
    fn drop(&mut self) {
        self.crowd.leave(self.number);
    }
}

/// Admits connections, each into a thread that holds `alive`.
pub struct AdmitHttp {
    pub state: Arc<AdminState>,
    pub alive: Sender<()>,
}

/// Why a connection is refused.
#[derive(Debug)]
pub enum Refusal {
    /// All connections are being answered.
    NoRoom,
    /// The system failed.
    Io(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::NoRoom => f.write_str(TOO_MANY),
            Refusal::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<AcceptError> for Refusal {
    fn from(AcceptError(error): AcceptError) -> Refusal {
        Refusal::Io(error)
    }
}

impl Admit for AdmitHttp {
    type Refusal = Refusal;

    fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), Refusal> {
        let state = &self.state;
        socket.set_nodelay(true).map_err(Refusal::Io)?;
        let socket = Arc::new(socket);
        let Some(number) = state.crowd.enter(&socket, peer.ip()) else {
            let response = Response::error(503, TOO_MANY);
            // A peer that does not take it at once does without.
            let _ = sys::send_now(&socket, &response.bytes(SystemTime::now(), false, false));
            hang_up(&socket);
            return Err(Refusal::NoRoom);
        };
        let (shared, alive) = (Arc::clone(state), self.alive.clone());
        let spawned = sync::spawn(&format!("http-{number}"), STACK_LEN, move || {
            let place = HttpAdmission {
                crowd: &shared.crowd,
                number,
            };
            serve(&shared, &place, &socket, peer);
            drop(place);
            drop(alive);
        });
        if spawned.is_err() {
            state.crowd.leave(number);
        }
        spawned.map(drop).map_err(Refusal::Io)
    }

    fn refused(&self, why: Refusal) {
        if let Some(more) = REFUSALS.pass() {
            log!(Warn, "HTTP connection refused"; error = why, suppressed = more);
        }
    }
}

/// Answers requests until either side has enough.
fn serve(state: &AdminState, place: &HttpAdmission, socket: &TcpStream, peer: SocketAddr) {
    let Ok(local) = socket.local_addr() else {
        return;
    };
    let timed = Timed::new(socket, Instant::now() + IDLE_LIMIT);
    let mut input = BufReader::with_capacity(request::HEAD_LEN_MAX, timed);
    while waited(&mut input, place) {
        input.get_mut().set_end(Instant::now() + READ_LIMIT);
        let (response, head_only, keep_alive) = match request::read(&mut input) {
            Ok(request) => {
                if !place.set(Activity::Answering) {
                    return;
                }
                let response = routes::answer(state, &request, Ends { peer, local });
                log!(Debug, "HTTP request"; peer_addr = peer, path = request.path, status = response.status);
                let keep_alive = request.keep_alive && !state.is_closing();
                (response, request.method == Method::Head, keep_alive)
            }
            Err(error) => match error.answer() {
                Some((status, what)) => (Response::error(status, what), false, false),
                None => return,
            },
        };
        let bytes = response.bytes(SystemTime::now(), head_only, keep_alive);
        let mut output = Timed::new(socket, Instant::now() + WRITE_LIMIT);
        if output.write_all(&bytes).is_err() {
            return;
        }
        if !keep_alive {
            return linger(&mut input, socket);
        }
    }
}

/// Waits for the first byte of a request. `false`: none comes, or somebody else needs the place.
fn waited(input: &mut BufReader<Timed>, place: &HttpAdmission) -> bool {
    if input.buffer().is_empty() {
        input.get_mut().set_end(Instant::now() + IDLE_LIMIT);
        let here = place.set(Activity::Idle);
        if !here || input.fill_buf().map_or(true, <[u8]>::is_empty) {
            return false;
        }
    }
    place.set(Activity::Reading)
}

/// Ends our side and throws away what still comes.
fn linger(input: &mut BufReader<Timed>, socket: &TcpStream) {
    if socket.shutdown(Shutdown::Write).is_err() {
        return;
    }
    input.get_mut().set_end(Instant::now() + LINGER_LIMIT);
    // It ends at one of the limits, if not by itself.
    let _ = io::copy(&mut input.take(LINGER_LEN_MAX), &mut io::sink());
}

#[cfg(test)]
mod tests {
    use super::*;
    use Activity::{Answering, Idle, Reading};
    use std::net::TcpListener;

    /// Addresses by their last number, and what is done there, the oldest first.
    type There = &'static [(u8, Activity)];

    #[test]
    fn the_idle_give_way_and_then_the_address_that_has_most() {
        let rows: [(There, u8, Option<usize>); 9] = [
            (&[(1, Answering), (2, Idle), (3, Idle)], 4, Some(1)),
            (&[(1, Reading), (1, Reading), (2, Idle)], 1, Some(2)),
            (&[(2, Reading), (1, Reading), (1, Reading)], 3, Some(1)),
            (&[(2, Reading), (1, Reading), (1, Reading)], 1, Some(1)),
            (&[(2, Reading), (1, Answering), (1, Answering)], 3, Some(0)),
            (
                &[(2, Answering), (1, Answering), (1, Answering)],
                3,
                Some(1),
            ),
            (&[(1, Answering), (1, Answering)], 1, None),
            (&[(1, Answering), (2, Answering)], 3, None),
            (&[], 1, None),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, start) = (Arc::new(socket), Instant::now());
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        for (there, newcomer, want) in rows {
            let member = |(number, (last, activity)): (usize, &(u8, Activity))| HttpConnection {
                number: number as u64,
                ip: ip(*last),
                socket: Arc::clone(&socket),
                activity: *activity,
                since: start + Duration::from_secs(number as u64),
            };
            let members = HttpConnectionList {
                next_number: 0,
                list: there.iter().enumerate().map(member).collect(),
            };
            assert_eq!(
                members.to_give_way(ip(newcomer)),
                want,
                "{there:?} {newcomer}"
            );
        }
    }
}
