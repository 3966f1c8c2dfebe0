//! The figures of a run: `results.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tailguard_metrics::Summary;

use crate::error::ReportError;
use crate::files;

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
/// mean over seeds. With one seed, `mean` is over prompts (or texts), and the other two are over them too.
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
    /// Distinct 1-grams per word of the policy's texts.
    pub distinct_1: Figure,
    /// Distinct 2-grams per word.
    pub distinct_2: Figure,
    /// Distinct 3-grams per word.
    pub distinct_3: Figure,
    /// Response tokens.
    pub length: Figure,
    /// KL estimate to the reference policy, nats per response.
    pub kl: Figure,
}

impl MethodResults {
    /// The figures with their keys, in the order of the file.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, Figure); 9] {
        [
            ("reward", self.reward),
            ("tail", self.tail),
            ("perplexity_human", self.perplexity_human),
            ("perplexity_generated", self.perplexity_generated),
            ("distinct_1", self.distinct_1),
            ("distinct_2", self.distinct_2),
            ("distinct_3", self.distinct_3),
            ("length", self.length),
            ("kl", self.kl),
        ]
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
///   "seeds": [1, 2],
///   "device": "flex",
///   "methods": {
///     "gpt2": {
///       "reward": { "mean": -0.03, "std": 0.01, "ci95": [-0.04, -0.02] },
///       ...
///     },
///     "sft": ..., "rlhf": ..., "ra_rlhf": ...
///   }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Name of the task.
    pub task: String,
    /// Name of the preset.
    pub preset: String,
    /// The seeds, in order.
    pub seeds: Vec<u64>,
    /// The device, as in `--device`.
    pub device: String,
    /// The figures of each method.
    pub methods: BTreeMap<Method, MethodResults>,
}

impl Results {
    /// The text of `results.json`.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`]: JSON has no infinity and no NaN.
    pub fn to_json(&self) -> Result<String, ReportError> {
        for (method, results) in &self.methods {
            for (name, figure) in results.figures() {
                let numbers = [figure.mean, figure.std, figure.ci95[0], figure.ci95[1]];
                if let Some(found) = numbers.into_iter().find(|number| !number.is_finite()) {
                    return Err(ReportError::NotFinite { method: method.to_string(), figure: name, found });
                }
            }
        }
        // strings, finite numbers and string keys always serialise
        Ok(serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }

    /// Writes the file, as a whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`], or what the file system says.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        files::write(path, self.to_json()?.as_bytes())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`write`](Self::write) writes.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let json = |error: serde_json::Error| {
            let (path, line) = (path.to_owned(), error.line());
            ReportError::Json { path, line, detail: error.to_string() }
        };
        serde_json::from_str(&files::read(path)?).map_err(json)
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
        }
    }

    pub(crate) fn results(seeds: &[u64]) -> Results {
        let methods = Method::ALL.into_iter().zip([0.0, 10.0, 20.0, 30.0]).map(|(method, base)| (method, method_results(base)));
        let (task, preset, device) = ("imdb".to_owned(), "smoke".to_owned(), "flex".to_owned());
        Results { task, preset, seeds: seeds.to_vec(), device, methods: methods.collect() }
    }

    #[test]
    fn the_file_is_exactly_this() {
        let mut small = results(&[1, 2]);
        small.methods.retain(|method, _| *method == Method::RaRlhf);
        let figure = |mean: &str, low: &str, high: &str| {
            format!(
                "{{\n        \"mean\": {mean},\n        \"std\": 0.25,\n        \"ci95\": [\n          {low},\n          {high}\n        ]\n      }}"
            )
        };
        let keys = [
            "reward",
            "tail",
            "perplexity_human",
            "perplexity_generated",
            "distinct_1",
            "distinct_2",
            "distinct_3",
            "length",
            "kl",
        ];
        let figures: Vec<_> = (30..39)
            .zip(keys)
            .map(|(mean, key)| {
                let figure = figure(&format!("{mean}.0"), &format!("{}.5", mean - 1), &format!("{mean}.5"));
                format!("      \"{key}\": {figure}")
            })
            .collect();
        let expected = format!(
            "{{\n  \"task\": \"imdb\",\n  \"preset\": \"smoke\",\n  \"seeds\": [\n    1,\n    2\n  ],\n  \"device\": \"flex\",\n  \
             \"methods\": {{\n    \"ra_rlhf\": {{\n{}\n    }}\n  }}\n}}\n",
            figures.join(",\n")
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
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
    }

    #[test]
    fn a_figure_that_is_not_finite_is_named() {
        let mut results = results(&[1]);
        results.methods.get_mut(&Method::Rlhf).unwrap().tail.mean = f64::NAN;
        assert_eq!(results.to_json().unwrap_err().to_string(), "RLHF: tail is NaN, expected a finite number");
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
