//! The server under test, on a port of its own.

use super::process::{Program, wait_for};
use crate::support::free_addr;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(10);

/// Path of another build of the server to test instead of the one that cargo just made.
const OVERRIDE: &str = "INTEROP_SERVER";

/// A running server. Dropping it kills it.
pub struct Server {
    program: Program,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it serves media over HTTP.
    pub media: SocketAddr,
}

impl Server {
    /// Starts the server and waits until it accepts connections. Its log is `server.log` in `dir`,
    /// or `server.out` if it logs to standard output.
    pub fn start(dir: &Path) -> Result<Server, String> {
        let (address, media) = (free_addr(), free_addr());
        let binary =
            std::env::var_os(OVERRIDE).unwrap_or_else(|| env!("CARGO_BIN_EXE_rtmp-server").into());
        let mut command = Command::new(binary);
        command.arg("-listen").arg(address.to_string());
        command.arg("-http-listen").arg(media.to_string());
        command.args(["-log-format", "text", "-log-level", "debug"]);
        // No player of these announces that it takes several tracks of a kind.
        command.args(["-tracks", "all"]);
        command.current_dir(dir);
        let mut program = Program::start("server", &mut command, dir)?;
        let reached = wait_for("server accepts connections", START_LIMIT, || {
            if let Some(status) = program.ended() {
                return Some(Err(format!("server ended with {status}")));
            }
            let accepts = |addr| TcpStream::connect(addr).is_ok();
            (accepts(address) && accepts(media)).then_some(Ok(()))
        });
        let words = program.last_words();
        reached
            .and_then(|outcome| outcome)
            .map_err(|error| format!("{error}: {words}"))?;
        Ok(Server {
            program,
            address,
            media,
        })
    }

    /// That the server still runs, and has not panicked on the way.
    pub fn check_health(&mut self) -> Result<(), String> {
        if let Some(status) = self.program.ended() {
            let words = self.program.last_words();
            return Err(format!("server ended with {status}: {words}"));
        }
        match self.program.log().contains("panicked") {
            true => Err(format!("server panicked: {}", self.program.last_words())),
            false => Ok(()),
        }
    }
}
