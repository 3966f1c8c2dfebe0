//! What one method gains over another in the tail, and whether that may be chance.

use serde::{Deserialize, Serialize};

use crate::figure::{Figure, gain};
use crate::tail_figures::{failure_names, level_names, worst_of_names};
use crate::tail_report::MAIN_SHARE;

/// What one method gains over another on the prompts that both have, in the figures of a
/// [`TailReport`](crate::TailReport).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailGains {
    /// Of the mean rewards.
    pub reward: Gain,
    /// Of `CVaR` and quantile at each level.
    pub levels: Vec<LevelGain>,
    /// Of the shares of failures: below 0 fewer texts fail.
    pub failures: Vec<FailureGain>,
    /// Of the expected lowest reward of k texts, of as many as both have of each prompt; none where
    /// a prompt has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_of: Option<WorstOfGain>,
}

/// A difference of two methods, and how likely chance alone is to give one as large.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// The difference.
    pub difference: Figure,
    /// The probability that a difference which is truly 0 comes out as large, to either side: see
    /// [`p_value`](tailguard_metrics::p_value). `null` where the difference has no interval.
    pub p_value: Option<f64>,
    /// The same for the smallest of all comparisons that the file has (Holm, 1979); `null` where it
    /// has one alone.
    pub p_adjusted: Option<f64>,
}

/// The gain at a level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelGain {
    /// The share of the rewards.
    pub share: f64,
    /// Of the means of the lowest rewards.
    pub cvar: Gain,
    /// Of the highest rewards among them.
    pub quantile: Gain,
}

/// The gain in the share of failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureGain {
    /// A text fails whose reward is at most this.
    pub threshold: f64,
    /// Of the shares, prompt by prompt.
    pub rate: Gain,
}

/// The gain in the worst of several texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstOfGain {
    /// How many texts.
    pub k: usize,
    /// Of the expected lowest rewards.
    pub reward: Gain,
}

/// A gain with its names, for whoever shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedGain {
    /// What tells it from all others, such as `cvar_0.01`.
    pub key: String,
    /// What stands over it.
    pub head: String,
    /// Digits after the point.
    pub digits: usize,
    /// Whether it is shown where there is room for a few alone.
    pub is_main: bool,
    /// The gain.
    pub gain: Gain,
}

impl Gain {
    /// As tables show it: `+0.25 [0.20, 0.30]`, and how likely chance is, if that is known:
    /// `p 0.012`; adjusted where there are several comparisons.
    #[must_use]
    pub fn cell(self, digits: usize) -> String {
        let shown = gain(self.difference, digits);
        self.p().map_or(shown.clone(), |p| format!("{shown}, {p}"))
    }

    /// How likely chance is, if that is known: `p 0.012`, or `adjusted p 0.036`.
    #[must_use]
    pub fn p(self) -> Option<String> {
        match (self.p_adjusted, self.p_value) {
            (Some(p), _) => Some(format!("adjusted p {}", probability(p))),
            (None, p) => p.map(|p| format!("p {}", probability(p))),
        }
    }

    fn numbers(self) -> impl Iterator<Item = f64> {
        self.difference.numbers().chain(self.p_value).chain(self.p_adjusted)
    }
}

