//! The connections of a server, and which of them give way when there is no room.

use crate::net::SharedSocket;
use crate::sync::Mutex;
use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The connections of a server; cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct HttpConnections {
    max: usize,
    members: Arc<Mutex<HttpConnectionList>>,
}

/// The number of a connection, by which its thread is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpConnId(u64);

impl fmt::Display for HttpConnId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Default)]
struct HttpConnectionList {
    next_number: HttpConnId,
    list: Vec<HttpConnection>,
}

#[derive(Debug)]
struct HttpConnection {
    number: HttpConnId,
    ip: IpAddr,
    socket: Arc<SharedSocket>,
    activity: Activity,
    /// When this activity began.
    since: Instant,
}

/// What a connection is doing, in the order in which connections give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// Waiting for the first byte of a request.
    Idle,
    /// Receiving a request, of which the first byte is there.
    Reading,
    /// Making or sending the response.
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
    /// Room for `max` connections.
    pub(super) fn new(max: usize) -> HttpConnections {
        HttpConnections {
            max,
            members: Arc::default(),
        }
    }

    /// Admits a connection from `ip`. `None`: there is no room.
    pub(super) fn enter(&self, socket: &Arc<SharedSocket>, ip: IpAddr) -> Option<HttpAdmission> {
        let mut members = self.members.lock();
        if members.list.len() >= self.max {
            let index = members.to_give_way(ip)?;
            members.list.swap_remove(index).socket.hang_up();
        }
        let number = members.next_number;
        members.next_number.0 += 1;
        members.list.push(HttpConnection {
            number,
            ip,
            socket: Arc::clone(socket),
            activity: Activity::Idle,
            since: Instant::now(),
        });
        Some(HttpAdmission {
            connections: self.clone(),
            number,
        })
    }

    /// Hangs up on everyone.
    pub(super) fn hang_up(&self) {
        let members = self.members.lock();
        members
            .list
            .iter()
            .for_each(|member| member.socket.hang_up());
    }
}

/// The right of a connection to be open, given up when dropped.
#[derive(Debug)]
pub(super) struct HttpAdmission {
    connections: HttpConnections,
    number: HttpConnId,
}

impl HttpAdmission {
    pub(super) fn number(&self) -> HttpConnId {
        self.number
    }

    /// Notes what the connection is doing. `false`: it was closed to make room.
    #[must_use]
    pub(super) fn set(&self, activity: Activity) -> bool {
        let mut members = self.connections.members.lock();
        let mut list = members.list.iter_mut();
        let member = list.find(|member| member.number == self.number);
        member.is_some_and(|member| {
            (member.activity, member.since) = (activity, Instant::now());
            true
        })
    }
}

impl Drop for HttpAdmission {
    fn drop(&mut self) {
        let mut members = self.connections.members.lock();
        members.list.retain(|member| member.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Activity::{Answering, Idle, Reading};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

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
        let (socket, start) = (Arc::new(SharedSocket(socket.into())), Instant::now());
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        for (there, newcomer, want) in rows {
            let member = |(number, (last, activity)): (usize, &(u8, Activity))| HttpConnection {
                number: HttpConnId(number as u64),
                ip: ip(*last),
                socket: Arc::clone(&socket),
                activity: *activity,
                since: start + Duration::from_secs(number as u64),
            };
            let members = HttpConnectionList {
                next_number: HttpConnId::default(),
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
