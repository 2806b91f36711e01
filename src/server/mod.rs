//! The server: listeners, connections, and how it all starts and stops.

mod access;
mod active;
mod check;
mod conn;
mod conn_id;
mod connections;
mod context;
mod delivery;
mod ended;
mod entrance;
mod events;
mod flood;
mod listener;
mod notified;
mod pacing;
mod peer_info;
mod pull;
mod refusals;
mod relief;
mod reload;
mod serving;
mod session_places;
mod setup;
mod start_error;
mod stop;
mod ticker;
mod trim;
mod unsent;
mod waiting;
mod watch;
mod web;
mod web_session;

use crate::admin::{AdminServer, AdminSource};
use crate::args::{Config, Faults};
use crate::log;
use crate::net::Acceptor;
use crate::stats::Snapshot;
use crate::sync;
use crate::sys;
use crate::systemd::PassedSockets;
use crate::tls::TlsFront;
use crate::web::WebServer;
use context::Context;
use listener::AdmitRtmp;
use reload::Applied;
use setup::Listener;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use stop::Stop;
use web::WebClients;

pub use check::{Prepared, check, prepare};
pub use start_error::StartError;
pub use watch::{Load, Watch};

/// A running server. To end it in order, [`stop`](Server::stop) it.
pub struct Server {
    context: Arc<Context>,
    watch: Watch,
    /// Accepting stops when they are dropped.
    acceptors: Vec<Acceptor>,
    /// Where the program connects that speaks TLS.
    tls_acceptor: Option<Acceptor>,
    tls: Option<Arc<TlsFront>>,
    threads: Vec<JoinHandle<()>>,
    /// Stopped when they are dropped.
    admins: Vec<AdminServer>,
    webs: Vec<WebServer>,
    applied: Applied,
}

impl Server {
    /// Opens the listening sockets and starts to serve, on those and on the ones `passed`. The
    /// default address is listened on if there are no others.
    ///
    /// # Errors
    ///
    /// Any [`StartError`].
    pub fn start(config: &Config, passed: PassedSockets) -> Result<Server, StartError> {
        sys::share_heaps();
        sys::give_back_long_buffers();
        let Prepared { rules, .. } = prepare(config).map_err(StartError::Config)?;
        let listeners = setup::listeners(config, passed.rtmp)?;
        let tls = setup::tls(config, passed.rtmps)?;
        let context = Arc::new(setup::context(config, rules)?);
        let tls = tls.map(|tls| tls.start(setup::tls_limits(config), &context.counters));
        let tls = tls.transpose()?;
        let (tls, inner) = tls.unzip();
        let media = setup::media_listeners(config)?;
        let accepting = listeners.iter().chain(&inner);
        let accepting = accepting.map(|(listener, _)| listener).chain(&media);
        unsent::limit(accepting, context.link_settings.unsent_max).map_err(StartError::System)?;
        let media_addrs: Vec<_> = media.iter().flat_map(TcpListener::local_addr).collect();
        let watch = Watch::new(&context, &addrs(&listeners), &media_addrs, tls.as_ref());
        let admins = setup::admins(config, passed.metrics, &watch)?;
        let mut server = Server {
            context,
            watch,
            acceptors: Vec::new(),
            tls_acceptor: None,
            tls,
            threads: Vec::new(),
            admins,
            webs: Vec::new(),
            applied: Applied::new(config),
        };
        // Before anything is logged of those who connect.
        for addr in addrs(&listeners) {
            log!(Info, "listening"; addr = addr);
        }
        for addr in server.tls_addrs() {
            log!(Info, "listening for TLS"; addr = addr);
        }
        server
            .spawn_threads(listeners, inner)
            .map_err(StartError::System)?;
        for addr in server.web_addrs() {
            log!(Info, "serving HTTP"; addr = addr);
        }
        server
            .serve_media(media, &config.http_origin)
            .map_err(StartError::System)?;
        server.open();
        Ok(server)
    }

    fn spawn_threads(
        &mut self,
        listeners: Vec<Listener>,
        inner: Option<Listener>,
    ) -> io::Result<()> {
        self.spawn("ticker", ticker::run)?;
        self.spawn("memory", relief::run)?;
        let context = Arc::clone(&self.context);
        let accept = |(listener, entrance): Listener| {
            let admit = AdmitRtmp::new(&context, &entrance);
            Acceptor::start(listener, "listener", admit)
        };
        for listener in listeners {
            self.acceptors.push(accept(listener)?);
        }
        self.tls_acceptor = inner.map(accept).transpose()?;
        Ok(())
    }

