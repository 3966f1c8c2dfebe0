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
/// [`RolloutError::Setting`] if `tokens` is 0, [`RolloutError::EmptyPrompt`] for a text without
/// tokens, [`RolloutError::Tokenizer`] if the tokenizer refuses a text.
pub fn prompts(
    tokenizer: &Tokenizer,
    texts: &[String],
    tokens: usize,
) -> Result<Vec<Prompt>, RolloutError> {
    if tokens == 0 {
        return Err(RolloutError::Setting {
            key: "prompt_tokens",
            found: "0".into(),
            expected: "at least 1",
        });
    }
    let prompt = |(row, text): (usize, &String)| {
        let ids = first_ids(tokenizer, row, text, tokens)?;
        if ids.is_empty() {
            return Err(RolloutError::EmptyPrompt { row });
        }
        let text = decode(tokenizer, row, &ids, false)?;
        Ok(Prompt { ids, text })
    };
    texts.par_iter().enumerate().map(prompt).collect()
}

/// The first `tokens` token ids of each text, or all of them where the text is shorter.
///
/// # Errors
/// [`RolloutError::Tokenizer`] if the tokenizer refuses a text.
pub fn encode(
    tokenizer: &Tokenizer,
    texts: &[String],
    tokens: usize,
) -> Result<Vec<Vec<u32>>, RolloutError> {
    texts
        .par_iter()
        .enumerate()
        .map(|(row, text)| first_ids(tokenizer, row, text, tokens))
        .collect()
}

/// Bytes per token that a first try reads; English has four or five.
const BYTES_PER_TOKEN: usize = 12;
/// Tokens that are read beyond those asked for: tokenizers look at a word and what follows it, and
/// not further.
const MARGIN: usize = 16;

/// Reads no more of a long text than is needed: a prompt is a small part of a review.
fn first_ids(
    tokenizer: &Tokenizer,
    row: usize,
    text: &str,
    tokens: usize,
) -> Result<Vec<u32>, RolloutError> {
    let mut bytes = tokens.saturating_add(MARGIN).saturating_mul(BYTES_PER_TOKEN);
    loop {
        // a cut between words leaves all words before it as they were
        let cut = text.floor_char_boundary(bytes);
        let start = if cut < text.len() { text[..cut].rfind(' ').unwrap_or(0) } else { cut };
        let encoding = tokenizer.encode_fast(&text[..start], false);
        let encoding =
            encoding.map_err(|source| RolloutError::Tokenizer { action: "encode", row, source })?;
        let ids = encoding.get_ids();
        if start == text.len() || ids.len() >= tokens.saturating_add(MARGIN) {
            return Ok(ids[..tokens.min(ids.len())].to_vec());
        }
        bytes = bytes.saturating_mul(4);
    }
}

/// The text of token ids, with or without special tokens such as the end of text.
pub(crate) fn decode(
    tokenizer: &Tokenizer,
    row: usize,
    ids: &[u32],
    skip_special: bool,
) -> Result<String, RolloutError> {
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

    proptest::proptest! {
        #[test]
        fn reading_a_part_gives_the_first_tokens_of_the_whole(
            words in proptest::collection::vec("[a-z'.,]{1,9}|[ ]{1,3}|é+|[0-9]{1,30}", 0..200),
            tokens in 1usize..40,
        ) {
            let text = words.join(" ");
            let whole = tokenizer().encode_fast(text.as_str(), false).unwrap();
            let whole = &whole.get_ids()[..tokens.min(whole.get_ids().len())];
            proptest::prop_assert_eq!(encode(&tokenizer(), &[text], tokens).unwrap(), [whole]);
        }
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
