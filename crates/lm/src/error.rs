//! What a causal language model refuses to read.

/// Errors of the batches given to a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A batch without rows, or a row without tokens.
    #[error(
        "row {row} of {rows} rows of tokens is empty, expected at least one token in each of at \
         least one row"
    )]
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
        /// The model's context or the cache's length.
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
    /// A control token that a model does not have.
    #[error("control token {token} was asked for, but the model has {tokens} of them")]
    NoControlToken {
        /// Its place among the control tokens, from 0.
        token: usize,
        /// Control tokens of the model.
        tokens: usize,
    },
}

/// Refuses what there is too much or too little of.
pub(crate) fn check_count(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), LmError> {
    if found == expected { Ok(()) } else { Err(LmError::Count { what, found, expected }) }
}
