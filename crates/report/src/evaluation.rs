//! The figures of texts that were judged without a run: `results.json` of an evaluation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::columns::numbers;
use crate::comparison::Comparison;
use crate::methods::EvaluatedMethod;
use crate::order::by_name;
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

/// What `length` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// What white space parts: [`words`](tailguard_metrics::words).
    Words,
    /// Tokens of a tokenizer.
    Tokens,
}

/// What an evaluation found: its `results.json`, which is that of a run
/// ([`Results`](crate::Results)) as far as the two have the same things to say. Methods are called
/// as the user calls them, and a figure that could not be computed is `null`.
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
        if let Some(
            EvaluatedTail::PromptScores { threshold, .. } | EvaluatedTail::OwnScores { threshold },
        ) = self.tail
        {
            all.push(("the threshold of the tail".to_owned(), threshold));
        }
        for (method, results) in &self.methods {
            all.extend(numbers(
                method,
                results.figures(),
                &results.other_tails,
                results.tail_report.as_ref(),
            ));
            let buckets =
                results.buckets.iter().flat_map(|bucket| [bucket.prompt_score, bucket.reward]);
            let others = results
                .curve
                .iter()
                .filter_map(|point| point.reward)
                .chain(buckets)
                .chain(results.reward_spread);
            all.extend(others.map(|number| (format!("{method}: curve"), number)));
        }
        all.extend(self.comparisons.iter().flat_map(Comparison::numbers));
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::columns::evaluated_columns;
    use crate::figure::Figure;

    pub(crate) fn figure(mean: f64) -> Figure {
        Figure { mean, se: Some(0.25), ci95: Some([mean - 0.5, mean + 0.5]), seeds_std: None }
    }

    /// Two methods: one of which all is known, and one of which nothing is but the length of its
    /// texts.
    pub(crate) fn evaluation() -> Evaluation {
        let mut all = serde_json::to_value(EvaluatedMethod {
            seeds: 1,
            rows: 20,
            ..EvaluatedMethod::default()
        })
        .unwrap();
        for (column, mean) in evaluated_columns().zip(0_u32..) {
            all[column.key] = serde_json::to_value(figure(f64::from(mean))).unwrap();
        }
        let all = serde_json::from_value(all).unwrap();
        let little = EvaluatedMethod {
            seeds: 1,
            rows: 3,
            length: Some(figure(7.0)),
            ..EvaluatedMethod::default()
        };
        Evaluation {
            kind: Kind::Evaluation,
            task: None,
            preset: None,
            data: None,
            split: None,
            notice: None,
            seeds: vec![],
            device: "flex".to_owned(),
            tail: Some(EvaluatedTail::PromptScores {
                threshold: -2.5,
                share: Some(0.1),
                prompts: Some(2),
            }),
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
        let json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(json["kind"], "evaluation");
        assert!(
            json["methods"]["theirs"]["reward"].is_null()
                && json["methods"]["mine"]["reward"]["mean"] == 0.0,
            "{json}"
        );
        assert!(crate::Results::read(&path).is_err(), "it is not the file of a run");
    }

    #[test]
    fn every_field_has_its_column() {
        let json = serde_json::to_value(&evaluation().methods["mine"]).unwrap();
        let unset: Vec<_> =
            json.as_object().unwrap().iter().filter(|(_, value)| value.is_null()).collect();
        assert!(unset.is_empty(), "{unset:?}");
        assert!(
            evaluation().methods["mine"]
                .figures()
                .all(|(key, figure)| json[key]["mean"] == figure.mean),
            "{json}"
        );
    }

    #[test]
    fn a_figure_that_is_not_finite_is_named() {
        let mut broken = evaluation();
        broken.methods.get_mut("mine").unwrap().cvar = Some(figure(f64::NAN));
        assert_eq!(
            broken.to_json().unwrap_err().to_string(),
            "mine: cvar is NaN, expected a finite number"
        );
    }
}
