//! The figures of one method, of a run or of an evaluation.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::tail_report::TailReport;

/// The figures of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodResults {
    /// Mean reward over all prompts (raw logits, times the sign).
    pub reward: Figure,
    /// Mean reward over the prompts whose own score is at most the threshold.
    pub tail: Figure,
    /// Perplexity of the policy on human texts of the good class; `null` for what answers prompts
    /// and is no language model.
    pub perplexity_human: Option<Figure>,
    /// Perplexity of the policy's texts under the base model.
    pub perplexity_generated: Figure,
    /// Different words as a share of all words of the policy's texts together.
    pub distinct_1: Figure,
    /// Different 2-grams as a share of all 2-grams.
    pub distinct_2: Figure,
    /// Different 3-grams as a share of all 3-grams.
    pub distinct_3: Figure,
    /// Response tokens.
    pub length: Figure,
    /// KL estimate to the reference policy, nats per response; `null` likewise.
    pub kl: Option<Figure>,
    /// Mean score by the judge, a model that no policy was trained on, over all prompts; `null`
    /// without a judge.
    pub judge: Option<Figure>,
    /// Mean score by the judge over the prompts of the tail.
    pub judge_tail: Option<Figure>,
    /// Share of responses in which some run of four words occurs twice.
    pub repeated_4gram: Figure,
    /// Share of responses that are nothing but white space.
    pub empty: Figure,
    /// Share of responses that equal another response.
    pub duplicate: Figure,
    /// Mean reward in tails by other thresholds.
    pub other_tails: Vec<OtherTail>,
    /// Tokens sampled to make the policy and all that it was made from; `null` where that is not
    /// known, as in older files.
    #[serde(default)]
    pub making_tokens: Option<Figure>,
    /// Texts that the reward model has scored to make these.
    #[serde(default)]
    pub making_rewards: Option<Figure>,
    /// Tokens sampled for an answer, kept or not.
    #[serde(default)]
    pub answer_tokens: Option<Figure>,
    /// Texts that the reward model scores for an answer.
    #[serde(default)]
    pub answer_rewards: Option<Figure>,
    /// What the KL to the reference policy is at most, nats per response, by its theory and not by
    /// measuring; `null` where nothing is known.
    #[serde(default)]
    pub kl_bound: Option<Figure>,
    /// What is known of its worst texts; older files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_report: Option<TailReport>,
}

/// The mean reward in a tail other than the one that `tail` is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherTail {
    /// The threshold.
    pub threshold: f64,
    /// How many prompts there are.
    pub prompts: usize,
    /// Mean reward over them; `null` where there are none.
    pub reward: Option<Figure>,
}

/// The figures of one method of an [`Evaluation`](crate::Evaluation); `None` where one could not be
/// computed. Figures of the same name are those of [`MethodResults`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatedMethod {
    /// How many seeds the figures are over; 1 where the texts name none, and 0 in older files,
    /// which do not say it.
    #[serde(default)]
    pub seeds: usize,
    /// Rows.
    pub rows: usize,
    /// Rows without a response.
    pub missing_responses: usize,
    /// Rows that `reward` leaves out.
    pub reward_left_out: LeftOut,
    /// Rows that have a reward, but no score of their prompt, and so are in no tail.
    pub prompt_score_left_out: LeftOut,
    /// Rows that `judge` leaves out.
    pub judge_left_out: LeftOut,
    /// Mean reward.
    pub reward: Option<Figure>,
    /// Mean reward in the tail: see [`Evaluation::tail`](crate::Evaluation::tail).
    pub tail: Option<Figure>,
    /// Mean of the lowest rewards, of the share
    /// [`Evaluation::cvar_share`](crate::Evaluation::cvar_share).
    pub cvar: Option<Figure>,
    /// Mean score by a second scorer.
    pub judge: Option<Figure>,
    /// The same over the prompts of the tail.
    pub judge_tail: Option<Figure>,
    /// Perplexity of a model on human texts.
    pub perplexity_human: Option<Figure>,
    /// Perplexity of the texts under a base model.
    pub perplexity_generated: Option<Figure>,
    /// KL estimate to a reference, nats per response.
    pub kl: Option<Figure>,
    /// Different words as a share of all words.
    pub distinct_1: Option<Figure>,
    /// Different 2-grams as a share of all 2-grams.
    pub distinct_2: Option<Figure>,
    /// Different 3-grams as a share of all 3-grams.
    pub distinct_3: Option<Figure>,
    /// Words or tokens of a response: see
    /// [`Evaluation::length_unit`](crate::Evaluation::length_unit).
    pub length: Option<Figure>,
    /// Share of responses in which some run of four words occurs twice.
    pub repeated_4gram: Option<Figure>,
    /// Share of responses that are nothing but white space.
    pub empty: Option<Figure>,
    /// Share of responses that equal another response of the same method and seed.
    pub duplicate: Option<Figure>,
    /// Mean reward in tails by other thresholds.
    pub other_tails: Vec<OtherTail>,
    /// What is known of its worst texts; none without rewards, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_report: Option<TailReport>,
    /// Sample standard deviation of the rewards; of one seed alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_spread: Option<f64>,
    /// Reward against the quantile of the prompt score, if it was asked for; of one seed alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<QuantilePoint>,
    /// Reward by prompts that score alike, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<PromptBucket>,
}

/// Rows that a figure leaves out, as their value is missing or is no finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Rows without a value.
    pub missing: usize,
    /// Rows whose value is NaN or infinite.
    pub not_finite: usize,
}

impl LeftOut {
    /// Counts what is left out of these values.
    #[must_use]
    pub fn of(values: &[Option<f64>]) -> Self {
        let missing = values.iter().filter(|value| value.is_none()).count();
        Self {
            missing,
            not_finite: values.iter().flatten().filter(|value| !value.is_finite()).count(),
        }
    }
}

/// A point of the quantile curve: see [`curve`](tailguard_metrics::curve).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantilePoint {
    /// Percent of the texts, those with the lowest prompts.
    pub percent: usize,
    /// How many texts these are.
    pub count: usize,
    /// Their mean reward; `null` where there is none.
    pub reward: Option<f64>,
}

/// Texts whose prompts score alike: see [`buckets`](tailguard_metrics::buckets).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptBucket {
    /// How many texts there are.
    pub count: usize,
    /// Mean score of their prompts.
    pub prompt_score: f64,
    /// Their mean reward.
    pub reward: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_values_are_counted_by_their_kind() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY), None, None];
        assert_eq!(LeftOut::of(&values), LeftOut { missing: 3, not_finite: 2 });
    }
}
