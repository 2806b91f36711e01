//! The HTTP server over real sockets: what it answers, what it shows, and what it withstands.

pub mod client;
mod contents;
mod fixture;
mod http;
mod page;
mod stat;
mod withstand;

use client::Reply;
use fixture::Fixture;
use rtmp_server::admin::{Access, AdminServer};
use std::net::SocketAddr;
use std::sync::Arc;

/// A running server and what it tells.
struct Site {
    fixture: Arc<Fixture>,
    web: AdminServer,
}

impl Site {
    /// One with these streams on a free port, whose token is `s3cret`.
    fn start(streams: usize) -> Site {
        Site::telling(Fixture::new(fixture::busy(streams)))
    }

    fn telling(fixture: Fixture) -> Site {
        let fixture = Arc::new(fixture);
        let access = Access {
            token: Some("s3cret".to_owned()),
            hosts: ["a", "x.example"].map(str::to_owned).to_vec(),
        };
        let web = AdminServer::start("127.0.0.1:0", access, fixture.clone()).expect("the server");
        web.open();
        Site { fixture, web }
    }

    fn addr(&self) -> SocketAddr {
        self.web.addr()
    }

    fn get(&self, path: &str) -> Reply {
        client::get(self.addr(), path)
    }
}
