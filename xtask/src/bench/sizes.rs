//! What is measured: the sizes of model, batch and episodes.

use anyhow::Result;
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tailguard::failure::Failure;
use tailguard_gpt2::{Gpt2, Gpt2Config};

use super::args::{SizeArgs, SizeName};

/// Positions that a GPT-2 has, and that the models of all sizes have: their embedding is trained,
/// too.
const POSITIONS: usize = 1024;

/// Sizes that make sense together; fields are named as in the peers' JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) vocab: usize,
    /// Episodes of an iteration.
    pub(crate) batch: usize,
    pub(crate) prompt_len: usize,
    pub(crate) gen_len: usize,
    pub(crate) ppo_epochs: usize,
    /// Episodes of an optimizer step when all are kept.
    pub(crate) mini_batch: usize,
    pub(crate) alpha_keep: f64,
    pub(crate) iters: usize,
    pub(crate) seed: u64,
}

/// Layers, width, heads, vocabulary, batch, minibatch.
fn preset(name: SizeName) -> [usize; 6] {
    match name {
        SizeName::Xs => [4, 128, 4, 4096, 64, 64],
        SizeName::S => [4, 256, 4, 8192, 32, 32],
        SizeName::Gpt2 => [12, 768, 12, 50_257, 4, 4],
    }
}

impl Sizes {
    /// Fills in the preset and checks the values.
    ///
    /// # Errors
    /// The flag that makes no sense, and why.
    pub(crate) fn resolve(args: &SizeArgs) -> Result<Self, Failure> {
        let [layers, width, heads, vocab, batch, mini_batch] = preset(args.size);
        let sizes = Self {
            layers: args.layers.unwrap_or(layers),
            width: args.width.unwrap_or(width),
            heads: args.heads.unwrap_or(heads),
            vocab: args.vocab.unwrap_or(vocab),
            batch: args.batch.unwrap_or(batch),
            prompt_len: args.prompt_len,
            gen_len: args.gen_len,
            ppo_epochs: args.ppo_epochs,
            mini_batch: args.mini_batch.unwrap_or(mini_batch),
            alpha_keep: args.timing.alpha_keep,
            iters: args.timing.iters,
            seed: args.seed,
        };
        sizes.check()?;
        Ok(sizes)
    }

    fn check(&self) -> Result<(), Failure> {
        for (flag, value, divisor, by) in [
            ("width", self.width, self.heads, "heads"),
            ("batch", self.batch, self.mini_batch, "mini-batch"),
        ] {
            if !value.is_multiple_of(divisor) {
                return Err(Failure::usage(format!(
                    "--{flag} {value} is not a multiple of --{by} {divisor}"
                )));
            }
        }
        let tokens = self.prompt_len.saturating_add(self.gen_len);
        if tokens > POSITIONS {
            return Err(Failure::usage(format!(
                "--prompt-len plus --gen-len is {tokens}, but the model has {POSITIONS} positions"
            )));
        }
        if u32::try_from(self.vocab).is_err() {
            return Err(Failure::usage(format!("--vocab {} does not fit 32 bits", self.vocab)));
        }
        Ok(())
    }

    /// The preset's name, or `custom` where a flag has replaced one of its numbers.
    pub(crate) fn name(&self, size: SizeName) -> &'static str {
        let own = [self.layers, self.width, self.heads, self.vocab, self.batch, self.mini_batch];
        if own == preset(size) { size.name() } else { "custom" }
    }

    /// Tokens of an episode.
    pub(crate) fn episode_tokens(&self) -> usize {
        self.prompt_len + self.gen_len
    }

    /// A model with random weights.
    ///
    /// # Errors
    /// None that a checked size could have.
    pub(crate) fn model(&self, device: &Device) -> Result<Gpt2> {
        Ok(Gpt2Config::new(self.vocab, POSITIONS, self.width, self.layers, self.heads)
            .init(self.seed, device)?)
    }

    /// Rows of random token ids.
    pub(crate) fn random_rows(&self, count: usize, tokens: usize) -> Vec<Vec<u32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // checked above
        let vocab = u32::try_from(self.vocab).unwrap_or(u32::MAX);
        (0..count).map(|_| (0..tokens).map(|_| rng.random_range(0..vocab)).collect()).collect()
    }
}

/// Sizes for tests to begin with.
#[cfg(test)]
pub(crate) const TINY: Sizes = Sizes {
    layers: 2,
    width: 8,
    heads: 2,
    vocab: 10,
    batch: 8,
    prompt_len: 2,
    gen_len: 1,
    ppo_epochs: 5,
    mini_batch: 4,
    alpha_keep: 0.5,
    iters: 1,
    seed: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: &[&str]) -> Result<Sizes, String> {
        Sizes::resolve(&SizeArgs::of(flags)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_replace_the_numbers_of_the_preset() {
        let sizes = resolve(&["--size", "gpt2", "--batch", "8"]).unwrap();
        assert_eq!((sizes.layers, sizes.vocab, sizes.batch, sizes.mini_batch), (12, 50_257, 8, 4));
        assert_eq!(
            (sizes.prompt_len, sizes.gen_len, sizes.ppo_epochs, sizes.iters, sizes.seed),
            (64, 48, 4, 3, 0)
        );
        assert_eq!(sizes.name(SizeName::Gpt2), "custom");
        assert_eq!(resolve(&[]).unwrap().name(SizeName::S), "s");
        assert_eq!(resolve(&["--width", "256", "--gen-len", "4"]).unwrap().name(SizeName::S), "s");
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused_by_flag() {
        for (words, expected) in [
            (&["--heads", "3"][..], "--width 256 is not a multiple of --heads 3"),
            (&["--mini-batch", "5"], "--batch 32 is not a multiple of --mini-batch 5"),
            (&["--prompt-len", "1000"], "1048, but the model has 1024 positions"),
        ] {
            let error = resolve(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn rows_are_within_the_vocabulary_and_depend_on_the_seed() {
        let rows =
            |seed: &str| resolve(&["--vocab", "7", "--seed", seed]).unwrap().random_rows(3, 40);
        assert_eq!(rows("1"), rows("1"));
        assert_ne!(rows("1"), rows("2"));
        assert!(rows("1").iter().all(|row| row.len() == 40 && row.iter().all(|&id| id < 7)));
    }
}
