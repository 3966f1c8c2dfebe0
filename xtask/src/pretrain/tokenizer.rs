//! Training of the embedded language model's tokenizer: byte-level BPE, as GPT-2's.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use tailguard_files::write_file;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

/// The token that ends a text, and separates texts in training.
pub(crate) const END_OF_TEXT: &str = "<|endoftext|>";

/// Trains a tokenizer of `vocab_size` entries, the last of which is [`END_OF_TEXT`], and writes its `tokenizer.json`.
pub(crate) fn train(texts: &[String], vocab_size: usize, path: &Path) -> Result<Tokenizer> {
    let failed = |error: tokenizers::Error| anyhow!("cannot train the tokenizer: {error}");
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
        .map_err(failed)?;
    tokenizer.train(&mut trainer, texts.iter().map(String::as_str)).map_err(failed)?;
    tokenizer.add_special_tokens([AddedToken::from(END_OF_TEXT, true)]).map_err(failed)?;
    let json = tokenizer.to_string(true).map_err(failed)?;
    write_file(path, json.as_bytes())?;
    Tokenizer::from_file(path).map_err(|error| anyhow!("{error}")).with_context(|| format!("cannot read {}", path.display()))
}
