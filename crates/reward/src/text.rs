//! Texts into token ids, by the model's own tokenizer.

use std::path::PathBuf;

use tokenizers::{Tokenizer, TruncationParams};

use crate::error::RewardError;

/// A `tokenizer.json` with a length at which texts are cut.
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
}

impl TextEncoder {
    /// Reads the file; texts are cut to `max_length` tokens, special tokens included. Padding is not its business, whatever
    /// the file says.
    pub(crate) fn load(path: PathBuf, max_length: usize, vocab_size: usize) -> Result<Self, RewardError> {
        let unusable = |source| RewardError::Tokenizer { path: path.clone(), source };
        let mut tokenizer = Tokenizer::from_file(&path).map_err(unusable)?;
        let found = tokenizer.get_vocab_size(true);
        if found > vocab_size {
            return Err(RewardError::Vocabulary { path, found, vocab_size });
        }
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length, ..Default::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(unusable)?;
        Ok(Self { tokenizer })
    }

    /// The ids of each text, with the special tokens that the tokenizer adds.
    pub(crate) fn encode(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, RewardError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encodings = self.tokenizer.encode_batch_fast(texts, true).map_err(|source| RewardError::Encode { source })?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }
}
