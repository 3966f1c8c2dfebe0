//! Models that score texts: made, asked and told of the same way by every command.

use std::path::Path;

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_report::ScoreAbout;
use tailguard_reward::{
    RewardModel, ScoreSettings, Scored, ScoredText, TruncationSide, chosen_label, longest_text,
    score_texts,
};

use crate::error::JudgingError;

/// A scorer, and what there is to say of it.
pub struct Scorer {
    /// `"reward"` or `"judge"`: its section of the settings and its flag.
    pub name: &'static str,
    /// The model.
    pub model: Box<dyn RewardModel>,
    /// What its score is; nothing of a model that a program brings.
    pub about: Option<ScoreAbout>,
    /// The most tokens of a text that it reads.
    pub max_length: usize,
    /// Where it cuts longer ones.
    pub side: TruncationSide,
}

impl Scorer {
    /// Reads the scorer of a directory.
    ///
    /// # Errors
    /// A directory that holds no scorer, or settings that do not suit it.
    pub fn load(
        name: &'static str,
        dir: &Path,
        settings: ScoreSettings,
        device: &Device,
    ) -> Result<Self, JudgingError> {
        let dir = ModelDir::open(dir)?;
        let wrong =
            |action: &str| JudgingError::scorer(format!("cannot {action} the {name} model"));
        let label = chosen_label(&dir, &settings.label).map_err(wrong("take a label of"))?;
        let about = ScoreAbout { label: label.number, name: label.name, negated: settings.negate };
        let (max_length, side) = (settings.max_length, settings.truncation_side);
        let model = tailguard_reward::load(&dir, settings, device).map_err(wrong("load"))?;
        Ok(Self { name, model, about: Some(about), max_length, side })
    }

    /// The scorer of a directory, reading as much of a text as the model can, whatever the settings
    /// say.
    ///
    /// # Errors
    /// As those of [`load`](Self::load).
    pub fn load_longest(
        name: &'static str,
        dir: &Path,
        settings: ScoreSettings,
        device: &Device,
    ) -> Result<Self, JudgingError> {
        let longest = longest_text(&ModelDir::open(dir)?)?;
        Self::load(
            name,
            dir,
            ScoreSettings { max_length: longest.unwrap_or(settings.max_length), ..settings },
            device,
        )
    }

    /// A model that a program brings.
    ///
    /// ```
    /// use tailguard_judging::{Scorer, Scorers};
    ///
    /// let short = tailguard_reward::from_fn(|_prompt: &str, response: &str| {
    ///     Ok(-(response.len() as f32))
    /// });
    /// let reward = Scorer::brought("reward", Box::new(short));
    /// let scorers = Scorers { reward: Some(reward), judge: None };
    /// # assert!(scorers.reward.unwrap().is_brought());
    /// ```
    #[must_use]
    pub fn brought(name: &'static str, model: Box<dyn RewardModel>) -> Self {
        Self { name, model, about: None, max_length: usize::MAX, side: TruncationSide::Left }
    }

    /// Whether a program brings it, and no settings are about it.
    #[must_use]
    pub fn is_brought(&self) -> bool {
        self.about.is_none()
    }

    /// Scores texts, and tells of those that were cut; `what` they are.
    ///
    /// # Errors
    /// Texts that cannot be scored.
    pub fn score(
        &self,
        texts: &[ScoredText],
        what: &str,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Vec<f32>, JudgingError> {
        let failed = JudgingError::scorer(format!("{}: cannot score", self.name));
        let Scored { scores, cut } = score_texts(&*self.model, texts).map_err(failed)?;
        if let Some(note) = self.cut_note(cut.iter().filter(|cut| **cut).count(), texts.len(), what)
        {
            warn(&note);
        }
        Ok(scores)
    }

    /// What is to be said where so many texts were cut.
    #[must_use]
    pub fn cut_note(&self, cut: usize, texts: usize, what: &str) -> Option<String> {
        if self.is_brought() {
            return (cut > 0)
                .then(|| format!("{}: {cut} of {texts} {what} were not read whole", self.name));
        }
        let (lost, side) = match self.side {
            TruncationSide::Left => ("beginnings", "left"),
            TruncationSide::Right => ("ends", "right"),
        };
        (cut > 0).then(|| {
            format!(
                "{}: {cut} of {texts} {what} are longer than the {} tokens that are read: their \
                 {lost} were cut off (max_length, truncation_side = {side:?})",
                self.name, self.max_length
            )
        })
    }
}
