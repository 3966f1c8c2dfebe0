//! What can go wrong with a GPT-2.

use std::path::PathBuf;

use tailguard_checkpoint::CheckpointError;

/// Errors of loading a model and of the batches given to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Gpt2Error {
    /// A directory of another kind of model.
    #[error("{}: config.json is that of a model of type {found:?}, expected a GPT-2 (\"gpt2\")", path.display())]
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
    /// A batch without rows, or a row without tokens.
    #[error("row {row} of {rows} rows of tokens is empty, expected at least one token in each of at least one row")]
    Empty {
        /// The empty row; 0 if there are no rows.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
    /// More tokens than the context, or the cache, holds.
    #[error("a sequence of {found} tokens does not fit the context of {limit} tokens")]
    TooLong {
        /// Tokens asked for.
        found: usize,
        /// The model's `n_positions` or the cache's length.
        limit: usize,
    },
    /// Another number of things than there must be.
    #[error("there are {found} {what}, expected {expected}")]
    Count {
        /// Which things.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A row that a cache does not have.
    #[error("row {row} was asked for, but the cache has {rows} rows")]
    NoRow {
        /// The row.
        row: usize,
        /// Rows of the cache.
        rows: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} in row {row} is outside the vocabulary of {vocab_size} tokens")]
    UnknownToken {
        /// The id.
        id: u32,
        /// The row it stands in.
        row: usize,
        /// The model's `vocab_size`.
        vocab_size: usize,
    },
}
