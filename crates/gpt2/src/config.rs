//! What `config.json` of a Hugging Face GPT-2 directory says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tailguard_checkpoint::{CONFIG_FILE, CheckpointError, ModelDir};

use crate::error::Gpt2Error;

/// The settings of a GPT-2, named and defaulted as in Hugging Face's `config.json`. Keys it does
/// not name are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpt2Config {
    /// Number of tokens that a text is made of. In the file, the control tokens count, too.
    pub vocab_size: usize,
    /// Number of control tokens: the last rows of the embedding, which are read in front of a text
    /// and never drawn. No key of Hugging Face's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub control_tokens: usize,
    /// The control token that stands in front of every text, if any; the first one's id is
    /// `vocab_size`. No key of Hugging Face's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_token_id: Option<u32>,
    /// Context length in tokens.
    #[serde(default = "defaults::n_positions")]
    pub n_positions: usize,
    /// Width of the hidden states.
    pub n_embd: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Number of attention heads; divides `n_embd`.
    pub n_head: usize,
    /// Width inside the MLP; four times `n_embd` if absent.
    #[serde(default)]
    pub n_inner: Option<usize>,
    /// Epsilon of every layer norm.
    #[serde(default = "defaults::layer_norm_epsilon")]
    pub layer_norm_epsilon: f64,
    /// Activation of the MLP; `gelu_new` is the only one that GPT-2 checkpoints use.
    #[serde(default = "defaults::activation_function")]
    pub activation_function: String,
    /// Standard deviation of the initial weights.
    #[serde(default = "defaults::initializer_range")]
    pub initializer_range: f64,
    /// The token that begins a text, if any.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// The token that ends a text, if any.
    #[serde(default)]
    pub eos_token_id: Option<u32>,
    /// Whether the output head is the input embedding.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Whether attention is scaled by `1/sqrt(head width)`; must be true.
    #[serde(default = "defaults::yes")]
    pub scale_attn_weights: bool,
    /// Whether attention is further divided by the layer's number; must be false.
    #[serde(default)]
    pub scale_attn_by_inverse_layer_idx: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

mod defaults {
    pub(super) fn n_positions() -> usize {
        1024
    }
    pub(super) fn layer_norm_epsilon() -> f64 {
        1e-5
    }
    pub(super) fn activation_function() -> String {
        "gelu_new".into()
    }
    pub(super) fn initializer_range() -> f64 {
        0.02
    }
    pub(super) fn yes() -> bool {
        true
    }
}

/// Keys that may hold a list of one.
const TOKEN_IDS: [&str; 3] = ["bos_token_id", "eos_token_id", "prefix_token_id"];

impl Gpt2Config {
    /// Reads the `config.json` of a directory. The ids of single tokens may stand in lists of one,
    /// and `n_positions` may be called `n_ctx`, as old files do.
    ///
    /// # Errors
    /// What is no JSON or lacks a size; [`Gpt2Error::Config`] for an id that is none, by its key,
    /// or more control tokens than tokens.
    pub fn read(dir: &ModelDir) -> Result<Self, Gpt2Error> {
        let mut config: Map<String, Value> = dir.config()?;
        for key in TOKEN_IDS {
            let Some(value) = config.get_mut(key) else { continue };
            if let Value::Array(ids) = value
                && let [id] = ids.as_slice()
            {
                *value = id.clone();
            }
            let is_id =
                value.is_null() || value.as_u64().is_some_and(|id| u32::try_from(id).is_ok());
            if !is_id {
                return Err(Gpt2Error::Config {
                    key,
                    found: value.to_string(),
                    expected: "the id of one token, or null",
                });
            }
        }
        if let (Some(context), false) =
            (config.get("n_ctx").cloned(), config.contains_key("n_positions"))
        {
            config.insert("n_positions".to_owned(), context);
        }
        let mut config: Self = serde_json::from_value(Value::Object(config)).map_err(|source| {
            CheckpointError::Json { path: dir.path().join(CONFIG_FILE), source }
        })?;
        config.vocab_size =
            config.vocab_size.checked_sub(config.control_tokens).ok_or_else(|| {
                Gpt2Error::Config {
                    key: "control_tokens",
                    found: config.control_tokens.to_string(),
                    expected: "fewer than vocab_size",
                }
            })?;
        Ok(config)
    }

    /// The settings as `config.json` has them, where control tokens are part of the vocabulary.
    pub(crate) fn written(&self) -> Self {
        Self { vocab_size: self.vocab_size + self.control_tokens, ..self.clone() }
    }

    /// The place among the control tokens of the one that stands in front of every text.
    pub(crate) fn prefix(&self) -> Option<usize> {
        let id = usize::try_from(self.prefix_token_id?).ok()?;
        id.checked_sub(self.vocab_size)
    }

