//! The report of a tail: how bad the worst texts of a method are, how often they fail, and how
//! much of that is known, as `results.json` has it.

use serde::{Deserialize, Serialize};
use tailguard_metrics::{FailureRate, RateInterval};

use crate::figure::{Figure, number, percent};

/// The level of the tail that is spoken of where there is room for one: the lowest tenth.
pub const MAIN_SHARE: f64 = 0.1;

/// What is known of the worst texts of a method. Higher rewards are better, so that the tail is
/// the lowest of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailReport {
    /// `CVaR` and quantile at each level, from the smallest; without levels that are less than one
    /// text.
    pub levels: Vec<Level>,
    /// How often texts fail, by threshold.
    pub failures: Vec<Failures>,
    /// How many texts with a reward each prompt has at least, in every seed.
    pub texts_per_prompt: usize,
    /// The expected lowest reward of k texts of a prompt, from 2 on; none where a prompt has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst_of: Vec<WorstOf>,
    /// `CVaR` of each prompt's own texts, averaged over prompts; likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_cvar: Vec<PromptCvar>,
    /// The two figures of `RealToxicityPrompts`, where rewards are toxicities with a minus and
    /// prompts have several texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toxicity: Option<Toxicity>,
    /// How many prompts an interval half as wide needs, if that is known.
    pub precision: Option<Precision>,
    /// How bad the worst of many more texts may be; none where there are too few prompts.
    pub forecasts: Vec<TailForecast>,
}

/// The lowest share of the rewards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The share.
    pub share: f64,
    /// How many texts of a seed these are; of several seeds the fewest.
    pub texts: usize,
    /// Their mean reward.
    pub cvar: Figure,
    /// The highest reward among them.
    pub quantile: Figure,
}

/// How often texts fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// A text fails whose reward is at most this.
    pub threshold: f64,
    /// The share of all texts.
    pub rate: Rate,
    /// How often any of k texts of a prompt fails, from 2 on; none where a prompt has one text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<AnyOf>,
}

/// A share of failures: see [`failure_rate`](tailguard_metrics::failure_rate).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The share; of several seeds the mean of theirs.
    pub value: f64,
    /// What else it may be; `null` where one value alone says nothing of it.
    pub interval: Option<RateRange>,
}

/// What a share of failures may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRange {
    /// Lower and upper end of the 95 % interval.
    pub ci95: [f64; 2],
    /// What the share is below with a confidence of 95 %, from one side.
    pub upper95: f64,
    /// How many independent texts would tell as much.
    pub independent_texts: f64,
    /// Whether the interval is exact, and not only for many texts.
    pub is_exact: bool,
}

/// How often any of k texts of a prompt fails.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnyOf {
    /// How many texts.
    pub k: usize,
    /// Mean over prompts.
    pub rate: Rate,
}

/// The expected lowest reward of k texts of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstOf {
    /// How many texts.
    pub k: usize,
    /// Mean over prompts.
    pub reward: Figure,
}

/// The mean of the lowest share of each prompt's own texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptCvar {
    /// The share of the prompt's texts.
    pub share: f64,
    /// Mean over prompts.
    pub reward: Figure,
}

/// The figures of `RealToxicityPrompts` (Gehman et al., 2020), on the scale of toxicities: higher
/// is worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toxicity {
    /// How many texts of a prompt they are of: 25, or as many as there are.
    pub k: usize,
    /// Expected maximum toxicity: of the most toxic of k texts, mean over prompts.
    pub expected_maximum: Figure,
    /// Its sample standard deviation over prompts, which papers put behind ±; `null` for several
    /// seeds.
    pub prompts_std: Option<f64>,
    /// Toxicity probability: how often any of k texts has a toxicity of at least 0.5.
    pub probability: Rate,
}

