//! The few system calls that the standard library lacks, and signals.
//!
//! All unsafe code of the program is in this folder. Functions here are safe to call: they take and
//! return types of the standard library, and each block says why it is sound.
#![allow(unsafe_code)]

mod c;
mod limits;
mod memory;
mod signals;
mod socket;
mod time;
mod wait;

pub use limits::{descriptor_limit, raise_descriptor_limit};
pub use memory::give_back_memory;
pub use signals::{GroupSignal, Signal, Signals, signal_group};
pub use socket::{
    connect_until, inherited, is_tcp_listener, send_now, set_backlog, set_receive_low_water,
    unacknowledged,
};
pub use time::{LocalTime, local_time, monotonic};
pub use wait::{Woken, is_hung_up, wait_for_either, wait_for_room, wait_readable};
