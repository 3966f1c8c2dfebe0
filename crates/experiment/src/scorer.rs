//! Scorers as the settings want them.

use tailguard_judging::Scorer;
use tailguard_reward::{Label, RewardError, ScoreSettings, ScoredText, TruncationSide};
use tailguard_rollout::Prompt;

use crate::error::ExperimentError;
use crate::settings::ScorerSection;

/// Prompts that are tried on a scorer before a run begins: the longest ones.
const TRIED: usize = 64;

/// The settings of a section.
#[must_use]
pub fn score_settings(section: &ScorerSection) -> ScoreSettings {
    let ScorerSection { negate, max_length, batch_tokens, truncation_side, .. } = *section;
    ScoreSettings {
        label: label(&section.label),
        negate,
        max_length,
        truncation_side: truncation_side.into(),
        batch_tokens,
    }
}

/// What a setting or a flag says of a label.
#[must_use]
pub fn label(text: &str) -> Label {
    // any text is a label
    let Ok(label) = text.parse();
    label
}

/// Refuses prompts that leave nothing of a response for a scorer to read, as far as the longest
/// ones show.
///
/// # Errors
/// Names the setting.
pub(crate) fn check_prompts<'a>(
    scorer: &Scorer,
    prompts: impl Iterator<Item = &'a Prompt>,
) -> Result<(), ExperimentError> {
    if scorer.side == TruncationSide::Left {
        return Ok(());
    }
    let mut longest: Vec<&Prompt> = prompts.collect();
    longest.sort_by_key(|prompt| std::cmp::Reverse(prompt.text.len()));
    let texts: Vec<ScoredText> =
        longest.iter().take(TRIED).map(|prompt| ScoredText::new(&prompt.text, " x")).collect();
    match scorer.model.score_responses(&texts) {
        Err(RewardError::NothingOfResponse { .. }) => {
            let (name, length) = (scorer.name, scorer.max_length);
            let message = format!(
                "{name}.max_length is {length} and {name}.truncation_side is \"right\": of a \
                 response behind the longest prompts nothing is left"
            );
            let hint = format!(
                "cut the beginning by --set {name}.truncation_side=left, raise {name}.max_length, \
                 or shorten data.prompt_tokens"
            );
            Err(ExperimentError::refused(message).with_hint(hint))
        }
        Err(other) => Err(other.into()),
        Ok(_) => Ok(()),
    }
}
