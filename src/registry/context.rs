//! What all streams of a registry share.

use super::observer::Observer;
use super::settings::StreamSettings;
use crate::stats::Counters;
use std::sync::Arc;

/// What a stream works with that is not its own.
pub(super) struct StreamContext {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) settings: StreamSettings,
    pub(super) counters: Arc<Counters>,
}
