//! The few system calls that the standard library lacks, and signals.
//!
//! Functions here take and return types of the standard library; `c.rs` makes the calls.

mod access;
mod c;
mod limits;
mod memory;
mod signals;
mod socket;
mod time;
mod wait;

pub use access::{may_write_in, open_at_once};
pub use limits::{descriptor_limit, raise_descriptor_limit};
pub use memory::{
    give_back_long_buffers, give_back_memory, give_back_stack, memory_file, share_heaps,
};
pub use signals::{
    GroupSignal, OrphanSignal, Signal, Signals, ask_to_end_with_parent, end_with_parent, keep_open,
    signal_group,
};
pub use socket::{
    connect_until, inherited, is_tcp_listener, send_now, set_backlog, set_receive_low_water,
    set_unsent_max, unacknowledged,
};
pub use time::{LocalTime, local_time, monotonic, processor_time};
pub use wait::{Woken, has_room, is_hung_up, wait_for_either, wait_for_room, wait_readable};
