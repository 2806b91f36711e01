//! Connections that neither publish nor play, nor are answered, and which of them give way when there
//! is no room.

use super::conn_id::ConnId;
use crate::ip_range::network;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Whose a connection is: an address, of IPv6 the network. `None`: it has not told yet.
type Group = Option<IpAddr>;

/// Connections that wait, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    of: HashMap<Group, BTreeSet<ConnId>>,
}

impl Waiting {
    pub(super) fn add(&mut self, ip: Group, id: ConnId) {
        self.of.entry(ip.map(network)).or_default().insert(id);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, ip: Group, id: ConnId) -> bool {
        let group = ip.map(network);
        let Some(ids) = self.of.get_mut(&group) else {
            return false;
        };
        let was_there = ids.remove(&id);
        if ids.is_empty() {
            self.of.remove(&group);
        }
        was_there
    }

    /// The one that gives way to a newcomer from `ip`: the oldest of the address that has most, if
    /// that has more than the newcomer's would. Of those that have not told whose they are, the
    /// oldest gives way to one that has not told either: those that mean it tell at once.
    pub(super) fn to_give_way(&self, ip: Group) -> Option<(Group, ConnId)> {
        let own = ip.map(network);
        let (group, ids) = self.of.iter().max_by_key(|(_, ids)| ids.len())?;
        let would_have = self.of.get(&own).map_or(0, BTreeSet::len) + 1;
        let untold = group.is_none() && own.is_none();
        let oldest = ids.first().filter(|_| ids.len() > would_have || untold);
        oldest.map(|id| (*group, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_address_that_has_most_gives_way() {
        // Addresses of those that wait, the oldest first; the newcomer; which of them gives way.
        let rows: [(&[&str], &str, Option<u64>); 9] = [
            (&[], "192.0.2.1", None),
            (
                &["192.0.2.1", "192.0.2.1", "192.0.2.1"],
                "192.0.2.2",
                Some(0),
            ),
            (
                &["192.0.2.3", "192.0.2.1", "192.0.2.1"],
                "192.0.2.2",
                Some(1),
            ),
            (&["192.0.2.1", "192.0.2.1", "192.0.2.1"], "192.0.2.1", None),
            (&["192.0.2.1", "192.0.2.2"], "192.0.2.3", None),
            (&["192.0.2.1", "192.0.2.1", "192.0.2.2"], "192.0.2.2", None),
            (&["2001:db8::1", "2001:db8::2"], "192.0.2.2", Some(0)),
            (&["", "", "192.0.2.1"], "192.0.2.1", None),
            (&["192.0.2.1", "", ""], "", Some(1)),
        ];
        for (there, newcomer, want) in rows {
            let mut waiting = Waiting::default();
            for (id, ip) in (0..).zip(there) {
                waiting.add(ip.parse().ok(), ConnId(id));
            }
            let got = waiting.to_give_way(newcomer.parse().ok());
            let got = got.map(|(_, id)| id.number());
            assert_eq!(got, want, "{there:?} {newcomer}");
            for (id, ip) in (0..).zip(there) {
                assert!(waiting.remove(ip.parse().ok(), ConnId(id)));
            }
            assert!(waiting.of.is_empty());
        }
    }
}
