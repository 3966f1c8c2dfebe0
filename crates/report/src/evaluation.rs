//! The figures of texts that were judged without a run: `results.json` of an evaluation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::columns::{evaluated_columns, numbers};
use crate::comparison::Comparison;
use crate::order::by_name;
use crate::results::{Figure, OtherTail};
use crate::results_file::ResultsFile;

/// What tells the file of an evaluation from that of a run, which has no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Texts of any tool, or of one model, were judged.
    Evaluation,
}

/// What the figure `tail` of an evaluation is the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum EvaluatedTail {
    /// The rewards of texts whose prompt alone scores at most a threshold, as in a run.
    PromptScores {
        /// The threshold.
        threshold: f64,
        /// The share of all prompts whose quantile it is, if it was asked for as a share.
        share: Option<f64>,
        /// How many prompts of each method and seed there are, where it is the same for all.
        prompts: Option<usize>,
    },
    /// The rewards that are themselves at most a threshold, as no prompt has a score.
    OwnScores {
        /// The threshold.
        threshold: f64,
    },
    /// The lowest rewards themselves (CVaR), as no prompt has a score.
    LowestScores {
        /// The share of them.
        share: f64,
    },
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

/// What `length` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// What white space parts: [`words`](tailguard_metrics::words).
    Words,
    /// Tokens of a tokenizer.
    Tokens,
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
        Self { missing, not_finite: values.iter().flatten().filter(|value| !value.is_finite()).count() }
    }
}

/// The figures of one method of an [`Evaluation`]; `None` where one could not be computed. Figures of the same name are those of
/// [`MethodResults`](crate::MethodResults).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatedMethod {
    /// How many seeds the figures are over; 1 where the texts name none, and 0 in older files, which do not say it.
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
    /// Mean reward in the tail: see [`Evaluation::tail`].
    pub tail: Option<Figure>,
    /// Mean of the lowest rewards, of the share [`Evaluation::cvar_share`].
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
    /// Words or tokens of a response: see [`Evaluation::length_unit`].
    pub length: Option<Figure>,
    /// Share of responses in which some run of four words occurs twice.
    pub repeated_4gram: Option<Figure>,
    /// Share of responses that are nothing but white space.
    pub empty: Option<Figure>,
    /// Share of responses that equal another response of the same method and seed.
    pub duplicate: Option<Figure>,
    /// Mean reward in tails by other thresholds.
    pub other_tails: Vec<OtherTail>,
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

impl EvaluatedMethod {
    /// The figures that there are, with their keys, in the order of the tables.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        evaluated_columns().filter_map(|column| Some((column.key, (column.get)(self)?)))
    }
}

/// What an evaluation found: its `results.json`, which is that of a run ([`Results`](crate::Results)) as far as the two have the same
/// things to say. Methods are called as the user calls them, and a figure that could not be computed is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// That this is no run.
    pub kind: Kind,
    /// Name of the task, if the prompts are those of one.
    pub task: Option<String>,
    /// Name of the preset, likewise.
    pub preset: Option<String>,
    /// The kind of place that the prompts came from, likewise.
    pub data: Option<String>,
    /// Which prompts they are, likewise.
    pub split: Option<String>,
    /// What must be said wherever the figures are shown; `null` if nothing.
    pub notice: Option<String>,
    /// The seeds, in order; none if the texts name none.
    pub seeds: Vec<u64>,
    /// The device of the models, as in `--device`.
    pub device: String,
    /// What `tail` is the mean of; `null` without scores.
    pub tail: Option<EvaluatedTail>,
    /// The share of the lowest rewards that `cvar` is the mean of.
    pub cvar_share: f64,
    /// What `length` counts.
    pub length_unit: LengthUnit,
    /// The figures of each method.
    pub methods: BTreeMap<String, EvaluatedMethod>,
    /// What methods gain over another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
}

