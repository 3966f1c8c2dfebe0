//! A run as the page sees it: policies by name, figures by key, texts by prompt, logs by iteration.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use tailguard_report::{
    About, Arm, Comparison, Diverged, EvaluatedTail, Figure, HeldKl, Kind, LeftOut, LengthUnit,
    LogRow, OtherTail, Process, TableColumn, TailPromptRow, TailReport, TextRow, Watched,
    few_prompts, percent, rises_alone, upgrade,
};

use crate::error::PageError;
use crate::policies::{Policy, label, policies};
use crate::texts::Texts;

/// What the intervals of an older version are.
pub(crate) const OLDER: &str =
    "its intervals are over seeds alone, as if other prompts could not come out otherwise";

/// What a page is made of: the files of a run directory, as they were read.
#[derive(Clone, Debug, Default)]
pub struct RunFiles {
    /// What the run is called, such as the name of its directory.
    pub name: String,
    /// Text of `results.json`. Unlike [`Results`](tailguard_report::Results), the page takes any
    /// names of policies, and figures may be missing.
    pub results: String,
    /// Text of `run.json`, if there is one.
    pub about: Option<String>,
    /// Text of `config.toml`, if there is one.
    pub config: Option<String>,
    /// Text of `processes.json`, if there is one.
    pub processes: Option<String>,
    /// Rows of `generations.parquet`, if there is one.
    pub texts: Option<Vec<TextRow>>,
    /// Rows of `metrics.parquet`; none if it is missing.
    pub metrics: Vec<LogRow>,
    /// Rows of `tail_prompts.jsonl`; none if it is missing.
    pub tail_prompts: Vec<TailPromptRow>,
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
    /// Whether there is a file of texts, be it without one that can be shown.
    pub(crate) has_texts_file: bool,
    pub(crate) metrics: Vec<LogRow>,
    pub(crate) tail_prompts: Vec<TailPromptRow>,
}

