//! TLS to other servers: the system's `openssl` speaks it, one process for each connection.
//!
//! Its standard input and output are one end of a socket pair; the other end takes the place of the
//! TCP socket. It checks the server's certificate and its host name before a byte of ours leaves.
//! Nothing secret is in its arguments or its environment: what is, goes through the socket pair.

mod fault;

pub(crate) use fault::TlsFault;

use crate::process::group::{self, ProcessGroup};
use crate::process::launcher;
use crate::process::program::{self, NotFound};
use fault::{Ending, diagnose};
use std::env;
use std::io::{self, PipeReader, Read};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Tasks of the system that a connection takes for TLS: a process with one thread.
pub(crate) const TLS_TASKS: usize = 1;

/// The program that speaks TLS.
const OPENSSL: NotFound = NotFound {
    needed_for: "rtmps://",
    program: "openssl",
    package: "openssl",
};

/// How long the program may take to send what it has and to say goodbye, once its input has ended: it
/// waits half a second for the server itself.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How much of what the program says is read, in bytes.
const WORDS_LEN_MAX: u64 = 16 << 10;

/// The variables that the program gets of our environment: where it finds certificates, its own
/// settings and its libraries.
const ENVIRONMENT: [&str; 6] = [
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "LD_LIBRARY_PATH",
];

/// Where the program is that speaks TLS.
///
/// # Errors
///
/// When it is not on `PATH`.
pub(crate) fn find() -> Result<PathBuf, NotFound> {
    program::find(OPENSSL.program).ok_or(OPENSSL)
}

/// The program that speaks TLS for one connection. When dropped, it is ended; the connection has to be
/// closed by then.
#[derive(Debug)]
pub(crate) struct TlsClient {
    group: ProcessGroup,
    /// Its standard error. It says little, so a full pipe never holds it up in earnest.
    words: PipeReader,
    /// How long it may go on when it is dropped.
    grace: Duration,
}

impl TlsClient {
    /// Starts the program at `openssl`, which connects to `host`, and gives our end of its input and
    /// output. Whether there is a connection shows when the server answers.
    ///
    /// # Errors
    ///
    /// When the system has no room for a process or descriptors.
    pub(crate) fn start(
        openssl: &Path,
        host: &str,
        port: u16,
    ) -> io::Result<(UnixStream, TlsClient)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (words, stderr) = io::pipe()?;
        let mut command = launcher::killed_with_us(openssl);
        let environment = ENVIRONMENT.iter();
        command
            .args(arguments(host, port))
            .env_clear()
            .envs(environment.filter_map(|name| Some((name, env::var_os(name)?))))
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(stderr);
        let client = TlsClient {
            group: ProcessGroup::spawn(command)?,
            words,
            grace: Duration::ZERO,
        };
        Ok((ours, client))
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.group.id()
    }

    /// The server has answered: at the end there may be bytes to send and a goodbye to say.
    pub(crate) fn established(&mut self) {
        self.grace = GRACE;
    }

    /// The server does not take what there is for it: the program is ended at once when this is dropped.
    pub(crate) fn give_up(&mut self) {
        self.grace = Duration::ZERO;
    }

    /// The connection is closed: the reason, if it is one that only the program knows. It may take
    /// `patience` to end by itself.
    pub(crate) fn fault(mut self, patience: Duration) -> Option<TlsFault> {
        let waited = self
            .group
            .wait(Some(Instant::now() + patience), group::sleep);
        let status = waited.ok().flatten();
        // Nobody writes to the pipe any more then.
        self.group.kill_rest();
        let mut words = Vec::new();
        let _ = (&self.words).take(WORDS_LEN_MAX).read_to_end(&mut words);
        let ending = status.map_or(Ending::Killed, Ending::Itself);
        diagnose(&String::from_utf8_lossy(&words), ending)
    }
}

impl Drop for TlsClient {
    fn drop(&mut self) {
        // If it has not ended by then, its group is killed.
        let _ = self
            .group
            .wait(Some(Instant::now() + self.grace), group::sleep);
    }
}

/// What the program is told. Without `-verify_return_error` and the name or address it would connect
/// to anyone; with commands, a `Q` at the beginning of a write would end the connection.
fn arguments(host: &str, port: u16) -> Vec<String> {
    let ip = host.parse::<IpAddr>();
    let place = match ip {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    let identity: &[&str] = match ip {
        Ok(_) => &["-verify_ip", host],
        Err(_) => &["-servername", host, "-verify_hostname", host],
    };
    let begin = ["s_client", "-connect", &place];
    let end = [
        "-verify_return_error",
        "-quiet",
        "-no_ign_eof",
        "-nocommands",
    ];
    let all = begin.iter().chain(identity).chain(&end);
    all.map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_checks_whom_it_connects_to() {
        let rows = [
            (
                "live.example.com",
                443,
                "s_client -connect live.example.com:443 -servername live.example.com \
                 -verify_hostname live.example.com",
            ),
            (
                "192.0.2.1",
                1936,
                "s_client -connect 192.0.2.1:1936 -verify_ip 192.0.2.1",
            ),
            (
                "2001:db8::1",
                443,
                "s_client -connect [2001:db8::1]:443 -verify_ip 2001:db8::1",
            ),
        ];
        for (host, port, want) in rows {
            let want = format!("{want} -verify_return_error -quiet -no_ign_eof -nocommands");
            assert_eq!(arguments(host, port).join(" "), want);
        }
    }
}
