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
}