/// `results.json`, with whatever it has; texts that are missing are empty.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Whether texts were judged without a run.
    pub(crate) is_evaluation: bool,
    pub(crate) task: String,
    pub(crate) preset: String,
    pub(crate) data: String,
    pub(crate) split: String,
    pub(crate) notice: Option<String>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) device: String,
    pub(crate) tail: Option<EvaluatedTail>,
    /// The share of the lowest rewards that the figure `cvar` is the mean of.
    pub(crate) cvar_share: Option<f64>,
    pub(crate) length_unit: LengthUnit,
    pub(crate) comparisons: Vec<Comparison>,
    watched: Vec<Watched>,
    /// How near arms came to the KL at which they were to be held.
    pub(crate) equal_kl: Vec<HeldKl>,
    /// Whether some intervals are not what they would be today.
    pub(crate) is_older: bool,
    diverged: Vec<Diverged>,
    /// What a run has compared; those of the paper where the file does not say, as that of an
    /// evaluation.
    pub(crate) arms: Vec<Arm>,
    /// The key of the arm that KL is measured to; unknown of an evaluation.
    reference: Option<String>,
    methods: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Summary {
    fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut value: Value = serde_json::from_str(text)?;
        let is_older = upgrade(&mut value);
        let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let mut summary = Self {
            is_evaluation: Option::<Kind>::deserialize(&value["kind"])?.is_some(),
            task: word("task"),
            preset: word("preset"),
            data: word("data"),
            split: word("split"),
            notice: value["notice"].as_str().map(str::to_owned),
            seeds: value["seeds"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
                .collect(),
            device: word("device"),
            tail: None,
            cvar_share: Option::deserialize(&value["cvar_share"])?,
            length_unit: Option::deserialize(&value["length_unit"])?.unwrap_or(LengthUnit::Tokens),
            comparisons: Option::deserialize(&value["comparisons"])?.unwrap_or_default(),
            watched: Option::deserialize(&value["watched"])?.unwrap_or_default(),
            equal_kl: Option::deserialize(&value["equal_kl"])?.unwrap_or_default(),
            is_older,
            diverged: Option::deserialize(&value["diverged"])?.unwrap_or_default(),
            arms: arms(&value["arms"]),
            reference: value["reference"].as_str().map(str::to_owned),
            methods: BTreeMap::deserialize(&value["methods"])?,
        };
        // that of a run is by the prompts' scores, and does not say so
        if let Value::Object(tail) = &mut value["tail"] {
            tail.entry("by").or_insert("prompt_scores".into());
        }
        summary.tail = Option::deserialize(&value["tail"])?;
        Ok(summary)
    }

    /// Keys of all that is a figure in any policy, in alphabetical order.
    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        for (policy, figures) in &self.methods {
            keys.extend(
                figures.keys().map(String::as_str).filter(|key| self.figure(policy, key).is_some()),
            );
        }
        keys
    }

    /// A figure of a policy, if it has it.
    pub(crate) fn figure(&self, policy: &str, key: &str) -> Option<Figure> {
        serde_json::from_value(self.methods.get(policy)?.get(key)?.clone()).ok()
    }

    /// The tails by other thresholds of a policy.
    pub(crate) fn other_tails(&self, policy: &str) -> Vec<OtherTail> {
        let tails =
            self.methods.get(policy).and_then(|figures| figures.get("other_tails")).cloned();
        tails.and_then(|tails| serde_json::from_value(tails).ok()).unwrap_or_default()
    }

    /// What is known of the worst texts of a policy.
    pub(crate) fn tail_report(&self, policy: &str) -> Option<TailReport> {
        serde_json::from_value(self.methods.get(policy)?.get("tail_report")?.clone()).ok()
    }

    /// What a method gains over another on the same prompts, if they were compared.
    pub(crate) fn gain(&self, method: &str, over: &str) -> Option<&Comparison> {
        self.comparisons
            .iter()
            .find(|comparison| comparison.method == method && comparison.over == over)
    }

    /// The comparison that a page speaks of first: that of the paper, or else the first of the run.
    pub(crate) fn main_gain(&self) -> Option<&Comparison> {
        self.gain("ra_rlhf", "rlhf")
            .or_else(|| self.comparisons.first().filter(|_| !self.is_evaluation))
    }

    /// The KL at which both of these policies were to be held, if it is one.
    pub(crate) fn common_kl(&self, one: &str, other: &str) -> Option<f64> {
        let of = |key: &str| self.equal_kl.iter().find(|held| held.method == key);
        let (one, other) = (of(one)?, of(other)?);
        (one.target.to_bits() == other.target.to_bits()).then_some(one.target)
    }

    /// What a policy is called.
    pub(crate) fn label(&self, key: &str) -> String {
        label(&self.arms, key)
    }

    /// What the policy is called that KL is measured to.
    pub(crate) fn reference(&self) -> String {
        self.reference.as_deref().map_or_else(|| "the reference".to_owned(), |key| self.label(key))
    }

    /// What the prompts of the tail score at most, if it is their own scores that make the tail.
    pub(crate) fn threshold(&self) -> Option<f64> {
        match self.tail? {
            EvaluatedTail::PromptScores { threshold, .. } => Some(threshold),
            EvaluatedTail::OwnScores { .. } | EvaluatedTail::LowestScores { .. } => None,
        }
    }

    /// What stands over a column.
    pub(crate) fn head(&self, column: &TableColumn) -> String {
        match (column.key, self.tail, self.cvar_share) {
            ("tail", Some(tail), _) => tail.head(),
            ("cvar", _, Some(share)) => format!("CVaR {}", percent(share)),
            ("length", ..) if self.length_unit == LengthUnit::Words => "length (words)".to_owned(),
            _ => column.head.to_owned(),
        }
    }

    /// What the figures of a policy leave out, as far as that was counted.
    pub(crate) fn left_out(&self, policy: &str) -> Vec<String> {
        let Some(figures) = self.methods.get(policy) else { return Vec::new() };
        let Some(rows) = figures.get("rows").and_then(Value::as_u64) else { return Vec::new() };
        let missing = figures.get("missing_responses").and_then(Value::as_u64).unwrap_or_default();
        let texts = (missing > 0).then(|| format!("{missing} of {rows} rows have no text"));
        let scores = [
            ("reward_left_out", "score", "the reward"),
            ("prompt_score_left_out", "score of the prompt", "the tail"),
            ("judge_left_out", "score by the judge", "the judge"),
        ];
        let score = |(key, what, figure): (&str, &str, &str)| {
            let LeftOut { missing, not_finite } = LeftOut::deserialize(figures.get(key)?).ok()?;
            let said = format!(
                "of {rows} rows, {missing} have no {what} and {not_finite} one that is NaN or \
                 infinite"
            );
            (missing + not_finite > 0).then(|| format!("{said}; {figure} leaves them out"))
        };
        texts.into_iter().chain(scores.into_iter().filter_map(score)).collect()
    }

    /// Counts the prompts of the tail that differ: a run counts one as often as it comes, an
    /// evaluation once.
    fn count_tail(&mut self, texts: &Texts) {
        if self.is_evaluation {
            return;
        }
        if let Some(EvaluatedTail::PromptScores { threshold, prompts: Some(prompts), .. }) =
            &mut self.tail
        {
            let counts = texts.count_rows(&texts.tail(*threshold));
            if counts.texts == *prompts {
                *prompts = counts.prompts;
            }
        }
    }

    /// What diverged, and where a reward rises and the judge sees nothing of it.
    fn warnings(&self) -> Vec<String> {
        let named = |key: &str| label(&self.arms, key);
        let begins = |comparison: &Comparison| {
            let arm = self
                .arms
                .iter()
                .find(|arm| arm.key == comparison.method)
                .filter(|_| !self.is_evaluation);
            match arm {
                Some(arm) => arm.from.as_ref() == Some(&comparison.over),
                // a policy of somebody else's began with SFT, if with any of these
                None => comparison.over == "sft",
            }
        };
        let hacked = rises_alone(&self.comparisons, &self.watched, named, begins);
        let older =
            self.is_older.then(|| format!("these are figures of an older version: {OLDER}"));
        self.diverged
            .iter()
            .map(|diverged| format!("No figures of {}", diverged.told(&self.arms)))
            .chain(self.equal_kl.iter().filter_map(|held| held.warning(&named(&held.method))))
            .chain(hacked)
            .chain(older)
            .collect()
    }

    /// Whether there are several seeds.
    pub(crate) fn has_seeds(&self) -> bool {
        self.seeds.len() > 1
    }
}

