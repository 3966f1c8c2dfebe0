//! Several runs side by side: whether they may stand there, and their table as plain text.

use std::collections::BTreeSet;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use tailguard_report::{EvaluatedTail, LengthUnit, TableColumn, cell, percent, table_columns};

use crate::charts::plain;
use crate::clean;
use crate::error::PageError;
use crate::gains::Gains;
use crate::policies::Policy;
use crate::run::{OLDER, Run, letter};
use crate::summary::enumerate;
use crate::texts::Prompt;

/// How far scores of the same prompt by the same model may lie apart: other batches and other
/// machines round otherwise.
const ROUNDING: f64 = 1e-3;

/// Runs that may be compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub(crate) runs: Vec<Run>,
    /// In what the prompts differ, if that was allowed.
    pub(crate) differences: Vec<String>,
    /// Of each run but the first.
    pub(crate) gains: Vec<Gains>,
}

impl Comparison {
    /// Puts runs side by side.
    ///
    /// # Errors
    /// [`PageError::TooFew`] for fewer than two; [`PageError::DifferentPrompts`] for runs that were
    /// evaluated on other prompts, by another reward model or with another tail, unless
    /// `allow_different_prompts`; [`PageError::Metrics`] for texts whose numbers are none.
    pub fn new(runs: Vec<Run>, allow_different_prompts: bool) -> Result<Self, PageError> {
        let (first, others) = match runs.as_slice() {
            [first, others @ ..] if !others.is_empty() => (first, others),
            few => return Err(PageError::TooFew { found: few.len() }),
        };
        let differences: Vec<String> =
            others.iter().flat_map(|other| differences(first, other)).collect();
        if !differences.is_empty() && !allow_different_prompts {
            return Err(PageError::DifferentPrompts { differences });
        }
        let gains = (1..)
            .zip(others)
            .map(|(place, other)| Gains::new(place, other, first))
            .collect::<Result<_, _>>()?;
        Ok(Self { runs, differences, gains })
    }

    /// Which runs there are, what sets them apart, their figures, and what each gains over the
    /// first, as text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (place, run) in self.runs.iter().enumerate() {
            let apart: Vec<String> = self
                .settings_apart()
                .iter()
                .map(|key| format!("{key} = {}", setting(run, key)))
                .collect();
            let apart =
                if apart.is_empty() { String::new() } else { format!(" ({})", apart.join(", ")) };
            text +=
                &format!("{}: {}{}\n", letter(place), clean::line(&run.name), clean::line(&apart));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let columns = self.columns();
        let heads = columns.iter().map(|column| right(self.head(column)));
        table.set_header([Cell::new("run"), Cell::new("")].into_iter().chain(heads));
        for (place, run, policy) in self.rows() {
            let figure = |column: &TableColumn| run.results.figure(&policy.key, column.key);
            let cells = columns.iter().map(|column| {
                let text = figure(column).map(|figure| cell(figure, column.digits));
                right(text.unwrap_or_else(|| "-".to_owned()))
            });
            table.add_row(
                [Cell::new(letter(place)), Cell::new(&policy.label)].into_iter().chain(cells),
            );
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        text += &format!("\n{}\n\n", lines.join("\n"));
        for sentence in self.gains.iter().flat_map(|gains| gains.sentences(str::to_owned)) {
            text += &format!("{sentence}\n");
        }
        for note in self.older().chain(self.references()) {
            text += &format!("{note}\n");
        }
        for difference in &self.differences {
            text += &format!("\nnot on the same prompts: {difference}");
        }
        if self.differences.is_empty() { text } else { text + "\n" }
    }