/// A probability with three digits, and no 0.
fn probability(p: f64) -> String {
    if p < 0.000_95 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

impl TailGains {
    /// All gains, in the order of the tables.
    #[must_use]
    pub fn named(&self) -> Vec<NamedGain> {
        let named = |(key, head): (String, String), digits, is_main, gain| NamedGain {
            key,
            head,
            digits,
            is_main,
            gain,
        };
        let mut all =
            vec![named(("reward".to_owned(), "reward".to_owned()), 2, false, self.reward)];
        for LevelGain { share, cvar, .. } in &self.levels {
            let is_main = [0.01, MAIN_SHARE].contains(share);
            all.push(named(level_names("cvar", "CVaR", *share), 2, is_main, *cvar));
        }
        for LevelGain { share, quantile, .. } in &self.levels {
            all.push(named(level_names("quantile", "quantile", *share), 2, false, *quantile));
        }
        for FailureGain { threshold, rate } in &self.failures {
            all.push(named(failure_names(*threshold), 3, true, *rate));
        }
        if let Some(WorstOfGain { k, reward }) = self.worst_of {
            all.push(named(worst_of_names(k), 2, true, reward));
        }
        all
    }

    /// The gains in the order of [`named`](Self::named).
    pub(crate) fn gains_mut(&mut self) -> Vec<&mut Gain> {
        let mut all = vec![&mut self.reward];
        let (mut cvars, mut quantiles) = (Vec::new(), Vec::new());
        for LevelGain { cvar, quantile, .. } in &mut self.levels {
            cvars.push(cvar);
            quantiles.push(quantile);
        }
        all.extend(cvars.into_iter().chain(quantiles));
        all.extend(self.failures.iter_mut().map(|failure| &mut failure.rate));
        all.extend(self.worst_of.as_mut().map(|worst| &mut worst.reward));
        all
    }

    /// Every number of it.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f64> {
        let shares = self.levels.iter().map(|level| level.share);
        let thresholds = self.failures.iter().map(|failure| failure.threshold);
        let gains = self.named().into_iter().flat_map(|named| named.gain.numbers());
        gains.chain(shares.chain(thresholds).collect::<Vec<_>>())
    }

    /// What stands beneath the tables; nothing where no main gain is left. That of `CVaR` of the
    /// share `told` stands there already.
    pub(crate) fn line(&self, told: Option<f64>) -> Option<String> {
        let told = told.map(|share| level_names("cvar", "CVaR", share).0);
        let is_shown = |named: &NamedGain| {
            named.is_main && told.as_ref().is_none_or(|told| *told != named.key)
        };
        let shown = |NamedGain { head, digits, gain, .. }| format!("{head} {}", gain.cell(digits));
        let all: Vec<String> = self.named().into_iter().filter(is_shown).map(shown).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tail_report::tests::figure;

    fn gain(mean: f64, p_value: f64) -> Gain {
        Gain { difference: figure(mean), p_value: Some(p_value), p_adjusted: None }
    }

    pub(crate) fn tail_gains() -> TailGains {
        let level = |share| LevelGain {
            share,
            cvar: gain(0.5 + share, 0.01),
            quantile: gain(0.25 + share, 0.02),
        };
        TailGains {
            reward: gain(0.25, 0.03),
            levels: [0.01, 0.1].map(level).to_vec(),
            failures: vec![FailureGain { threshold: 0.0, rate: gain(-0.125, 0.000_1) }],
            worst_of: Some(WorstOfGain { k: 4, reward: gain(0.75, 0.04) }),
        }
    }

    #[test]
    fn the_gains_to_change_are_the_named_ones() {
        let mut gains = tail_gains();
        let named: Vec<Gain> = gains.named().into_iter().map(|named| named.gain).collect();
        let to_change: Vec<Gain> = gains.gains_mut().into_iter().map(|gain| *gain).collect();
        assert_eq!(named, to_change);
        assert_eq!(named.len(), 1 + 2 + 2 + 1 + 1);
    }

    #[test]
    fn the_line_shows_the_main_gains_and_how_likely_chance_is() {
        let gains = tail_gains();
        assert_eq!(
            gains.line(Some(0.1)).unwrap(),
            "CVaR 1 % +0.51 [0.01, 1.01], p 0.010; fails ≤ 0 -0.125 [-0.625, 0.375], p < 0.001; \
             worst of 4 +0.75 [0.25, 1.25], p 0.040"
        );
        assert!(gains.line(Some(0.4)).unwrap().contains("; CVaR 10 % +0.60"));
        let adjusted = Gain { p_adjusted: Some(0.03), ..gains.levels[0].cvar };
        assert_eq!(adjusted.cell(1), "+0.5 [0.0, 1.0], adjusted p 0.030");
    }
}
