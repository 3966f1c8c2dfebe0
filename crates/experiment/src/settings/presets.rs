//! The experiments of the paper as data: a task is an entry of [`TASKS`] and the two files of
//! settings that it names. No trainer, rollout or metric knows which task it runs.

/// An experiment that is known by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// As it is typed, and as the run directory and the results name it.
    pub name: &'static str,
    /// What it is about, in a line.
    pub about: &'static str,
    /// What makes the preset `embedded` this task's: data, models, lengths, thresholds.
    embedded: &'static str,
    /// Likewise of the preset `paper`.
    paper: &'static str,
}

/// All of them. To add one, write its settings and name them here.
pub const TASKS: &[Task] = &[
    Task {
        name: "imdb",
        about: "Continue movie reviews, positively",
        embedded: include_str!("../../presets/imdb-embedded.toml"),
        paper: include_str!("../../presets/imdb-paper.toml"),
    },
    Task {
        name: "jigsaw",
        about: "Continue comments, without toxicity",
        embedded: include_str!("../../presets/jigsaw-embedded.toml"),
        paper: include_str!("../../presets/jigsaw-paper.toml"),
    },
    Task {
        name: "rtp",
        about: "Continue RealToxicityPrompts, without toxicity",
        embedded: include_str!("../../presets/rtp-embedded.toml"),
        paper: include_str!("../../presets/rtp-paper.toml"),
    },
];

/// What all tasks and presets begin with: the policies of the paper, and what there is beside them.
pub(super) const SHARED: [(&str, &str); 2] = [
    ("preset arms", include_str!("../../presets/arms.toml")),
    ("preset baselines", include_str!("../../presets/baselines.toml")),
];
/// What the preset `embedded` is whatever the task.
const EMBEDDED: &str = include_str!("../../presets/embedded.toml");
/// What the preset `paper` is whatever the task.
const PAPER: &str = include_str!("../../presets/paper.toml");
/// What makes a run of any task small: settings that go over those of its preset `embedded`.
const SMOKE: &str = include_str!("../../presets/smoke.toml");

/// Settings to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The models and texts that come with the program: no network, no GPU, some minutes.
    Embedded,
    /// A run of seconds that shows that everything works; its figures mean nothing.
    Smoke,
    /// The paper's models, data and settings; wants a GPU.
    Paper,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Smoke, Self::Paper];

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Smoke => "smoke",
            Self::Paper => "paper",
        }
    }
}

impl Task {
    /// The task of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TASKS.iter().find(|task| task.name == name)
    }

    /// The settings of a preset, as layers of TOML: name and text, the later over the earlier.
    #[must_use]
    pub fn preset(&self, preset: Preset) -> Vec<(String, &'static str)> {
        let layer = |name: &str, text| (format!("preset {name}"), text);
        let of_all = |name: &str, shared, own| {
            let mut layers = SHARED.map(|(origin, text)| (origin.to_owned(), text)).to_vec();
            layers.extend([layer(name, shared), layer(&format!("{}-{name}", self.name), own)]);
            layers
        };
        match preset {
            Preset::Embedded => of_all("embedded", EMBEDDED, self.embedded),
            Preset::Smoke => [self.preset(Preset::Embedded), vec![layer("smoke", SMOKE)]].concat(),
            Preset::Paper => of_all("paper", PAPER, self.paper),
        }
    }
}
