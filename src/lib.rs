//! A live RTMP server on the standard library alone.
//!
//! The modules stand in reading order: first the way of a picture from socket to socket, then what
//! works beside it, last what all of them share. "How it works" in the README tells more, and its "What may
//! look at what" says which module may use which.
//!
//! # From the wire up
//!
//! [`bytes`] and [`amf0`] read and write fields and values. [`rtmp`] is the protocol: the handshake,
//! chunks, control messages, commands, and the state of a conversation for each of its two sides.
//! [`media`] tells codecs, headers and keyframes apart, and knows the containers FLV and MP4. All
//! of these are pure: bytes and messages in, bytes and events out. They know no socket, no thread,
//! no clock and no log, so that tests can run them on bytes alone.
//!
//! # From publisher to viewer
//!
//! [`registry`] holds the streams. A connection that publishes holds a `Publication`, one that plays
//! holds a `Subscription`, and dropping it ends it, whatever the reason was. A stream gives each message
//! of its publisher to the outboxes of its viewers. [`queue`] is the outbox: it sends at once what
//! the socket takes, bounds the rest, and drops pictures rather than wait. A recording ([`record`])
//! may not leave anything out, so it has a feed of its own.
//!
//! # The server
//!
//! [`net`] opens sockets and reads with deadlines. `connection` is one RTMP connection over a socket:
//! the handshake, the loop that reads, and the thread that writes, for both roles. [`remote`] connects
//! to other servers: a relay is a viewer, and a pull a publisher, whose connection the server has
//! opened itself. `ingest` is a publication with its recording, its relays and the program beside it.
//! [`server`] accepts connections, runs a thread for each direction of each, and stops in order;
//! [`tls`] has HAProxy speak TLS in front of it.
//! `capacity` knows how many threads the system has room for, [`memory`] how much all that strangers make
//! the server hold may take, `pace` how often something may begin, and `ip_range` which addresses are meant.
//!
//! # Beside it
//!
//! [`auth`] decides who may publish and play. [`hooks`] tells scripts and web services what happens,
//! and [`process`] runs programs. [`admin`] shows [`stats`] to browsers and to Prometheus over [`http`].
//! [`args`] is the command line, [`systemd`] the service's side of systemd. [`sys`] has the system
//! calls that the standard library lacks.

#![warn(unreachable_pub)]

// `sys` has the numbers of these architectures; MIPS, POWER and SPARC have others.
#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64"
    )
)))]
compile_error!("rtmp-server runs on 64-bit Linux only: x86-64, AArch64, RISC-V, LoongArch");

pub mod bytes;

pub mod amf0;

pub mod rtmp;

pub mod media;

pub mod queue;

pub mod registry;

pub mod record;

pub mod net;

mod connection;

pub mod remote;

mod ingest;

pub mod web;

pub mod server;
pub mod tls;

pub mod auth;
pub mod hooks;
pub mod notify;
pub mod process;

pub mod admin;
pub mod stats;

pub mod args;

pub mod http;
pub mod json;

mod awake;
mod backoff;
mod calendar;
mod capacity;
mod file;
pub mod ip_range;
pub mod log;
pub mod memory;
mod pace;
pub mod sync;
pub mod sys;
pub mod systemd;
pub mod text;
mod turns;
