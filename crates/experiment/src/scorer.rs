//! Models that score texts: made, asked and told of the same way by every command.

use std::path::Path;

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_report::ScoreAbout;
use tailguard_reward::{
    Label, RewardError, RewardModel, ScoreSettings, Scored, ScoredText, TruncationSide, chosen_label, longest_text,
};
use tailguard_rollout::{Prompt, score_texts};

use crate::error::{During, ExperimentError};
use crate::settings::ScorerSection;

/// Prompts that are tried on a scorer before a run begins: the longest ones.
const TRIED: usize = 64;

/// A scorer, and what there is to say of it.
pub struct Scorer {
    /// `"reward"` or `"judge"`: its section of the settings and its flag.
    name: &'static str,
    /// The model.
    pub model: Box<dyn RewardModel>,
    /// What its score is; nothing of a model that a program brings.
    pub about: Option<ScoreAbout>,
    max_length: usize,
    side: TruncationSide,
}

/// The settings of a section.
#[must_use]
pub fn score_settings(section: &ScorerSection) -> ScoreSettings {
    let ScorerSection { negate, max_length, batch_tokens, truncation_side, .. } = *section;
    ScoreSettings { label: label(&section.label), negate, max_length, truncation_side: truncation_side.into(), batch_tokens }
}

/// What a setting or a flag says of a label.
#[must_use]
pub fn label(text: &str) -> Label {
    // any text is a label
    let Ok(label) = text.parse();
    label
}

impl Scorer {
    /// Reads the scorer of a directory.
    ///
    /// # Errors
    /// A directory that holds no scorer, or settings that do not suit it.
    pub fn load(name: &'static str, dir: &Path, settings: ScoreSettings, device: &Device) -> Result<Self, ExperimentError> {
        let dir = ModelDir::open(dir)?;
        let label = chosen_label(&dir, &settings.label).during(|| format!("cannot take a label of the {name} model"))?;
        let about = ScoreAbout { label: label.number, name: label.name, negated: settings.negate };
        let (max_length, side) = (settings.max_length, settings.truncation_side);
        let model = tailguard_reward::load(&dir, settings, device).during(|| format!("cannot load the {name} model"))?;
        Ok(Self { name, model, about: Some(about), max_length, side })
    }

    /// A reward model that a program brings.
    pub(crate) fn brought(model: Box<dyn RewardModel>) -> Self {
        Self { name: "reward", model, about: None, max_length: usize::MAX, side: TruncationSide::Left }
    }

    /// Whether a program brings it, and no settings are about it.
    pub(crate) fn is_brought(&self) -> bool {
        self.about.is_none()
    }

    /// The scorer of a directory, reading as much of a text as the model can, whatever the settings say.
    ///
    /// # Errors
    /// As those of [`load`](Self::load).
    pub fn load_longest(
        name: &'static str,
        dir: &Path,
        settings: ScoreSettings,
        device: &Device,
    ) -> Result<Self, ExperimentError> {
        let longest = longest_text(&ModelDir::open(dir)?)?;
        Self::load(name, dir, ScoreSettings { max_length: longest.unwrap_or(settings.max_length), ..settings }, device)
    }

    /// Scores texts, and tells of those that were cut; `what` they are.
    ///
    /// # Errors
    /// Texts that cannot be scored.
    pub fn score(&self, texts: &[ScoredText], what: &str, warn: &mut dyn FnMut(&str)) -> Result<Vec<f32>, ExperimentError> {
        let Scored { scores, cut } = score_texts(&*self.model, texts).during(|| format!("{}: cannot score", self.name))?;
        if let Some(note) = self.cut_note(cut.iter().filter(|cut| **cut).count(), texts.len(), what) {
            warn(&note);
        }
        Ok(scores)
    }

    /// What is to be said where so many texts were cut.
    #[must_use]
    pub fn cut_note(&self, cut: usize, texts: usize, what: &str) -> Option<String> {
        if self.is_brought() {
            return (cut > 0).then(|| format!("{}: {cut} of {texts} {what} were not read whole", self.name));
        }
        let (lost, side) = match self.side {
            TruncationSide::Left => ("beginnings", "left"),
            TruncationSide::Right => ("ends", "right"),
        };
        (cut > 0).then(|| {
            format!(
                "{}: {cut} of {texts} {what} are longer than the {} tokens that are read: their {lost} were cut off (max_length, \
                 truncation_side = {side:?})",
                self.name, self.max_length
            )
        })
    }

    /// Refuses prompts that leave nothing of a response, as far as the longest ones show.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check_prompts<'a>(&self, prompts: impl Iterator<Item = &'a Prompt>) -> Result<(), ExperimentError> {
        if self.side == TruncationSide::Left {
            return Ok(());
        }
        let mut longest: Vec<&Prompt> = prompts.collect();
        longest.sort_by_key(|prompt| std::cmp::Reverse(prompt.text.len()));
        let texts: Vec<ScoredText> = longest.iter().take(TRIED).map(|prompt| ScoredText::new(&prompt.text, " x")).collect();
        match self.model.score_responses(&texts) {
            Err(RewardError::NothingOfResponse { .. }) => {
                let (name, length) = (self.name, self.max_length);
                let message = format!(
                    "{name}.max_length is {length} and {name}.truncation_side is \"right\": of a response behind the longest prompts \
                     nothing is left"
                );
                let hint = format!(
                    "cut the beginning by --set {name}.truncation_side=left, raise {name}.max_length, or shorten data.prompt_tokens"
                );
                Err(ExperimentError::refused(message).with_hint(hint))
            }
            Err(other) => Err(other.into()),
            Ok(_) => Ok(()),
        }
    }
}
