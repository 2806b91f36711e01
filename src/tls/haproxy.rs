//! HAProxy: where it is, how it is configured and started, and what it says of a certificate.

use super::certificate::Certificate;
use super::config::{self, Target};
use super::error::TlsError;
use super::stillness::Stillness;
use crate::log;
use crate::log::RateLimit;
use crate::process::group::{self, Output, ProcessGroup};
use crate::process::program::{self, NotFound};
use crate::sys;
use crate::text::shown;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The program, and the package that has it.
const HAPROXY: NotFound = NotFound {
    needed_for: "-tls-listen",
    program: "haproxy",
    package: "haproxy",
};

/// How long the program may take to check a certificate.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// Descriptors that the program needs besides two for each connection.
const OTHER_DESCRIPTORS: usize = 100;

/// Connections beyond those that the server takes: those that still shake hands, are on their way to
/// the server's refusal, or not quite closed yet.
const RESERVE: usize = 1000;

/// How many lines of it are logged in a period.
const LINES: u64 = 100;
const LINES_PERIOD: Duration = Duration::from_secs(10);

static WORDS: RateLimit = RateLimit::burst(LINES, LINES_PERIOD);

/// Where the program is.
#[derive(Clone, Debug)]
pub(super) struct HaProxy(PathBuf);

impl HaProxy {
    pub(super) fn find() -> Result<HaProxy, TlsError> {
        let path = program::find(HAPROXY.program);
        path.map(HaProxy).ok_or(TlsError::NotFound(HAPROXY))
    }

    /// Has the program say whether it can use `certificate`.
    pub(super) fn check(&self, certificate: &Certificate) -> Result<(), TlsError> {
        let files = Files::new(certificate, |pem| {
            // Nothing is opened for a check.
            config::text(&["127.0.0.1:1".to_owned()], pem, &Target::NONE)
        });
        let files = files.map_err(TlsError::Start)?;
        let pem = files.pem_path();
        let mut command = self.command(&files);
        command.arg("-c");
        files.pass_to(&mut command);
        let said = Arc::new(crate::sync::Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let output = Output::capture(&mut command, move |line| heard.lock().push(line.to_owned()));
        let output = output.map_err(TlsError::Start)?;
        let mut group = ProcessGroup::spawn_bound(command).map_err(TlsError::Start)?;
        let end = Instant::now() + CHECK_LIMIT;
        let status = group
            .wait(Some(end), group::sleep)
            .map_err(TlsError::Start)?;
        output.finish(Duration::from_secs(1));
        match status {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(TlsError::Refused(alert(&said.lock(), &pem, certificate))),
            None => Err(TlsError::Start(io::ErrorKind::TimedOut.into())),
        }
    }

    fn command(&self, files: &Files) -> Command {
        let mut command = Command::new(&self.0);
        // In the foreground, as one process.
        command.arg("-db").arg("-f").arg(files.config_path());
        command.stdin(Stdio::null());
        command
    }
}

/// What the program says is wrong, with the names of the files as they were given.
fn alert(lines: &[String], pem: &str, certificate: &Certificate) -> String {
    let alert = lines.iter().find(|line| line.contains("[ALERT]"));
    let alert = alert.map_or("it gives no reason", |line| line.as_str());
    let words = alert.rsplit(" : ").next().unwrap_or(alert);
    let words = words.replace(&format!("{pem}.key"), &certificate.key);
    shown(words.replace(pem, &certificate.cert).trim_end_matches('.'))
}

/// Where TLS is spoken, and what becomes of the connections.
pub(crate) struct TlsSetup {
    /// The sockets that clients connect to.
    pub(crate) listeners: Vec<TcpListener>,
    /// Where the connections are handed on to.
    pub(crate) to: SocketAddr,
    /// What each header has, so that nobody else can speak for clients.
    pub(crate) word: String,
}

/// How many connections the server takes, which the program has to know before it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsLimits {
    pub(crate) total: usize,
    /// Of one address; `None`: as many as in total.
    pub(crate) per_address: Option<NonZeroUsize>,
}

