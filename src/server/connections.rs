//! All connections there are, and how many there may be.

use super::conn_id::ConnId;
use super::peer_info::PeerInfo;
use super::session_places::{NoPlace, SessionPlaces};
use super::waiting::Waiting;
use crate::capacity::{Capacity, Running, Share};
use crate::ip_range::network;
use crate::net::SharedSocket;
use crate::queue::{Cause, Outbox};
use crate::registry::LastHeard;
use crate::rtmp::control::UserControl;
use crate::rtmp::status;
use crate::stats::{ConnectionStats, Counter, Protocol};
use crate::sync::{Member, Mutex, MutexGuard, Rank, WaitGroup};
use crate::sys;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a peer may send nothing before it is asked whether it is there. The read limit is
/// three times as long, so that it ends only those that are not.
pub(super) const PING_AFTER: Duration = Duration::from_secs(30);

/// Connections that have given way and whose threads have not ended yet: so many there may be beyond
/// `-max-connections`.
const LEAVING_MAX: usize = 64;

/// The same beyond the limits of the system, of which little is kept free.
const LEAVING_BEYOND_SYSTEM_MAX: usize = 4;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client's own address, also behind a proxy.
    pub addr: SocketAddr,
    /// Whether the client came by TLS.
    pub tls: bool,
}

impl Origin {
    /// A client that connected to us without TLS.
    pub(super) fn direct(addr: SocketAddr) -> Origin {
        Origin { addr, tls: false }
    }
}

/// One connection, as others see it.
pub(super) struct Peer {
    /// The connection's number, as the log writes it: `c000001`.
    pub id: String,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Whether it came by TLS.
    pub tls: bool,
    protocol: Protocol,
    /// Its socket, if nobody reads from that: then it has to be looked at whether the client is there.
    unread: Option<Arc<SharedSocket>>,
    /// The way to it.
    pub outbox: Arc<Outbox>,
    /// Whether it announced that it can be told to reconnect.
    pub can_reconnect: AtomicBool,
    /// When anything came from it.
    pub heard: Arc<LastHeard>,
    received: Counter,
    since: Instant,
    info: Mutex<PeerInfo>,
    /// When it was last asked, in ms since the server started.
    asked_ms: AtomicU64,
    epoch: Instant,
}

impl Peer {
    /// A peer that was heard of just now, with times counted from `epoch`.
    pub(super) fn new(id: String, origin: Origin, outbox: Arc<Outbox>, epoch: Instant) -> Peer {
        let asked_ms = AtomicU64::new(0);
        Peer {
            id,
            addr: origin.addr,
            tls: origin.tls,
            protocol: Protocol::Rtmp,
            unread: None,
            outbox,
            can_reconnect: AtomicBool::new(false),
            heard: Arc::new(LastHeard::now()),
            received: Counter::default(),
            since: Instant::now(),
            info: Mutex::new(PeerInfo::new()),
            asked_ms,
            epoch,
        }
    }

    /// The same peer, connected by another protocol than RTMP.
    pub(super) fn by(self, protocol: Protocol) -> Peer {
        Peer { protocol, ..self }
    }

    /// The same peer, from whose socket nobody reads.
    pub(super) fn unread(self, socket: &Arc<SharedSocket>) -> Peer {
        Peer {
            unread: Some(Arc::clone(socket)),
            ..self
        }
    }

    /// Hangs up on a client that has left, if nobody would notice otherwise.
    pub(super) fn hang_up_if_gone(&self) {
        let is_gone = |socket: &Arc<SharedSocket>| sys::is_hung_up(socket.0.as_fd());
        let gone = self.unread.as_ref().map(is_gone);
        if gone.is_some_and(|gone| gone.unwrap_or(false)) {
            self.outbox.hang_up(Cause::PeerGone);
        }
    }

    /// The number in [`id`](Peer::id).
    pub(super) fn number(&self) -> u64 {
        let digits = self.id.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.parse().unwrap_or(0)
    }

