//! What the files of a model directory are called.

/// The model's settings.
pub const CONFIG_FILE: &str = "config.json";
/// How transformers samples from it.
pub(crate) const GENERATION_CONFIG_FILE: &str = "generation_config.json";
/// The model's weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// What stands in its place where the weights lie in several files.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
/// The model's tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
