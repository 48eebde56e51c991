//! Choices that can be made again: the same seed gives the same choices.

/// A sequence of choices (`SplitMix64`).
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// The choices of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Those of this moment.
    pub fn from_clock() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::new(now.as_secs())
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below a bound; 0 below 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        match mixed.checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn the_same_seed_gives_the_same_choices() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..50).map(|_| chance.below(7)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..7).all(|n| draw(1).contains(&n)) && draw(1).iter().all(|n| *n < 7));
    }
}
