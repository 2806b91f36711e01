//! The life of a client's connection: a reader thread that owns all that the client causes, and a
//! writer thread.

mod client;
mod requests;

use super::conn_id::ConnId;
use super::connections::{Admission, Origin, Peer};
use super::context::Context;
use super::events;
use super::flood::flood_limit;
use super::peer_info::ConnectionRole;
use crate::connection::{Connection, Error, handshake, read_loop, with_writer};
use crate::log;
use crate::log::RateLimit;
use crate::memory::Owner;
use crate::net::{SharedSocket, Socket};
use crate::queue::PeerKind;
use client::Conn;
use std::io;
use std::sync::Arc;
use std::time::Instant;

static FAILURES: RateLimit = flood_limit();

/// Serves one peer, whose handshake is over by `end`, until either side ends it. Runs on the connection's reader thread; when it
/// returns, the writer is gone too, and so is every trace of the connection.
pub(super) fn serve(
    context: &Context,
    line: &Arc<SharedSocket>,
    origin: Origin,
    place: &Admission,
    end: Instant,
) {
    let id = place.id().to_string();
    let (began, addr) = (Instant::now(), origin.addr);
    log!(Debug, "connection accepted"; conn_id = id, peer_addr = addr);
    context.hooks.fire(events::accepted(&id, origin));
    let (error, role) = match shake_hands(context, place.id(), &line.0, end) {
        Ok(()) => {
            context.hooks.fire(events::handshake_done(&id));
            talk(context, &id, line, origin, place)
        }
        Err(error) => {
            context.counters.handshake_failures.add(1);
            (error, ConnectionRole::None)
        }
    };
    context
        .hooks
        .fire(events::closed(&id, role.name(), began.elapsed()));
    let duration_sec = log::Seconds(began.elapsed());
    match error {
        error if error.is_ordinary() => {
            log!(Info, "connection closed"; conn_id = id, peer_addr = addr, reason = error, duration_sec = duration_sec);
        }
        error => {
            // One that published or played was let in, and how that ended is always told.
            let passed = if role == ConnectionRole::None {
                FAILURES.pass()
            } else {
                Some(0)
            };
            if let Some(more) = passed {
                log!(Warn, "connection failed"; conn_id = id, peer_addr = addr, layer = error.layer(), error = error,
                    duration_sec = duration_sec, suppressed = more);
            }
        }
    }
}

fn shake_hands(context: &Context, id: ConnId, socket: &Socket, end: Instant) -> Result<(), Error> {
    let seed = context.seed.wrapping_add(id.number() << 1);
    if let Some(deviation) = handshake::accept(socket, end, || context.clock_ms(), seed)? {
        log!(Debug, "peer deviated from the specification"; conn_id = id, deviation = deviation);
    }
    Ok(())
}

/// Everything after the handshake.
fn talk(
    context: &Context,
    id: &str,
    line: &Arc<SharedSocket>,
    origin: Origin,
    place: &Admission,
) -> (Error, ConnectionRole) {
    let shared = (&context.counters, &context.link_settings.budget);
    let talked = with_writer(
        line,
        PeerKind::Client(Owner::new(origin.addr.ip())),
        shared,
        &format!("{id}-w"),
        |outbox| {
            let peer = Arc::new(Peer::new(
                id.to_owned(),
                origin,
                Arc::clone(&outbox),
                context.epoch,
            ));
            let Some(_known) = place.introduce(&peer) else {
                return (Error::HungUp, ConnectionRole::None);
            };
            let connection = Connection::new(&line.0, outbox);
            let mut conn = Conn::new(context, place, peer, connection);
            let error = read_loop(&mut *conn);
            let role = conn.peer.info().role();
            conn.depart();
            if let Error::Timeout(_) = error {
                context.counters.zombies.add(1);
            }
            (error, role)
        },
    );
    match talked {
        Ok((result, written)) => {
            if written.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                context.counters.zombies.add(1);
            }
            result
        }
        Err(error) => (Error::Io(error), ConnectionRole::None),
    }
}