    /// What is known of the client, to be read or changed.
    pub(super) fn info(&self) -> MutexGuard<'_, PeerInfo> {
        self.info.lock()
    }

    /// What can be told of it.
    pub(super) fn stats(&self) -> ConnectionStats {
        let info = self.info();
        let (role, uses, flash_ver) = (info.role(), info.uses(), info.flash_ver.clone());
        drop(info);
        ConnectionStats {
            id: self.id.clone(),
            addr: self.addr,
            tls: self.tls,
            protocol: self.protocol,
            role: role.name(),
            uses,
            flash_ver,
            uptime: self.since.elapsed(),
            bytes_in: self.received.get(),
            bytes_out: self.outbox.bytes(),
            drops: self.outbox.drops(),
            queue: self.outbox.waiting(),
        }
    }

    /// So many bytes came from it.
    pub(super) fn heard(&self, bytes: usize) {
        self.received.add(bytes as u64);
        self.heard.note();
    }

    /// Sends a ping if nothing came for long.
    pub(super) fn ping_if_idle(&self) {
        if self.protocol != Protocol::Rtmp {
            return;
        }
        let now = self.epoch.elapsed().as_millis() as u64;
        let asked = self.asked_ms.load(Ordering::Relaxed);
        let since_asked = Duration::from_millis(now.saturating_sub(asked));
        if since_asked.min(self.heard.silence()) >= PING_AFTER {
            self.asked_ms.store(now, Ordering::Relaxed);
            // With a full queue the peer has enough to take; it will be asked again.
            self.outbox
                .push_reply(vec![UserControl::PingRequest(now as u32).message()]);
        }
    }

    /// Asks the client to connect anew, if it announced that it can be asked and is still listening.
    pub(super) fn ask_to_reconnect(&self, url: Option<&str>, why: &str) -> bool {
        let can = self.can_reconnect.load(Ordering::Relaxed);
        can && self
            .outbox
            .push_when_room(status::reconnect_request(url, why))
    }
}

/// Why a newcomer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many connections as there may be.
    Total,
    /// As many as there may be from its address.
    Address,
    /// Viewers without a connection that lasts have all places that they may have.
    Session(NoPlace),
    /// The system has no room for its threads; the limit that leaves none.
    System(&'static str),
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Refused::Total => "-max-connections reached",
            Refused::Address => "-max-connections-per-ip reached",
            Refused::Session(why) => return write!(f, "{why}"),
            Refused::System(limit) => limit,
            Refused::Closed => "the server stops",
        })
    }
}

impl std::error::Error for Refused {}

/// All connections. A connection is admitted as long as it holds an [`Admission`].
pub(super) struct Connections {
    peers: Mutex<Peers>,
    capacity: Arc<Capacity>,
    /// Those that are admitted.
    group: WaitGroup,
    next_number: AtomicU64,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    /// Of one address; `None`: as many as in total.
    pub(super) per_address: Option<NonZeroUsize>,
}

#[derive(Default)]
struct Peers {
    limits: ConnectionLimits,
    /// The server stops: nobody is let in any more.
    closed: bool,
    /// Connections by number; those that still shake hands are not here.
    known: HashMap<ConnId, Arc<Peer>>,
    /// Those that hold a place.
    held: HashMap<ConnId, Held>,
    /// Those of them that neither publish nor play, nor are answered.
    waiting: Waiting,
    /// Those that have given way and are not gone yet.
    leaving: usize,
    /// Those of each address or network of IPv6.
    per_ip: HashMap<IpAddr, usize>,
    /// Viewers without a connection that lasts.
    sessions: HashMap<ConnId, Arc<Peer>>,
    places: SessionPlaces,
}

/// What a connection holds as long as it has its place, handshake or not.
struct Held {
    socket: Arc<SharedSocket>,
    share: Share,
}

/// A connection that has given way to another, and the limit that left no room for both.
#[derive(Clone, Copy, Debug)]
pub(super) struct GaveWay {
    pub(super) id: ConnId,
    pub(super) limit: Refused,
}

impl Peers {
    /// One connection more of this address, if it may have it.
    fn count_address(&mut self, ip: IpAddr) -> Result<(), Refused> {
        let max = self.limits.per_address;
        let count = self.per_ip.entry(network(ip)).or_default();
        if max.is_some_and(|max| *count >= max.get()) {
            return Err(Refused::Address);
        }
        *count += 1;
        Ok(())
    }

