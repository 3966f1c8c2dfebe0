//! The order in which items are seen: passes of full batches, each pass shuffled anew.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Where the streams of the run's seed begin. Each use has its own range, so that no two draw the
/// same numbers.
pub(crate) mod streams {
    /// Order of the minibatches of an update.
    pub(crate) const MINIBATCHES: u64 = 0;
    /// Order of the prompts.
    pub(crate) const PROMPTS: u64 = 1 << 40;
    /// Draws of the training episodes.
    pub(crate) const EPISODES: u64 = 1 << 41;
    /// Order of the texts in supervised training.
    pub(crate) const TEXTS: u64 = 1 << 42;
    /// Order of the prompts whose weighted samples are learnt.
    pub(crate) const WEIGHTED_SAMPLES: u64 = 1 << 43;
    /// Order of Quark's pool, from round to round.
    pub(crate) const POOL: u64 = 1 << 43;
    /// Quark's first control tokens.
    pub(crate) const CONTROL_TOKENS: u64 = 1 << 44;
}

/// A shuffled `0..len`; decided by the seed and the stream alone.
pub(crate) fn shuffled(len: usize, seed: u64, stream: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    order.shuffle(&mut rng);
    order
}

/// Batch number `index` (from 0) of `size` out of `len` items: every pass has its own order, and
/// its last partial batch is dropped. Depends on its arguments alone, so that a resumed run goes on
/// where it was. `len` is at least `size`.
pub(crate) fn batch(len: usize, size: usize, index: usize, seed: u64, stream: u64) -> Vec<usize> {
    let per_pass = (len / size.max(1)).max(1);
    let (pass, at) = (index / per_pass, index % per_pass);
    shuffled(len, seed, stream + pass as u64).into_iter().skip(at * size).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pass_sees_every_item_at_most_once(
            size in 1usize..10,
            extra in 0usize..30,
            pass in 0usize..4,
            seed: u64,
        ) {
            let len = size + extra;
            let per_pass = len / size;
            let mut seen: Vec<usize> = (0..per_pass)
                .flat_map(|at| batch(len, size, pass * per_pass + at, seed, 0))
                .collect();
            prop_assert_eq!(seen.len(), per_pass * size);
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), per_pass * size);
        }
    }

    #[test]
    fn passes_differ() {
        assert_ne!(batch(50, 50, 0, 1, 0), batch(50, 50, 1, 1, 0));
    }
}
