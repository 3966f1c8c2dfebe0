//! The figures of a run: `results.json`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::arms::{Arm, title};
use crate::columns::numbers;
use crate::comparison::{Comparison, Watched};
use crate::equal_kl::HeldKl;
use crate::methods::MethodResults;
use crate::results_file::ResultsFile;

/// The prompts whose own score is at most a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The threshold.
    pub threshold: f64,
    /// How many prompts there are.
    pub prompts: usize,
}

/// A training that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diverged {
    /// The key of the arm.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// What was not finite, where, and what usually leads there.
    pub reason: String,
}

impl Diverged {
    /// `RLHF, seed 1: ` and the reason.
    #[must_use]
    pub fn told(&self, arms: &[Arm]) -> String {
        let Self { method, seed, reason } = self;
        format!("{}, seed {seed}: {reason}", title(arms, method))
    }
}

/// What a run found: the content of `results.json`.
///
/// The file holds no time, path or host, so two runs with the same settings and seeds write the
/// same bytes. Keys have a fixed order, numbers are the shortest decimals that read back to the
/// same 64-bit float.
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
///   "arms": [
///     { "key": "gpt2", "title": "GPT-2" },
///     { "key": "sft", "title": "SFT", "from": "gpt2" },
///     ...
///   ],
///   "reference": "sft",
///   "methods": {
///     "gpt2": {
///       "reward": { "mean": -0.03, "se": 0.01, "ci95": [-0.05, -0.01], "seeds_std": 0.01 },
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
///       "reward": { "mean": 0.25, "se": 0.02, "ci95": [0.20, 0.30], "seeds_std": 0.02 },
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
    /// The kind of place that the evaluation prompts came from: `data-dir`, `env`, `cache` or
    /// `embedded`.
    pub data: String,
    /// Which prompts they are: `test`, held out, or `validation`, to choose settings on.
    pub split: String,
    /// What must be said wherever the figures are shown, such as that the prompts are synthetic;
    /// `null` if nothing.
    pub notice: Option<String>,
    /// The seeds, in order.
    pub seeds: Vec<u64>,
    /// The device, as in `--device`.
    pub device: String,
    /// The prompts that the figures `tail` and `judge_tail` are about.
    pub tail: Tail,
    /// What was compared, in the order of the tables; those of the paper in older files, which do
    /// not say.
    #[serde(default = "Arm::of_paper")]
    pub arms: Vec<Arm>,
    /// The key of the arm that `kl` is measured to; that of the paper in older files, which do not
    /// say.
    #[serde(default = "Arm::reference_of_paper")]
    pub reference: String,
    /// The figures of each arm by its key, in the order of the arms; none of one that diverged with
    /// any seed, for those of the other seeds would flatter it.
    pub methods: IndexMap<String, MethodResults>,
    /// What diverged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<Diverged>,
    /// What methods gain over another; older files have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// What arms gain over those that they were made from where that is not told: for the warning
    /// of a reward that rises alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Watched>,
    /// How near arms came that were to be held at a KL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equal_kl: Vec<HeldKl>,
}

impl Results {
    /// The figures of the arms that have some, in the order of the arms.
    pub fn in_order(&self) -> impl Iterator<Item = (&Arm, &MethodResults)> {
        self.arms.iter().filter_map(|arm| Some((arm, self.methods.get(&arm.key)?)))
    }
}

