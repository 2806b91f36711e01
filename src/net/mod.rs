//! Sockets as this server uses them: opened to listen, accepted from, read within limits of time,
//! shared by threads, and connected by name; the PROXY protocol.

mod acceptor;
mod awake_writer;
mod deadline;
mod dial;
mod listen;
mod merge;
pub mod proxy;
mod socket;
mod transport;
mod workload;

pub(crate) use acceptor::{AcceptError, Acceptor, Admit};
pub use deadline::DeadlineReader;
pub use dial::{DialError, HostPort, HostPortError, dial};
pub use listen::{ListenError, bind};
pub use merge::Merge;
pub use socket::Socket;
pub use transport::{SharedSocket, send_all, send_all_holding};
pub use workload::Workload;
