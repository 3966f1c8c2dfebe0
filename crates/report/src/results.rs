//! The figures of a run: `results.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tailguard_metrics::{MetricsError, Summary};

use crate::columns::{columns, combine, combine_tails, numbers};
use crate::comparison::Comparison;
use crate::error::ReportError;
use crate::results_file::ResultsFile;

/// The policies that a run compares, in the order of the paper's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Method {
    /// The base model.
    #[serde(rename = "gpt2")]
    Gpt2,
    /// Next-token training on the good class.
    #[serde(rename = "sft")]
    Sft,
    /// PPO on all episodes.
    #[serde(rename = "rlhf")]
    Rlhf,
    /// PPO on the lowest episodes.
    #[serde(rename = "ra_rlhf")]
    RaRlhf,
}

impl Method {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Gpt2, Self::Sft, Self::Rlhf, Self::RaRlhf];

    /// The key in `results.json`: `gpt2`, `sft`, `rlhf`, `ra_rlhf`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Sft => "sft",
            Self::Rlhf => "rlhf",
            Self::RaRlhf => "ra_rlhf",
        }
    }

    /// The method of that [`name`](Self::name).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

impl fmt::Display for Method {
    /// As the paper's tables write it: `GPT-2`, `SFT`, `RLHF`, `RA-RLHF`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gpt2 => "GPT-2",
            Self::Sft => "SFT",
            Self::Rlhf => "RLHF",
            Self::RaRlhf => "RA-RLHF",
        })
    }
}

/// One figure with its spread.
///
/// With several seeds, `mean` is the mean over seeds, `std` their sample standard deviation and `ci95` the 95 % interval of the
/// mean over seeds. With one seed, `mean` is over prompts (or texts), `ci95` its interval over them, and `std` the standard
/// error of the mean, not the spread of single prompts: both by the bootstrap, or for many prompts by the normal distribution.
/// Those of distinct-n are by the jackknife, which leaves out groups of texts in turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub std: f64,
    /// Lower and upper end of the 95 % interval of the mean.
    pub ci95: [f64; 2],
}

impl From<Summary> for Figure {
    fn from(summary: Summary) -> Self {
        Self { mean: summary.mean, std: summary.std, ci95: summary.ci95 }
    }
}

/// The figures of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodResults {
    /// Mean reward over all prompts (raw logits, times the sign).
    pub reward: Figure,
    /// Mean reward over the prompts whose own score is at most the threshold.
    pub tail: Figure,
    /// Perplexity of the policy on human texts of the good class.
    pub perplexity_human: Figure,
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
    /// KL estimate to the reference policy, nats per response.
    pub kl: Figure,
    /// Mean score by the judge, a model that no policy was trained on, over all prompts; `null` without a judge.
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
}

/// The prompts whose own score is at most a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The threshold.
    pub threshold: f64,
    /// How many prompts there are.
    pub prompts: usize,
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

impl MethodResults {
    /// The figures with their keys, in the order of the tables; not those of [`other_tails`](Self::other_tails).
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        columns().filter_map(|column| Some((column.key, (column.get)(self)?)))
    }

    /// The figures of one method over its seeds: those of a single seed as they are, of several the spread of their means. A
    /// figure that one seed lacks is lacking.
    ///
    /// # Errors
    /// [`ReportError::Combine`] for no seeds; [`ReportError::SeedsDiffer`] if their other tails are not by the same thresholds.
    pub fn over_seeds(seeds: &[Self]) -> Result<Self, ReportError> {
        let [first, others @ ..] = seeds else {
            return Err(MetricsError::TooFew { what: "seeds", needed: 1, found: 0 }.into());
        };
        let mut combined = first.clone();
        if others.is_empty() {
            return Ok(combined);
        }
        combined.other_tails = combine_tails(&seeds.iter().map(|seed| seed.other_tails.as_slice()).collect::<Vec<_>>())?;
        combine(&mut combined, seeds, columns())?;
        Ok(combined)
    }
}

/// A training that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diverged {
    /// The method.
    pub method: Method,
    /// The seed.
    pub seed: u64,
    /// What was not finite, where, and what usually leads there.
    pub reason: String,
}

impl fmt::Display for Diverged {
    /// `RLHF, seed 1: ` and the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, seed, reason } = self;
        write!(f, "{method}, seed {seed}: {reason}")
    }
}

