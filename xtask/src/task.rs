//! The experiments of the paper as data: a task is an entry of [`TASKS`] and the two files of settings that it names. No trainer,
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
    /// What makes the preset `embedded` this task's: data, models, lengths, thresholds.
    embedded: &'static str,
    /// Likewise of the preset `paper`.
    paper: &'static str,
}

/// All of them. To add one, write its settings and name them here.
pub(crate) const TASKS: &[Task] = &[
    Task {
        name: "imdb",
        about: "Continue movie reviews, positively",
        embedded: include_str!("../presets/imdb-embedded.toml"),
        paper: include_str!("../presets/imdb-paper.toml"),
    },
    Task {
        name: "jigsaw",
        about: "Continue comments, without toxicity",
        embedded: include_str!("../presets/jigsaw-embedded.toml"),
        paper: include_str!("../presets/jigsaw-paper.toml"),
    },
    Task {
        name: "rtp",
        about: "Continue RealToxicityPrompts, without toxicity",
        embedded: include_str!("../presets/rtp-embedded.toml"),
        paper: include_str!("../presets/rtp-paper.toml"),
    },
];

/// What the preset `embedded` is whatever the task.
const EMBEDDED: &str = include_str!("../presets/embedded.toml");
/// What the preset `paper` is whatever the task.
const PAPER: &str = include_str!("../presets/paper.toml");
/// What makes a run of any task small: settings that go over those of its preset `embedded`.
const SMOKE: &str = include_str!("../presets/smoke.toml");

impl Task {
    /// The task of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TASKS.iter().find(|task| task.name == name)
    }

    /// The settings of a preset, as layers of TOML: name and text, the later over the earlier.
    pub(crate) fn preset(&self, name: PresetName) -> Vec<(String, &'static str)> {
        let of_task = |preset: &str| format!("preset {}-{preset}", self.name);
        let layer = |name: &str, text| (format!("preset {name}"), text);
        match name {
            PresetName::Embedded => vec![layer("embedded", EMBEDDED), (of_task("embedded"), self.embedded)],
            PresetName::Smoke => [self.preset(PresetName::Embedded), vec![layer("smoke", SMOKE)]].concat(),
            PresetName::Paper => vec![layer("paper", PAPER), (of_task("paper"), self.paper)],
        }
    }
}

/// Reads a task from the command line.
pub(crate) fn parser() -> impl TypedValueParser<Value = &'static Task> {
    let values = TASKS.iter().map(|task| PossibleValue::new(task.name).help(task.about));
    PossibleValuesParser::new(values).try_map(|name| Task::named(&name).ok_or("not a task"))
}
