//! Training of a language model's tokenizer: byte-level BPE, as GPT-2's.

use std::path::Path;

use tailguard_checkpoint::read_tokenizer;
use tailguard_files::write_file;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

use crate::error::{PretrainError, at_least_one};

/// The token that ends a text, and separates texts in training.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Trains a tokenizer of at most `vocab_size` entries, the last of which is [`END_OF_TEXT`], and
/// writes its `tokenizer.json`.
///
/// # Errors
/// No entries, texts that no tokenizer can be trained on, a file that cannot be written.
pub fn train_tokenizer(
    texts: &[String],
    vocab_size: usize,
    path: &Path,
) -> Result<Tokenizer, PretrainError> {
    at_least_one("vocab-size", vocab_size as u64)?;
    let failed = PretrainError::tokenizer("train the tokenizer");
    let byte_level = ByteLevel::new(false, true, true);
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size - 1)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut tokenizer = TokenizerBuilder::<BPE, tokenizers::NormalizerWrapper, _, _, _>::default()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level))
        .build()
        .map_err(&failed)?;
    tokenizer.train(&mut trainer, texts.iter().map(String::as_str)).map_err(&failed)?;
    tokenizer.add_special_tokens([AddedToken::from(END_OF_TEXT, true)]).map_err(&failed)?;
    let json = tokenizer.to_string(true).map_err(&failed)?;
    write_file(path, json.as_bytes())?;
    Ok(read_tokenizer(path)?)
}