    /// Takes the place of a connection that waits, for a newcomer from `ip` for whom `limit` leaves no
    /// room.
    fn displace(
        &mut self,
        ip: Option<IpAddr>,
        limit: Refused,
    ) -> Result<(Share, GaveWay), Refused> {
        let leaving_max = match limit {
            Refused::System(_) => LEAVING_BEYOND_SYSTEM_MAX,
            _ => LEAVING_MAX,
        };
        let choice = self.waiting.to_give_way(ip);
        let (group, id) = choice.filter(|_| self.leaving < leaving_max).ok_or(limit)?;
        self.waiting.remove(group, id);
        let held = self.held.remove(&id).ok_or(limit)?;
        self.leaving += 1;
        held.socket.hang_up();
        Ok((held.share, GaveWay { id, limit }))
    }

    /// One connection less of this address.
    fn forget_address(&mut self, ip: IpAddr) {
        let address = network(ip);
        if let Some(count) = self.per_ip.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&address);
            }
        }
    }
}

impl Connections {
    /// Room for as many connections as `limits` says, and for no more threads than `capacity` has
    /// room for.
    pub(super) fn new(limits: ConnectionLimits, capacity: Arc<Capacity>) -> Connections {
        let peers = Peers {
            limits,
            ..Peers::default()
        };
        Connections {
            peers: Mutex::ranked(Rank::Connections, peers),
            capacity,
            group: WaitGroup::default(),
            next_number: AtomicU64::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock()
    }

    /// Changes how many newcomers find room. Those that are here stay.
    pub(super) fn set_limits(&self, limits: ConnectionLimits) {
        self.lock().limits = limits;
    }

    /// Takes a place among all connections for one from `ip`; `None`: whose it is has to be told
    /// first, see [`tell_address`](Admission::tell_address). Where no place is left, another may give
    /// way: see [`Waiting`]. Those that are refused are numbered as well.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the limit.
    pub(super) fn admit(
        self: &Arc<Self>,
        line: &Arc<SharedSocket>,
        ip: Option<IpAddr>,
    ) -> Result<(Admission, Option<GaveWay>), Refused> {
        let id = ConnId(self.next_number.fetch_add(1, Ordering::Relaxed));
        let mut peers = self.lock();
        if peers.closed {
            return Err(Refused::Closed);
        }
        ip.map_or(Ok(()), |ip| peers.count_address(ip))?;
        let place = self.place(&mut peers, ip).and_then(|place| {
            let member = self.group.join().ok_or(Refused::Closed)?;
            Ok((place, member))
        });
        let ((share, gave_way), member) = place.inspect_err(|_| {
            ip.inspect(|ip| peers.forget_address(*ip));
        })?;
        let socket = Arc::clone(line);
        peers.held.insert(id, Held { socket, share });
        peers.waiting.add(ip, id);
        let admission = Admission {
            connections: Arc::clone(self),
            id,
            address: ip,
            _member: member,
        };
        Ok((admission, gave_way))
    }

    /// A place that is left, or that of one that gives way.
    fn place(
        &self,
        peers: &mut Peers,
        ip: Option<IpAddr>,
    ) -> Result<(Share, Option<GaveWay>), Refused> {
        let taken = match peers.held.len() < peers.limits.total {
            true => self.capacity.connection().map_err(Refused::System),
            false => Err(Refused::Total),
        };
        match taken {
            Ok(share) => Ok((share, None)),
            Err(limit) => {
                let (share, gave_way) = peers.displace(ip, limit)?;
                Ok((share, Some(gave_way)))
            }
        }
    }

    /// All that have shaken hands.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.lock();
        let all = peers.known.values().chain(peers.sessions.values());
        all.cloned().collect()
    }

    /// The one with that name, if it has shaken hands.
    pub(super) fn peer(&self, id: &str) -> Option<Arc<Peer>> {
        let peers = self.lock();
        let mut all = peers.known.values().chain(peers.sessions.values());
        all.find(|peer| peer.id == id).cloned()
    }

