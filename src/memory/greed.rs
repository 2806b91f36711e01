//! Whose turn it is to give way.
//!
//! What one owner has counts together, so that many small things are as much as one that is large. What
//! is of use to others counts less, by how many they are.

use super::holding::{Holding, Source};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

/// What a holder has, and what it had for long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) holding: Holding,
    /// The least that it had during the last looks, in bytes.
    pub(super) long: usize,
}

/// How greedy somebody is. The greatest gives way first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Greed {
    /// Bytes held for long; 0 if that is a fair share.
    long: usize,
    /// Bytes that are held now.
    now: usize,
}

/// What holders of one owner have together, those from one place in their order on.
#[derive(Clone, Copy, Debug, Default)]
struct Together {
    greed: Greed,
    /// Whether they have more than a fair share.
    is_greedy: bool,
}

/// The indexes of the `claims` of those that may have to give way, in the order in which they do: of the
/// greediest owner the greediest holder, and then the same of those that are left. Those that have no
/// more than a `fair` share are spared, unless their owner has more with all of its holders, and there
/// are other owners.
pub(super) fn order(claims: &[Claim], fair: usize) -> Vec<usize> {
    let Groups {
        members,
        rests,
        groups,
        has_others,
    } = Groups::new(claims, fair);
    let gives_way = |place: usize| {
        let is_greedy = claims[members[place]].holding.bytes > fair;
        is_greedy || has_others && rests[place].is_greedy
    };
    // Of equals, the first to come is the first to go.
    let turn = |place: usize, group: Range<usize>| {
        let first = Reverse(members[group.start]);
        (rests[place].greed, first, place, group.end)
    };
    let mut order = Vec::new();
    let greedy = groups
        .into_iter()
        .filter(|group| group.clone().any(gives_way));
    let mut turns: BinaryHeap<_> = greedy.map(|group| turn(group.start, group)).collect();
    while let Some((_, _, place, end)) = turns.pop() {
        if gives_way(place) {
            order.push(members[place]);
        }
        if place + 1 < end {
            turns.push(turn(place + 1, place + 1..end));
        }
    }
    order
}

/// All holders, by whose they are.
struct Groups {
    /// The indexes of holders, those of an owner side by side, the greediest first.
    members: Vec<usize>,
    /// What each has together with those of its owner that come after it.
    rests: Vec<Together>,
    /// Where in them each owner is; a holder that has none is alone.
    groups: Vec<Range<usize>>,
    /// Whether there are two owners at least.
    has_others: bool,
}

impl Groups {
    fn new(claims: &[Claim], fair: usize) -> Groups {
        let owner = |index: &usize| claims[*index].holding.owner;
        let mut members: Vec<usize> = (0..claims.len()).collect();
        members.sort_by_key(owner);
        let (mut groups, mut owners, mut start) = (Vec::new(), 0, 0);
        for same in
            members.chunk_by(|one, other| owner(one).is_some() && owner(one) == owner(other))
        {
            owners += usize::from(owner(&same[0]).is_some());
            groups.push(start..start + same.len());
            start += same.len();
        }
        let mut rests = vec![Together::default(); members.len()];
        for group in &groups {
            let members = &mut members[group.clone()];
            if members.len() > 1 {
                members.sort_by_key(|index| Reverse(claims[*index].greed(fair)));
            }
            let mut sum = Sum::default();
            for (index, rest) in members.iter().zip(&mut rests[group.clone()]).rev() {
                sum.add(&claims[*index]);
                *rest = sum.together(fair);
            }
        }
        Groups {
            members,
            rests,
            groups,
            has_others: owners > 1,
        }
    }
}

impl Claim {
    /// `bytes` of the holder, less what others need of them.
    fn weigh(&self, bytes: usize) -> usize {
        bytes / (self.holding.others + 1)
    }

    /// How greedy the holder is beside others of its owner.
    fn greed(&self, fair: usize) -> Greed {
        let long = if self.long > fair { self.long } else { 0 };
        Greed {
            long: self.weigh(long),
            now: self.weigh(self.holding.bytes),
        }
    }
}

/// What several holders of one owner have.
#[derive(Default)]
struct Sum {
    bytes: usize,
    weighed: usize,
    /// The most that one of them has got a moment ago: a picture that arrives or is being sent.
    moment: usize,
    moment_weighed: usize,
    /// The most that one of them has from each source.
    shared: HashMap<Source, usize>,
}

