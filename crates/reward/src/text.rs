//! Texts: what is scored, and its token ids by the model's own tokenizer.

use tailguard_checkpoint::ModelDir;
use tokenizers::{Encoding, Tokenizer, TruncationDirection, TruncationParams};

use crate::error::RewardError;

/// A prompt and the response to it, read as one text with nothing between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredText {
    text: String,
    /// Bytes of the prompt.
    prompt: usize,
}

impl ScoredText {
    /// A prompt and its response.
    #[must_use]
    pub fn new(prompt: &str, response: &str) -> Self {
        Self { text: format!("{prompt}{response}"), prompt: prompt.len() }
    }

    /// A text without a prompt, or a prompt without a response.
    #[must_use]
    pub fn whole(text: impl Into<String>) -> Self {
        Self { text: text.into(), prompt: 0 }
    }

    /// Prompt and response.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The prompt alone; empty where there is none.
    #[must_use]
    pub fn prompt(&self) -> &str {
        self.text.get(..self.prompt).unwrap_or_default()
    }

    /// The response alone; the whole text where there is no prompt.
    #[must_use]
    pub fn response(&self) -> &str {
        self.text.get(self.prompt..).unwrap_or_default()
    }
}

/// The side on which a text loses what is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TruncationSide {
    /// The beginning is cut off, so that the end of a response is always read.
    #[default]
    Left,
    /// The end is cut off, as by default in transformers and TRL: of a response behind a long
    /// prompt nothing may be left.
    Right,
}

/// The token ids of a text.
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    /// Whether the text had more of them.
    pub(crate) cut: bool,
}

impl From<Encoding> for Tokens {
    fn from(encoding: Encoding) -> Self {
        Self { ids: encoding.get_ids().to_vec(), cut: !encoding.get_overflowing().is_empty() }
    }
}

/// A tokenizer with a length at which texts are cut.
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    max_length: usize,
    side: TruncationSide,
}

impl TextEncoder {
    /// Reads `tokenizer.json`; texts are cut to `max_length` tokens, of which the special ones are
    /// never cut off.
    pub(crate) fn load(
        dir: &ModelDir,
        max_length: usize,
        side: TruncationSide,
        vocab_size: usize,
    ) -> Result<Self, RewardError> {
        let mut tokenizer = dir.tokenizer(vocab_size)?;
        let special =
            tokenizer.encode("", true).map_err(|source| RewardError::Encode { source })?.len();
        if max_length <= special {
            let expected = format!("more than the {special} special tokens around a text");
            return Err(RewardError::Setting { key: "max_length", found: max_length, expected });
        }
        let direction = match side {
            TruncationSide::Left => TruncationDirection::Left,
            TruncationSide::Right => TruncationDirection::Right,
        };
        let truncation = TruncationParams { max_length, direction, ..Default::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|source| RewardError::Encode { source })?;
        Ok(Self { tokenizer, max_length, side })
    }

    /// The tokens of each text, with the special ones that the tokenizer adds.
    pub(crate) fn encode(&self, texts: Vec<&str>) -> Result<Vec<Tokens>, RewardError> {
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts, true)
            .map_err(|source| RewardError::Encode { source })?;
        Ok(encodings.into_iter().map(Tokens::from).collect())
    }

    /// The tokens of prompts and responses.
    ///
    /// # Errors
    /// A response of which nothing is left.
    pub(crate) fn encode_responses(
        &self,
        texts: &[ScoredText],
    ) -> Result<Vec<Tokens>, RewardError> {
        let tokens = self.encode(texts.iter().map(ScoredText::as_str).collect())?;
        if self.side == TruncationSide::Right {
            for (index, (text, _)) in
                texts.iter().zip(&tokens).enumerate().filter(|(_, (_, tokens))| tokens.cut)
            {
                if !text.response().trim().is_empty() && self.end(text.as_str())? <= text.prompt {
                    return Err(RewardError::NothingOfResponse {
                        index,
                        max_length: self.max_length,
                    });
                }
            }
        }
        Ok(tokens)
    }

    /// The byte behind the last token that is left of a text.
    fn end(&self, text: &str) -> Result<usize, RewardError> {
        let encoding =
            self.tokenizer.encode(text, true).map_err(|source| RewardError::Encode { source })?;
        Ok(encoding.get_offsets().iter().map(|(_, end)| *end).max().unwrap_or(0))
    }
}
