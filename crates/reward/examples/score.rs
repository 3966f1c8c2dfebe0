//! Scores texts with a classifier from a Hugging Face directory: the logit of a label.
//!
//! `cargo run --release -p tailguard-reward --example score -- "A wonderful film." "Dull."
//! [--model DIR]`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_reward::{ScoreSettings, chosen_label, load};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let mut dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/distilbert-reviews");
    if let Some(flag) = words.iter().position(|word| word == "--model") {
        dir = words
            .split_off(flag)
            .into_iter()
            .nth(1)
            .map(PathBuf::from)
            .ok_or("--model needs a directory")?;
    }
    if words.is_empty() {
        words = ["A wonderful film, moving and well acted.", "Dull from beginning to end."]
            .map(str::to_owned)
            .into();
    }
    let dir = ModelDir::open(dir)?;
    let settings = ScoreSettings { max_length: 128, ..ScoreSettings::default() };
    let label = chosen_label(&dir, &settings.label)?;
    println!("the logit of label {} ({})", label.number, label.name);
    let reward = load(&dir, settings, &Device::flex())?;
    for (score, text) in reward.score(&words)?.iter().zip(&words) {
        println!("{score:6.2}  {text}");
    }
    Ok(())
}