impl ResultsFile for Results {
    fn numbers(&self) -> Vec<(String, f64)> {
        let mut all = vec![("the threshold of the tail".to_owned(), self.tail.threshold)];
        for (arm, results) in self.in_order() {
            all.extend(numbers(
                &arm.title,
                results.figures(),
                &results.other_tails,
                results.tail_report.as_ref(),
            ));
        }
        all.extend(self.comparisons.iter().flat_map(Comparison::numbers));
        all.extend(self.watched.iter().flat_map(Watched::numbers));
        all.extend(self.equal_kl.iter().flat_map(HeldKl::numbers));
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::methods::OtherTail;
    use crate::tail_report::tests::tail_report;

    /// Figures `base`, `base + 1`, ...
    pub(crate) fn method_results(base: f64) -> MethodResults {
        let figure = |offset: f64| {
            let mean = base + offset;
            Figure { mean, se: Some(0.25), ci95: Some([mean - 0.5, mean + 0.5]), seeds_std: None }
        };
        MethodResults {
            reward: figure(0.0),
            tail: figure(1.0),
            perplexity_human: Some(figure(2.0)),
            perplexity_generated: figure(3.0),
            distinct_1: figure(4.0),
            distinct_2: figure(5.0),
            distinct_3: figure(6.0),
            length: figure(7.0),
            kl: Some(figure(8.0)),
            judge: Some(figure(9.0)),
            judge_tail: Some(figure(10.0)),
            repeated_4gram: figure(11.0),
            empty: figure(12.0),
            duplicate: figure(13.0),
            other_tails: vec![
                OtherTail { threshold: 5.0, prompts: 60, reward: Some(figure(14.0)) },
                OtherTail { threshold: -9.5, prompts: 0, reward: None },
            ],
            tail_report: None,
            making_tokens: Some(figure(14.0)),
            making_rewards: Some(figure(15.0)),
            answer_tokens: Some(figure(16.0)),
            answer_rewards: Some(figure(17.0)),
            kl_bound: Some(figure(18.0)),
        }
    }

    pub(crate) fn results(seeds: &[u64]) -> Results {
        let arms = Arm::of_paper();
        let methods = arms
            .iter()
            .zip([0.0, 10.0, 20.0, 30.0])
            .map(|(arm, base)| (arm.key.clone(), method_results(base)));
        let [task, preset, data, split, device] =
            ["imdb", "smoke", "embedded", "test", "flex"].map(str::to_owned);
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
            arms,
            reference: Arm::reference_of_paper(),
            diverged: vec![],
            comparisons: vec![],
            watched: vec![],
            equal_kl: vec![],
        }
    }

    #[test]
    fn the_file_is_exactly_this() {
        let mut small = results(&[1, 2]);
        small.methods.retain(|method, _| method == "ra_rlhf");
        small.arms.retain(|arm| arm.key == "ra_rlhf");
        let figure = |indent: usize, mean: usize| {
            let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
            format!(
                "{{\n{inner}\"mean\": {mean}.0,\n{inner}\"se\": 0.25,\n{inner}\"ci95\": \
                 [\n{inner}  {}.5,\n{inner}  {mean}.5\n{inner}]\n{outer}}}",
                mean - 1
            )
        };
        let keys = "reward tail perplexity_human perplexity_generated distinct_1 distinct_2 \
            distinct_3 length kl judge judge_tail repeated_4gram empty duplicate";
        let lines = |keys: &str, first| -> String {
            let line = |(key, mean)| format!("      \"{key}\": {},\n", figure(6, mean));
            keys.split(' ').zip(first..).map(line).collect()
        };
        let figures = lines(keys, 30);
        let costs = lines("making_tokens making_rewards answer_tokens answer_rewards kl_bound", 44);
        let other_tails = format!(
            "      \"other_tails\": [\n        {{\n          \"threshold\": 5.0,\n          \
             \"prompts\": 60,\n          \"reward\": {}\n        }},\n        {{\n          \
             \"threshold\": -9.5,\n          \"prompts\": 0,\n          \"reward\": null\n        \
             }}\n      ],\n",
            figure(10, 44)
        );
        let expected = format!(
            "{{\n  \"task\": \"imdb\",\n  \"preset\": \"smoke\",\n  \"data\": \"embedded\",\n  \
             \"split\": \"test\",\n  \"notice\": null,\n  \"seeds\": [\n    1,\n    2\n  ],\n  \
             \"device\": \"flex\",\n  \"tail\": {{\n    \"threshold\": -2.5,\n    \"prompts\": \
             19\n  }},\n  \"arms\": [\n    {{\n      \"key\": \"ra_rlhf\",\n      \"title\": \
             \"RA-RLHF\",\n      \"from\": \"sft\"\n    }}\n  ],\n  \"reference\": \"sft\",\n  \
             \"methods\": {{\n    \"ra_rlhf\": {{\n{figures}{other_tails}{}\n    }}\n  }}\n}}\n",
            costs.trim_end_matches(",\n")
        );
        assert_eq!(small.to_json().unwrap(), expected);
    }

