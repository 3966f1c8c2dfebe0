//! RoBERTa for sequence classification (Liu et al. 2019, arXiv 1907.11692), in Hugging Face's
//! layout: BERT with positions that begin behind the padding token's id, and a head of its own in
//! place of the pooler.

use burn::tensor::Device;
use serde::Deserialize;
use tailguard_checkpoint::ModelDir;

use crate::architecture::{Architecture, labels};
use crate::bert::BertConfig;
use crate::encoder::{Numbering, Sizes};
use crate::error::RewardError;
use crate::model::SequenceClassifier;
use crate::parameters::Rename;

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "roberta";

/// From BERT's names to RoBERTa's.
const NAMES: &[Rename] = &[
    ("classifier.", "classifier.out_proj."),
    ("bert.pooler.", "classifier."),
    ("bert.", "roberta."),
];

/// What `config.json` says: BERT's settings. What it leaves out is as in transformers'
/// `RobertaConfig`.
///
/// Texts have at most `max_position_embeddings - pad_token_id - 1` tokens: 512 of the usual 514.
#[derive(Debug, Clone, PartialEq)]
pub struct RobertaConfig(pub BertConfig);

/// The settings whose defaults are not BERT's.
#[derive(Deserialize)]
#[serde(default)]
struct OwnDefaults {
    vocab_size: usize,
    pad_token_id: u32,
}

impl Default for OwnDefaults {
    fn default() -> Self {
        Self { vocab_size: 50_265, pad_token_id: 1 }
    }
}

impl Default for RobertaConfig {
    fn default() -> Self {
        let OwnDefaults { vocab_size, pad_token_id } = OwnDefaults::default();
        Self(BertConfig { vocab_size, pad_token_id, ..BertConfig::default() })
    }
}

impl RobertaConfig {
    /// A model with random weights, the same for the same seed: normal with standard deviation
    /// 0.02, biases 0.
    ///
    /// # Errors
    /// Settings that fit no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<SequenceClassifier, RewardError> {
        SequenceClassifier::random(self.architecture(), seed, device)
    }

    fn architecture(&self) -> Architecture {
        let bert = self.0.architecture();
        Architecture {
            model_type: MODEL_TYPE,
            class: "RobertaForSequenceClassification",
            sizes: Sizes { numbering: Numbering::AfterPadding(self.0.pad_token_id), ..bert.sizes },
            names: [&bert.names, NAMES].concat(),
            // Older versions of transformers stored the position numbers, and a pooler that nothing
            // uses; the head of pre-training may still be there.
            ignored: &["roberta.embeddings.position_ids", "roberta.pooler.", "lm_head."],
            ..bert
        }
    }
}

/// Reads `config.json`.
pub(crate) fn read(dir: &ModelDir) -> Result<Architecture, RewardError> {
    let OwnDefaults { vocab_size, pad_token_id } = dir.config()?;
    let bert = BertConfig { vocab_size, pad_token_id, id2label: labels(dir)?, ..dir.config()? };
    Ok(RobertaConfig(bert).architecture())
}
