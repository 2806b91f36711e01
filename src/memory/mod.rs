//! The memory that everything which strangers can make the server hold takes together, and who gives way
//! when there is too much of it.
//!
//! Whatever holds much counts it against one [`Budget`]. A [`Holder`] is something that can give memory
//! back: when the budget is nearly used up, those that hold most do so, one after the other. When it is
//! used up all the same, nothing grows any more that holds its fair share.

mod account;
mod budget;
mod greed;
mod holding;

pub use account::Account;
pub(crate) use account::{Held, HeldPayload};
pub use budget::{Budget, GaveWay, Holder};
pub use holding::{Holding, Owner, Source};
