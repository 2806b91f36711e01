//! A live RTMP server on the standard library alone.
//!
//! In the order of the wire: [`bytes`] and [`amf0`] are fields and values; [`rtmp`] is the protocol,
//! pure, from the handshake to the two sessions; [`media`] says what the first bytes of audio and
//! video mean; [`queue`] is the way to a peer; [`registry`] knows who publishes and who watches;
//! [`server`] has the sockets and the threads. [`auth`] decides who may publish and play, [`hooks`] tell
//! others of events; both stand on [`http`], [`json`] and [`child`]. [`record`] puts streams into files,
//! whose form is [`flv`]; [`remote`] has connections to other servers; [`web`] shows a browser, and
//! whoever gathers metrics, what [`stats`] there are. Beside all of them are [`args`], [`backoff`],
//! [`mod@log`], [`socket`], [`sys`], [`systemd`] and [`text`].

pub mod amf0;
pub mod args;
pub mod auth;
pub mod backoff;
pub mod bytes;
pub mod child;
pub mod flv;
pub mod hooks;
pub mod http;
pub mod json;
pub mod log;
pub mod media;
pub mod queue;
pub mod record;
pub mod registry;
pub mod remote;
pub mod rtmp;
pub mod server;
pub mod socket;
pub mod stats;
pub mod sys;
pub mod systemd;
pub mod text;
pub mod web;
