//! Programs that run beside the server.

pub mod group;
pub mod program;
