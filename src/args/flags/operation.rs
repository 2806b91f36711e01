//! Flags of running the server: limits, what is served over HTTP, stopping.

use super::super::config::Invocation;
use super::super::flag::Takes::{Many, Nothing, One, OneSecret};
use super::super::flag::{Flag, add, put};
use super::super::secret::Secret;
use super::super::values::{
    address, duration, duration_within, host_name, number, origin, positive, rtmp_url, signed_key,
    size_within,
};
use std::time::Duration;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "max-connections",
        takes: One("N"),
        help: "most connections at a time (default 4096)",
        set: |draft, value| {
            put(
                &mut draft.config.max_connections,
                number(value, 1, 1_000_000),
            )
        },
    },
    Flag {
        name: "max-connections-per-ip",
        takes: One("N"),
        help: "most connections of one address or IPv6 /64; 0: no limit (default 0)",
        set: |draft, value| {
            put(
                &mut draft.config.max_connections_per_ip,
                number(value, 0, 1_000_000),
            )
        },
    },
    Flag {
        name: "max-memory",
        takes: One("SIZE"),
        help: "what peers, caches, recordings and playlists may take of memory together, as 512m or 2g:\n\
               beyond that the greediest give way (default: a quarter of the machine or control group)",
        set: |draft, value| {
            let size = size_within(value, 4 << 20, 1 << 40, "from 4m to 1024g");
            put(&mut draft.config.max_memory, size.map(Some))
        },
    },
    Flag {
        name: "http-listen",
        takes: Many("ADDR"),
        help: "serve streams over HTTP on this address, repeatable (default: off)",
        set: |draft, value| add(&mut draft.config.http_listen, address(value)),
    },
    Flag {
        name: "http-origin",
        takes: One("ORIGIN"),
        help: "the web pages that may play streams over HTTP, as https://HOST; * means all\n\
               (default *)",
        set: |draft, value| put(&mut draft.config.http_origin, origin(value)),
    },
    Flag {
        name: "hls-segment",
        takes: One("D"),
        help: "the shortest segment of HLS; the next keyframe ends it (default 2s)",
        set: |draft, value| {
            let (min, max) = (Duration::from_millis(500), Duration::from_secs(20));
            let segment = duration_within(value, min, max, "from 500ms to 20s");
            put(&mut draft.config.hls_segment, segment)
        },
    },
    Flag {
        name: "hls-part",
        takes: One("D"),
        help: "the usual part of a segment, for low latency (default 500ms)",
        set: |draft, value| {
            let (min, max) = (Duration::from_millis(100), Duration::from_secs(2));
            let part = duration_within(value, min, max, "from 100ms to 2s");
            put(&mut draft.config.hls_part, part)
        },
    },
    Flag {
        name: "metrics-addr",
        takes: One("ADDR"),
        help: "serve metrics, lists and a page over HTTP on this address (default: off)",
        set: |draft, value| put(&mut draft.config.metrics_addr, address(value).map(Some)),
    },
    Flag {
        name: "http-host",
        takes: Many("NAME"),
        help: "a name that HTTP requests may be for, besides localhost and the address that\n\
               they come in on, repeatable",
        set: |draft, value| add(&mut draft.config.http_host, host_name(value)),
    },
    Flag {
        name: "api-token",
        takes: OneSecret("TOKEN"),
        help: "lets other machines end streams and connections over HTTP; @FILE reads the\n\
               token from a file",
        set: |draft, value| put(&mut draft.config.api_token, Secret::read(value).map(Some)),
    },
    Flag {
        name: "reconnect-url",
        takes: OneSecret("URL"),
        help: "where SIGUSR1 sends the clients that can reconnect",
        set: |draft, value| put(&mut draft.config.reconnect_url, rtmp_url(value).map(Some)),
    },
    Flag {
        name: "shutdown-timeout",
        takes: One("D"),
        help: "how long a stop may take before it is forced (default 5s)",
        set: |draft, value| put(&mut draft.config.shutdown_timeout, duration(value)),
    },
    Flag {
        name: "config",
        takes: One("FILE"),
        help: "read more flags from a file, one a line: NAME VALUE; # begins a comment line;\n\
               the command line wins over it",
        set: |_, _| Ok(()),
    },
    Flag {
        name: "check",
        takes: Nothing,
        help: "check all of this, and the files and programs that it names, and exit",
        set: |draft, _| put(&mut draft.check, Ok(true)),
    },
    Flag {
        name: "sign",
        // A key may have a query behind it, by mistake.
        takes: OneSecret("ACTION:KEY"),
        help: "print a query that -auth-secret signs, and exit: publish:live/cam1, play:live/*",
        set: |draft, value| put(&mut draft.sign, signed_key(value).map(Some)),
    },
    Flag {
        name: "sign-for",
        takes: One("D"),
        help: "how long that query holds (default 1h)",
        set: |draft, value| put(&mut draft.sign_for, positive(value).map(Some)),
    },
    Flag {
        name: "version",
        takes: Nothing,
        help: "print the version",
        set: |draft, _| put(&mut draft.instead, Ok(Some(Invocation::Version))),
    },
    Flag {
        name: "help",
        takes: Nothing,
        help: "print this text",
        set: |draft, _| put(&mut draft.instead, Ok(Some(Invocation::Help))),
    },
];