impl Sum {
    fn add(&mut self, claim: &Claim) {
        let Holding { bytes, shared, .. } = claim.holding;
        let doubled = shared.map_or(0, |(source, bytes)| {
            let most = self.shared.entry(source).or_default();
            let doubled = bytes.min(*most);
            *most = bytes.max(*most);
            doubled
        });
        let more = bytes - doubled.min(bytes);
        self.bytes += more;
        self.weighed += claim.weigh(more);
        let moment = more.saturating_sub(claim.long);
        self.moment = self.moment.max(moment);
        self.moment_weighed = self.moment_weighed.max(claim.weigh(moment));
    }

    fn together(&self, fair: usize) -> Together {
        let is_long = self.bytes - self.moment > fair;
        let long = self.weighed - self.moment_weighed;
        Together {
            greed: Greed {
                long: if is_long { long } else { 0 },
                now: self.weighed,
            },
            is_greedy: self.bytes > fair,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Owner;

    /// Holders of an address: how many there are, KiB of each, KiB for long, KiB from the same source, and
    /// how many others need them.
    type Holders = (&'static str, usize, [usize; 4]);

    fn claims(holders: &[Holders]) -> Vec<Claim> {
        let claim = |(ip, count, figures): &Holders| {
            let [kib, long, shared, others] = *figures;
            let holding = Holding {
                owner: ip.parse().ok().map(Owner::new),
                bytes: kib << 10,
                shared: (shared > 0).then(|| (Source::at("stream"), shared << 10)),
                others,
            };
            let long = long << 10;
            vec![Claim { holding, long }; *count]
        };
        holders.iter().flat_map(claim).collect()
    }

    #[test]
    fn of_the_greediest_owner_the_greediest_holder_gives_way() {
        const FAIR: usize = 64 << 10;
        /// Holders, and the first of them that give way, in order, as indexes; how many do.
        type Row = (&'static [Holders], &'static [usize], usize);
        #[rustfmt::skip]
        let rows: [Row; 12] = [
            (&[], &[], 0),
            // Those of no owner are alone.
            (&[("", 2, [100, 100, 0, 0]), ("", 1, [150, 150, 0, 0])], &[2, 0, 1], 3),
            // Many small ones of an address before a large one of another, until less is left of them.
            (&[("192.0.2.1", 1, [100, 100, 0, 0]), ("192.0.2.2", 5, [40, 40, 0, 0])], &[1, 2, 3, 0, 4], 5),
            // So it is with those that have come a moment ago: all but one.
            (&[("192.0.2.1", 1, [100, 100, 0, 0]), ("192.0.2.2", 5, [40, 0, 0, 0])], &[1, 2, 0, 3, 4], 5),
            // Addresses of one network are one; mapped ones are those of IPv4.
            (&[("192.0.2.1", 1, [90, 90, 0, 0]), ("2001:db8::1", 1, [60, 60, 0, 0]), ("2001:db8::2", 1, [60, 60, 0, 0])], &[1, 0], 2),
            (&[("192.0.2.9", 1, [90, 90, 0, 0]), ("192.0.2.1", 1, [60, 60, 0, 0]), ("::ffff:192.0.2.1", 1, [60, 60, 0, 0])], &[1, 0], 2),
            // Where all are of one address, those with a fair share are spared, as behind a proxy.
            (&[("192.0.2.1", 50, [60, 60, 0, 0]), ("192.0.2.1", 1, [70, 70, 0, 0])], &[50], 1),
            (&[("", 50, [60, 60, 0, 0])], &[], 0),
            // What others need counts less; when it alone is left, it goes all the same.
            (&[("192.0.2.1", 1, [900, 900, 0, 9]), ("192.0.2.2", 1, [100, 100, 0, 0])], &[1, 0], 2),
            // Viewers at one address that wait for the same hold it once.
            (&[("192.0.2.1", 9, [90, 90, 80, 0]), ("192.0.2.2", 1, [200, 200, 0, 0])], &[9, 0], 10),
            // A picture that arrives is no greed, beside a cache of the same publisher.
            (&[("192.0.2.1", 1, [70, 70, 0, 0]), ("192.0.2.2", 1, [80, 80, 0, 0]), ("192.0.2.2", 1, [900, 0, 0, 0])], &[1, 0, 2], 3),
            // Nobody held anything for long: who has most now.
            (&[("192.0.2.1", 1, [100, 0, 0, 0]), ("192.0.2.2", 1, [200, 0, 0, 0])], &[1, 0], 2),
        ];
        for (holders, first, count) in rows {
            let order = order(&claims(holders), FAIR);
            assert_eq!(order.len(), count, "{holders:?}");
            assert!(order.starts_with(first), "{holders:?}: {order:?}");
        }
    }
}
