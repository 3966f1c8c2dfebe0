//! `DistilBERT` for sequence classification (Sanh et al. 2019, arXiv 1910.01108), in Hugging Face's
//! layout.

use std::collections::BTreeMap;

use burn::tensor::{Device, activation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tailguard_checkpoint::ModelDir;

use crate::architecture::{Architecture, Keys, labels, numbered_labels};
use crate::encoder::{Activation, Numbering, Sizes};
use crate::error::RewardError;
use crate::model::SequenceClassifier;
use crate::parameters::Rename;

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "distilbert";

/// Hugging Face's epsilon of the layer norms is not in the configuration: it is fixed.
const EPSILON: f64 = 1e-12;

const NAMES: &[Rename] = &[
    ("encoder.word_embeddings.", "distilbert.embeddings.word_embeddings."),
    ("encoder.position_embeddings.", "distilbert.embeddings.position_embeddings."),
    ("encoder.embedding_norm.", "distilbert.embeddings.LayerNorm."),
    ("encoder.layers.", "distilbert.transformer.layer."),
    (".attention.query.", ".attention.q_lin."),
    (".attention.key.", ".attention.k_lin."),
    (".attention.value.", ".attention.v_lin."),
    (".attention.output.", ".attention.out_lin."),
    (".attention_norm.", ".sa_layer_norm."),
    (".feed_forward.expand.", ".ffn.lin1."),
    (".feed_forward.contract.", ".ffn.lin2."),
    (".output_norm.", ".output_layer_norm."),
    ("pooler.", "pre_classifier."),
];

/// What `config.json` says; what it leaves out is as in `distilbert-base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistilBertConfig {
    /// Number of token embeddings.
    pub vocab_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Attention heads per block; divides `dim`.
    pub n_heads: usize,
    /// Width of the hidden states.
    pub dim: usize,
    /// Width inside the feed-forward parts.
    pub hidden_dim: usize,
    /// The non-linearity of the feed-forward parts.
    pub activation: Activation,
    /// The token that fills short rows.
    pub pad_token_id: u32,
    /// Names of the labels, by index; there are as many labels as names.
    pub id2label: BTreeMap<usize, String>,
}

impl Default for DistilBertConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_522,
            max_position_embeddings: 512,
            n_layers: 6,
            n_heads: 12,
            dim: 768,
            hidden_dim: 3072,
            activation: Activation::Gelu,
            pad_token_id: 0,
            id2label: numbered_labels(2),
        }
    }
}

impl DistilBertConfig {
    /// A model with random weights, the same for the same seed: normal with standard deviation
    /// 0.02, biases 0.
    ///
    /// # Errors
    /// Settings that fit no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<SequenceClassifier, RewardError> {
        SequenceClassifier::random(self.architecture(), seed, device)
    }

    fn architecture(&self) -> Architecture {
        let mut config = json!(self);
        config["sinusoidal_pos_embds"] = json!(false);
        Architecture {
            model_type: MODEL_TYPE,
            class: "DistilBertForSequenceClassification",
            config,
            keys: Keys { layers: "n_layers", heads: "n_heads", width: "dim", inner: "hidden_dim" },
            sizes: Sizes {
                vocabulary: self.vocab_size,
                positions: self.max_position_embeddings,
                numbering: Numbering::FromZero,
                token_types: None,
                layers: self.n_layers,
                heads: self.n_heads,
                width: self.dim,
                inner: self.hidden_dim,
                activation: self.activation,
                epsilon: EPSILON,
            },
            pad: self.pad_token_id,
            labels: self.id2label.clone(),
            head: activation::relu,
            names: NAMES.to_vec(),
            // Some versions of transformers stored the position numbers; the head of pre-training
            // may still be there.
            ignored: &[
                "distilbert.embeddings.position_ids",
                "vocab_transform.",
                "vocab_layer_norm.",
                "vocab_projector.",
            ],
        }
    }
}

/// Reads `config.json`.
pub(crate) fn read(dir: &ModelDir) -> Result<Architecture, RewardError> {
    Ok(DistilBertConfig { id2label: labels(dir)?, ..dir.config()? }.architecture())
}