    /// Begins to accept connections and to pull, with all threads started: none of those is missing because
    /// strangers took the last that the system has.
    fn open(&self) {
        let acceptors = self.acceptors.iter().chain(&self.tls_acceptor);
        acceptors.for_each(Acceptor::open);
        self.webs.iter().for_each(WebServer::open);
        self.admins.iter().for_each(AdminServer::open);
        self.context.pulls.start();
    }

    fn spawn(&mut self, name: &str, run: fn(&Context)) -> io::Result<()> {
        let context = Arc::clone(&self.context);
        let thread = sync::spawn(name, sync::STACK_LEN, move || run(&context))?;
        self.threads.push(thread);
        Ok(())
    }

    fn serve_media(&mut self, listeners: Vec<TcpListener>, origin: &str) -> io::Result<()> {
        for listener in listeners {
            let clients = Arc::new(WebClients(Arc::clone(&self.context)));
            let web = WebServer::serve(listener, origin, clients)?;
            log!(Info, "serving media over HTTP"; addr = web.addr());
            self.webs.push(web);
        }
        Ok(())
    }

    /// Stops: accepts nobody any more, tells everyone, and waits until all that is under way is
    /// done, for `limit` at most. `false`: it took longer; exit without them.
    pub fn stop(mut self, limit: Duration) -> bool {
        let stop = Stop::begin(limit);
        if let Some(tls) = &self.tls {
            tls.stop_accepting();
        }
        drop(self.acceptors);
        self.webs.iter_mut().for_each(WebServer::close);
        drop(self.tls_acceptor);
        self.context.hls.close();
        self.context.connections.close();
        for thread in self.threads {
            // One that has panicked has ended as well.
            let _ = thread.join();
        }
        let all_done = stop.run(&self.context, self.tls.as_deref());
        drop(self.webs);
        drop(self.admins);
        all_done
    }

    /// The addresses that RTMP is served on.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.acceptors.iter().map(Acceptor::addr).collect()
    }

    /// The addresses that RTMPS is served on.
    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        self.tls
            .iter()
            .flat_map(|tls| tls.addrs().to_vec())
            .collect()
    }

    /// How many connections, published streams and viewers there are.
    pub fn count(&self) -> (usize, usize, usize) {
        let Load {
            connections,
            streams,
            viewers,
            ..
        } = self.watch.load();
        (connections, streams, viewers)
    }

    /// For those who look at it, or ask things of it.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// What can be told of it now.
    pub fn snapshot(&self) -> Snapshot {
        self.watch.snapshot()
    }

    /// The addresses that HTTP is served on.
    pub fn web_addrs(&self) -> Vec<SocketAddr> {
        self.admins.iter().map(AdminServer::addr).collect()
    }

    /// The addresses that media are served on over HTTP.
    pub fn media_addrs(&self) -> Vec<SocketAddr> {
        self.webs.iter().map(WebServer::addr).collect()
    }

    /// Asks all clients that announced it to connect anew; returns how many that were.
    pub fn ask_to_reconnect(&self) -> usize {
        let url = self.context.reconnect_url();
        let peers = self.context.connections.peers();
        peers
            .iter()
            .filter(|peer| peer.ask_to_reconnect(url.as_deref(), "Please connect again."))
            .count()
    }

    /// Changes to another configuration, as far as that is possible while the server runs. What
    /// cannot change is told in the log. It waits for nothing: what takes time is `prepared`.
    ///
    /// # Errors
    ///
    /// All [`Faults`]: then nothing has changed.
    pub fn change(&self, config: &Config, prepared: Prepared) -> Result<(), Faults> {
        let Prepared { rules, certificate } = prepared;
        self.applied
            .change(config, rules, &self.context, &self.admins, &self.webs)?;
        if let (Some(front), Some(certificate)) = (&self.tls, certificate) {
            front.renew(certificate, setup::tls_limits(config));
        }
        Ok(())
    }

    /// Reads the files of `config`, and changes to it.
    ///
    /// # Errors
    ///
    /// All [`Faults`]: then nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<(), Faults> {
        self.change(config, prepare(config)?)
    }
}

fn addrs(listeners: &[Listener]) -> Vec<SocketAddr> {
    let listeners = listeners.iter();
    listeners
        .filter_map(|(listener, _)| listener.local_addr().ok())
        .collect()
}