/// What may change while TLS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) certificate: Certificate,
    pub(super) limits: TlsLimits,
}

/// What the program serves.
#[derive(Debug)]
pub(super) struct Service {
    haproxy: HaProxy,
    listeners: Vec<TcpListener>,
    addr: SocketAddr,
    word: String,
}

/// A process of the program. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) group: ProcessGroup,
    pub(super) stillness: Stillness,
    /// Reads what it says.
    _output: Output,
}

impl Service {
    pub(super) fn new(haproxy: HaProxy, setup: TlsSetup) -> Service {
        Service {
            haproxy,
            listeners: setup.listeners,
            addr: setup.to,
            word: setup.word,
        }
    }

    /// Starts the program with what is on offer. It ends with the thread that starts it.
    pub(super) fn start(&self, offer: &Offer) -> io::Result<Running> {
        let wanted = offer.limits.total.saturating_add(RESERVE);
        let target = Target {
            addr: self.addr,
            word: self.word.clone(),
            max_connections: wanted.min(connections_possible()),
            per_address: offer.limits.per_address,
        };
        let listeners: Vec<OwnedFd> = self
            .listeners
            .iter()
            .map(|listener| listener.try_clone().map(OwnedFd::from))
            .collect::<io::Result<_>>()?;
        let binds: Vec<String> = listeners
            .iter()
            .map(|listener| format!("fd@{}", listener.as_raw_fd()))
            .collect();
        let config = |pem: &str| config::text(&binds, pem, &target);
        let files = Files::new(&offer.certificate, config)?;
        let mut command = self.haproxy.command(&files);
        files.pass_to(&mut command);
        for listener in listeners {
            sys::keep_open(&mut command, listener);
        }
        let output = Output::capture(&mut command, log_line)?;
        Ok(Running {
            group: ProcessGroup::spawn_bound(command)?,
            stillness: Stillness::new(),
            _output: output,
        })
    }
}

/// How many connections the descriptors are for that a program of ours may have.
fn connections_possible() -> usize {
    let room = usize::try_from(sys::descriptor_limit().unwrap_or(u64::MAX));
    let room = room.unwrap_or(usize::MAX).saturating_sub(OTHER_DESCRIPTORS) / 2;
    room.max(1)
}

/// Passes on what the program says: at level debug how each of its parts stops, and failed handshakes,
/// which any stranger can cause.
fn log_line(line: &str) {
    let level = if line.contains("[ALERT]") {
        log::Level::Warn
    } else if line.contains("SSL handshake") || line.contains(" stopped (") {
        log::Level::Debug
    } else {
        log::Level::Info
    };
    if !log::enabled(level) {
        return;
    }
    let Some(more) = WORDS.pass() else {
        return;
    };
    let line = shown(line);
    match level {
        log::Level::Warn => log!(Warn, "haproxy output"; line = line, suppressed = more),
        log::Level::Debug => log!(Debug, "haproxy output"; line = line, suppressed = more),
        _ => log!(Info, "haproxy output"; line = line, suppressed = more),
    }
}

/// What the program reads, in memory.
struct Files {
    config: File,
    pem: File,
}

impl Files {
    /// A configuration that names the file of the certificate.
    fn new(certificate: &Certificate, config: impl FnOnce(&str) -> String) -> io::Result<Files> {
        let pem = sys::memory_file(c"certificate", certificate.pem())?;
        let config = config(&path(&pem));
        let config = sys::memory_file(c"haproxy.cfg", config.as_bytes())?;
        Ok(Files { config, pem })
    }

    fn config_path(&self) -> String {
        path(&self.config)
    }

    fn pem_path(&self) -> String {
        path(&self.pem)
    }

    /// The child of `command` has them at the same numbers.
    fn pass_to(self, command: &mut Command) {
        sys::keep_open(command, self.config.into());
        sys::keep_open(command, self.pem.into());
    }
}

/// What a process that has `file` open calls it.
fn path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
