//! What an architecture's configuration comes to.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use serde::Deserialize;
use serde_json::Value;
use tailguard_checkpoint::ModelDir;

use crate::encoder::Sizes;
use crate::error::RewardError;
use crate::parameters::Rename;

/// More labels than any classifier has: what `num_labels` may say before names are made for them.
const MOST_LABELS: usize = 1 << 16;

/// All that tells one encoder with a head on its first token from another.
#[derive(Debug, Clone)]
pub(crate) struct Architecture {
    /// Its name in `config.json`.
    pub(crate) model_type: &'static str,
    /// Hugging Face's class.
    pub(crate) class: &'static str,
    /// The settings as they stand in `config.json`.
    pub(crate) config: Value,
    /// What `config.json` calls the sizes, for messages.
    pub(crate) keys: Keys,
    pub(crate) sizes: Sizes,
    /// The token that fills short rows.
    pub(crate) pad: u32,
    /// Names of the labels, by index.
    pub(crate) labels: BTreeMap<usize, String>,
    /// The non-linearity between the two layers of the head.
    pub(crate) head: fn(Tensor<2>) -> Tensor<2>,
    /// From the paths in [`SequenceClassifier`](crate::SequenceClassifier) to the names in the
    /// checkpoint.
    pub(crate) names: Vec<Rename>,
    /// Beginnings of the names that a checkpoint may hold beside them.
    pub(crate) ignored: &'static [&'static str],
}

/// The sizes that `config.json` names differently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) layers: &'static str,
    pub(crate) heads: &'static str,
    pub(crate) width: &'static str,
    pub(crate) inner: &'static str,
}

impl Architecture {
    /// Refuses settings that fit no model.
    pub(crate) fn validate(&self) -> Result<(), RewardError> {
        let (sizes, keys) = (&self.sizes, self.keys);
        let refused = |key, found, expected| Err(RewardError::Config { key, found, expected });
        let at_least_one = [
            ("vocab_size", sizes.vocabulary),
            ("type_vocab_size", sizes.token_types.unwrap_or(1)),
            (keys.layers, sizes.layers),
            (keys.heads, sizes.heads),
            (keys.width, sizes.width),
            (keys.inner, sizes.inner),
            ("number of labels", self.labels.len()),
        ];
        if let Some(&(key, found)) = at_least_one.iter().find(|(_, size)| *size == 0) {
            return refused(key, found, "at least 1".to_owned());
        }
        if !sizes.width.is_multiple_of(sizes.heads) {
            return refused(
                keys.width,
                sizes.width,
                format!("a multiple of {} {}", keys.heads, sizes.heads),
            );
        }
        if sizes.longest_text() == 0 {
            let expected = format!("at least {}", sizes.numbering.first() + 1);
            return refused("max_position_embeddings", sizes.positions, expected);
        }
        if self.pad as usize >= sizes.vocabulary {
            let expected = format!("less than vocab_size {}", sizes.vocabulary);
            return refused("pad_token_id", self.pad as usize, expected);
        }
        Ok(())
    }
}

/// The names of the labels by index, as transformers finds them: `id2label`, or else `num_labels`
/// without names of their own, or else two.
pub(crate) fn labels(dir: &ModelDir) -> Result<BTreeMap<usize, String>, RewardError> {
    #[derive(Deserialize)]
    struct View {
        id2label: Option<BTreeMap<usize, String>>,
        num_labels: Option<usize>,
    }
    let View { id2label, num_labels } = dir.config()?;
    match (id2label, num_labels.unwrap_or(2)) {
        (Some(names), _) => Ok(names),
        (None, count) if count <= MOST_LABELS => Ok(numbered_labels(count)),
        (None, found) => Err(RewardError::Config {
            key: "num_labels",
            found,
            expected: format!("at most {MOST_LABELS}"),
        }),
    }
}

/// `LABEL_0`, `LABEL_1`, ...
pub(crate) fn numbered_labels(count: usize) -> BTreeMap<usize, String> {
    (0..count).map(|index| (index, format!("LABEL_{index}"))).collect()
}