    #[test]
    fn methods_come_in_the_order_of_the_arms() {
        let results = results(&[1]);
        let json = results.to_json().unwrap();
        let places: Vec<_> = results
            .arms
            .iter()
            .map(|arm| json.find(&format!("\"{}\": {{", arm.key)).unwrap())
            .collect();
        assert!(places.is_sorted(), "{json}");
    }

    #[test]
    fn a_file_that_names_no_arms_has_those_of_the_paper() {
        let mut file = serde_json::to_value(results(&[1])).unwrap();
        file.as_object_mut()
            .unwrap()
            .retain(|key, _| !["arms", "reference"].contains(&key.as_str()));
        let read = serde_json::from_value::<Results>(file).unwrap();
        assert_eq!(read, results(&[1]));
        // in the order of the paper, whatever that of the file
        let titles: Vec<&str> = read.in_order().map(|(arm, _)| arm.title.as_str()).collect();
        assert_eq!(titles, ["GPT-2", "SFT", "RLHF", "RA-RLHF"]);
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = results(&[7]);
        results.methods.get_mut("sft").unwrap().length.mean = 0.1 + 0.2;
        results.comparisons.push(crate::comparison::tests::comparison());
        results.methods.get_mut("rlhf").unwrap().tail_report = Some(tail_report());
        results.watched.push(Watched {
            method: "rlhf".into(),
            over: "sft".into(),
            reward: None,
            judge: None,
        });
        results.diverged.push(Diverged {
            method: "rlhf".into(),
            seed: 7,
            reason: "the loss is NaN".into(),
        });
        results.equal_kl.extend(HeldKl::of("rlhf", 4.0, &[4.1]));
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
    }

    #[test]
    fn a_file_without_comparisons_and_divergence_is_read_and_written_as_it_was() {
        let json = results(&[1]).to_json().unwrap();
        assert!(
            ["comparisons", "watched", "diverged", "tail_report", "equal_kl"]
                .iter()
                .all(|key| !json.contains(key)),
            "{json}"
        );
        let read: Results = serde_json::from_str(&json).unwrap();
        assert_eq!(read, results(&[1]));
    }

    #[test]
    fn a_figure_that_is_not_finite_is_named() {
        let mut results = results(&[1]);
        results.methods.get_mut("rlhf").unwrap().tail.mean = f64::NAN;
        assert_eq!(
            results.to_json().unwrap_err().to_string(),
            "RLHF: tail is NaN, expected a finite number"
        );
        let mut report = tail_report();
        report.failures[0].rate.value = f64::NAN;
        let mut broken = self::results(&[1]);
        broken.methods.get_mut("sft").unwrap().tail_report = Some(report);
        let message = broken.to_json().unwrap_err().to_string();
        assert_eq!(message, "SFT: tail_report is NaN, expected a finite number");
    }

    #[test]
    fn every_field_has_its_column() {
        let figures: Vec<_> = method_results(0.0).figures().collect();
        let mut means: Vec<_> = figures.iter().map(|(_, figure)| figure.mean).collect();
        means.sort_by(f64::total_cmp);
        assert_eq!(means, (0..19).map(f64::from).collect::<Vec<_>>());
        let json = serde_json::to_value(method_results(0.0)).unwrap();
        assert!(figures.iter().all(|(key, figure)| json[key]["mean"] == figure.mean), "{json}");
    }

    #[test]
    fn what_is_not_known_is_null_and_seeds_have_a_deviation() {
        let single = Figure { mean: 1.5, se: None, ci95: None, seeds_std: None };
        assert_eq!(
            serde_json::to_string(&single).unwrap(),
            r#"{"mean":1.5,"se":null,"ci95":null}"#
        );
        let several =
            Figure { mean: 1.5, se: Some(0.5), ci95: Some([0.5, 2.5]), seeds_std: Some(0.25) };
        assert_eq!(
            serde_json::to_string(&several).unwrap(),
            r#"{"mean":1.5,"se":0.5,"ci95":[0.5,2.5],"seeds_std":0.25}"#
        );
        assert_eq!(
            (several.is_above_zero(), several.is_below_zero(), single.is_above_zero()),
            (true, false, false)
        );
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
