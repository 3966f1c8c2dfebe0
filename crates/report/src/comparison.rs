//! What one method gains over another on the same prompts, as `results.json` and the line beneath the tables have it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tailguard_metrics::{Bootstrap, Gain, MetricsError, paired_bootstrap};

use crate::table::number;

/// A mean difference with its intervals: see [`paired_bootstrap`](tailguard_metrics::paired_bootstrap) for what each is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The mean difference over prompts, values of a prompt averaged over seeds.
    pub mean: f64,
    /// Its standard error over prompts.
    pub std: f64,
    /// Its 95 % interval over prompts, given the trained policies.
    pub ci95: [f64; 2],
    /// Its 95 % interval over seeds; `null` for one seed.
    pub seeds_ci95: Option<[f64; 2]>,
}

impl From<Gain> for Difference {
    fn from(gain: Gain) -> Self {
        Self { mean: gain.mean, std: gain.std, ci95: gain.ci95, seeds_ci95: gain.seeds_ci95 }
    }
}

/// What one method gains over another on the prompts that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The method, by its key in `methods`.
    pub method: String,
    /// The other one.
    pub over: String,
    /// Different prompts that both have.
    pub prompts: usize,
    /// Difference of the rewards.
    pub reward: Difference,
    /// The same over the prompts of the tail; `null` where there are fewer than two, or where the tail is not by prompts.
    pub tail: Option<Difference>,
}

/// Resamples of the prompts.
const RESAMPLES: usize = 2_000;

impl Comparison {
    /// Compares the rewards of two methods, one row per seed and in it one per prompt, by
    /// [`paired_bootstrap`](tailguard_metrics::paired_bootstrap). `tail` has the places of the tail's prompts in these rows.
    ///
    /// # Errors
    /// [`MetricsError`] for rows that do not belong together, fewer than two prompts, or a reward that is no finite number.
    pub fn of(
        (method, rewards): (&str, &[Vec<f64>]),
        (over, others): (&str, &[Vec<f64>]),
        tail: &[usize],
    ) -> Result<Self, MetricsError> {
        let difference = |rewards: &[Vec<f64>], others: &[Vec<f64>]| {
            paired_bootstrap(rewards, others, Bootstrap { resamples: RESAMPLES, seed: 0 }).map(Difference::from)
        };
        let of_tail = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
            rows.iter().map(|row| tail.iter().filter_map(|&prompt| row.get(prompt).copied()).collect()).collect()
        };
        Ok(Self {
            method: method.to_owned(),
            over: over.to_owned(),
            prompts: rewards.first().map_or(0, Vec::len),
            reward: difference(rewards, others)?,
            tail: if tail.len() < 2 { None } else { Some(difference(&of_tail(rewards), &of_tail(others))?) },
        })
    }

    /// Every number of it, with what to call it.
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let what = format!("{} less {}", self.method, self.over);
        let of = |difference: &Difference| {
            let Difference { mean, std, ci95, seeds_ci95 } = *difference;
            [mean, std].into_iter().chain(ci95).chain(seeds_ci95.into_iter().flatten()).collect::<Vec<_>>()
        };
        let numbers = of(&self.reward).into_iter().chain(self.tail.iter().flat_map(of));
        numbers.map(|number| (what.clone(), number)).collect()
    }

    /// The line beneath the tables, with the methods called by these names.
    #[must_use]
    pub fn line(&self, method: &str, over: &str) -> String {
        let mut line = format!("{method} - {over}, on {} prompts: reward {}", self.prompts, self.reward);
        if let Some(tail) = &self.tail {
            line += &format!(", in the tail {tail}");
        }
        line
    }
}

impl fmt::Display for Difference {
    /// `+0.25 [0.20, 0.30]`, and ` (over seeds [0.10, 0.40])` where there are several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = |[low, high]: [f64; 2]| format!("[{}, {}]", number(low, 2), number(high, 2));
        let mean = number(self.mean, 2);
        let sign = if mean.starts_with('-') { "" } else { "+" };
        write!(f, "{sign}{mean} {}", interval(self.ci95))?;
        match self.seeds_ci95 {
            Some(seeds) => write!(f, " (over seeds {})", interval(seeds)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn comparison() -> Comparison {
        let difference = |mean, seeds_ci95| Difference { mean, std: 0.02, ci95: [mean - 0.05, mean + 0.05], seeds_ci95 };
        let (method, over) = ("ra_rlhf".to_owned(), "rlhf".to_owned());
        Comparison { method, over, prompts: 2_000, reward: difference(0.25, None), tail: Some(difference(0.62, None)) }
    }

    #[test]
    fn the_line_has_both_gains_with_their_intervals() {
        let mut comparison = comparison();
        let line = comparison.line("RA-RLHF", "RLHF");
        assert_eq!(line, "RA-RLHF - RLHF, on 2000 prompts: reward +0.25 [0.20, 0.30], in the tail +0.62 [0.57, 0.67]");
        comparison.reward = Difference { mean: -0.25, ci95: [-0.3, -0.2], seeds_ci95: Some([-0.9, 0.4]), ..comparison.reward };
        comparison.tail = None;
        assert_eq!(comparison.line("A", "B"), "A - B, on 2000 prompts: reward -0.25 [-0.30, -0.20] (over seeds [-0.90, 0.40])");
    }

    #[test]
    fn a_tail_of_one_prompt_has_no_gain() {
        let (better, worse) = ([vec![1.0, 2.0, 4.0]], [vec![0.5, 1.0, 1.0]]);
        let found = |tail: &[usize]| Comparison::of(("a", &better), ("b", &worse), tail).unwrap();
        assert_eq!((found(&[1]).prompts, found(&[1]).tail), (3, None));
        assert!((found(&[1, 2]).tail.unwrap().mean - 2.0).abs() < 1e-12);
    }

    #[test]
    fn every_number_is_looked_at() {
        assert_eq!(comparison().numbers().len(), 8);
    }
}
