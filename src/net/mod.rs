//! Sockets as this server uses them: opened to listen, read within limits of time, shared by
//! threads, and made by name.

mod deadline;
mod dial;
mod listen;
mod transport;

pub use deadline::{DeadlineReader, Merge};
pub use dial::{DialError, HostPort, HostPortError, dial};
pub use listen::bind;
pub use transport::{SharedSocket, send_all};
