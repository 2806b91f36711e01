//! The program: flags, signals, and what they mean to the server.

use rtmp_server::args::{self, Action, Config};
use rtmp_server::log;
use rtmp_server::server::Server;
use rtmp_server::sys::{Signal, Signals};
use std::process::{self, ExitCode};
use std::thread;

/// Could not start, or had to be forced to stop.
const FAILED: u8 = 1;

/// The command line is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(Action::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Action::Version) => {
            println!("rtmp-server {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Action::Run(config)) => match run(&config) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(error) => {
                eprintln!("rtmp-server: {error}");
                ExitCode::from(FAILED)
            }
        },
        Err(error) => {
            eprintln!("rtmp-server: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Serves until told to stop. `false`: something was still under way when time was up.
fn run(config: &Config) -> Result<bool, String> {
    log::init(config.log_level, config.log_format);
    let mut signals =
        Signals::install().map_err(|error| format!("cannot handle signals: {error}"))?;
    let server = Server::start(config, Vec::new())?;
    loop {
        match signals.wait() {
            Signal::Stop => break,
            Signal::Reload => match server.reload() {
                Ok(any) => log!(Info, "reloaded"; anything = any),
                Err(error) => log!(Warn, "cannot reload, the old state stays"; error = error),
            },
            Signal::Reconnect => {
                let asked = server.ask_to_reconnect();
                log!(Info, "asked clients to reconnect"; clients = asked);
            }
        }
    }
    // Whoever asks twice does not want to wait.
    thread::spawn(move || {
        while signals.wait() != Signal::Stop {}
        process::exit(i32::from(FAILED));
    });
    log!(Info, "stopping");
    let whole = server.stop(config.shutdown_timeout);
    if whole {
        log!(Info, "stopped");
    } else {
        log!(Warn, "stopped before everything was done");
    }
    Ok(whole)
}
