//! The name of a subscription.

/// The identity of a subscription, unique in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionId(pub(super) u64);
