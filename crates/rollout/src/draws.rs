//! Uniform numbers that depend on seed, episode and token alone: not on threads, batches or where a
//! run was resumed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Where the randomness of a set of episodes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawSeed {
    /// The run's seed.
    pub seed: u64,
    /// The stream of the first episode; episode `i` has stream `stream + i`. Sets of episodes that
    /// should differ must not share streams.
    pub stream: u64,
}

impl DrawSeed {
    /// The randomness of the `nth` draw for the same episodes, counted from 0: that of draw 0 is
    /// this one, and all others differ from it, from each other and from those of other seeds.
    /// What draws again within a draw has another `level`: so draw 1 of the one within draw 0 of
    /// the other differs from draw 0 within draw 1.
    ///
    /// The seed is number `nth` of `SplitMix64` from this one (Steele, Lea and Flood, 2014),
    /// further on by 2^32 for each level. There are fewer draws than that.
    #[must_use]
    pub fn nth(self, level: u32, nth: u64) -> Self {
        if nth == 0 {
            return self;
        }
        let mix = |z: u64, shift: u32, factor: u64| (z ^ (z >> shift)).wrapping_mul(factor);
        let place = (u64::from(level) << 32).wrapping_add(nth);
        let z = self.seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = mix(mix(z, 30, 0xbf58_476d_1ce4_e5b9), 27, 0x94d0_49bb_1331_11eb);
        Self { seed: z ^ (z >> 31), ..self }
    }

    /// The uniform numbers of one episode: `ChaCha8` from the seed, one stream per episode, one
    /// number per token.
    pub(crate) fn uniforms(self, episode: usize) -> Uniforms {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream.wrapping_add(episode as u64));
        Uniforms(rng)
    }
}

/// A stream of uniform numbers in [0, 1).
#[derive(Clone, Debug)]
pub(crate) struct Uniforms(ChaCha8Rng);

impl Uniforms {
    /// The next number: the upper 53 bits of 64, so that every value is a multiple of 2^-53.
    pub(crate) fn draw(&mut self) -> f64 {
        let numerator = (self.0.next_u64() >> 11) as f64;
        numerator / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_episode_and_repeat() {
        let first = |seed, stream, episode| DrawSeed { seed, stream }.uniforms(episode).draw();
        assert_eq!(first(1, 2, 3).to_bits(), first(1, 2, 3).to_bits());
        assert_eq!(first(1, 2, 3).to_bits(), first(1, 0, 5).to_bits());
        assert_ne!(first(1, 2, 3).to_bits(), first(1, 2, 4).to_bits());
        assert_ne!(first(1, 2, 3).to_bits(), first(2, 2, 3).to_bits());
    }

    #[test]
    fn further_draws_have_numbers_of_their_own_also_where_they_are_draws_of_draws() {
        let draws = DrawSeed { seed: 1_234_567, stream: 5 };
        assert_eq!(draws.nth(0, 0), draws);
        assert_eq!(draws.nth(3, 0), draws);
        // the first numbers of SplitMix64 from this seed, as its authors' program gives them
        assert_eq!(
            [draws.nth(0, 1).seed, draws.nth(0, 2).seed, draws.nth(0, 1).stream],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 5]
        );
        let nested = (0..8).flat_map(|outer| (0..8).map(move |inner| (outer, inner)));
        let seeds = nested.map(|(outer, inner)| draws.nth(1, outer).nth(0, inner).seed);
        assert_eq!(seeds.collect::<std::collections::BTreeSet<_>>().len(), 8 * 8);
    }
}