/// The arms of a run, as far as they are understood; those of the paper where there are none.
fn arms(value: &Value) -> Vec<Arm> {
    let Some(list) = value.as_array() else { return Arm::of_paper() };
    let word = |arm: &Value, key: &str| arm[key].as_str().map(str::to_owned);
    let arm = |arm: &Value| {
        let key = word(arm, "key")?;
        Some(Arm {
            title: word(arm, "title").unwrap_or_else(|| key.clone()),
            from: word(arm, "from"),
            key,
        })
    };
    list.iter().filter_map(arm).collect()
}

impl Run {
    /// Reads the texts of the files.
    ///
    /// # Errors
    /// [`PageError::File`] for a file that is not what its name says.
    pub fn new(files: RunFiles) -> Result<Self, PageError> {
        let RunFiles { name, results, about, config, processes, texts, metrics, tail_prompts } =
            files;
        let not = |file: &'static str| {
            let run = name.clone();
            move |error: &dyn std::fmt::Display| PageError::File {
                run,
                file,
                detail: error.to_string(),
            }
        };
        let mut summary = Summary::read(&results).map_err(|error| not("results.json")(&error))?;
        let about = about
            .map(|text| serde_json::from_str(&text).map_err(|error| not("run.json")(&error)))
            .transpose()?;
        let settings = config.map(|text| {
            toml::from_str::<toml::Table>(&text).map_err(|error| not("config.toml")(&error))
        });
        let settings = settings.transpose()?.map(|table| flat(&table)).unwrap_or_default();
        let processes = processes
            .map(|text| serde_json::from_str(&text).map_err(|error| not("processes.json")(&error)));
        let methods = policies(&summary.arms, summary.methods.keys().map(String::as_str));
        let has_texts_file = texts.is_some();
        let texts = Texts::new(&methods, texts.unwrap_or_default());
        summary.count_tail(&texts);
        if summary.reference.is_none() && !summary.is_evaluation {
            // an older file does not say it, and its settings may
            let recorded =
                settings.get("evaluation.reference").map(|key| key.trim_matches('"').to_owned());
            summary.reference = Some(recorded.unwrap_or_else(Arm::reference_of_paper));
        }
        let few = texts
            .fewest(summary.threshold())
            .and_then(|(prompts, tail)| few_prompts(prompts, tail));
        Ok(Self {
            warnings: few.into_iter().chain(summary.warnings()).collect(),
            has_texts_file,
            texts,
            results: summary,
            methods,
            about,
            settings,
            processes: processes.transpose()?.unwrap_or_default(),
            metrics,
            tail_prompts,
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

    /// Whether the prompts may be offensive: the task is unknown, or one of toxicity, by its name
    /// or by what its settings call bad.
    pub(crate) fn may_offend(&self) -> bool {
        let about = [
            Some(self.results.task.as_str()),
            self.word("data.good"),
            self.setting("data.score_columns"),
        ];
        let dirs = [self.word("reward.dir"), self.word("judge.dir")];
        let words = about.into_iter().chain(dirs).flatten().map(str::to_lowercase);
        self.results.task.is_empty()
            || words.into_iter().any(|word| {
                word == "low" || ["jigsaw", "rtp", "toxic"].iter().any(|sign| word.contains(sign))
            })
    }
}

/// What a run is called in charts and tables: A, B, ..., Z, AA, ...
pub(crate) fn letter(place: usize) -> String {
    let last = char::from(b'A' + u8::try_from(place % 26).unwrap_or_default());
    if place < 26 { last.to_string() } else { letter(place / 26 - 1) + &last.to_string() }
}

/// The values of a table by their dotted keys, in TOML.
fn flat(table: &toml::Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                settings.extend(
                    flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)),
                );
            }
            // a list of tables: those of arms are told apart by their keys
            toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                for (place, inner) in list
                    .iter()
                    .enumerate()
                    .filter_map(|(place, inner)| Some((place, inner.as_table()?)))
                {
                    let name = inner
                        .get("key")
                        .and_then(toml::Value::as_str)
                        .map_or_else(|| place.to_string(), str::to_owned);
                    let of_inner = flat(inner).into_iter().filter(|(rest, _)| rest != "key");
                    settings.extend(
                        of_inner.map(|(rest, value)| (format!("{key}.{name}.{rest}"), value)),
                    );
                }
            }
            value => {
                settings.insert(key.clone(), value.to_string());
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests;
