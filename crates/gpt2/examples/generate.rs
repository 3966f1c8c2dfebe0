//! Continues a prompt with the most likely tokens: a Hugging Face directory, a cache, a loop.
//!
//! `cargo run --release -p tailguard-gpt2 --example generate -- "This film" [DIR]`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_gpt2::Gpt2;
use tailguard_lm::{CausalLm, Decoder, TokenBatch};

const TOKENS: usize = 30;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut words = env::args().skip(1);
    let prompt = words.next().unwrap_or_else(|| "This film".to_owned());
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/gpt2-reviews");
    let dir = ModelDir::open(words.next().map_or(embedded, PathBuf::from))?;

    let device = Device::flex();
    let model = Gpt2::load(&dir, &device)?;
    let tokenizer = dir.tokenizer(model.config().vocab_size)?;
    let ids = tokenizer.encode(prompt, false)?.get_ids().to_vec();

    let decoder = model.decoder();
    let mut cache = decoder.cache(1, ids.len() + TOKENS);
    // [1, hidden]
    let mut hidden = decoder.prefill(&TokenBatch::left_padded(&[&ids], 0, &device)?, &mut cache)?;
    let mut text = ids;
    for _ in 0..TOKENS {
        let next = decoder.logits(hidden).argmax(1).into_scalar::<i64>(); // of [1, vocab]
        let next = u32::try_from(next)?;
        text.push(next);
        hidden = decoder.step(&[next], &mut cache)?;
    }
    println!("{}", tokenizer.decode(&text, true)?);
    Ok(())
}