impl Evaluation {
    /// The methods in the order of the tables.
    pub fn in_order(&self) -> impl Iterator<Item = (&String, &EvaluatedMethod)> {
        let mut methods: Vec<_> = self.methods.iter().collect();
        methods.sort_by(|(left, _), (right, _)| by_name(left, right));
        methods.into_iter()
    }
}

impl ResultsFile for Evaluation {
    fn numbers(&self) -> Vec<(String, f64)> {
        let mut all = vec![("the share of CVaR".to_owned(), self.cvar_share)];
        if let Some(EvaluatedTail::PromptScores { threshold, .. } | EvaluatedTail::OwnScores { threshold }) = self.tail {
            all.push(("the threshold of the tail".to_owned(), threshold));
        }
        for (method, results) in &self.methods {
            all.extend(numbers(method, results.figures(), &results.other_tails));
            let buckets = results.buckets.iter().flat_map(|bucket| [bucket.prompt_score, bucket.reward]);
            let others = results.curve.iter().filter_map(|point| point.reward).chain(buckets).chain(results.reward_spread);
            all.extend(others.map(|number| (format!("{method}: curve"), number)));
        }
        all.extend(self.comparisons.iter().flat_map(Comparison::numbers));
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn figure(mean: f64) -> Figure {
        Figure { mean, se: Some(0.25), ci95: Some([mean - 0.5, mean + 0.5]), seeds_std: None }
    }

    /// Two methods: one of which all is known, and one of which nothing is but the length of its texts.
    pub(crate) fn evaluation() -> Evaluation {
        let mut all = serde_json::to_value(EvaluatedMethod { seeds: 1, rows: 20, ..EvaluatedMethod::default() }).unwrap();
        for (column, mean) in evaluated_columns().zip(0_u32..) {
            all[column.key] = serde_json::to_value(figure(f64::from(mean))).unwrap();
        }
        let all = serde_json::from_value(all).unwrap();
        let little = EvaluatedMethod { seeds: 1, rows: 3, length: Some(figure(7.0)), ..EvaluatedMethod::default() };
        Evaluation {
            kind: Kind::Evaluation,
            task: None,
            preset: None,
            data: None,
            split: None,
            notice: None,
            seeds: vec![],
            device: "flex".to_owned(),
            tail: Some(EvaluatedTail::PromptScores { threshold: -2.5, share: Some(0.1), prompts: Some(2) }),
            cvar_share: 0.1,
            length_unit: LengthUnit::Words,
            methods: [("mine".to_owned(), all), ("theirs".to_owned(), little)].into(),
            comparisons: vec![],
        }
    }

    #[test]
    fn what_is_written_reads_back_and_what_is_unknown_is_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        evaluation().write(&path).unwrap();
        assert_eq!(Evaluation::read(&path).unwrap(), evaluation());
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(json["kind"], "evaluation");
        assert!(json["methods"]["theirs"]["reward"].is_null() && json["methods"]["mine"]["reward"]["mean"] == 0.0, "{json}");
        assert!(crate::Results::read(&path).is_err(), "it is not the file of a run");
    }

    #[test]
    fn every_field_has_its_column() {
        let json = serde_json::to_value(&evaluation().methods["mine"]).unwrap();
        let unset: Vec<_> = json.as_object().unwrap().iter().filter(|(_, value)| value.is_null()).collect();
        assert!(unset.is_empty(), "{unset:?}");
        assert!(evaluation().methods["mine"].figures().all(|(key, figure)| json[key]["mean"] == figure.mean), "{json}");
    }

    #[test]
    fn a_figure_that_is_not_finite_is_named() {
        let mut broken = evaluation();
        broken.methods.get_mut("mine").unwrap().cvar = Some(figure(f64::NAN));
        assert_eq!(broken.to_json().unwrap_err().to_string(), "mine: cvar is NaN, expected a finite number");
    }

    #[test]
    fn left_out_values_are_counted_by_their_kind() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY), None, None];
        assert_eq!(LeftOut::of(&values), LeftOut { missing: 3, not_finite: 2 });
    }
}
