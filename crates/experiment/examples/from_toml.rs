//! An experiment from a text of settings: the worst half of each batch against all of it, on the
//! texts and models that come with the repository.
//!
//! `cargo run --release -p tailguard-experiment --example from_toml`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;

use tailguard_experiment::{Experiment, Home, Out, Settings};

const SETTINGS: &str = r#"
preset = "imdb-smoke"
task = "half"

[[arm]]
key = "gpt2"
recipe = "base"

[[arm]]
key = "sft"
recipe = "sft"
from = "gpt2"

[[arm]]
key = "half"
title = "the worst half"
recipe = "ppo"
from = "sft"
objective = { keep_lowest = 0.5 }
compared_with = ["sft"]
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let prepared = Experiment::new(Settings::from_toml(SETTINGS)?)
        .prepare(&Home::at(datasets), Out::New(&folder.path().join("run")))?;
    let finished = prepared.run(&mut ())?;
    println!("{}", tailguard_report::table(&finished.results, tailguard_report::Style::Plain));
    Ok(())
}