    /// A number for a viewer without a connection that lasts.
    pub(super) fn session_id(&self) -> ConnId {
        ConnId(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes such a viewer known, as long as that is held.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the limit.
    pub(super) fn introduce(
        self: &Arc<Self>,
        id: ConnId,
        peer: &Arc<Peer>,
    ) -> Result<KnownSession, Refused> {
        let mut peers = self.lock();
        if peers.closed {
            return Err(Refused::Closed);
        }
        let ConnectionLimits { total, per_address } = peers.limits;
        let taken = peers.places.take(total, per_address, peer.addr.ip());
        taken.map_err(Refused::Session)?;
        peers.sessions.insert(id, Arc::clone(peer));
        Ok(KnownSession {
            connections: Arc::clone(self),
            id,
        })
    }

    /// Looks again at what the system has room for, if it is time to.
    pub(super) fn look_at_system(&self) {
        self.capacity.look_if_due(|| self.running());
    }

    /// The connections and the threads that they have now: one, and another since the handshake.
    fn running(&self) -> Running {
        let peers = self.lock();
        Running {
            connections: peers.held.len(),
            threads: peers.held.len() + peers.known.len(),
        }
    }

    /// How many connections there are.
    pub(super) fn total(&self) -> usize {
        self.lock().held.len()
    }

    /// Whether nobody is admitted any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(super) fn wait_gone(&self, deadline: Instant) -> bool {
        self.group.wait(deadline)
    }

    /// Admits nobody any more, and hangs up on those that still shake hands.
    pub(super) fn close(&self) {
        self.group.close();
        let mut peers = self.lock();
        peers.closed = true;
        let strangers = peers
            .held
            .iter()
            .filter(|(id, _)| !peers.known.contains_key(id));
        strangers.for_each(|(_, held)| held.socket.hang_up());
    }
}

/// The right of a connection to be here, as long as it is held.
pub(super) struct Admission {
    connections: Arc<Connections>,
    id: ConnId,
    /// The address that it counts for, once that is known.
    address: Option<IpAddr>,
    _member: Member,
}

impl Admission {
    pub(super) fn id(&self) -> ConnId {
        self.id
    }

    /// The connection comes from `ip`, and counts among those of that address from now on.
    ///
    /// # Errors
    ///
    /// [`Refused::Address`]: there are as many as there may be.
    pub(super) fn tell_address(&mut self, ip: IpAddr) -> Result<(), Refused> {
        let mut peers = self.connections.lock();
        peers.count_address(ip)?;
        if peers.waiting.remove(self.address, self.id) {
            peers.waiting.add(Some(ip), self.id);
        }
        if let Some(before) = self.address.replace(ip) {
            peers.forget_address(before);
        }
        Ok(())
    }

    /// Whether the connection publishes, plays or is answered, and so gives way to nobody.
    pub(super) fn set_busy(&self, busy: bool) {
        let mut peers = self.connections.lock();
        match busy {
            true => _ = peers.waiting.remove(self.address, self.id),
            // One that has given way has no place any more.
            false if peers.held.contains_key(&self.id) => peers.waiting.add(self.address, self.id),
            false => {}
        }
    }

    /// The connection has shaken hands: others can send to it for as long as it is known. `None`:
    /// the server stops.
    pub(super) fn introduce(&self, peer: &Arc<Peer>) -> Option<Registered<'_>> {
        let mut peers = self.connections.lock();
        if peers.closed {
            return None;
        }
        peers.known.insert(self.id, Arc::clone(peer));
        Some(Registered(self))
    }
}

/// A viewer without a connection that lasts, whom others can see as long as it is held.
pub(super) struct KnownSession {
    connections: Arc<Connections>,
    id: ConnId,
}

impl Drop for KnownSession {
    fn drop(&mut self) {
        let mut peers = self.connections.lock();
        if let Some(peer) = peers.sessions.remove(&self.id) {
            peers.places.release(peer.addr.ip());
        }
    }
}

/// A connection that others can send to, as long as it is held.
pub(super) struct Registered<'a>(&'a Admission);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.connections.lock().known.remove(&self.0.id);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut peers = self.connections.lock();
        match peers.held.remove(&self.id) {
            Some(_) => _ = peers.waiting.remove(self.address, self.id),
            None => peers.leaving -= 1,
        }
        if let Some(ip) = self.address {
            peers.forget_address(ip);
        }
    }
}