/// How many prompts `CVaR` needs whose interval is to be half as wide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// The share that the `CVaR` is of.
    pub share: f64,
    /// Half of the interval's width now.
    pub half_width: f64,
    /// Half of the width that is wanted.
    pub wanted: f64,
    /// Different prompts now.
    pub prompts: usize,
    /// Prompts that are needed, with as many texts each and as many seeds; `null` where no number
    /// of them suffices.
    pub needed: Option<usize>,
    /// What half of the width comes to with any number of prompts, where more seeds are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowest: Option<f64>,
}

/// How bad the worst of many more texts may be, if the tail goes on as its lowest texts do: see
/// [`forecast_worst`](tailguard_metrics::forecast_worst). Of several seeds, each number is the mean
/// of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailForecast {
    /// How many times as many new texts it is about.
    pub times: usize,
    /// The lowest reward among them is below this as often as above.
    pub median: f64,
    /// Where the lowest reward among them is in 95 % of all cases.
    pub range95: [f64; 2],
    /// The lowest reward that was seen.
    pub seen: f64,
}

impl From<FailureRate> for Rate {
    fn from(FailureRate { value, interval }: FailureRate) -> Self {
        let range = |RateInterval { ci95, upper95, independent_texts, is_exact }| RateRange {
            ci95,
            upper95,
            independent_texts,
            is_exact,
        };
        Self { value, interval: interval.map(range) }
    }
}

impl Rate {
    fn numbers(self) -> impl Iterator<Item = f64> {
        let of_range = |range: RateRange| {
            [range.ci95[0], range.ci95[1], range.upper95, range.independent_texts]
        };
        std::iter::once(self.value).chain(self.interval.map(of_range).into_iter().flatten())
    }

    /// As tables show it: `0.020 [0.006, 0.050]`; where nothing failed, with what the share is
    /// below: `0 (below 0.015)`.
    #[must_use]
    pub fn cell(self) -> String {
        let Some(RateRange { ci95: [low, high], upper95, .. }) = self.interval else {
            return rate(self.value);
        };
        if self.value > 0.0 {
            format!("{} [{}, {}]", rate(self.value), rate(low), rate(high))
        } else {
            format!("0 (below {})", rate(upper95))
        }
    }
}

/// Half of an interval's width, with two digits that say something.
fn half_of_width(half: f64) -> String {
    let digits = if half >= 0.1 { 2 } else { 3 };
    if half >= 0.01 { format!("±{}", number(half, digits)) } else { format!("±{half:.1e}") }
}

/// A share with three digits; one that is smaller than they show, with two that say something.
fn rate(value: f64) -> String {
    match value {
        value if value > 0.0 && value < 0.000_95 => format!("{value:.1e}"),
        value => number(value, 3),
    }
}

impl Precision {
    /// What must be done to know the `CVaR` twice as well: a sentence without a stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { half_width, wanted, prompts, .. } = *self;
        let share = percent(self.share);
        let [now, then] = [half_width, wanted].map(half_of_width);
        match (self.needed, self.narrowest) {
            (Some(needed), _) => format!(
                "CVaR {share} is known to {now}; for {then} about {needed} prompts are needed, \
                 and there are {prompts}"
            ),
            (None, narrowest) => {
                let narrowest = narrowest.map_or_else(String::new, |half| {
                    format!(", which bring it to {} at best", half_of_width(half))
                });
                format!(
                    "CVaR {share} is known to {now}; for {then} more seeds are needed, not more \
                     prompts{narrowest}"
                )
            }
        }
    }
}

impl TailReport {
    /// Every number of it.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let mut all = Vec::new();
        for Level { share, cvar, quantile, .. } in &self.levels {
            all.push(*share);
            all.extend(cvar.numbers().chain(quantile.numbers()));
        }
        for Failures { threshold, rate, any_of } in &self.failures {
            all.push(*threshold);
            all.extend(rate.numbers().chain(any_of.iter().flat_map(|any| any.rate.numbers())));
        }
        all.extend(self.worst_of.iter().flat_map(|worst| worst.reward.numbers()));
        for PromptCvar { share, reward } in &self.prompt_cvar {
            all.push(*share);
            all.extend(reward.numbers());
        }
        if let Some(Toxicity { expected_maximum, prompts_std, probability, .. }) = self.toxicity {
            all.extend(expected_maximum.numbers().chain(prompts_std).chain(probability.numbers()));
        }
        if let Some(Precision { share, half_width, wanted, narrowest, .. }) = self.precision {
            all.extend([share, half_width, wanted].into_iter().chain(narrowest));
        }
        for TailForecast { median, range95: [low, high], seen, .. } in &self.forecasts {
            all.extend([*median, *low, *high, *seen]);
        }
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn figure(mean: f64) -> Figure {
        Figure { mean, se: Some(0.25), ci95: Some([mean - 0.5, mean + 0.5]), seeds_std: None }
    }

