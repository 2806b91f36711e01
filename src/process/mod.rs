//! Programs that run beside the server.

pub mod group;
pub mod launcher;
pub mod program;
