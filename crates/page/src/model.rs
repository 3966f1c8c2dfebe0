//! A run as the page sees it: policies by name, figures by key, texts by prompt, logs by iteration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tailguard_report::{About, Figure, Method, MetricRow, OtherTail, Process, Results, Tail, TextRow, warnings};

use crate::error::PageError;
use crate::texts::Texts;

/// What a page is made of: the files of a run directory, as they were read.
#[derive(Clone, Debug, Default)]
pub struct RunFiles {
    /// What the run is called, such as the name of its directory.
    pub name: String,
    /// Text of `results.json`. Unlike [`Results`], the page takes any names of policies, and figures may be missing.
    pub results: String,
    /// Text of `run.json`, if there is one.
    pub about: Option<String>,
    /// Text of `config.toml`, if there is one.
    pub config: Option<String>,
    /// Text of `processes.json`, if there is one.
    pub processes: Option<String>,
    /// Rows of `generations.parquet`; none if it is missing.
    pub texts: Vec<TextRow>,
    /// Rows of `metrics.parquet`; none if it is missing.
    pub metrics: Vec<MetricRow>,
}

/// A run that can be shown.
#[derive(Clone, Debug)]
pub struct Run {
    pub(crate) name: String,
    pub(crate) results: Summary,
    /// Policies, in the order of the tables.
    pub(crate) methods: Vec<Policy>,
    /// What the figures give reason to doubt.
    pub(crate) warnings: Vec<String>,
    pub(crate) about: Option<About>,
    /// Settings by their dotted keys, as they are written in TOML.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) processes: Vec<Process>,
    pub(crate) texts: Texts,
    pub(crate) metrics: Vec<MetricRow>,
}

/// `results.json`, with whatever it has; texts that are missing are empty.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) task: String,
    pub(crate) preset: String,
    pub(crate) data: String,
    pub(crate) split: String,
    pub(crate) notice: Option<String>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) device: String,
    /// If the prompts' own scores make the tail.
    pub(crate) tail: Option<Tail>,
    methods: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Summary {
    fn read(text: &str) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_str(text)?;
        let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let tail = &value["tail"];
        let prompts = tail["prompts"].as_u64().and_then(|prompts| usize::try_from(prompts).ok());
        Ok(Self {
            task: word("task"),
            preset: word("preset"),
            data: word("data"),
            split: word("split"),
            notice: value["notice"].as_str().map(str::to_owned),
            seeds: value["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
            device: word("device"),
            tail: tail["threshold"].as_f64().zip(prompts).map(|(threshold, prompts)| Tail { threshold, prompts }),
            methods: serde_json::from_value(value["methods"].clone())?,
        })
    }

    /// Keys of all that is a figure in any policy, in alphabetical order.
    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        for (policy, figures) in &self.methods {
            keys.extend(figures.keys().map(String::as_str).filter(|key| self.figure(policy, key).is_some()));
        }
        keys
    }

    /// A figure of a policy, if it has it.
    pub(crate) fn figure(&self, policy: &str, key: &str) -> Option<Figure> {
        serde_json::from_value(self.methods.get(policy)?.get(key)?.clone()).ok()
    }

    /// The tails by other thresholds of a policy.
    pub(crate) fn other_tails(&self, policy: &str) -> Vec<OtherTail> {
        let tails = self.methods.get(policy).and_then(|figures| figures.get("other_tails")).cloned();
        tails.and_then(|tails| serde_json::from_value(tails).ok()).unwrap_or_default()
    }

    /// Whether the spreads of the figures are over seeds, rather than over prompts.
    pub(crate) fn over_seeds(&self) -> bool {
        self.seeds.len() > 1
    }
}

/// A policy of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// As the files name it.
    pub(crate) key: String,
    /// As people do.
    pub(crate) label: String,
    /// Which of the styles of lines and marks is its own.
    pub(crate) style: usize,
}

/// The policies of these names: those of the paper first, each in a style that is the same in every run, then the others.
pub(crate) fn policies<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Policy> {
    let rank = |name: &str| Method::ALL.iter().position(|method| method.name() == name);
    let mut names: Vec<&str> = names.collect();
    names.sort_by_key(|name| (rank(name).unwrap_or(Method::ALL.len()), *name));
    names.dedup();
    let mut next = Method::ALL.len();
    let policy = |name: &str| {
        let known = Method::named(name);
        let style = rank(name).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        Policy { key: name.to_owned(), label: known.map_or_else(|| crate::clean::line(name), |method| method.to_string()), style }
    };
    names.into_iter().map(policy).collect()
}