    /// A GPT-2 of the given sizes with a tied head and otherwise the published defaults.
    #[must_use]
    pub fn new(
        vocab_size: usize,
        n_positions: usize,
        n_embd: usize,
        n_layer: usize,
        n_head: usize,
    ) -> Self {
        Self {
            vocab_size,
            control_tokens: 0,
            prefix_token_id: None,
            n_positions,
            n_embd,
            n_layer,
            n_head,
            n_inner: None,
            layer_norm_epsilon: defaults::layer_norm_epsilon(),
            activation_function: defaults::activation_function(),
            initializer_range: defaults::initializer_range(),
            bos_token_id: None,
            eos_token_id: None,
            tie_word_embeddings: true,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
        }
    }

    /// Tokens that a text may have: the positions, without that of a token in front.
    #[must_use]
    pub fn context(&self) -> usize {
        self.n_positions.saturating_sub(usize::from(self.prefix_token_id.is_some()))
    }

    /// Width inside the MLP.
    #[must_use]
    pub fn inner(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// Width of one attention head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// Refuses settings that this model does not have.
    ///
    /// # Errors
    /// [`Gpt2Error::Config`] names the key, the value found and what is expected.
    pub fn validate(&self) -> Result<(), Gpt2Error> {
        let refuse = |key: &'static str, found: String, expected: &'static str| {
            Err(Gpt2Error::Config { key, found, expected })
        };
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("n_positions", self.n_positions),
            ("n_embd", self.n_embd),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
            ("n_inner", self.inner()),
        ] {
            if value == 0 {
                return refuse(key, value.to_string(), "at least 1");
            }
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            return refuse("n_head", self.n_head.to_string(), "a divisor of n_embd");
        }
        if !matches!(self.activation_function.as_str(), "gelu_new" | "gelu_pytorch_tanh") {
            return refuse("activation_function", self.activation_function.clone(), "gelu_new");
        }
        if !self.scale_attn_weights {
            return refuse("scale_attn_weights", "false".into(), "true");
        }
        if self.scale_attn_by_inverse_layer_idx {
            return refuse("scale_attn_by_inverse_layer_idx", "true".into(), "false");
        }
        for (key, id) in [("bos_token_id", self.bos_token_id), ("eos_token_id", self.eos_token_id)]
        {
            if id.is_some_and(|id| usize::try_from(id).map_or(true, |id| id >= self.vocab_size)) {
                return refuse(
                    key,
                    id.map_or_else(String::new, |id| id.to_string()),
                    "a token id below vocab_size",
                );
            }
        }
        let is_control = |place: usize| place < self.control_tokens;
        if let Some(id) = self.prefix_token_id
            && !self.prefix().is_some_and(is_control)
        {
            let expected = "the id of a control token: of the last control_tokens tokens";
            return refuse("prefix_token_id", id.to_string(), expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_config_is_read_and_unknown_keys_are_ignored() {
        let json = r#"{"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12,
            "n_head": 12, "n_ctx": 1024, "eos_token_id": 50256, "summary_type": "cls_index"}"#;
        let config: Gpt2Config = serde_json::from_str(json).unwrap();
        assert_eq!((config.n_positions, config.inner(), config.head_width()), (1024, 3072, 64));
        assert!(config.tie_word_embeddings && config.validate().is_ok());
    }

    #[test]
    fn an_id_may_stand_in_a_list_of_one_and_else_the_key_is_named() {
        let read = |more: &str| {
            let home = tempfile::tempdir().unwrap();
            let text =
                format!(r#"{{"vocab_size": 10, "n_embd": 4, "n_layer": 1, "n_head": 2, {more}}}"#);
            std::fs::write(home.path().join(CONFIG_FILE), text).unwrap();
            Gpt2Config::read(&ModelDir::open(home.path()).unwrap())
                .map_err(|error| error.to_string())
        };
        for (ids, expected) in [("[7]", Some(7)), ("7", Some(7)), ("null", None)] {
            assert_eq!(
                read(&format!(r#""eos_token_id": {ids}"#)).unwrap().eos_token_id,
                expected,
                "{ids}"
            );
        }
        for ids in ["-1", "[]", "[1, 2]", "\"7\"", "7.5", "4294967296"] {
            let message = read(&format!(r#""bos_token_id": {ids}"#)).unwrap_err();
            assert!(
                message.contains("bos_token_id is ")
                    && message.ends_with("expected the id of one token, or null"),
                "{message}"
            );
        }
        assert_eq!(read(r#""n_ctx": 8"#).unwrap().n_positions, 8);
        assert_eq!(read(r#""n_ctx": 8, "n_positions": 9"#).unwrap().n_positions, 9);
    }

    #[test]
    fn what_the_model_cannot_do_is_refused_by_name() {
        let refused = |change: fn(&mut Gpt2Config)| {
            let mut config = Gpt2Config::new(10, 8, 4, 1, 2);
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(refused(|c| c.n_head = 3).contains("n_head is 3, expected a divisor of n_embd"));
        assert!(refused(|c| c.n_layer = 0).contains("n_layer is 0"));
        assert!(
            refused(|c| c.activation_function = "relu".into())
                .contains("activation_function is relu")
        );
        assert!(refused(|c| c.eos_token_id = Some(10)).contains("eos_token_id is 10"));
        assert!(
            refused(|c| c.scale_attn_by_inverse_layer_idx = true).contains("inverse_layer_idx")
        );
    }
}
