//! A stream among those that give way when memory is short.

use super::stream::Stream;
use crate::memory::{GaveWay, Holder, Holding};
use crate::sync::Mutex;

impl Holder for Mutex<Stream> {
    fn held_bytes(&self) -> usize {
        self.lock().held_bytes()
    }

    fn holding(&self) -> Holding {
        self.lock().holding()
    }

    fn give_way(&self) -> Option<GaveWay> {
        self.lock().give_way()
    }
}