    /// What [`table`](Self::table) says, for programs: the runs with what sets them apart and the
    /// figures of their policies, by the keys of `results.json`; the gains over the first run as
    /// sentences.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let figures = |run: &Run, policy: &Policy| -> Map<String, Value> {
            let figure = |column: &TableColumn| {
                Some((column.key.to_owned(), json!(run.results.figure(&policy.key, column.key)?)))
            };
            self.columns().iter().filter_map(figure).collect()
        };
        let run = |(place, run): (usize, &Run)| {
            let apart: Map<String, Value> = self
                .settings_apart()
                .into_iter()
                .map(|key| (key.to_owned(), json!(setting(run, key))))
                .collect();
            let policies: Vec<Value> = (run.methods.iter())
                .map(|policy| {
                    let figures = figures(run, policy);
                    json!({ "key": policy.key, "title": policy.label, "figures": figures })
                })
                .collect();
            json!({
                "letter": letter(place),
                "run": run.name,
                "settings_apart": apart,
                "policies": policies,
            })
        };
        let gains = self.gains.iter().flat_map(|gains| gains.sentences(str::to_owned));
        json!({
            "runs": self.runs.iter().enumerate().map(run).collect::<Vec<_>>(),
            "gains": gains.collect::<Vec<_>>(),
            "notes": self.older().collect::<Vec<_>>(),
            "differences": self.differences,
        })
    }

    /// Says of which runs the intervals are those of older versions.
    pub(crate) fn older(&self) -> impl Iterator<Item = String> {
        let older = self.runs.iter().enumerate().filter(|(_, run)| run.results.is_older);
        older.map(|(place, _)| format!("Run {} is of an older version: {OLDER}.", letter(place)))
    }

    /// Says what KL is measured to, where that is not the same in all runs that have it.
    pub(crate) fn references(&self) -> Option<String> {
        let with =
            self.runs.iter().enumerate().filter(|(_, run)| run.results.keys().contains("kl"));
        let named: Vec<(usize, String)> =
            with.map(|(place, run)| (place, run.results.reference())).collect();
        let differ = named.iter().any(|(_, reference)| *reference != named[0].1);
        let each: Vec<String> = named
            .iter()
            .map(|(place, name)| format!("to {name} in run {}", letter(*place)))
            .collect();
        differ.then(|| {
            format!("KL is measured {}: it is not compared where that differs.", enumerate(&each))
        })
    }

    /// A row for every policy of every run.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &Run, &Policy)> {
        let runs = self.runs.iter().enumerate();
        runs.flat_map(|(place, run)| run.methods.iter().map(move |policy| (place, run, policy)))
    }

    /// The columns of the first table of a run for which there is a figure.
    pub(crate) fn columns(&self) -> Vec<TableColumn> {
        let [mut columns, ..] = table_columns();
        columns.retain(|column| {
            self.rows()
                .any(|(_, run, policy)| run.results.figure(&policy.key, column.key).is_some())
        });
        columns
    }

    /// What stands over a column.
    pub(crate) fn head(&self, column: &TableColumn) -> String {
        let with = self.runs.iter().filter(|run| run.results.keys().contains(column.key));
        let heads: BTreeSet<String> = with.map(|run| run.results.head(column)).collect();
        if heads.len() == 1 { heads.into_iter().collect() } else { column.head.to_owned() }
    }

    /// Settings that are not the same in all runs that have settings.
    pub(crate) fn settings_apart(&self) -> Vec<&str> {
        let keys: BTreeSet<&str> =
            self.runs.iter().flat_map(|run| run.settings.keys().map(String::as_str)).collect();
        let with: Vec<&Run> = self.runs.iter().filter(|run| !run.settings.is_empty()).collect();
        // a run of an earlier version has the arms of the paper, and does not say so
        let is_of_arms = |key: &str| {
            key.starts_with("arm.") || ["run.arms", "evaluation.reference"].contains(&key)
        };
        let unsaid =
            |run: &Run, key: &str| is_of_arms(key) && run.setting("evaluation.reference").is_none();
        let apart = |key: &&str| {
            let said: Vec<&&Run> = with.iter().filter(|run| !unsaid(run, key)).collect();
            said.iter().any(|run| run.setting(key) != said[0].setting(key))
        };
        keys.into_iter().filter(apart).collect()
    }
}

/// A setting as it is shown.
pub(crate) fn setting<'a>(run: &'a Run, key: &str) -> &'a str {
    run.setting(key).unwrap_or("not recorded")
}

