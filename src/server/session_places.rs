//! The places of viewers without a connection that lasts.

use crate::ip_range::network;
use crate::web::SESSIONS_MAX;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;

/// The places that are taken. Such viewers cost no thread and no descriptor, so they take no place of a
/// connection, but there may be as many of them as of connections, and no more than [`SESSIONS_MAX`].
#[derive(Debug, Default)]
pub(super) struct SessionPlaces {
    all: usize,
    /// Those of each address or network of IPv6.
    of: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// There are as many viewers as there may be.
    Total,
    /// There are as many as there may be at the address.
    Address,
    /// The address has as many as are left for the others.
    Share,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            NoPlace::Total => "no place is left for viewers by HLS",
            NoPlace::Address => "-max-connections-per-ip reached by viewers by HLS",
            NoPlace::Share => "the address has its share of the places for viewers by HLS",
        })
    }
}

impl std::error::Error for NoPlace {}

impl SessionPlaces {
    /// Takes a place. Without a limit for each address, one may have as many as are left for the
    /// others: one that comes alone gets half, and the next finds room.
    ///
    /// # Errors
    ///
    /// [`NoPlace`].
    pub(super) fn take(
        &mut self,
        total: usize,
        per_address: Option<NonZeroUsize>,
        ip: IpAddr,
    ) -> Result<(), NoPlace> {
        let address = network(ip);
        let taken = self.of.get(&address).copied().unwrap_or(0);
        let left = total.min(SESSIONS_MAX).saturating_sub(self.all);
        match per_address {
            _ if left == 0 => return Err(NoPlace::Total),
            Some(max) if taken >= max.get() => return Err(NoPlace::Address),
            None if taken >= left => return Err(NoPlace::Share),
            Some(_) | None => {}
        }
        self.all += 1;
        self.of.insert(address, taken + 1);
        Ok(())
    }

    /// Gives the place of a viewer at `ip` back.
    pub(super) fn release(&mut self, ip: IpAddr) {
        let address = network(ip);
        self.all -= 1;
        if let Some(taken) = self.of.get_mut(&address) {
            *taken -= 1;
            if *taken == 0 {
                self.of.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leaves_room_for_others() {
        use NoPlace::{Address, Share, Total};
        #[rustfmt::skip]
        let rows = [
            (32, 0, vec![("192.0.2.1", 16, Share), ("::ffff:192.0.2.1", 0, Share), ("2001:db8::1", 8, Share), ("2001:db8::2", 0, Share), ("192.0.2.2", 4, Share)]),
            (1_000_000, 0, vec![("192.0.2.1", SESSIONS_MAX / 2, Share)]),
            (20, 12, vec![("192.0.2.1", 12, Address), ("192.0.2.2", 8, Total), ("192.0.2.3", 0, Total)]),
            (1, 0, vec![("192.0.2.1", 1, Total)]),
        ];
        for (total, per_address, addresses) in rows {
            let per_address = NonZeroUsize::new(per_address);
            let (mut taken, mut held) = (SessionPlaces::default(), Vec::new());
            for (address, want, why) in addresses {
                let ip: IpAddr = address.parse().unwrap();
                for _ in 0..want {
                    assert_eq!(
                        taken.take(total, per_address, ip),
                        Ok(()),
                        "{total} {per_address:?} {address}"
                    );
                    held.push(ip);
                }
                assert_eq!(
                    taken.take(total, per_address, ip),
                    Err(why),
                    "{total} {per_address:?} {address}"
                );
            }
            held.into_iter().for_each(|ip| taken.release(ip));
            assert_eq!((taken.all, taken.of.len()), (0, 0));
        }
    }
}
