//! Reading a classifier: the list of architectures, and weights held against what `config.json`
//! says.

use burn::tensor::Device;
use serde::Deserialize;
use tailguard_checkpoint::{ModelDir, WEIGHTS_FILE, Weights};

use crate::architecture::Architecture;
use crate::encoder::Sizes;
use crate::error::RewardError;
use crate::model::SequenceClassifier;
use crate::{bert, distilbert, parameters, roberta};

/// Reads the `config.json` of one architecture.
type Read = fn(&ModelDir) -> Result<Architecture, RewardError>;

/// The architectures that can be loaded, each by its `model_type` in `config.json`.
const KNOWN: &[(&str, Read)] = &[
    // one line each
    (distilbert::MODEL_TYPE, distilbert::read),
    (bert::MODEL_TYPE, bert::read),
    (roberta::MODEL_TYPE, roberta::read),
];

/// Reads `config.json`, whose `model_type` picks the architecture.
pub(crate) fn architecture(dir: &ModelDir) -> Result<Architecture, RewardError> {
    let found = model_type(dir)?;
    let Some((_, read)) = KNOWN.iter().find(|(model_type, _)| *model_type == found) else {
        let expected = KNOWN.iter().map(|&(model_type, _)| model_type).collect();
        return Err(RewardError::Architecture { path: dir.path().to_owned(), found, expected });
    };
    read(dir)
}

/// The `model_type` in `config.json`; empty if there is none.
pub(crate) fn model_type(dir: &ModelDir) -> Result<String, RewardError> {
    #[derive(Deserialize)]
    struct View {
        #[serde(default)]
        model_type: String,
    }
    Ok(dir.config::<View>()?.model_type)
}

impl SequenceClassifier {
    /// Reads `config.json`, whose `model_type` picks the architecture, and `model.safetensors` of a
    /// Hugging Face directory.
    ///
    /// # Errors
    /// An unknown architecture; settings that fit no model; missing, misshapen, unknown or
    /// non-finite tensors, by name.
    pub fn load(dir: &ModelDir, device: &Device) -> Result<Self, RewardError> {
        let architecture = architecture(dir)?;
        let (names, ignored) = (architecture.names.clone(), architecture.ignored);
        let mut weights = dir.weights()?;
        weights.strip_wrappers();
        check_sizes(&architecture, &weights)?;
        let model =
            parameters::load(Self::zeros(architecture, device)?, &mut weights, &names, device)?;
        weights.finish(|name| ignored.iter().any(|beginning| name.starts_with(beginning)))?;
        Ok(model)
    }
}

/// Holds the sizes of a configuration against the weights, before memory is taken for them.
fn check_sizes(architecture: &Architecture, weights: &Weights) -> Result<(), RewardError> {
    let Sizes { vocabulary, positions, layers, width, inner, .. } = architecture.sizes;
    for (path, shape) in [
        ("encoder.word_embeddings.weight", [vocabulary, width]),
        ("encoder.position_embeddings.weight", [positions, width]),
        ("encoder.layers.0.feed_forward.expand.weight", [inner, width]),
        ("pooler.weight", [width, width]),
    ] {
        parameters::expect_shape(weights, &architecture.names, path, &shape)?;
    }
    if let Some(types) = architecture.sizes.token_types {
        parameters::expect_shape(
            weights,
            &architecture.names,
            "encoder.token_type_embeddings.weight",
            &[types, width],
        )?;
    }
    // each has several tensors
    let most = weights.names().count();
    if layers > most {
        let expected = format!("at most {most}, the number of tensors in {WEIGHTS_FILE}");
        return Err(RewardError::Config { key: architecture.keys.layers, found: layers, expected });
    }
    Ok(())
}
