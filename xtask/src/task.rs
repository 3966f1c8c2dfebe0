//! The experiments of the paper as data. The one place that spells the name of a task.

use clap::ValueEnum;

use crate::args::PresetName;

/// An experiment of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Continue movie reviews, positively
    Imdb,
}

impl Task {
    /// As it is typed, and as the run directory and the results name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imdb => "imdb",
        }
    }

    /// The text of a preset.
    pub(crate) fn preset(self, name: PresetName) -> &'static str {
        match (self, name) {
            (Self::Imdb, PresetName::Embedded) => include_str!("../presets/imdb-embedded.toml"),
            (Self::Imdb, PresetName::Smoke) => include_str!("../presets/imdb-smoke.toml"),
            (Self::Imdb, PresetName::Paper) => include_str!("../presets/imdb-paper.toml"),
        }
    }
}
