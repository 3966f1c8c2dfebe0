//! The scorer of a directory, of whatever kind it is.

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;

use crate::RewardModel;
use crate::classifier::{Classifier, ScoreSettings};
use crate::error::RewardError;
use crate::label::{ChosenLabel, Label, choose};
use crate::load::{architecture, model_type};
use crate::ngram::{MODEL_TYPE, NgramConfig, NgramModel};

/// Reads any scorer's directory: an [`NgramModel`] where `config.json` has the `model_type`
/// "tailguard-ngram", a [`Classifier`] otherwise.
///
/// # Errors
/// As [`NgramModel::load`] and [`Classifier::load`].
pub fn load(
    dir: &ModelDir,
    settings: ScoreSettings,
    device: &Device,
) -> Result<Box<dyn RewardModel>, RewardError> {
    if model_type(dir)? == MODEL_TYPE {
        Ok(Box::new(NgramModel::load(dir, &settings)?))
    } else {
        Ok(Box::new(Classifier::load(dir, settings, device)?))
    }
}

/// The most tokens of a text, special ones included, that the scorer of a directory reads: what
/// `max_length` may be. `None` for an [`NgramModel`], which reads all of a text.
///
/// # Errors
/// A `config.json` that cannot be read, or is of an unknown architecture.
pub fn longest_text(dir: &ModelDir) -> Result<Option<usize>, RewardError> {
    if model_type(dir)? == MODEL_TYPE {
        return Ok(None);
    }
    Ok(Some(architecture(dir)?.sizes.longest_text()))
}

/// The label whose logit is the score of a directory's scorer.
///
/// # Errors
/// A `config.json` that cannot be read, or is of an unknown architecture; a label that is not
/// there, or that must be named.
pub fn chosen_label(dir: &ModelDir, label: &Label) -> Result<ChosenLabel, RewardError> {
    let labels = if model_type(dir)? == MODEL_TYPE {
        dir.config::<NgramConfig>()?.id2label
    } else {
        architecture(dir)?.labels
    };
    choose(dir.path(), &labels, label)
}