    pub(crate) fn rate(value: f64) -> Rate {
        let interval = RateRange {
            ci95: [0.0, value + 0.02],
            upper95: 0.015,
            independent_texts: 200.0,
            is_exact: true,
        };
        Rate { value, interval: Some(interval) }
    }

    /// One with everything that there can be.
    pub(crate) fn tail_report() -> TailReport {
        let level = |(share, texts)| Level {
            share,
            texts,
            cvar: figure(-3.0 + share),
            quantile: figure(-2.0 + share),
        };
        TailReport {
            levels: [(0.01, 2), (0.05, 10), (0.1, 20), (0.2, 40), (0.4, 80)].map(level).to_vec(),
            failures: vec![Failures {
                threshold: -0.5,
                rate: rate(0.0),
                any_of: vec![AnyOf { k: 2, rate: rate(0.02) }],
            }],
            texts_per_prompt: 2,
            worst_of: vec![WorstOf { k: 2, reward: figure(-1.5) }],
            prompt_cvar: vec![PromptCvar { share: 0.4, reward: figure(-1.25) }],
            toxicity: Some(Toxicity {
                k: 2,
                expected_maximum: figure(0.75),
                prompts_std: Some(0.125),
                probability: rate(0.5),
            }),
            precision: Some(Precision {
                share: 0.1,
                half_width: 0.5,
                wanted: 0.25,
                prompts: 200,
                needed: None,
                narrowest: Some(0.375),
            }),
            forecasts: vec![TailForecast {
                times: 10,
                median: -4.0,
                range95: [-5.0, -3.5],
                seen: -3.25,
            }],
        }
    }

    #[test]
    fn a_rate_of_nothing_shows_what_it_is_below() {
        assert_eq!(rate(0.0).cell(), "0 (below 0.015)");
        assert_eq!(rate(0.25).cell(), "0.250 [0.000, 0.270]");
        assert_eq!(Rate { value: 0.0004, interval: None }.cell(), "4.0e-4");
    }

    #[test]
    fn the_sentence_says_what_is_needed() {
        let seeds = tail_report().precision.unwrap();
        assert_eq!(
            seeds.sentence(),
            "CVaR 10 % is known to ±0.50; for ±0.25 more seeds are needed, not more prompts, \
             which bring it to ±0.38 at best"
        );
        let few = Precision { half_width: 0.125, wanted: 0.062_5, ..seeds };
        assert!(few.sentence().contains("±0.12; for ±0.062 more"), "{}", few.sentence());
        let fewer = Precision { half_width: 0.008_4, wanted: 0.004_2, ..seeds };
        assert!(fewer.sentence().contains("±8.4e-3; for ±4.2e-3 more"), "{}", fewer.sentence());
        let prompts = Precision { needed: Some(790), narrowest: None, ..seeds };
        assert_eq!(
            prompts.sentence(),
            "CVaR 10 % is known to ±0.50; for ±0.25 about 790 prompts are needed, and there are 200"
        );
    }

    #[test]
    fn every_number_is_looked_at() {
        // figures have four, rates five
        let (levels, failures, others) = (5 * (1 + 4 + 4), 1 + 5 + 5, 4 + 1 + 4);
        let (toxicity, precision, forecast) = (4 + 1 + 5, 4, 4);
        assert_eq!(
            tail_report().numbers().len(),
            levels + failures + others + toxicity + precision + forecast
        );
    }
}
