//! A sequence classifier without its tokenizer: an encoder, and two linear layers on its first
//! token.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use serde_json::json;
use tailguard_checkpoint::{WEIGHTS_FILE, WeightType, WeightsWriter, write_config};
use tailguard_kernels::Linear;

use crate::architecture::Architecture;
use crate::encoder::{Encoder, linear};
use crate::error::RewardError;
use crate::parameters;

/// A DistilBERT, BERT or RoBERTa with a classification head; token ids in, logits out.
///
/// It is made by `init` of [`DistilBertConfig`](crate::DistilBertConfig),
/// [`BertConfig`](crate::BertConfig) or [`RobertaConfig`](crate::RobertaConfig), or read from a
/// directory.
#[derive(Module, Debug)]
pub struct SequenceClassifier {
    encoder: Encoder,
    pooler: Linear,
    classifier: Linear,
    #[module(skip)]
    architecture: Architecture,
}

impl SequenceClassifier {
    pub(crate) fn zeros(architecture: Architecture, device: &Device) -> Result<Self, RewardError> {
        architecture.validate()?;
        let width = architecture.sizes.width;
        Ok(Self {
            encoder: Encoder::zeros(&architecture.sizes, device),
            pooler: linear([width, width], device),
            classifier: linear([width, architecture.labels.len()], device),
            architecture,
        })
    }

    /// A model with random weights, the same for the same seed: normal with standard deviation
    /// 0.02, biases 0.
    pub(crate) fn random(
        architecture: Architecture,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RewardError> {
        Ok(parameters::randomize(Self::zeros(architecture, device)?, seed, device))
    }

    /// Writes `config.json` and `model.safetensors` into a directory that exists.
    ///
    /// # Errors
    /// The file that cannot be written, or the weight that is not finite.
    pub fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), RewardError> {
        let Architecture { model_type, class, labels, names, .. } = &self.architecture;
        let label2id: BTreeMap<&str, usize> =
            labels.iter().map(|(&id, label)| (label.as_str(), id)).collect();
        let mut config = self.architecture.config.clone();
        config["architectures"] = json!([class]);
        config["label2id"] = json!(label2id);
        config["model_type"] = json!(model_type);
        config["torch_dtype"] = json!(weight_type.name());
        write_config(dir, &config)?;
        let mut writer = WeightsWriter::new(weight_type);
        parameters::store(self, &mut writer, names);
        Ok(writer.write(&dir.join(WEIGHTS_FILE))?)
    }

    pub(crate) fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Raw logits, no softmax or sigmoid.
    ///
    /// # Shapes
    /// - `input_ids`: `[batch, seq]`, `seq` at most the number of positions, less those that
    ///   RoBERTa does not use
    /// - `padding`: `[batch, seq]`, true where there is no token, on the right; none if all rows
    ///   are full
    /// - result: `[batch, labels]`
    pub fn forward(
        &self,
        input_ids: Tensor<2, Int>,
        padding: Option<Tensor<2, Bool>>,
    ) -> Tensor<2> {
        let first = self.encoder.first(input_ids, padding); // [batch, width]
        self.classifier.forward((self.architecture.head)(self.pooler.forward(first)))
    }

    /// Makes attention begin as a plain mean over the text: a start from which a small model learns
    /// much faster.
    #[must_use]
    pub fn start_with_means(mut self) -> Self {
        self.encoder = self.encoder.start_with_means();
        self
    }
}
