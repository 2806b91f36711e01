//! The configuration of HAProxy, as text.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may be silent in both directions. The server itself asks earlier, and gives
/// up on a client after 90 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(100);

/// How long one side of a connection may stay open that is silent after the other has closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// Connections of an address beyond those that the server takes: those that are on their way to its
/// refusal, or not quite closed yet.
const ADDRESS_RESERVE: usize = 8;

/// When no more than this part of all places is left, nobody gets more than their share.
const LEFT_PART: usize = 4;

/// The share of an address, or of a network of IPv6, in a crowd.
const SHARE_PART: usize = 16;

/// Where connections are handed on to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    /// What each header has.
    pub(super) word: String,
    /// Most connections at a time, handshakes and all.
    pub(super) max_connections: usize,
    /// Most connections that the server takes of one address.
    pub(super) per_address: Option<NonZeroUsize>,
}

impl Target {
    /// For a configuration that is only looked at.
    pub(super) const NONE: Target = Target {
        addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1),
        word: String::new(),
        max_connections: 1,
        per_address: None,
    };
}

/// The configuration: TLS on `binds` with the file `pem`, handed on to `target`.
///
/// Until a connection is handed on, the timeout of the client holds; from then on that of the tunnel.
pub(super) fn text(binds: &[String], pem: &str, target: &Target) -> String {
    let Target {
        addr,
        word,
        max_connections,
        per_address,
    } = target;
    let bound = per_address.map(|most| address_bound(most, *max_connections));
    let bound = bound.unwrap_or_default() + &crowd_bound(*max_connections);
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
    timeout client {handshake}s
    timeout server {silence}s
    timeout tunnel {silence}s
    timeout client-fin {close}s
    timeout server-fin {close}s
frontend rtmps
    maxconn {max_connections}
{bound}    tcp-request content set-log-level silent
    unique-id-format {}
    default_backend rtmp
",
        max_connections + 1,
        if word.is_empty() { "none" } else { word },
        handshake = HANDSHAKE_LIMIT.as_secs(),
        silence = SILENCE_LIMIT.as_secs(),
        close = CLOSE_LIMIT.as_secs(),
    );
    for bind in binds {
        // To a String: cannot fail.
        let _ = writeln!(text, "    bind {bind} ssl crt {pem}");
    }
    let _ = writeln!(
        text,
        "backend rtmp\n    server rtmp {addr} send-proxy-v2 proxy-v2-options ssl,unique-id\n\
         backend networks\n    stick-table type ipv6 size {max_connections} expire 10s store conn_cur"
    );
    text
}

/// What counts the connections of each address or network of IPv6, from before the handshake on, and has no more than
/// `most` and the reserve.
fn address_bound(most: NonZeroUsize, max_connections: usize) -> String {
    let most = most.get().saturating_add(ADDRESS_RESERVE);
    format!(
        "    stick-table type ipv6 size {max_connections} expire 10s store conn_cur
    tcp-request connection track-sc0 src,ipmask(32,64)
    tcp-request connection reject if {{ sc0_conn_cur gt {} }}
",
        most.min(max_connections)
    )
}

/// What keeps one network from taking all places with connections that say nothing: as long as many
/// are taken, it has no more than its share of them.
fn crowd_bound(max_connections: usize) -> String {
    format!(
        "    tcp-request connection track-sc1 src,ipmask(32,64) table networks
    tcp-request connection reject if {{ fe_conn gt {} }} {{ sc1_conn_cur(networks) gt {} }}
",
        max_connections - max_connections / LEFT_PART,
        (max_connections / SHARE_PART).max(1)
    )
}
