//! Sockets as this server uses them: read within limits of time, shared by threads, and made by
//! name.

mod deadline;
mod dial;

pub use deadline::{Gathering, Reader};
pub use dial::{DialError, HostPort, HostPortError, dial};

use crate::queue::Wire;
use crate::sys;
use std::io;
use std::net::{Shutdown, TcpStream};

/// A socket that several threads use.
pub struct Line(pub TcpStream);

impl Wire for Line {
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        sys::send_now(&self.0, bytes)
    }

    fn hang_up(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