/// What a run found: the content of `results.json`.
///
/// The file holds no time, path or host, so two runs with the same settings and seeds write the same bytes. Keys have a
/// fixed order, numbers are the shortest decimals that read back to the same 64-bit float.
///
/// ```json
/// {
///   "task": "imdb",
///   "preset": "embedded",
///   "data": "embedded",
///   "split": "test",
///   "notice": null,
///   "seeds": [1, 2],
///   "device": "flex",
///   "tail": { "threshold": -2.6, "prompts": 190 },
///   "methods": {
///     "gpt2": {
///       "reward": { "mean": -0.03, "std": 0.01, "ci95": [-0.04, -0.02] },
///       ...
///       "other_tails": [{ "threshold": -5.0, "prompts": 0, "reward": null }]
///     },
///     "sft": ..., "rlhf": ..., "ra_rlhf": ...
///   },
///   "comparisons": [
///     {
///       "method": "ra_rlhf",
///       "over": "rlhf",
///       "prompts": 2000,
///       "reward": { "mean": 0.25, "std": 0.02, "ci95": [0.20, 0.30], "seeds_ci95": null },
///       "tail": ...
///     }
///   ]
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Name of the task.
    pub task: String,
    /// Name of the preset.
    pub preset: String,
    /// The kind of place that the evaluation prompts came from: `data-dir`, `env`, `cache` or `embedded`.
    pub data: String,
    /// Which prompts they are: `test`, held out, or `validation`, to choose settings on.
    pub split: String,
    /// What must be said wherever the figures are shown, such as that the prompts are synthetic; `null` if nothing.
    pub notice: Option<String>,
    /// The seeds, in order.
    pub seeds: Vec<u64>,
    /// The device, as in `--device`.
    pub device: String,
    /// The prompts that the figures `tail` and `judge_tail` are about.
    pub tail: Tail,
    /// The figures of each method; none of a method that diverged with any seed, for those of the others would flatter it.
    pub methods: BTreeMap<Method, MethodResults>,
    /// What diverged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<Diverged>,
    /// What methods gain over another; older files have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
}

