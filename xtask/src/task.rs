//! The experiments of the paper as data: a task is a line of [`TASKS`] and the two files of settings that it names. No trainer,
//! rollout or metric knows which task it runs.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::args::PresetName;

/// An experiment that `cargo xtask reproduce` knows by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// As it is typed, and as the run directory and the results name it.
    pub(crate) name: &'static str,
    /// What the help says of it.
    about: &'static str,
    /// The preset `embedded`: every setting, data and models included.
    embedded: &'static str,
    /// The preset `paper`: every setting.
    paper: &'static str,
}

/// All of them. To add one, write its presets and name them here.
pub(crate) const TASKS: &[Task] = &[Task {
    name: "imdb",
    about: "Continue movie reviews, positively",
    embedded: include_str!("../presets/imdb-embedded.toml"),
    paper: include_str!("../presets/imdb-paper.toml"),
}];

/// What makes a run of any task small: settings that go over those of its preset `embedded`.
const SMOKE: &str = include_str!("../presets/smoke.toml");

impl Task {
    /// The task of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TASKS.iter().find(|task| task.name == name)
    }

    /// The settings of a preset, as layers of TOML: name and text, the later over the earlier.
    pub(crate) fn preset(&self, name: PresetName) -> Vec<(String, &'static str)> {
        let embedded = || (format!("preset {}-embedded", self.name), self.embedded);
        match name {
            PresetName::Embedded => vec![embedded()],
            PresetName::Smoke => vec![embedded(), ("preset smoke".to_owned(), SMOKE)],
            PresetName::Paper => vec![(format!("preset {}-paper", self.name), self.paper)],
        }
    }
}

/// Reads a task from the command line.
pub(crate) fn parser() -> impl TypedValueParser<Value = &'static Task> {
    let values = TASKS.iter().map(|task| PossibleValue::new(task.name).help(task.about));
    PossibleValuesParser::new(values).try_map(|name| Task::named(&name).ok_or("not a task"))
}
