//! The program: flags, signals and exit codes.

use rtmp_server::args::{self, Config, Faults, Invocation, SignRequest};
use rtmp_server::auth;
use rtmp_server::log;
use rtmp_server::process::{group, launcher};
use rtmp_server::server::{self, Load, Prepared, Server, StartError};
use rtmp_server::sync;
use rtmp_server::sys::{Signal, Signals};
use rtmp_server::systemd::{self, Heartbeat, Notifier, PassedError};
use std::error::Error;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Exit code of a server that could not start or was forced to stop.
const FAILED: u8 = 1;

/// How many faults of a configuration that is read again are logged one by one.
const FAULTS_LOGGED_MAX: usize = 20;

/// Bytes of stack of the thread that reads a configuration again, which the main thread reads first.
const RELOAD_STACK_LEN: usize = 2 << 20;

/// How long the process waits, before it ends, for the next line of its log to be taken.
const LOG_LIMIT: Duration = Duration::from_millis(500);

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
            Ok(ServerEnding { is_complete, end }) => {
                log::flush(LOG_LIMIT, end);
                ExitCode::from(if is_complete { 0 } else { FAILED })
            }
            Err(failure) => {
                log::flush(LOG_LIMIT, Instant::now() + LOG_LIMIT);
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
struct ServerEnding {
    /// Whether everything that was under way is done. If not, its time was up.
    is_complete: bool,
    /// Until when the process may wait for its log to be taken.
    end: Instant,
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
    let (sender, events) = mpsc::channel();
    watch_signals(sender.clone()).map_err(Failure::Signals)?;
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
    let mut reload = Reload::new(sender);
    while let Ok(event) = events.recv() {
        match event {
            Event::Signal(Signal::Stop) => break,
            Event::Signal(Signal::Reload) => reload.ask(&notifier),
            Event::Signal(Signal::Reconnect) => {
                let asked = server.ask_to_reconnect();
                log!(Info, "asked clients to reconnect"; clients = asked);
            }
            Event::Read(read) => {
                change(&server, &mut config, read);
                reload.done(&notifier);
            }
        }
    }
    notifier.stopping();
    log!(Info, "stopping");
    let end = Instant::now() + config.shutdown_timeout.max(LOG_LIMIT);
    let is_complete = server.stop(config.shutdown_timeout);
    match is_complete {
        true => log!(Info, "stopped"),
        false => {
            log!(Warn, "stopped before everything was done"; reason = "-shutdown-timeout");
            group::kill_all();
        }
    }
    let end = end.max(Instant::now() + LOG_LIMIT);
    Ok(ServerEnding { is_complete, end })
}

/// What the main thread acts on.
enum Event {
    Signal(Signal),
    /// The configuration was read again.
    Read(Result<Box<Reread>, Faults>),
}

/// A configuration that was read again, with what its files hold.
struct Reread {
    config: Config,
    prepared: Prepared,
}

/// Sends the signals from now on. A second one to stop ends the process at once.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::install()?;
    sync::spawn("signals", sync::STACK_LEN, move || {
        let mut stopping = false;
        loop {
            let signal = signals.wait();
            if signal == Signal::Stop && std::mem::replace(&mut stopping, true) {
                log!(Warn, "stopped before everything was done"; reason = "a second signal");
                // They would outlive the process.
                group::kill_all();
                log::flush(LOG_LIMIT, Instant::now() + LOG_LIMIT);
                process::exit(i32::from(FAILED));
            }
            // While the server stops, nothing receives signals.
            let _ = events.send(Event::Signal(signal));
        }
    })?;
    Ok(())
}

/// The arguments of this process, which it reads again with the file that they name.
fn command_line() -> impl Iterator<Item = String> {
    std::env::args().skip(1)
}

/// Has the configuration read again, once at a time: its files may take long to be read, and a stop does
/// not wait for them.
struct Reload {
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
    /// It was asked for once more meanwhile.
    again: bool,
}

impl Reload {
    fn new(events: Sender<Event>) -> Reload {
        Reload {
            events,
            thread: None,
            again: false,
        }
    }

    /// Begins, or does so when what is under way is done. An [`Event::Read`] will tell the outcome.
    fn ask(&mut self, notifier: &Notifier) {
        if self.thread.as_ref().is_some_and(|it| !it.is_finished()) {
            self.again = true;
            return;
        }
        notifier.reloading();
        let events = self.events.clone();
        let thread = sync::spawn("reload", RELOAD_STACK_LEN, move || {
            // While the server stops, nothing receives events.
            let _ = events.send(Event::Read(read_again()));
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                log!(Warn, "cannot reload, the old state stays"; error = error);
                notifier.ready();
            }
        }
    }

    /// What was asked for has been done.
    fn done(&mut self, notifier: &Notifier) {
        notifier.ready();
        self.thread = None;
        if std::mem::take(&mut self.again) {
            self.ask(notifier);
        }
    }
}

/// Reads the configuration and its files again.
fn read_again() -> Result<Box<Reread>, Faults> {
    let config = match args::parse(command_line())? {
        Invocation::Run(config) => *config,
        // The command line has asked to run a server, and cannot change.
        _ => return Err(Faults::default()),
    };
    let prepared = server::prepare(&config)?;
    Ok(Box::new(Reread { config, prepared }))
}

/// Changes to a configuration; if anything is wrong with it, nothing changes.
fn change(server: &Server, config: &mut Config, read: Result<Box<Reread>, Faults>) {
    let changed = read.and_then(|read| {
        let Reread { config, prepared } = *read;
        server.change(&config, prepared)?;
        Ok(config)
    });
    match changed {
        Ok(changed) => *config = changed,
        Err(faults) => tell(&faults),
    }
}

fn tell(faults: &Faults) {
    for fault in faults.iter().take(FAULTS_LOGGED_MAX) {
        log!(Warn, "cannot reload, the old state stays"; error = fault);
    }
    let more = faults.iter().count().saturating_sub(FAULTS_LOGGED_MAX) + faults.more();
    if more > 0 {
        log!(Warn, "cannot reload, the old state stays"; more_faults = more);
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
