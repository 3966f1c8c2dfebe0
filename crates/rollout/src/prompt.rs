//! Texts to prompts: the first tokens, and what they say.

use rayon::prelude::*;
use tokenizers::Tokenizer;

use crate::error::RolloutError;

/// The beginning of a text, to be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, at least one.
    pub ids: Vec<u32>,
    /// What the ids decode to. A character cut in the middle is U+FFFD.
    pub text: String,
}

/// The first `tokens` tokens of each text, or all of them where the text is shorter.
///
/// # Errors
/// [`RolloutError::Setting`] if `tokens` is 0, [`RolloutError::EmptyPrompt`] for a text without tokens,
/// [`RolloutError::Tokenizer`] if the tokenizer refuses a text.
pub fn prompts(tokenizer: &Tokenizer, texts: &[String], tokens: usize) -> Result<Vec<Prompt>, RolloutError> {
    if tokens == 0 {
        return Err(RolloutError::Setting { key: "prompt_tokens", found: "0".into(), expected: "at least 1" });
    }
    let prompt = |(row, text): (usize, &String)| {
        let ids = encode(tokenizer, row, text)?;
        let ids = ids[..tokens.min(ids.len())].to_vec();
        if ids.is_empty() {
            return Err(RolloutError::EmptyPrompt { row });
        }
        let text = decode(tokenizer, row, &ids, false)?;
        Ok(Prompt { ids, text })
    };
    texts.par_iter().enumerate().map(prompt).collect()
}

/// Token ids of a whole text, without any that a model would want around it.
fn encode(tokenizer: &Tokenizer, row: usize, text: &str) -> Result<Vec<u32>, RolloutError> {
    let encoding = tokenizer.encode_fast(text, false);
    let encoding = encoding.map_err(|source| RolloutError::Tokenizer { action: "encode", row, source })?;
    Ok(encoding.get_ids().to_vec())
}

/// The text of token ids, with or without special tokens such as the end of text.
pub(crate) fn decode(tokenizer: &Tokenizer, row: usize, ids: &[u32], skip_special: bool) -> Result<String, RolloutError> {
    let text = tokenizer.decode(ids, skip_special);
    text.map_err(|source| RolloutError::Tokenizer { action: "decode", row, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailguard_tests::golden;

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap()
    }

    #[test]
    fn long_texts_are_cut_and_short_ones_kept_whole() {
        let texts = ["the movie was not good at all".to_owned(), "so".to_owned()];
        let cut = prompts(&tokenizer(), &texts, 3).unwrap();
        assert_eq!(cut[0].ids.len(), 3);
        assert!(texts[0].starts_with(&cut[0].text) && cut[0].text.len() < texts[0].len());
        assert_eq!(cut[1].text, "so");
    }

    #[test]
    fn a_character_cut_in_the_middle_is_replaced() {
        // four bytes that no byte-level vocabulary of a few hundred entries has in one piece
        let cut = prompts(&tokenizer(), &["\u{1F40B}".to_owned()], 1).unwrap();
        assert_eq!(cut[0].text, "\u{FFFD}");
    }

    #[test]
    fn a_text_without_tokens_and_a_length_of_nothing_are_refused() {
        let error = prompts(&tokenizer(), &["so".to_owned(), String::new()], 3).unwrap_err();
        assert!(matches!(error, RolloutError::EmptyPrompt { row: 1 }));
        let error = prompts(&tokenizer(), &["so".to_owned()], 0).unwrap_err().to_string();
        assert!(error.contains("prompt_tokens is 0"));
        assert!(prompts(&tokenizer(), &[], 3).unwrap().is_empty());
    }
}
