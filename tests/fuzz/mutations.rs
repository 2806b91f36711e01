//! Mutations of seeds, always the same.

/// A generator of numbers (xorshift64*), which needs no randomness.
pub struct Mutations {
    state: u64,
    seeds: Vec<Vec<u8>>,
}

/// Longest mutated input, in bytes.
const LEN_MAX: usize = 8 << 10;

/// Numbers at the edges of fields.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0xff_ffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

impl Mutations {
    pub fn new(seeds: Vec<Vec<u8>>) -> Mutations {
        let state = 0x9e37_79b9_7f4a_7c15;
        Mutations { state, seeds }
    }

    fn number(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `max`; 0 if there is none.
    fn below(&mut self, max: usize) -> usize {
        self.number() as usize % max.max(1)
    }

    fn seed(&mut self) -> Vec<u8> {
        let index = self.below(self.seeds.len());
        self.seeds.get(index).cloned().unwrap_or_default()
    }

    /// A seed with up to four changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LEN_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let len = self.below((input.len() - at).min(64)) + 1;
        let end = (at + len).min(input.len());
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                // Twice the same.
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            3 => {
                // The end of another seed.
                let other = self.seed();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => {
                let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
                let width = [1, 2, 3, 4, 8][self.below(5)];
                let bytes = edge[8 - width..].iter();
                input
                    .iter_mut()
                    .skip(at)
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from);
            }
            5 => {
                let byte = self.number() as u8;
                input.insert(at, byte);
            }
            _ => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }
}
