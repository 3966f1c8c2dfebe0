//! What can go wrong with a GPT-2.

use std::path::PathBuf;

use tailguard_checkpoint::CheckpointError;

/// Errors of making, loading and saving a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Gpt2Error {
    /// A directory of another kind of model.
    #[error(
        "{}: config.json is that of a model of type {found:?}, expected a GPT-2 (\"gpt2\")",
        path.display()
    )]
    Architecture {
        /// The directory.
        path: PathBuf,
        /// Its `model_type`.
        found: String,
    },
    /// A setting that this model does not have.
    #[error("the GPT-2 configuration's {key} is {found}, expected {expected}")]
    Config {
        /// The key in `config.json`.
        key: &'static str,
        /// The value found.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The directory or its weights cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
