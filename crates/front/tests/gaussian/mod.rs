//! Scores that are normal about a mean of each prompt, whose exact front is known in closed form.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tailguard_front::Sample;

/// Numbers of known distributions, the same on every machine.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Between 0 and 1, without both.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Standard deviation of the means of prompts, and of the responses to each.
#[derive(Clone, Copy)]
pub(crate) struct Design {
    pub(crate) prompts: usize,
    pub(crate) responses: usize,
    pub(crate) of_prompts: f64,
    pub(crate) of_responses: f64,
}

impl Design {
    /// The means of the prompts.
    pub(crate) fn means(self, draws: &mut Draws) -> Vec<f64> {
        (0..self.prompts).map(|_| self.of_prompts * draws.normal()).collect()
    }

    /// Responses to prompts of these means.
    pub(crate) fn sample(self, means: &[f64], draws: &mut Draws) -> Sample {
        let mut scores = Vec::new();
        for mean in means {
            scores.extend((0..self.responses).map(|_| mean + self.of_responses * draws.normal()));
        }
        Sample::new(self.responses, scores).unwrap()
    }
}

/// The distribution function of a normal number, to some 1e-7. (Abramowitz and Stegun, 1964,
/// 26.2.17.)
pub(crate) fn cumulative(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = density(x) * series.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    if x > 0.0 { 1.0 - tail } else { tail }
}

pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// A policy of the exact front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) kl: f64,
    pub(crate) mean: f64,
    pub(crate) cvar: f64,
}

/// The policy `exp(min(r, cap) / beta)` on one prompt: its KL, its mass below the cap, and its mean
/// shortfall below it. Below the cap it is normal with the mean `m + s^2 / beta`, cut off at the
/// cap; above it is the reference, cut off there as well.
fn capped(mean: f64, deviation: f64, beta: f64, cap: f64) -> [f64; 3] {
    let moved = mean + deviation * deviation / beta;
    let d = (cap - moved) / deviation;
    // both less the cap over beta, so that neither overflows
    let below = ((mean - cap) / beta + (deviation / beta).powi(2) / 2.0).exp() * cumulative(d);
    let above = cumulative((mean - cap) / deviation);
    let total = below + above;
    let share = below / total;
    let within = (cap - moved) * cumulative(d) + deviation * density(d);
    let shortfall = if cumulative(d) > 0.0 { share * within / cumulative(d) } else { 0.0 };
    // E[min(r, cap)] / beta - ln E_ref exp(min(r, cap) / beta), both less the cap over beta
    [-shortfall / beta - total.ln(), share, shortfall]
}

/// The best policy for the mean, with `CVaR` at this level.
pub(crate) fn exact_mean(means: &[f64], deviation: f64, beta: f64, alpha: f64) -> Exact {
    let count = means.len() as f64;
    let shift = deviation * deviation / beta;
    let mean = means.iter().sum::<f64>() / count + shift;
    // the quantile of the mixture, by halving
    let below = |z: f64| {
        means.iter().map(|mean| cumulative((z - mean - shift) / deviation)).sum::<f64>() / count
    };
    let quantile = solved(|z| below(z) - alpha);
    let shortfall = |mean: &f64| {
        let d = (quantile - mean - shift) / deviation;
        deviation * (d * cumulative(d) + density(d))
    };
    let cvar = quantile - means.iter().map(shortfall).sum::<f64>() / count / alpha;
    Exact { kl: shift * shift / (2.0 * deviation * deviation), mean, cvar }
}

/// The best policy for `CVaR` at this level; its mean is not computed.
pub(crate) fn exact_cvar(means: &[f64], deviation: f64, beta: f64, alpha: f64) -> Exact {
    let count = means.len() as f64;
    let all = |cap: f64| {
        let mut sums = [0.0; 3];
        for mean in means {
            let of_prompt = capped(*mean, deviation, beta, cap);
            sums.iter_mut().zip(of_prompt).for_each(|(sum, own)| *sum += own / count);
        }
        sums
    };
    let cap = solved(|cap| all(cap)[1] - alpha);
    let [kl, _, shortfall] = all(cap);
    Exact { kl, mean: f64::NAN, cvar: cap - shortfall / alpha }
}

/// Where a rising function is 0.
pub(crate) fn solved(of: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-60.0, 60.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if of(middle) < 0.0 { low = middle } else { high = middle }
    }
    high
}

/// The exact policy at a KL.
pub(crate) fn at_kl(kl: f64, of_beta: impl Fn(f64) -> Exact) -> Exact {
    // smaller ones overflow, and are of no use
    let beta = |log: f64| log.exp().clamp(0.04, 1e6);
    of_beta(beta(solved(|log| kl - of_beta(beta(log)).kl)))
}
