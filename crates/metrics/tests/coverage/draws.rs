//! Data sets whose true figures are known, and how often intervals hold them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tailguard_metrics::{ByPrompt, Estimate};

/// Data sets of a design; of so many, the share that is covered has a standard error of 0.6 %.
pub(crate) const DATA_SETS: u32 = 1_500;

/// Numbers of known distributions, the same on every machine.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Between 0 and 1, without both.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.next_u64() % count as u64).unwrap()
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Mean 0, variance 1, a long tail below: what rewards look like.
    pub(crate) fn skewed(&mut self) -> f64 {
        self.uniform().ln() + 1.0
    }
}

/// How rewards come about: deviations of what prompts, seeds, and prompts within a seed do to all
/// of their texts, and of single texts.
#[derive(Clone, Copy)]
pub(crate) struct Design {
    pub(crate) seeds: usize,
    pub(crate) prompts: usize,
    pub(crate) texts: usize,
    pub(crate) of_prompts: f64,
    pub(crate) of_seeds: f64,
    pub(crate) of_pairs: f64,
    pub(crate) of_texts: f64,
    pub(crate) is_skewed: bool,
}

pub(crate) const PROMPTS: Design = Design {
    seeds: 1,
    prompts: 50,
    texts: 1,
    of_prompts: 1.0,
    of_seeds: 0.0,
    of_pairs: 0.1,
    of_texts: 0.5,
    is_skewed: false,
};
/// A trained policy of a run: seeds and prompts both matter.
pub(crate) const BOTH: Design = Design { seeds: 5, of_seeds: 0.15, ..PROMPTS };
pub(crate) const SEEDS: Design = Design { seeds: 5, of_seeds: 1.0, of_prompts: 0.5, ..PROMPTS };
pub(crate) const REST: Design =
    Design { seeds: 5, of_prompts: 0.1, of_seeds: 0.0, of_texts: 1.0, ..PROMPTS };

impl Design {
    pub(crate) fn draw(self, draws: &mut Draws) -> Vec<Vec<ByPrompt>> {
        let prompt =
            |draws: &mut Draws| if self.is_skewed { draws.skewed() } else { draws.normal() };
        let prompts: Vec<f64> =
            (0..self.prompts).map(|_| self.of_prompts * prompt(draws)).collect();
        self.around(&prompts, draws)
    }

    /// Another method on the same prompts.
    pub(crate) fn around(self, prompts: &[f64], draws: &mut Draws) -> Vec<Vec<ByPrompt>> {
        let mut seeds = Vec::new();
        for _ in 0..self.seeds {
            let of_seed = self.of_seeds * draws.normal();
            let mut values = Vec::new();
            for (prompt, of_prompt) in prompts.iter().enumerate() {
                let of_pair = self.of_pairs * draws.normal();
                for _ in 0..self.texts {
                    values.push((
                        prompt,
                        of_prompt + of_seed + of_pair + self.of_texts * draws.normal(),
                    ));
                }
            }
            seeds.push(values);
        }
        seeds
    }

    /// Deviation of single rewards of one seed.
    pub(crate) fn deviation(self) -> f64 {
        [self.of_prompts, self.of_pairs, self.of_texts]
            .iter()
            .map(|part| part * part)
            .sum::<f64>()
            .sqrt()
    }
}

/// The share of the data sets whose interval holds what is true; without a truth, what the figure
/// is on average.
pub(crate) fn covered(truth: Option<f64>, mut figure: impl FnMut(&mut Draws) -> Estimate) -> f64 {
    let mut draws = Draws::new(7);
    let figures: Vec<Estimate> = (0..DATA_SETS).map(|_| figure(&mut draws)).collect();
    let count = f64::from(DATA_SETS);
    let truth =
        truth.unwrap_or_else(|| figures.iter().map(|figure| figure.value).sum::<f64>() / count);
    let holds =
        |figure: &&Estimate| figure.ci95.is_some_and(|[low, high]| low <= truth && truth <= high);
    figures.iter().filter(holds).count() as f64 / count
}

pub(crate) fn check(found: &[(String, f64)], least: f64, most: f64) {
    let wrong: Vec<_> = found.iter().filter(|(_, share)| !(least..=most).contains(share)).collect();
    assert!(wrong.is_empty(), "expected {least} to {most}: {wrong:?}\nof {found:?}");
}

pub(crate) fn with_name(design: Design) -> String {
    let Design { seeds, prompts, texts, of_prompts, of_seeds, of_pairs, of_texts, is_skewed } =
        design;
    let skewed = if is_skewed { ", skewed" } else { "" };
    format!(
        "{seeds} seeds, {prompts} x {texts} ({of_prompts} {of_seeds} {of_pairs} {of_texts}{skewed})"
    )
}
