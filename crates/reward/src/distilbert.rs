//! `DistilBERT` for sequence classification (Sanh et al. 2019, arXiv 1910.01108), in Hugging Face's layout.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Device, Int, Tensor, activation};
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{ModelDir, WEIGHTS_FILE, WeightType, WeightsWriter, write_config};

use crate::encoder::{Activation, Encoder, Sizes, linear};
use crate::error::RewardError;
use crate::parameters::{self, Names};

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "distilbert";

/// Hugging Face's name for its layer norms' epsilon is not in the configuration: it is fixed.
const EPSILON: f64 = 1e-12;

/// From the paths in [`DistilBert`] to the names in the checkpoint.
const NAMES: &Names = &[
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
            id2label: BTreeMap::from([(0, "LABEL_0".to_owned()), (1, "LABEL_1".to_owned())]),
        }
    }
}

impl DistilBertConfig {
    /// A model with random weights, the same for the same seed: normal with standard deviation 0.02, biases 0.
    ///
    /// # Errors
    /// Settings that fit no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<DistilBert, RewardError> {
        Ok(parameters::randomize(DistilBert::zeros(self, device)?, seed, device))
    }

    fn validate(&self) -> Result<(), RewardError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
            ("number of labels", self.id2label.len()),
        ];
        if let Some(&(key, found)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(RewardError::Config { key, found, expected: "at least 1".to_owned() });
        }
        if !self.dim.is_multiple_of(self.n_heads) {
            let expected = format!("a multiple of n_heads {}", self.n_heads);
            return Err(RewardError::Config { key: "dim", found: self.dim, expected });
        }
        Ok(())
    }
}

/// An encoder, and two linear layers on its first token.
#[derive(Module, Debug)]
pub struct DistilBert {
    encoder: Encoder,
    pre_classifier: Linear,
    classifier: Linear,
    #[module(skip)]
    config: DistilBertConfig,
}

impl DistilBert {
    fn zeros(config: &DistilBertConfig, device: &Device) -> Result<Self, RewardError> {
        config.validate()?;
        let sizes = Sizes {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            layers: config.n_layers,
            heads: config.n_heads,
            width: config.dim,
            inner: config.hidden_dim,
            activation: config.activation,
            epsilon: EPSILON,
        };
        Ok(Self {
            encoder: Encoder::zeros(&sizes, device),
            pre_classifier: linear([config.dim, config.dim], device),
            classifier: linear([config.dim, config.id2label.len()], device),
            config: config.clone(),
        })
    }

    /// Reads `config.json` and `model.safetensors` of a Hugging Face directory.
    ///
    /// # Errors
    /// Settings that fit no model; missing, misshapen, unknown or non-finite tensors, by name.
    pub fn load(dir: &ModelDir, device: &Device) -> Result<Self, RewardError> {
        let config: DistilBertConfig = dir.config()?;
        let mut weights = dir.weights()?;
        let model = parameters::load(Self::zeros(&config, device)?, &mut weights, NAMES, device)?;
        // Some versions of transformers stored the position numbers.
        weights.finish(|name| name == "distilbert.embeddings.position_ids")?;
        Ok(model)
    }

    /// Writes `config.json` and `model.safetensors` into a directory that exists.
    ///
    /// # Errors
    /// The file that cannot be written, or the weight that is not finite.
    pub fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), RewardError> {
        let config = &self.config;
        let label2id: BTreeMap<&str, usize> = config.id2label.iter().map(|(&id, label)| (label.as_str(), id)).collect();
        write_config(
            dir,
            &serde_json::json!({
                "activation": config.activation,
                "architectures": ["DistilBertForSequenceClassification"],
                "dim": config.dim,
                "hidden_dim": config.hidden_dim,
                "id2label": config.id2label,
                "label2id": label2id,
                "max_position_embeddings": config.max_position_embeddings,
                "model_type": MODEL_TYPE,
                "n_heads": config.n_heads,
                "n_layers": config.n_layers,
                "pad_token_id": config.pad_token_id,
                "sinusoidal_pos_embds": false,
                "torch_dtype": weight_type.name(),
                "vocab_size": config.vocab_size,
            }),
        )?;
        let mut writer = WeightsWriter::new(weight_type);
        parameters::store(self, &mut writer, NAMES);
        Ok(writer.write(&dir.join(WEIGHTS_FILE))?)
    }

    /// The settings of this model.
    pub fn config(&self) -> &DistilBertConfig {
        &self.config
    }

    /// Raw logits, no softmax.
    ///
    /// # Shapes
    /// - `input_ids`: `[batch, seq]`, `seq` at most `max_position_embeddings`
    /// - `padding`: `[batch, seq]`, true where there is no token; none if all rows are full
    /// - result: `[batch, labels]`
    pub fn forward(&self, input_ids: Tensor<2, Int>, padding: Option<Tensor<2, Bool>>) -> Tensor<2> {
        let first = self.encoder.first(input_ids, padding); // [batch, dim]
        self.classifier.forward(activation::relu(self.pre_classifier.forward(first)))
    }

    /// Makes attention begin as a plain mean over the text: a start from which a small model learns much faster.
    #[must_use]
    pub fn start_with_means(mut self) -> Self {
        self.encoder = self.encoder.start_with_means();
        self
    }
}