impl ResultsFile for Results {
    fn numbers(&self) -> Vec<(String, f64)> {
        let mut all = vec![("the threshold of the tail".to_owned(), self.tail.threshold)];
        for (method, results) in &self.methods {
            all.extend(numbers(&method.to_string(), results.figures(), &results.other_tails));
        }
        all.extend(self.comparisons.iter().flat_map(Comparison::numbers));
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Figures `base`, `base + 1`, ...
    pub(crate) fn method_results(base: f64) -> MethodResults {
        let figure = |offset: f64| {
            let mean = base + offset;
            Figure { mean, std: 0.25, ci95: [mean - 0.5, mean + 0.5] }
        };
        MethodResults {
            reward: figure(0.0),
            tail: figure(1.0),
            perplexity_human: figure(2.0),
            perplexity_generated: figure(3.0),
            distinct_1: figure(4.0),
            distinct_2: figure(5.0),
            distinct_3: figure(6.0),
            length: figure(7.0),
            kl: figure(8.0),
            judge: Some(figure(9.0)),
            judge_tail: Some(figure(10.0)),
            repeated_4gram: figure(11.0),
            empty: figure(12.0),
            duplicate: figure(13.0),
            other_tails: vec![
                OtherTail { threshold: 5.0, prompts: 60, reward: Some(figure(14.0)) },
                OtherTail { threshold: -9.5, prompts: 0, reward: None },
            ],
        }
    }

    pub(crate) fn results(seeds: &[u64]) -> Results {
        let methods = Method::ALL.into_iter().zip([0.0, 10.0, 20.0, 30.0]).map(|(method, base)| (method, method_results(base)));
        let [task, preset, data, split, device] = ["imdb", "smoke", "embedded", "test", "flex"].map(str::to_owned);
        let tail = Tail { threshold: -2.5, prompts: 19 };
        Results {
            task,
            preset,
            data,
            split,
            notice: None,
            seeds: seeds.to_vec(),
            device,
            tail,
            methods: methods.collect(),
            diverged: vec![],
            comparisons: vec![],
        }
    }

    #[test]
    fn the_file_is_exactly_this() {
        let mut small = results(&[1, 2]);
        small.methods.retain(|method, _| *method == Method::RaRlhf);
        let figure = |indent: usize, mean: usize| {
            let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
            format!(
                "{{\n{inner}\"mean\": {mean}.0,\n{inner}\"std\": 0.25,\n{inner}\"ci95\": [\n{inner}  {}.5,\n{inner}  {mean}.5\n\
                 {inner}]\n{outer}}}",
                mean - 1
            )
        };
        let keys = "reward tail perplexity_human perplexity_generated distinct_1 distinct_2 distinct_3 length kl \
                    judge judge_tail repeated_4gram empty duplicate";
        let figures: String =
            keys.split(' ').zip(30..).map(|(key, mean)| format!("      \"{key}\": {},\n", figure(6, mean))).collect();
        let other_tails = format!(
            "      \"other_tails\": [\n        {{\n          \"threshold\": 5.0,\n          \"prompts\": 60,\n          \
             \"reward\": {}\n        }},\n        {{\n          \"threshold\": -9.5,\n          \"prompts\": 0,\n          \
             \"reward\": null\n        }}\n      ]\n",
            figure(10, 44)
        );
        let expected = format!(
            "{{\n  \"task\": \"imdb\",\n  \"preset\": \"smoke\",\n  \"data\": \"embedded\",\n  \"split\": \"test\",\n  \"notice\": null,\n  \"seeds\": [\n    1,\n    2\n  ],\n  \"device\": \"flex\",\n  \
             \"tail\": {{\n    \"threshold\": -2.5,\n    \"prompts\": 19\n  }},\n  \
             \"methods\": {{\n    \"ra_rlhf\": {{\n{figures}{other_tails}    }}\n  }}\n}}\n"
        );
        assert_eq!(small.to_json().unwrap(), expected);
    }

    #[test]
    fn methods_come_in_the_order_of_the_paper() {
        let json = results(&[1]).to_json().unwrap();
        let places: Vec<_> = Method::ALL.iter().map(|method| json.find(&format!("\"{}\"", method.name())).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(Method::ALL.iter().all(|method| Method::named(method.name()) == Some(*method)));
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = results(&[7]);
        results.methods.get_mut(&Method::Sft).unwrap().kl.mean = 0.1 + 0.2;
        results.comparisons.push(crate::comparison::tests::comparison());
        results.diverged.push(Diverged { method: Method::Rlhf, seed: 7, reason: "the loss is NaN".into() });
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
    }

    #[test]
    fn a_file_without_comparisons_and_divergence_is_read_and_written_as_it_was() {
        let json = results(&[1]).to_json().unwrap();
        assert!(!json.contains("comparisons") && !json.contains("diverged"), "{json}");
        let read: Results = serde_json::from_str(&json).unwrap();
        assert_eq!(read, results(&[1]));
    }

    #[test]
    fn a_figure_that_is_not_finite_is_named() {
        let mut results = results(&[1]);
        results.methods.get_mut(&Method::Rlhf).unwrap().tail.mean = f64::NAN;
        assert_eq!(results.to_json().unwrap_err().to_string(), "RLHF: tail is NaN, expected a finite number");
    }

    #[test]
    fn every_field_has_its_column() {
        let figures: Vec<_> = method_results(0.0).figures().collect();
        let mut means: Vec<_> = figures.iter().map(|(_, figure)| figure.mean).collect();
        means.sort_by(f64::total_cmp);
        assert_eq!(means, (0..14).map(f64::from).collect::<Vec<_>>());
        let json = serde_json::to_value(method_results(0.0)).unwrap();
        assert!(figures.iter().all(|(key, figure)| json[key]["mean"] == figure.mean), "{json}");
    }

    #[test]
    fn one_seed_is_left_as_it_is_and_several_are_combined_by_their_means() {
        let [one, other] = [0.0, 2.0].map(method_results);
        assert_eq!(MethodResults::over_seeds(std::slice::from_ref(&one)).unwrap(), one);
        let both = MethodResults::over_seeds(&[one, other]).unwrap();
        for ((key, figure), (_, expected)) in both.figures().zip(method_results(1.0).figures()) {
            assert!(
                (figure.mean - expected.mean).abs() < 1e-12 && (figure.std - 2.0_f64.sqrt()).abs() < 1e-12,
                "{key}: {figure:?}"
            );
        }
        let [some, none] = both.other_tails[..] else { panic!("{both:?}") };
        assert!((some.reward.unwrap().mean - 15.0).abs() < 1e-12 && some.prompts == 60);
        assert_eq!(none, OtherTail { threshold: -9.5, prompts: 0, reward: None });
    }

    #[test]
    fn seeds_that_do_not_belong_together_are_refused() {
        let [one, mut other] = [0.0, 2.0].map(method_results);
        other.other_tails.pop();
        let message = MethodResults::over_seeds(&[one, other]).unwrap_err().to_string();
        assert_eq!(message, "the list of other tails differs between the seeds of a run");
        assert!(matches!(MethodResults::over_seeds(&[]), Err(ReportError::Combine(_))));
    }

    #[test]
    fn a_judge_that_one_seed_lacks_is_lacking() {
        let [one, mut other] = [0.0, 2.0].map(method_results);
        other.judge = None;
        let both = MethodResults::over_seeds(&[one, other]).unwrap();
        assert!(both.judge.is_none() && both.judge_tail.is_some(), "{both:?}");
    }

    #[test]
    fn a_damaged_file_is_named_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, "{\n  \"task\": 3\n}").unwrap();
        let message = Results::read(&path).unwrap_err().to_string();
        assert!(message.contains("results.json, line 2"), "{message}");
    }
}
