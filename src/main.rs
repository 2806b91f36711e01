//! The program: flags, signals and exit codes.

use rtmp_server::args::{self, Config, Invocation, SignRequest};
use rtmp_server::auth;
use rtmp_server::log;
use rtmp_server::process::{group, launcher};
use rtmp_server::server::{self, Load, Server, StartError};
use rtmp_server::sync;
use rtmp_server::sys::{Signal, Signals};
use rtmp_server::systemd::{self, Heartbeat, Notifier, PassedError};
use std::error::Error;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;
use std::{fmt, io};

/// Exit code of a server that could not start or was forced to stop.
const FAILED: u8 = 1;

/// How many faults of a configuration that is read again are logged one by one.
const FAULTS_LOGGED_MAX: usize = 20;

/// Exit code of a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    launcher::become_if_asked();
    match args::parse(command_line()) {
        Ok(Invocation::Help) => {
            print!("{}", args::help());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Version) => {
            println!("rtmp-server {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run(config)) => match run(*config) {
            Ok(ServerEnding::Complete) => ExitCode::SUCCESS,
            Ok(ServerEnding::Forced) => ExitCode::from(FAILED),
            Err(failure) => {
                complain(&failure);
                failure.exit_code()
            }
        },
        Ok(Invocation::Sign(request)) => {
            println!("{}", signed_query(&request));
            ExitCode::SUCCESS
        }
        Ok(Invocation::Check(config, mut faults)) => {
            faults.extend(server::check(&config));
            match faults.is_empty() {
                true => ExitCode::SUCCESS,
                false => {
                    complain(&faults);
                    ExitCode::from(USAGE)
                }
            }
        }
        Err(faults) => {
            complain(&faults);
            ExitCode::from(USAGE)
        }
    }
}

fn signed_query(request: &SignRequest) -> String {
    let exp = auth::unix_now() + request.lifetime.as_secs();
    auth::signed_query(request.secret.reveal(), request.action, &request.key, exp)
}

/// Writes to standard error what is wrong, which may be several lines.
fn complain(what: &impl fmt::Display) {
    for line in what.to_string().lines() {
        log::complain(&line);
    }
}

/// How the server ended.
enum ServerEnding {
    /// Everything that was under way is done.
    Complete,
    /// Something was still under way when its time was up.
    Forced,
}

/// Why the server does not run.
#[derive(Debug)]
enum Failure {
    /// The flags do not fit the sockets that were passed.
    Usage(args::Fault),
    Signals(io::Error),
    Passed(PassedError),
    Start(StartError),
    Thread(io::Error),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) | Failure::Start(StartError::Config(_)) => ExitCode::from(USAGE),
            _ => ExitCode::from(FAILED),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Usage(error) => write!(f, "{error}"),
            Failure::Signals(error) => write!(f, "cannot handle signals: {error}"),
            Failure::Passed(error) => write!(f, "{error}"),
            Failure::Start(error) => write!(f, "{error}"),
            Failure::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl Error for Failure {}

/// Serves until a signal ends it.
fn run(mut config: Config) -> Result<ServerEnding, Failure> {
    log::init(config.log_level, config.log_format);
    let signals = signals().map_err(Failure::Signals)?;
    let passed = systemd::passed_listeners().map_err(Failure::Passed)?;
    let serves_http = !passed.metrics.is_empty();
    config.check_passed(serves_http).map_err(Failure::Usage)?;
    let serves_tls = !passed.rtmps.is_empty();
    config
        .check_passed_tls(serves_tls)
        .map_err(Failure::Usage)?;
    let server = Server::start(&config, passed).map_err(Failure::Start)?;
    let notifier = Arc::new(Notifier::from_env());
    notifier.ready();
    let _heartbeat = Heartbeat::start(&notifier, status(&server)).map_err(Failure::Thread)?;
    // The sender lives as long as the process.
    while let Ok(signal) = signals.recv() {
        match signal {
            Signal::Stop => break,
            Signal::Reload => {
                notifier.reloading();
                reload(&server, &mut config);
                notifier.ready();
            }
            Signal::Reconnect => {
                let asked = server.ask_to_reconnect();
                log!(Info, "asked clients to reconnect"; clients = asked);
            }
        }
    }
    notifier.stopping();
    log!(Info, "stopping");
    if server.stop(config.shutdown_timeout) {
        log!(Info, "stopped");
        return Ok(ServerEnding::Complete);
    }
    log!(Warn, "stopped before everything was done");
    group::kill_all();
    Ok(ServerEnding::Forced)
}

/// The signals from now on. A second one to stop ends the process at once.
fn signals() -> io::Result<Receiver<Signal>> {
    let mut signals = Signals::install()?;
    let (sender, receiver) = mpsc::channel();
    sync::spawn("signals", sync::STACK_LEN, move || {
        let mut stopping = false;
        loop {
            let signal = signals.wait();
            if signal == Signal::Stop && std::mem::replace(&mut stopping, true) {
                // They would outlive the process.
                group::kill_all();
                process::exit(i32::from(FAILED));
            }
            // While the server stops, nothing receives signals.
            let _ = sender.send(signal);
        }
    })?;
    Ok(receiver)
}

/// The arguments of this process, which it reads again with the file that they name.
fn command_line() -> impl Iterator<Item = String> {
    std::env::args().skip(1)
}

/// Reads the configuration again and changes to it; if anything is wrong with it, nothing changes.
fn reload(server: &Server, config: &mut Config) {
    let read = match args::parse(command_line()) {
        Ok(Invocation::Run(read)) => server.reload(&read).map(|()| read),
        // The command line has asked to run a server, and cannot change.
        Ok(_) => return,
        Err(faults) => Err(faults),
    };
    match read {
        Ok(read) => *config = *read,
        Err(faults) => {
            for fault in faults.iter().take(FAULTS_LOGGED_MAX) {
                log!(Warn, "cannot reload, the old state stays"; error = fault);
            }
            let more = faults.iter().count().saturating_sub(FAULTS_LOGGED_MAX) + faults.more();
            if more > 0 {
                log!(Warn, "cannot reload, the old state stays"; more_faults = more);
            }
        }
    }
}

/// Tells in one line what the server is doing.
fn status(server: &Server) -> impl FnMut() -> String + Send + 'static + use<> {
    let watch = server.watch();
    let (mut asked, mut sent) = (Instant::now(), watch.load().bytes_sent);
    move || {
        let (load, now) = (watch.load(), Instant::now());
        let bits = (load.bytes_sent - sent) as f64 * 8.0;
        let rate = bits / now.duration_since(asked).as_secs_f64().max(0.001) / 1e6;
        (asked, sent) = (now, load.bytes_sent);
        let Load {
            streams, viewers, ..
        } = load;
        format!("{streams} streams, {viewers} viewers, {rate:.0} Mbit/s out")
    }
}
