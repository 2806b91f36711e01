//! Where streams go at the moment.

use super::destination::Destination;

/// Destinations, each with a number that stays the same as long as it is wanted, and as long as a link
/// under it is ending.
#[derive(Default)]
pub(super) struct Destinations {
    entries: Vec<Entry>,
    next: usize,
}

struct Entry {
    number: usize,
    destination: Destination,
    wanted: bool,
}

/// How a list differs from the one before, in numbers.
pub(super) struct Difference {
    pub(super) gone: Vec<usize>,
    pub(super) come: Vec<usize>,
}

impl Destinations {
    /// Those that are wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (usize, &Destination)> {
        let wanted = self.entries.iter().filter(|entry| entry.wanted);
        wanted.map(|entry| (entry.number, &entry.destination))
    }

    /// Wants `list` from now on. Of those that are not wanted, it forgets the ones that are not
    /// `ending`.
    pub(super) fn replace(
        &mut self,
        list: &[Destination],
        ending: impl Fn(usize) -> bool,
    ) -> Difference {
        self.entries
            .retain(|entry| entry.wanted || ending(entry.number));
        let before: Vec<usize> = self.wanted().map(|(number, _)| number).collect();
        self.entries
            .iter_mut()
            .for_each(|entry| entry.wanted = false);
        for destination in list {
            let known =
                |entry: &&mut Entry| !entry.wanted && entry.destination.is_same(destination);
            match self.entries.iter_mut().find(known) {
                Some(entry) => entry.wanted = true,
                None => self.add(destination),
            }
        }
        let is_wanted = |number: usize| self.wanted().any(|(wanted, _)| wanted == number);
        Difference {
            gone: before
                .iter()
                .copied()
                .filter(|number| !is_wanted(*number))
                .collect(),
            come: self
                .wanted()
                .map(|(number, _)| number)
                .filter(|number| !before.contains(number))
                .collect(),
        }
    }

    fn add(&mut self, destination: &Destination) {
        let others = self.entries.iter().map(|entry| &entry.destination);
        self.entries.push(Entry {
            number: self.next,
            destination: destination.clone().told_from(others),
            wanted: true,
        });
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of one-letter destinations; `A` is one with the looks of `a`.
    fn list(letters: &str) -> Vec<Destination> {
        let letters = letters.chars().map(|letter| {
            let (host, key) = (letter.to_ascii_lowercase(), letter);
            Destination::parse(&format!("rtmp://{host}/app/{key}"))
        });
        letters.map(Result::unwrap).collect()
    }

    /// What is wanted, what is ending, and then the numbers wanted, gone and come.
    type Row = (
        &'static str,
        &'static [usize],
        &'static [usize],
        &'static [usize],
        &'static [usize],
    );

    #[test]
    fn those_still_wanted_keep_their_number() {
        let rows: [Row; 9] = [
            ("abc", &[], &[0, 1, 2], &[], &[0, 1, 2]),
            ("ca", &[], &[0, 2], &[1], &[]),
            ("cab", &[1], &[0, 1, 2], &[], &[1]),
            ("ca", &[], &[0, 2], &[1], &[]),
            ("cabb", &[], &[0, 2, 3, 4], &[], &[3, 4]),
            ("b", &[], &[3], &[0, 2, 4], &[]),
            ("aA", &[], &[5, 6], &[3], &[5, 6]),
            ("A", &[], &[6], &[5], &[]),
            ("Aa", &[], &[6, 7], &[], &[7]),
        ];
        let mut destinations = Destinations::default();
        for (letters, ending, numbers, gone, come) in rows {
            let difference =
                destinations.replace(&list(letters), |number| ending.contains(&number));
            let wanted: Vec<usize> = destinations.wanted().map(|(number, _)| number).collect();
            assert_eq!(wanted, numbers, "{letters}");
            assert_eq!(difference.gone, gone, "{letters}");
            assert_eq!(difference.come, come, "{letters}");
        }
        let shown = destinations
            .wanted()
            .map(|(_, destination)| destination.to_string());
        let shown: Vec<String> = shown.collect();
        assert_eq!(
            shown,
            ["rtmp://a/app#2", "rtmp://a/app"],
            "the free name is taken"
        );
    }
}
