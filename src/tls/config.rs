//! The configuration of HAProxy, as text.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where connections are handed on to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    /// What each header has.
    pub(super) word: String,
    pub(super) max_connections: usize,
}

impl Target {
    /// For a configuration that is only looked at.
    pub(super) const NONE: Target = Target {
        addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1),
        word: String::new(),
        max_connections: 1,
    };
}

/// The configuration: TLS on `binds` with the file `pem`, handed on to `target`.
///
/// A client has 10 s for its handshake. After that this server limits silence, and the program only
/// has to wait longer than it does.
pub(super) fn text(binds: &[String], pem: &str, target: &Target) -> String {
    let Target {
        addr,
        word,
        max_connections,
    } = target;
    let mut text = format!(
        "\
global
    maxconn {}
    log stderr format raw daemon
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    timeout tunnel 10m
frontend rtmps
    maxconn {max_connections}
    tcp-request content set-log-level silent
    unique-id-format {}
    default_backend rtmp
",
        max_connections + 1,
        if word.is_empty() { "none" } else { word },
    );
    for bind in binds {
        // To a String: cannot fail.
        let _ = writeln!(text, "    bind {bind} ssl crt {pem}");
    }
    let _ = writeln!(
        text,
        "backend rtmp\n    server rtmp {addr} send-proxy-v2 proxy-v2-options ssl,unique-id"
    );
    text
}
