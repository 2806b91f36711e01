//! Flags of listening and of how streams go to players.

use super::super::config::{OnDuplicate, TrackPolicy};
use super::super::error::Invalid;
use super::super::flag::Takes::{Many, One};
use super::super::flag::{Flag, add, put};
use super::super::values::{address, boolean, choice, duration, file, ip_range, number, up_to};
use crate::log::{Level, LogFormat};
use std::time::Duration;

/// The longest `-merge`: viewers are behind by as much, and so long does a stop wait for what is held back.
const MERGE_MAX: Duration = Duration::from_secs(2);

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "listen",
        takes: Many("ADDR"),
        help: "address to listen on, repeatable; :PORT means all addresses (default :1935)",
        set: |draft, value| add(&mut draft.config.listen, address(value)),
    },
    Flag {
        name: "tls-listen",
        takes: Many("ADDR"),
        help: "address to serve RTMPS on, repeatable; needs the program haproxy",
        set: |draft, value| add(&mut draft.config.tls_listen, address(value)),
    },
    Flag {
        name: "tls-cert",
        takes: One("FILE"),
        help: "its certificate with the chain, PEM; read again on SIGHUP",
        set: |draft, value| put(&mut draft.tls_cert, file(value).map(Some)),
    },
    Flag {
        name: "tls-key",
        takes: One("FILE"),
        help: "the key of the certificate, PEM; may be the same file",
        set: |draft, value| put(&mut draft.tls_key, file(value).map(Some)),
    },
    Flag {
        name: "proxy-listen",
        takes: Many("ADDR"),
        help: "address where proxies connect and send a PROXY header first, repeatable",
        set: |draft, value| add(&mut draft.config.proxy_listen, address(value)),
    },
    Flag {
        name: "proxy-from",
        takes: Many("CIDR"),
        help: "addresses of proxies that are believed, repeatable: 10.0.0.0/8, or a single\n\
               address (default loopback)",
        set: |draft, value| add(&mut draft.config.proxy_from, ip_range(value)),
    },
    Flag {
        name: "log-level",
        takes: One("LEVEL"),
        help: "debug, info, warn or error (default info)",
        set: |draft, value| {
            let level = Level::from_name(value);
            let level = level.ok_or_else(|| Invalid::must_be("debug, info, warn or error"));
            put(&mut draft.config.log_level, level)
        },
    },
    Flag {
        name: "log-format",
        takes: One("FORMAT"),
        help: "text, json or auto: text on a terminal and in systemd's journal, json elsewhere\n\
               (default auto)",
        set: |draft, value| {
            let formats = [
                ("text", LogFormat::Text),
                ("json", LogFormat::Json),
                ("auto", LogFormat::Auto),
            ];
            put(&mut draft.config.log_format, choice(value, formats))
        },
    },
    Flag {
        name: "chunk-size",
        takes: One("N"),
        help: "bytes per chunk sent, 128 to 65536 (default 4096)",
        set: |draft, value| put(&mut draft.config.chunk_size, number(value, 128, 65536)),
    },
    Flag {
        name: "gop-cache",
        takes: One("BOOL"),
        help: "start viewers at once, from the last keyframe (default true)",
        set: |draft, value| put(&mut draft.config.gop_cache, boolean(value)),
    },
    Flag {
        name: "merge",
        takes: One("D"),
        help: "how long a publisher's messages may wait for others, to be sent on together:\n\
               a duration up to 2s, 0 for not at all, or auto: while the server is busy, sound\n\
               waits for the next picture, 45ms at most (default auto)",
        set: |draft, value| {
            let merge = match value {
                "auto" => Ok(None),
                _ => up_to(value, MERGE_MAX).map(Some),
            };
            put(&mut draft.config.merge, merge)
        },
    },
    Flag {
        name: "on-duplicate",
        takes: One("POLICY"),
        help: "takeover or reject a second publisher of a stream (default takeover)",
        set: |draft, value| {
            let policies = [
                ("takeover", OnDuplicate::Takeover),
                ("reject", OnDuplicate::Reject),
            ];
            put(&mut draft.config.on_duplicate, choice(value, policies))
        },
    },
    Flag {
        name: "tracks",
        takes: One("POLICY"),
        help: "announced or all: of several tracks of a kind, players get the first, and all if they\n\
               announced multitrack or ask with ?tracks=all; or always all (default announced)",
        set: |draft, value| {
            let policies = [
                ("announced", TrackPolicy::Announced),
                ("all", TrackPolicy::All),
            ];
            put(&mut draft.config.tracks, choice(value, policies))
        },
    },
    Flag {
        name: "grace",
        takes: One("D"),
        help: "how long viewers stay after their publisher was lost; 0: not at all (default 10s)",
        set: |draft, value| put(&mut draft.config.grace, duration(value)),
    },
    Flag {
        name: "wait-stream",
        takes: One("D"),
        help: "how long play waits for a stream to begin; 0: not at all (default 10s)",
        set: |draft, value| put(&mut draft.config.wait_stream, duration(value)),
    },
];
