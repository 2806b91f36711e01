//! A live RTMP server on the standard library alone.

pub mod amf0;
pub mod args;
pub mod bytes;
pub mod log;
pub mod media;
pub mod queue;
pub mod registry;
pub mod rtmp;
pub mod server;
pub mod sys;