/// In what the prompts of two runs, or what scores them, differ.
fn differences(one: &Run, other: &Run) -> Vec<String> {
    let names = |run: &Run| clean::line(&run.name);
    let (here, there) = (names(one), names(other));
    let mut found = Vec::new();
    let mut differ = |what: &str, left: String, right: String| {
        if left != right {
            let [left, right] = [left, right]
                .map(|value| if value.is_empty() { "unknown".to_owned() } else { value });
            found.push(format!("{what} is {left} in {here} and {right} in {there}"));
        }
    };
    differ("the split", one.results.split.clone(), other.results.split.clone());
    let tail = |run: &Run| match run.results.tail {
        None => "none".to_owned(),
        Some(EvaluatedTail::PromptScores { threshold, share: None, .. }) => {
            format!("≤ {threshold}")
        }
        // a quantile, which other rounding moves
        Some(EvaluatedTail::PromptScores { threshold, .. }) => format!("≤ {}", plain(threshold, 3)),
        Some(by_rewards) => format!("by rewards ({})", by_rewards.head()),
    };
    differ("the tail", tail(one), tail(other));
    if let (Some(left), Some(right)) = (one.results.cvar_share, other.results.cvar_share) {
        differ("the share of CVaR", percent(left), percent(right));
    }
    let unit = |run: &Run| match run.results.length_unit {
        LengthUnit::Words => "words".to_owned(),
        LengthUnit::Tokens => "tokens".to_owned(),
    };
    differ("the unit of length", unit(one), unit(other));
    let digest = |run: &Run, input: &str| {
        run.about.as_ref().and_then(|about| about.inputs.get(input)).cloned()
    };
    let short = |digest: String| format!("{digest:.12}");
    let mut known = 0;
    for input in ["evaluation texts", "reward model"] {
        if let (Some(left), Some(right)) = (digest(one, input), digest(other, input)) {
            known += 1;
            differ(&format!("the digest of the {input}"), short(left), short(right));
        }
    }
    let (prompts, others) = (one.texts.prompts(), other.texts.prompts());
    let has_no_prompts = prompts.is_empty() || others.is_empty();
    if known < 2 && has_no_prompts {
        // its name is but that of a file of settings, where the inputs themselves can be compared
        differ("the task", one.results.task.clone(), other.results.task.clone());
    }
    if known == 0 {
        // the same texts may lie in several places, so that this counts only where nothing better
        // is known
        differ("the source of the data", one.results.data.clone(), other.results.data.clone());
    }
    if has_no_prompts {
        let size = |run: &Run| match run.results.tail {
            Some(EvaluatedTail::PromptScores { prompts: Some(prompts), .. }) => {
                format!("{prompts} prompts")
            }
            _ => "unknown".to_owned(),
        };
        differ("the size of the tail", size(one), size(other));
    } else {
        // how often each was continued makes them no other prompts
        differ("the number of prompts", prompts.len().to_string(), others.len().to_string());
        if prompts.len() == others.len()
            && let Some(difference) = first_other_prompt(prompts, others)
        {
            found.push(format!("{difference} in {here} and {there}"));
        }
    }
    found
}

