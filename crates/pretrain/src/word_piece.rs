//! Training of a classifier's tokenizer: lower-case WordPiece, as BERT's.

use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper, Replace, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, DecoderWrapper, PostProcessorWrapper, TokenizerBuilder};

use crate::error::PretrainError;

/// Fills short rows; id 0.
pub(crate) const PAD: &str = "[PAD]";
const UNK: &str = "[UNK]";
/// Begins a text; the classifier reads its state.
pub(crate) const CLS: &str = "[CLS]";
/// Ends a text.
pub(crate) const SEP: &str = "[SEP]";

/// Trains a tokenizer of at most `vocab_size` entries; gives its `tokenizer.json`.
///
/// Line breaks are written as `<br />` in the reviews: they become spaces.
pub(crate) fn train<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocab_size: usize,
) -> Result<String, PretrainError> {
    let failed = PretrainError::tokenizer("train the tokenizer");
    let line_break = Replace::new("<br />", " ").map_err(&failed)?;
    let special = [PAD, UNK, CLS, SEP].map(|token| AddedToken::from(token, true));
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .build();
    let mut tokenizer = TokenizerBuilder::<
        WordPiece,
        NormalizerWrapper,
        _,
        PostProcessorWrapper,
        DecoderWrapper,
    >::default()
    .with_model(WordPiece::default())
    .with_normalizer(Some(
        Sequence::new(vec![line_break.into(), BertNormalizer::default().into()]).into(),
    ))
    .with_pre_tokenizer(Some(BertPreTokenizer))
    .with_post_processor(None)
    .with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default().into()))
    .build()
    .map_err(&failed)?;
    tokenizer.train(&mut trainer, texts).map_err(&failed)?;
    let id = |token: &str| {
        let id = tokenizer.token_to_id(token);
        let id = id.ok_or_else(|| {
            PretrainError::failed(format!("the trained tokenizer has no {token}"))
        })?;
        Ok::<_, PretrainError>((token.to_owned(), id))
    };
    let around = BertProcessing::new(id(SEP)?, id(CLS)?);
    tokenizer.with_post_processor(Some(around));
    tokenizer.to_string(false).map_err(&failed)
}

#[cfg(test)]
mod tests {
    use tokenizers::Tokenizer;

    use super::*;

    #[test]
    fn line_breaks_and_case_do_not_show() {
        let texts = ["A good<br /><br />film", "a GOOD film"];
        let json = train(texts.into_iter().cycle().take(10), 100).unwrap();
        let tokenizer = Tokenizer::from_bytes(json).unwrap();
        let tokens = |text: &str| tokenizer.encode(text, true).unwrap().get_tokens().to_vec();
        assert_eq!(tokens(texts[0]), tokens(texts[1]));
        assert_eq!(tokens(texts[0]), [CLS, "a", "good", "film", SEP]);
        assert_eq!(tokenizer.token_to_id(PAD), Some(0));
    }
}
