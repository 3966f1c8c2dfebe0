//! BERT for sequence classification (Devlin et al. 2018, arXiv 1810.04805), in Hugging Face's
//! layout.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tailguard_checkpoint::ModelDir;

use crate::architecture::{Architecture, Keys, labels, numbered_labels};
use crate::encoder::{Activation, Numbering, Sizes};
use crate::error::RewardError;
use crate::model::SequenceClassifier;
use crate::parameters::Rename;

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "bert";

const NAMES: &[Rename] = &[
    ("encoder.word_embeddings.", "bert.embeddings.word_embeddings."),
    ("encoder.position_embeddings.", "bert.embeddings.position_embeddings."),
    ("encoder.token_type_embeddings.", "bert.embeddings.token_type_embeddings."),
    ("encoder.embedding_norm.", "bert.embeddings.LayerNorm."),
    ("encoder.layers.", "bert.encoder.layer."),
    (".attention.query.", ".attention.self.query."),
    (".attention.key.", ".attention.self.key."),
    (".attention.value.", ".attention.self.value."),
    (".attention.output.", ".attention.output.dense."),
    (".attention_norm.", ".attention.output.LayerNorm."),
    (".feed_forward.expand.", ".intermediate.dense."),
    (".feed_forward.contract.", ".output.dense."),
    (".output_norm.", ".output.LayerNorm."),
    ("pooler.", "bert.pooler.dense."),
];

/// What `config.json` says; what it leaves out is as in `bert-base-uncased`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
    /// Number of token embeddings.
    pub vocab_size: usize,
    /// Number of position embeddings, which is the longest text in tokens (not so in
    /// [`RobertaConfig`](crate::RobertaConfig)).
    pub max_position_embeddings: usize,
    /// Number of token types, of which only the first is used.
    pub type_vocab_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads per block; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the feed-forward parts.
    pub intermediate_size: usize,
    /// The non-linearity of the feed-forward parts.
    pub hidden_act: Activation,
    /// What layer norms add to the variance.
    pub layer_norm_eps: f64,
    /// The token that fills short rows.
    pub pad_token_id: u32,
    /// Names of the labels, by index; there are as many labels as names.
    pub id2label: BTreeMap<usize, String>,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_522,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            hidden_size: 768,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            id2label: numbered_labels(2),
        }
    }
}

impl BertConfig {
    /// A model with random weights, the same for the same seed: normal with standard deviation
    /// 0.02, biases 0.
    ///
    /// # Errors
    /// Settings that fit no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<SequenceClassifier, RewardError> {
        SequenceClassifier::random(self.architecture(), seed, device)
    }

    pub(crate) fn architecture(&self) -> Architecture {
        Architecture {
            model_type: MODEL_TYPE,
            class: "BertForSequenceClassification",
            config: json!(self),
            keys: Keys {
                layers: "num_hidden_layers",
                heads: "num_attention_heads",
                width: "hidden_size",
                inner: "intermediate_size",
            },
            sizes: Sizes {
                vocabulary: self.vocab_size,
                positions: self.max_position_embeddings,
                numbering: Numbering::FromZero,
                token_types: Some(self.type_vocab_size),
                layers: self.num_hidden_layers,
                heads: self.num_attention_heads,
                width: self.hidden_size,
                inner: self.intermediate_size,
                activation: self.hidden_act,
                epsilon: self.layer_norm_eps,
            },
            pad: self.pad_token_id,
            labels: self.id2label.clone(),
            head: Tensor::tanh,
            names: NAMES.to_vec(),
            // Older versions of transformers stored the position numbers; the head of pre-training
            // may still be there.
            ignored: &["bert.embeddings.position_ids", "cls."],
        }
    }
}

/// Reads `config.json`.
pub(crate) fn read(dir: &ModelDir) -> Result<Architecture, RewardError> {
    Ok(BertConfig { id2label: labels(dir)?, ..dir.config()? }.architecture())
}
