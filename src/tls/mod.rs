//! TLS for clients that come to us: HAProxy speaks it, started and watched here.
//!
//! It accepts from listening sockets that we hold, so that its death refuses nobody, and hands each
//! connection on with a PROXY header that tells whose it is. Its configuration, the certificate and
//! the key are files in memory that only it gets.

mod certificate;
mod config;
mod error;
mod haproxy;
mod keeper;
mod stillness;

pub use error::TlsError;
pub(crate) use haproxy::{TlsLimits, TlsSetup};

use crate::log;
use crate::stats::{Counters, TlsStats};
use crate::sync;
pub(crate) use certificate::Certificate;
use haproxy::{HaProxy, Offer, Service};
use keeper::{Keeper, Wish};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the program may take to pass on what it has once our side of its connections is closed.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// TLS on some sockets, as long as this is held. Dropped, it ends all connections.
#[derive(Debug)]
pub(crate) struct TlsFront {
    keeper: Arc<Keeper>,
    addrs: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

/// Reads the files at `cert` and `key`, and checks that they can be used.
///
/// # Errors
///
/// [`TlsError`]: the program, a file, or what the program says about them.
pub(crate) fn check(cert: &Path, key: &Path) -> Result<Certificate, TlsError> {
    let haproxy = HaProxy::find()?;
    let certificate = Certificate::read(cert, key)?;
    haproxy.check(&certificate)?;
    Ok(certificate)
}

impl TlsFront {
    /// Starts to serve with the files at `cert` and `key`.
    ///
    /// # Errors
    ///
    /// [`TlsError`]: as [`check`], or the system has no room.
    pub(crate) fn start(
        cert: &Path,
        key: &Path,
        limits: TlsLimits,
        setup: TlsSetup,
        counters: &Arc<Counters>,
    ) -> Result<TlsFront, TlsError> {
        let haproxy = HaProxy::find()?;
        let offer = Offer {
            certificate: Certificate::read(cert, key)?,
            limits,
        };
        let addrs = setup.listeners.iter();
        let addrs = addrs.filter_map(|listener| listener.local_addr().ok());
        let addrs = addrs.collect();
        let service = Service::new(haproxy, setup);
        let keeper = Arc::new(Keeper::new(offer, Arc::clone(counters)));
        let run = Arc::clone(&keeper);
        // A program that it starts ends with this thread.
        let thread = sync::spawn("tls", sync::STACK_LEN, move || run.run(&service));
        Ok(TlsFront {
            keeper,
            addrs,
            thread: Some(thread.map_err(TlsError::Start)?),
        })
    }

    /// The addresses that clients connect to.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Shows a certificate that was [checked](check) from now on, and takes other limits of
    /// connections. Those that there are go on with what they began with.
    pub(crate) fn renew(&self, certificate: Certificate, limits: TlsLimits) {
        let before = self.keeper.offer();
        let offer = Offer {
            certificate,
            limits,
        };
        if offer == *before {
            return;
        }
        if offer.certificate != before.certificate {
            log!(Info, "certificate renewed"; file = offer.certificate.cert);
        }
        self.keeper.renew(offer);
    }

    /// Accepts nobody any more; the connections that there are go on.
    pub(crate) fn stop_accepting(&self) {
        self.keeper.wish(Wish::Finish);
    }

    /// Ends the program and waits until it is gone, which it is by itself once its connections are
    /// over. Clients that do not close are cut off soon: our side of the connections is closed by
    /// now. `false`: it is not gone by `deadline`.
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        self.keeper.wish(Wish::Finish);
        let passed_on = deadline.min(Instant::now() + LAST_BYTES);
        let gone = self.keeper.wait_gone(passed_on);
        self.keeper.wish(Wish::End);
        gone || self.keeper.wait_gone(deadline)
    }

    /// What can be told of it.
    pub(crate) fn stats(&self) -> TlsStats {
        self.keeper.stats(self.addrs.clone())
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.keeper.wish(Wish::End);
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A word that nobody else knows.
///
/// # Errors
///
/// When the system has no random bytes.
pub(crate) fn new_word() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
