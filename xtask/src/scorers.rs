//! Models that score texts: made, asked and told of the same way by every command.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_report::ScoreAbout;
use tailguard_reward::{
    Label, RewardError, RewardModel, ScoreSettings, Scored, ScoredText, TruncationSide, chosen_label, longest_text,
};
use tailguard_rollout::{Prompt, score_texts};

use crate::config::{ScorerSection, Side};
use crate::failure::Failure;

/// Prompts that are tried on a scorer before a run begins: the longest ones.
const TRIED: usize = 64;

/// A scorer, and what there is to say of it.
pub(crate) struct Scorer {
    /// `"reward"` or `"judge"`: its section of the settings and its flag.
    name: &'static str,
    pub(crate) model: Box<dyn RewardModel>,
    /// What its score is.
    pub(crate) about: ScoreAbout,
    max_length: usize,
    side: TruncationSide,
}

impl From<Side> for TruncationSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Left => Self::Left,
            Side::Right => Self::Right,
        }
    }
}

/// The settings of a section.
pub(crate) fn settings(section: &ScorerSection) -> ScoreSettings {
    let ScorerSection { negate, max_length, batch_tokens, truncation_side, .. } = *section;
    ScoreSettings { label: label(&section.label), negate, max_length, truncation_side: truncation_side.into(), batch_tokens }
}

/// What a setting or a flag says of a label.
pub(crate) fn label(text: &str) -> Label {
    // any text is a label
    let Ok(label) = text.parse();
    label
}

impl Scorer {
    /// Reads the scorer of a directory.
    ///
    /// # Errors
    /// A directory that holds no scorer, or settings that do not suit it.
    pub(crate) fn load(name: &'static str, dir: &Path, settings: ScoreSettings, device: &Device) -> Result<Self> {
        let dir = ModelDir::open(dir)?;
        let label = chosen_label(&dir, &settings.label).with_context(|| format!("cannot take a label of the {name} model"))?;
        let about = ScoreAbout { label: label.number, name: label.name, negated: settings.negate };
        let (max_length, side) = (settings.max_length, settings.truncation_side);
        let model = tailguard_reward::load(&dir, settings, device).with_context(|| format!("cannot load the {name} model"))?;
        Ok(Self { name, model, about, max_length, side })
    }

    /// The same, reading as much of a text as the model can, whatever the settings say.
    pub(crate) fn load_longest(name: &'static str, dir: &Path, settings: ScoreSettings, device: &Device) -> Result<Self> {
        let longest = longest_text(&ModelDir::open(dir)?)?;
        Self::load(name, dir, ScoreSettings { max_length: longest.unwrap_or(settings.max_length), ..settings }, device)
    }

    /// Scores texts, and warns of those that were cut; `what` they are.
    ///
    /// # Errors
    /// Texts that cannot be scored.
    pub(crate) fn score(&self, texts: &[ScoredText], what: &str) -> Result<Vec<f32>> {
        let Scored { scores, cut } = score_texts(&*self.model, texts).with_context(|| format!("{}: cannot score", self.name))?;
        if let Some(note) = self.cut_note(cut.iter().filter(|cut| **cut).count(), texts.len(), what) {
            tracing::warn!("{note}");
        }
        Ok(scores)
    }

    /// What is to be said where so many texts were cut.
    pub(crate) fn cut_note(&self, cut: usize, texts: usize, what: &str) -> Option<String> {
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
    pub(crate) fn check_prompts<'a>(&self, prompts: impl Iterator<Item = &'a Prompt>) -> Result<()> {
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
                Err(Failure::usage(message).hint(hint).into())
            }
            Err(other) => Err(other.into()),
            Ok(_) => Ok(()),
        }
    }
}
