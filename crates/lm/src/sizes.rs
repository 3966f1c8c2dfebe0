//! The sizes of a model, and what does not fit them.

use crate::error::LmError;

/// The sizes of a model that whoever feeds it must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LmSizes {
    /// Number of tokens.
    pub vocab_size: usize,
    /// Most tokens of a sequence.
    pub context: usize,
    /// Width of the hidden states.
    pub hidden: usize,
}

impl LmSizes {
    /// Refuses a sequence that is longer than the context.
    ///
    /// # Errors
    /// [`LmError::TooLong`].
    pub fn check_length(&self, found: usize) -> Result<(), LmError> {
        let limit = self.context;
        if found > limit { Err(LmError::TooLong { found, limit }) } else { Ok(()) }
    }

    /// Refuses an id that has no embedding; `row` is where it stands.
    ///
    /// # Errors
    /// [`LmError::UnknownToken`].
    pub fn check_id(&self, id: u32, row: usize) -> Result<(), LmError> {
        let vocab_size = self.vocab_size;
        if self.has(id) { Ok(()) } else { Err(LmError::UnknownToken { id, row, vocab_size }) }
    }

    /// Whether an id is in the vocabulary.
    #[must_use]
    pub fn has(&self, id: u32) -> bool {
        usize::try_from(id).is_ok_and(|id| id < self.vocab_size)
    }
}
