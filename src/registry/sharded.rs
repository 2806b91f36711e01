//! Things in shards, each of which a thread can take as it is.

/// How many are in a shard: few, so that no thread waits long for another at the end.
pub(super) const SHARD_LEN: usize = 16;

/// Things in no order. All shards but the last are full.
pub(super) struct Sharded<T> {
    shards: Vec<Vec<T>>,
}

impl<T> Default for Sharded<T> {
    fn default() -> Sharded<T> {
        let shards = Vec::new();
        Sharded { shards }
    }
}

impl<T> Sharded<T> {
    pub(super) fn len(&self) -> usize {
        let full = self.shards.len().saturating_sub(1);
        full * SHARD_LEN + self.shards.last().map_or(0, Vec::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.shards.iter_mut().flatten()
    }

    /// The one that [`iter`](Self::iter) has at `index`.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let shard = self.shards.get_mut(index / SHARD_LEN)?;
        shard.get_mut(index % SHARD_LEN)
    }

    pub(super) fn push(&mut self, one: T) {
        match self.shards.last_mut() {
            Some(shard) if shard.len() < SHARD_LEN => shard.push(one),
            _ => self.shards.push(vec![one]),
        }
    }

    /// Removes one; the last one takes its place.
    pub(super) fn swap_remove(&mut self, index: usize) -> Option<T> {
        self.get_mut(index)?;
        let shard = self.shards.last_mut()?;
        let mut removed = shard.pop()?;
        if shard.is_empty() {
            self.shards.pop();
        }
        if let Some(place) = self.get_mut(index) {
            std::mem::swap(place, &mut removed);
        }
        Some(removed)
    }

    /// Removes those of which `ends` is true.
    pub(super) fn extract(&mut self, ends: impl Fn(&T) -> bool) -> Vec<T> {
        if !self.iter().any(&ends) {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.shards).into_iter().flatten();
        let (ended, stay): (Vec<_>, Vec<_>) = all.partition(ends);
        stay.into_iter().for_each(|one| self.push(one));
        ended
    }

    /// Takes all shards out, to be given back with [`restore`](Self::restore).
    pub(super) fn take_shards(&mut self) -> Vec<Vec<T>> {
        std::mem::take(&mut self.shards)
    }

    /// Puts shards back in their order.
    pub(super) fn restore(&mut self, shards: Vec<Vec<T>>) {
        self.shards = shards;
    }

    pub(super) fn shards_mut(&mut self) -> &mut [Vec<T>] {
        &mut self.shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_stay_full_whatever_is_removed() {
        let mut sharded = Sharded::default();
        let mut want: Vec<usize> = Vec::new();
        let agrees = |sharded: &Sharded<usize>, want: &[usize]| {
            assert_eq!(sharded.iter().copied().collect::<Vec<_>>(), want);
            assert_eq!(sharded.len(), want.len());
            assert_eq!(sharded.is_empty(), want.is_empty());
            let full = want.len().div_ceil(SHARD_LEN).saturating_sub(1);
            assert!(
                sharded.shards[..full]
                    .iter()
                    .all(|shard| shard.len() == SHARD_LEN)
            );
        };
        for number in 0..3 * SHARD_LEN + 1 {
            sharded.push(number);
            want.push(number);
            agrees(&sharded, &want);
        }
        for index in [0, 3 * SHARD_LEN - 1, SHARD_LEN, 5] {
            assert_eq!(sharded.swap_remove(index), Some(want.swap_remove(index)));
            agrees(&sharded, &want);
        }
        assert_eq!(sharded.swap_remove(want.len()), None);
        let is_odd = |number: &usize| number % 2 == 1;
        let odd: Vec<usize> = want.extract_if(.., |number| is_odd(number)).collect();
        assert_eq!(sharded.extract(is_odd), odd);
        agrees(&sharded, &want);
        for number in want.clone() {
            assert_eq!(
                sharded.swap_remove(0).is_some(),
                !want.is_empty(),
                "{number}"
            );
            want.swap_remove(0);
            agrees(&sharded, &want);
        }
    }
}