/// What is not the same among as many prompts, whatever their order.
fn first_other_prompt<'a>(mut left: Vec<&'a Prompt>, mut right: Vec<&'a Prompt>) -> Option<String> {
    let score = |prompt: &Prompt| prompt.score.unwrap_or_default();
    for prompts in [&mut left, &mut right] {
        prompts.sort_by(|one, other| {
            one.text.cmp(&other.text).then(score(one).total_cmp(&score(other)))
        });
    }
    let texts = left.iter().zip(&right).filter(|(left, right)| left.text != right.text).count();
    if texts > 0 {
        return Some("prompts are not the same".to_owned());
    }
    let scores = left
        .iter()
        .zip(&right)
        .filter(|(left, right)| (score(left) - score(right)).abs() > ROUNDING)
        .count();
    (scores > 0).then(|| {
        format!(
            "{scores} prompts have other scores of their own, so another model has scored them,"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files, run};

    #[test]
    fn runs_on_the_same_prompts_are_compared() {
        let mut second = files(Kind::Loss);
        second.name = "runs/imdb-2".into();
        second.config = second.config.map(|config| config.replace("0.4", "0.2"));
        // the order in which the texts were written says nothing
        second.texts.as_mut().unwrap().reverse();
        let comparison =
            Comparison::new(vec![run(Kind::Gain), Run::new(second).unwrap()], false).unwrap();
        assert_eq!(comparison.settings_apart(), ["risk.alpha"]);
        let text = comparison.table();
        assert!(
            text.starts_with(
                "A: runs/imdb-1 (risk.alpha = 0.4)\nB: runs/imdb-2 (risk.alpha = 0.2)\n\n"
            ),
            "{text}"
        );
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("RA-RLHF")).collect();
        assert!(
            rows[0].trim_start().starts_with('A') && rows[0].contains("2.00 [1.75, 2.25]"),
            "{text}"
        );
        assert!(
            rows[1].trim_start().starts_with('B') && rows[1].contains("0.00 [-0.25, 0.25]"),
            "{text}"
        );
        assert!(text.contains("tail ≤ -2.5 (20 prompts)"), "{text}");
    }

    #[test]
    fn a_run_of_an_older_version_is_told() {
        let mut older = files(Kind::Seeds);
        older.results = older.results.replace("\"se\"", "\"std\"");
        let comparison =
            Comparison::new(vec![run(Kind::Seeds), Run::new(older).unwrap()], false).unwrap();
        let text = comparison.table();
        assert!(
            text.contains("Run B is of an older version: its intervals are over seeds alone"),
            "{text}"
        );
        assert!(!text.contains("Run A is of"), "{text}");
    }

    #[test]
    fn runs_whose_kl_is_to_different_policies_are_told() {
        let table = |config: &str| {
            let mut other = files(Kind::Loss);
            other.config = other.config.map(|text| text + config);
            Comparison::new(vec![run(Kind::Gain), Run::new(other).unwrap()], false).unwrap().table()
        };
        let said = "KL is measured to SFT in run A and to GPT-2 in run B: it is not compared \
            where that differs.";
        let text = table("[evaluation]\nreference = \"gpt2\"\n");
        assert!(text.contains(said) && !table("").contains("KL is measured"), "{text}");
    }

    /// What is said, and the change to a run that makes it so.
    type Change<'a> = (&'a str, &'a dyn Fn(&mut crate::RunFiles));

    #[test]
    fn runs_on_other_prompts_are_refused_unless_that_is_allowed() {
        let changes: [Change<'_>; 8] =
            [
                ("the tail is ≤ -2.5", &|files| {
                    files.results = files.results.replace("-2.5", "-2.0")
                }),
                (
                    "the tail is ≤ -2.5 in runs/imdb-1 and by rewards (tail: rewards ≤ -2.5)",
                    &|files| {
                        files.results = files.results.replace(
                            "\"prompts\":20,\"threshold\"",
                            "\"by\":\"own_scores\",\"threshold\"",
                        );
                    },
                ),
                ("the unit of length is tokens", &|files| {
                    files.results = files.results.replacen('{', "{\"length_unit\":\"words\",", 1);
                }),
                ("the task is imdb", &|files| {
                    files.results = files.results.replace("\"imdb\"", "\"rtp\"");
                    (files.about, files.texts) = (None, None);
                }),
                ("digest of the evaluation texts", &|files| {
                    files.about = files.about.take().map(|text| text.replace("\"0a\"", "\"1a\""))
                }),
                ("digest of the reward model", &|files| {
                    files.about = files.about.take().map(|text| text.replace("\"0b\"", "\"1b\""))
                }),
                ("prompts are not the same", &|files| {
                    files
                        .texts
                        .iter_mut()
                        .flatten()
                        .filter(|row| row.prompt.starts_with("Prompt 3,"))
                        .for_each(|row| row.prompt.push('!'));
                }),
                ("another model has scored", &|files| {
                    files.texts.iter_mut().flatten().for_each(|row| {
                        row.prompt_score = row.prompt_score.map(|score| score + 0.5)
                    })
                }),
            ];
        for (said, change) in changes {
            let mut other = files(Kind::Loss);
            change(&mut other);
            let runs = vec![run(Kind::Gain), Run::new(other).unwrap()];
            let message = Comparison::new(runs.clone(), false).unwrap_err().to_string();
            assert!(message.contains(said), "{said}: {message}");
            let text = Comparison::new(runs, true).unwrap().table();
            assert!(text.contains("not on the same prompts: ") && text.contains(said), "{text}");
        }
    }

    #[test]
    fn another_name_of_the_task_makes_no_other_prompts() {
        let with = |change: &dyn Fn(&mut crate::RunFiles)| {
            let mut other = files(Kind::Loss);
            other.results = other.results.replace("\"imdb\"", "\"alpha-low\"");
            change(&mut other);
            Comparison::new(vec![run(Kind::Gain), Run::new(other).unwrap()], false)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(with(&|_| {}), Ok(()));
        assert_eq!(with(&|files| files.about = None), Ok(()), "the prompts are the same");
        assert_eq!(with(&|files| files.texts = None), Ok(()), "the digests are the same");
    }

    #[test]
    fn one_run_is_no_comparison() {
        assert!(matches!(
            Comparison::new(vec![run(Kind::Gain)], true),
            Err(PageError::TooFew { found: 1 })
        ));
    }
}
