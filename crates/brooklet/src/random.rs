use std::hash::{BuildHasher, RandomState};

/// The random numbers with which a stack begins, from the system or from a seed.
#[derive(Debug)]
pub(crate) enum Random {
    System,
    Seeded(u64),
}

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, Self::Seeded)
    }

    /// Returns the next number.
    pub(crate) fn next(&mut self) -> u64 {
        match self {
            // A hash of the standard library, whose key comes from the system.
            Self::System => RandomState::new().hash_one(0),
            // SplitMix64, whose numbers are the same on every machine.
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_the_system_gives_others() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next()]
        };
        assert_eq!(numbers(Some(1)), numbers(Some(1)));
        assert_ne!(numbers(Some(1)), numbers(Some(2)));
        assert_ne!(numbers(None), numbers(None));
        let [first, second] = numbers(None);
        assert_ne!(first, second);
    }
}
