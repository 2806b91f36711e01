//! Whose turn it is to give way.
//!
//! What one owner has counts together, so that many small things are as much as one that is large. What
//! is of use to others counts less, by how many they are.

use super::holding::{Holding, Owner, Source};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

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
#[derive(Clone, Copy, Debug)]
struct Together {
    greed: Greed,
    /// Whether they have more than a fair share.
    is_greedy: bool,
}

/// Holders of one owner, the greediest first.
struct Group {
    members: Vec<usize>,
    /// What those from each place on have together.
    rests: Vec<Together>,
}

/// The indexes of the `claims` of those that may have to give way, in the order in which they do: of the
/// greediest owner the greediest holder, and then the same of those that are left. Those that have no
/// more than a `fair` share are spared, unless their owner has more with all of its holders, and there
/// are other owners.
pub(super) fn order(claims: &[Claim], fair: usize) -> Vec<usize> {
    let groups = groups(claims, fair);
    let owners = claims.iter().filter_map(|claim| claim.holding.owner);
    let has_others = owners.collect::<HashSet<_>>().len() > 1;
    let mut order = Vec::new();
    // Of equals, the first to come is the first to go.
    let turn = |group: usize, place: usize| {
        let Group { members, rests } = &groups[group];
        let together = rests.get(place)?;
        Some((together.greed, Reverse(members[0]), group, place))
    };
    let first = (0..groups.len()).filter_map(|group| turn(group, 0));
    let mut turns: BinaryHeap<_> = first.collect();
    while let Some((_, _, group, place)) = turns.pop() {
        turns.extend(turn(group, place + 1));
        let index = groups[group].members[place];
        let is_greedy = claims[index].holding.bytes > fair;
        if is_greedy || has_others && groups[group].rests[place].is_greedy {
            order.push(index);
        }
    }
    order
}

/// The claims of each owner; one that has none is alone.
fn groups(claims: &[Claim], fair: usize) -> Vec<Group> {
    let mut of: HashMap<Owner, Vec<usize>> = HashMap::new();
    let mut all = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        match claim.holding.owner {
            Some(owner) => of.entry(owner).or_default().push(index),
            None => all.push(vec![index]),
        }
    }
    all.extend(of.into_values());
    let group = |members| Group::new(members, claims, fair);
    all.into_iter().map(group).collect()
}

/// `bytes` of the holder of `claim`, less what others need of them.
fn weigh(claim: &Claim, bytes: usize) -> usize {
    bytes / (claim.holding.others + 1)
}

impl Group {
    fn new(mut members: Vec<usize>, claims: &[Claim], fair: usize) -> Group {
        let greed = |index: &usize| {
            let claim = &claims[*index];
            let long = if claim.long > fair { claim.long } else { 0 };
            Greed {
                long: weigh(claim, long),
                now: weigh(claim, claim.holding.bytes),
            }
        };
        members.sort_by_key(|index| Reverse(greed(index)));
        let mut sum = Sum::default();
        let rests = members.iter().rev().map(|index| {
            sum.add(&claims[*index]);
            sum.together(fair)
        });
        let mut rests: Vec<_> = rests.collect();
        rests.reverse();
        Group { members, rests }
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
        self.weighed += weigh(claim, more);
        let moment = more.saturating_sub(claim.long);
        self.moment = self.moment.max(moment);
        self.moment_weighed = self.moment_weighed.max(weigh(claim, moment));
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
