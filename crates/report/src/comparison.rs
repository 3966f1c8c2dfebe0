//! What one method gains over another on the same prompts, as `results.json` and the lines beneath
//! the tables have it.

use serde::{Deserialize, Serialize};
use tailguard_metrics::{ByPrompt, MetricsError, Pairs};

use crate::figure::{Figure, gain, percent};
use crate::tail_gains::TailGains;

/// What was measured of a method text by text: for each seed the values with the numbers of their
/// prompts, which are the same for all methods. A quantity that was not measured has no seed, or no
/// value in one.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// Rewards.
    pub reward: Vec<Vec<ByPrompt>>,
    /// Scores by the judge.
    pub judge: Vec<Vec<ByPrompt>>,
    /// Perplexities of human texts under the policy, by the numbers of these texts.
    pub perplexity_human: Vec<Vec<ByPrompt>>,
    /// Perplexities of the responses under the base model.
    pub perplexity_generated: Vec<Vec<ByPrompt>>,
    /// KL estimates to the reference, nats per response.
    pub kl: Vec<Vec<ByPrompt>>,
}

/// What one method gains over another on the prompts that both have: mean differences, prompt by
/// prompt. Those other than of the reward are `null` where they were not measured, or have fewer
/// than two prompts; older files have but those of the reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The method, by its key in `methods`.
    pub method: String,
    /// The other one.
    pub over: String,
    /// Different prompts that both have.
    pub prompts: usize,
    /// Of the rewards.
    pub reward: Figure,
    /// The same over the prompts of the tail; `null` also where the tail is not by prompts.
    pub tail: Option<Figure>,
    /// The share of the rewards that `cvar` is about.
    #[serde(default)]
    pub cvar_share: Option<f64>,
    /// Of the means of the lowest rewards, each method's own.
    #[serde(default)]
    pub cvar: Option<Figure>,
    /// Of the judge's scores.
    #[serde(default)]
    pub judge: Option<Figure>,
    /// The same over the prompts of the tail.
    #[serde(default)]
    pub judge_tail: Option<Figure>,
    /// Of the perplexities of human texts under the policies, text by text.
    #[serde(default)]
    pub perplexity_human: Option<Figure>,
    /// Of the perplexities of the responses under the base model.
    #[serde(default)]
    pub perplexity_generated: Option<Figure>,
    /// Of the KL estimates to the reference.
    #[serde(default)]
    pub kl: Option<Figure>,
    /// Of the figures of the tail, with p-values; whoever has these values adds it, and older files
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_report: Option<TailGains>,
}

/// What a method that rewards have formed gains over the one that it was made from, where no
/// [`Comparison`] has the two. Nothing is told of it but whether its reward rises alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// The method, by its key in `methods`.
    pub method: String,
    /// The one that it was made from, by its key.
    pub over: String,
    /// Mean difference of the rewards; `null` where nothing was measured of the other one.
    pub reward: Option<Figure>,
    /// Of the judge's scores; `null` likewise.
    pub judge: Option<Figure>,
}

impl Watched {
    /// Every number of it, with what to call it.
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let what = format!("{} less {}", self.method, self.over);
        let figures = self.reward.into_iter().chain(self.judge);
        figures.flat_map(Figure::numbers).map(|number| (what.clone(), number)).collect()
    }
}

/// Whether a prompt is in the tail, by its number.
type InTail<'a> = &'a dyn Fn(usize) -> bool;

/// A share of rewards, and how many of so many that is.
type Share<'a> = (f64, &'a dyn Fn(usize) -> usize);