impl Run {
    /// Reads the texts of the files.
    ///
    /// # Errors
    /// [`PageError::File`] for a file that is not what its name says.
    pub fn new(files: RunFiles) -> Result<Self, PageError> {
        let RunFiles { name, results, about, config, processes, texts, metrics } = files;
        let not = |file: &'static str| {
            let run = name.clone();
            move |error: &dyn std::fmt::Display| PageError::File { run, file, detail: error.to_string() }
        };
        let summary = Summary::read(&results).map_err(|error| not("results.json")(&error))?;
        let about = about.map(|text| serde_json::from_str(&text).map_err(|error| not("run.json")(&error))).transpose()?;
        let settings = config.map(|text| toml::from_str::<toml::Table>(&text).map_err(|error| not("config.toml")(&error)));
        let settings = settings.transpose()?.map(|table| flat(&table)).unwrap_or_default();
        let processes = processes.map(|text| serde_json::from_str(&text).map_err(|error| not("processes.json")(&error)));
        let methods = policies(summary.methods.keys().map(String::as_str));
        // of another program's policies nothing is known that could be watched
        let warnings = serde_json::from_str::<Results>(&results).map(|results| warnings(&results)).unwrap_or_default();
        let texts = Texts::new(&methods, &texts);
        Ok(Self {
            results: summary,
            methods,
            warnings,
            about,
            settings,
            processes: processes.transpose()?.unwrap_or_default(),
            texts,
            metrics,
            name,
        })
    }

    /// The policy of that name.
    pub(crate) fn policy(&self, key: &str) -> Option<&Policy> {
        self.methods.iter().find(|policy| policy.key == key)
    }

    /// A setting, as it is written in TOML.
    pub(crate) fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// A setting that is a text.
    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        self.setting(key).map(|text| text.trim_matches('"'))
    }

    /// Whether the prompts may be offensive: the task is one of toxicity, by its name or by what its settings call bad.
    pub(crate) fn may_offend(&self) -> bool {
        let about = [Some(self.results.task.as_str()), self.word("data.good"), self.setting("data.score_columns")];
        let dirs = [self.word("reward.dir"), self.word("judge.dir")];
        let words = about.into_iter().chain(dirs).flatten().map(str::to_lowercase);
        words.into_iter().any(|word| word == "low" || ["jigsaw", "rtp", "toxic"].iter().any(|sign| word.contains(sign)))
    }
}

/// The values of a table by their dotted keys, in TOML.
fn flat(table: &toml::Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                settings.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => {
                settings.insert(key.clone(), value.to_string());
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_come_in_the_order_of_the_paper_and_others_after_them() {
        let found = policies(["sft", "best_of_8", "ra_rlhf", "dpo", "gpt2"].into_iter());
        let shown: Vec<_> = found.iter().map(|policy| (policy.label.as_str(), policy.style)).collect();
        assert_eq!(shown, [("GPT-2", 0), ("SFT", 1), ("RA-RLHF", 3), ("best_of_8", 4), ("dpo", 5)]);
    }

    #[test]
    fn figures_may_be_missing_and_policies_may_have_any_name() {
        let results =
            r#"{"task": "mine", "methods": {"dpo": {"reward": {"mean": 1.5, "std": 0.5, "ci95": [1, 2]}, "kl": null}}}"#;
        let run = Run::new(RunFiles { name: "a".into(), results: results.into(), ..RunFiles::default() }).unwrap();
        assert_eq!(run.results.figure("dpo", "reward"), Some(Figure { mean: 1.5, std: 0.5, ci95: [1.0, 2.0] }));
        assert_eq!((run.results.figure("dpo", "kl"), run.results.figure("sft", "reward")), (None, None));
        assert!(run.warnings.is_empty() && !run.may_offend());
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named() {
        let results = r#"{"methods": {}}"#.to_owned();
        let files = RunFiles { name: "runs/a".into(), results, ..RunFiles::default() };
        let said = |files| Run::new(files).unwrap_err().to_string();
        assert!(said(RunFiles { results: "{".into(), ..files.clone() }).starts_with("runs/a: results.json"));
        assert!(said(RunFiles { about: Some("[]".into()), ..files.clone() }).starts_with("runs/a: run.json"));
        assert!(said(RunFiles { config: Some("a = ".into()), ..files.clone() }).starts_with("runs/a: config.toml"));
        assert!(said(RunFiles { processes: Some("{}".into()), ..files }).starts_with("runs/a: processes.json"));
    }

    #[test]
    fn a_task_of_toxicity_is_known_by_its_name_or_by_its_settings() {
        let run = |task: &str, config: &str| {
            let results = format!(r#"{{"task": "{task}", "methods": {{}}}}"#);
            Run::new(RunFiles { name: "a".into(), results, config: Some(config.into()), ..RunFiles::default() }).unwrap()
        };
        assert!(run("jigsaw", "").may_offend() && run("mine", "[data]\ngood = \"low\"").may_offend());
        assert!(run("mine", "[data]\nscore_columns = [\"toxic\"]").may_offend());
        let fine = run("imdb", "[data]\ngood = \"high\"\n[risk]\nalpha = 0.4");
        assert!(!fine.may_offend());
        assert_eq!(fine.setting("risk.alpha"), Some("0.4"));
    }
}
