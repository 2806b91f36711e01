//! The writer thread of a connection, from before its first message to after its last.

use crate::memory::Budget;
use crate::net::{self, SharedSocket};
use crate::queue::{self, Done, Framing, Outbox, PeerKind, Transport};
use crate::stats::Counters;
use crate::sync;
use std::io;
use std::sync::Arc;
use std::thread;

/// Runs `read` on this thread, with a writer thread of this `name` beside it that sends what the
/// outbox cannot send at once. Returns what `read` returned, and how the writer ended.
///
/// `read` drops the outbox and its [`Connection`](super::Connection) before it returns: the writer
/// ends when the outbox is drained or gone, or the socket is closed.
///
/// # Errors
///
/// When the system has no room for another thread; nothing was run then.
pub(crate) fn with_writer<T>(
    socket: &Arc<SharedSocket>,
    kind: PeerKind,
    (counters, budget): (&Arc<Counters>, &Arc<Budget>),
    name: &str,
    read: impl FnOnce(Arc<Outbox>) -> T,
) -> io::Result<(T, io::Result<Done>)> {
    let transport = Arc::clone(socket) as Arc<dyn Transport>;
    let (counters, budget) = (Arc::clone(counters), Arc::clone(budget));
    let (outbox, writer) = queue::outbox(transport, kind, Framing::chunks(), counters, budget);
    thread::scope(|scope| {
        let write = || net::send_all(socket, writer);
        let thread = sync::spawn_scoped(scope, name, sync::SHALLOW_STACK_LEN, write)?;
        let result = read(outbox);
        let written = match thread.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((result, written))
    })
}