impl Comparison {
    /// Compares two methods, whose values are of the same seeds in the same order; None where they
    /// have rewards for fewer than two prompts in common. `in_tail` is there if the tail is by
    /// prompts, and `cvar` says of which share `CVaR` is, and how many of so many that is.
    ///
    /// # Errors
    /// [`MetricsError`] for values that do not belong together, or that are no finite numbers.
    pub fn of(
        (method, own): (&str, &Values),
        (over, others): (&str, &Values),
        in_tail: Option<InTail<'_>>,
        cvar: Option<Share<'_>>,
    ) -> Result<Option<Self>, MetricsError> {
        let difference =
            |pairs: Pairs<'_>| Ok::<_, MetricsError>(pairs.mean_difference()?.map(Figure::from));
        let of = |get: fn(&Values) -> &Vec<Vec<ByPrompt>>| {
            let (own, others) = (get(own), get(others));
            // one of the two was not measured
            if own.is_empty() || others.is_empty() {
                Pairs::new(&[], &[])
            } else {
                Pairs::new(own, others)
            }
        };
        let tail_of =
            |pairs: Pairs<'_>| in_tail.map_or(Ok(None), |in_tail| difference(pairs.among(in_tail)));
        let rewards = of(|values| &values.reward)?;
        let Some(reward) = difference(rewards.clone())? else { return Ok(None) };
        let lowest = cvar.map(|(_, count)| rewards.difference_of_lowest(count)).transpose()?;
        Ok(Some(Self {
            method: method.to_owned(),
            over: over.to_owned(),
            prompts: rewards.prompts(),
            reward,
            tail: tail_of(rewards)?,
            cvar_share: cvar.map(|(share, _)| share),
            cvar: lowest.flatten().map(Figure::from),
            judge: difference(of(|values| &values.judge)?)?,
            judge_tail: tail_of(of(|values| &values.judge)?)?,
            perplexity_human: difference(of(|values| &values.perplexity_human)?)?,
            perplexity_generated: difference(of(|values| &values.perplexity_generated)?)?,
            kl: difference(of(|values| &values.kl)?)?,
            tail_report: None,
        }))
    }

    /// The differences that there are, with their keys in `results.json`, what to call them, and
    /// the digits to show.
    pub fn differences(&self) -> impl Iterator<Item = (&'static str, String, usize, Figure)> {
        let cvar = self
            .cvar_share
            .map_or_else(|| "CVaR".to_owned(), |share| format!("CVaR {}", percent(share)));
        let all = [
            ("reward", "reward".to_owned(), 2, Some(self.reward)),
            ("tail", "reward in the tail".to_owned(), 2, self.tail),
            ("cvar", cvar, 2, self.cvar),
            ("judge", "judge".to_owned(), 2, self.judge),
            ("judge_tail", "judge in the tail".to_owned(), 2, self.judge_tail),
            ("perplexity_human", "ppl human".to_owned(), 1, self.perplexity_human),
            ("perplexity_generated", "ppl generated".to_owned(), 1, self.perplexity_generated),
            ("kl", "KL".to_owned(), 2, self.kl),
        ];
        all.into_iter().filter_map(|(key, name, digits, figure)| Some((key, name, digits, figure?)))
    }

