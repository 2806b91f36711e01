//! A live RTMP server on the standard library alone.
//!
//! In reading order, from the wire up: fields and values ([`bytes`], [`amf0`]), the protocol
//! ([`rtmp`]), what audio and video messages hold and how files hold them ([`media`]), the way to a
//! peer ([`queue`]), and streams with their publishers and viewers ([`registry`]). All of these but
//! the queue know no thread and no socket. On top of them stand recordings ([`record`]), connections to other
//! servers ([`remote`]) and the server itself ([`server`]).
//!
//! Beside them: who may publish and play ([`auth`]), events for others ([`hooks`]), what a browser
//! and Prometheus are shown ([`admin`]), the command line ([`args`]), and what all of them need.

pub mod bytes;

pub mod amf0;

pub mod rtmp;

pub mod media;

pub mod queue;

pub mod registry;

pub mod record;

pub mod remote;

pub mod server;

pub mod auth;
pub mod hooks;

pub mod admin;
pub mod stats;

pub mod args;

pub mod http;
pub mod json;
pub mod net;
pub mod process;

pub mod backoff;
pub mod log;
pub mod sync;
pub mod sys;
pub mod systemd;
pub mod text;