    /// Every number of it, with what to call it.
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let what = format!("{} less {}", self.method, self.over);
        let numbers =
            self.differences().flat_map(|(.., figure)| figure.numbers()).chain(self.cvar_share);
        let of_tail = self.tail_report.iter().flat_map(TailGains::numbers);
        numbers.chain(of_tail).map(|number| (what.clone(), number)).collect()
    }

    /// What stands beneath the tables, with the methods called by these names: a line for the
    /// rewards, and if there is more to say, one for the other scores, one for what they cost and
    /// one for the tail.
    #[must_use]
    pub fn line(&self, method: &str, over: &str) -> String {
        let mut line = format!(
            "{method} - {over}, on {} prompts: reward {}",
            self.prompts,
            gain(self.reward, 2)
        );
        if let Some(tail) = self.tail {
            line += &format!(", in the tail {}", gain(tail, 2));
        }
        for keys in [
            &["cvar", "judge", "judge_tail"][..],
            &["perplexity_human", "perplexity_generated", "kl"],
        ] {
            let others = self.differences().filter(|(key, ..)| keys.contains(key));
            let others: Vec<String> = others
                .map(|(_, name, digits, figure)| format!("{name} {}", gain(figure, digits)))
                .collect();
            if !others.is_empty() {
                line += &format!("\n  {}", others.join(", "));
            }
        }
        let of_tail = self.tail_report.as_ref().and_then(|gains| gains.line(self.cvar_share));
        line.extend(of_tail.map(|gains| format!("\n  {gains}")));
        line
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tail_gains::tests::tail_gains;

    fn difference(mean: f64) -> Figure {
        Figure { mean, se: Some(0.02), ci95: Some([mean - 0.05, mean + 0.05]), seeds_std: None }
    }

    pub(crate) fn comparison() -> Comparison {
        Comparison {
            method: "ra_rlhf".to_owned(),
            over: "rlhf".to_owned(),
            prompts: 2_000,
            reward: difference(0.25),
            tail: Some(difference(0.62)),
            cvar_share: Some(0.4),
            cvar: Some(difference(0.5)),
            judge: Some(difference(0.125)),
            judge_tail: None,
            perplexity_human: None,
            perplexity_generated: None,
            kl: Some(difference(-0.5)),
            tail_report: None,
        }
    }

    #[test]
    fn the_lines_have_all_gains_with_their_intervals() {
        let mut comparison = comparison();
        let line = comparison.line("RA-RLHF", "RLHF");
        assert_eq!(
            line,
            "RA-RLHF - RLHF, on 2000 prompts: reward +0.25 [0.20, 0.30], in the tail +0.62 [0.57, \
             0.67]\n  CVaR 40 % +0.50 [0.45, 0.55], judge +0.12 [0.07, 0.17]\n  KL -0.50 [-0.55, \
             -0.45]"
        );
        (comparison.tail, comparison.cvar, comparison.judge, comparison.kl) =
            (None, None, None, None);
        comparison.tail_report = Some(tail_gains());
        let line = comparison.line("RA-RLHF", "RLHF");
        assert!(line.contains("]\n  CVaR 1 % +0.51 [0.01, 1.01], p 0.010; "), "{line}");
        (comparison.reward.ci95, comparison.tail_report) = (None, None);
        assert_eq!(comparison.line("A", "B"), "A - B, on 2000 prompts: reward +0.25");
    }

    fn values(rewards: &[f64]) -> Values {
        Values { reward: vec![rewards.iter().copied().enumerate().collect()], ..Values::default() }
    }

    #[test]
    fn what_was_not_measured_of_both_has_no_gain() {
        let (mut better, mut worse) = (values(&[1.0, 2.0, 4.0]), values(&[0.5, 1.0, 1.0]));
        better.kl = vec![vec![(0, 1.0), (1, 2.0), (2, 3.0)]];
        let found = |better: &Values, worse: &Values, tail: &[usize]| {
            let in_tail = |prompt: usize| tail.contains(&prompt);
            Comparison::of(
                ("a", better),
                ("b", worse),
                Some(&in_tail),
                Some((0.4, &|count| count.min(1))),
            )
            .unwrap()
        };
        let one = found(&better, &worse, &[1]).unwrap();
        assert_eq!(
            (one.prompts, one.tail, one.kl, one.judge),
            (3, None, None, None),
            "a tail of one prompt has no gain"
        );
        assert!((one.cvar.unwrap().mean - 0.5).abs() < 1e-12 && one.cvar_share == Some(0.4));
        worse.kl = vec![vec![(1, 1.0), (2, 1.0)]];
        let two = found(&better, &worse, &[1, 2]).unwrap();
        assert!(
            (two.tail.unwrap().mean - 2.0).abs() < 1e-12
                && (two.kl.unwrap().mean - 1.5).abs() < 1e-12
        );
        assert_eq!(found(&values(&[1.0]), &worse, &[]), None);
    }

    #[test]
    fn every_number_is_looked_at() {
        assert_eq!(comparison().numbers().len(), 5 * 4 + 1);
        let with_tail = Comparison { tail_report: Some(tail_gains()), ..comparison() };
        // of seven gains with a p-value each, two levels and a threshold
        assert_eq!(with_tail.numbers().len(), 5 * 4 + 1 + 7 * 5 + 2 + 1);
    }
}
