//! A reward that is a function of prompt and response, and an objective of one's own: an answer is
//! good if it is short, and one that is short enough has nothing to win.
//!
//! `cargo run --release -p tailguard-experiment --example own_reward`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;

use tailguard_experiment::{Event, Experiment, Home, Observer, Out, Settings};
use tailguard_reward::from_fn;
use tailguard_risk::{Batch, Objective, ObjectiveError};

/// Scores above a bar count as the bar.
struct Enough(f64);

impl Objective for Enough {
    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        Ok(scores.values.iter().map(|score| score.min(self.0)).collect())
    }
}

/// Tells how training goes.
struct Told;

impl Observer for Told {
    fn tell(&mut self, event: Event<'_>) {
        if let Event::Iteration(stats) = event {
            println!(
                "iteration {}: reward {:.2}, KL {:.2}",
                stats.iteration, stats.reward, stats.kl
            );
        }
    }
}

const SETTINGS: &str = r#"
preset = "imdb-smoke"
task = "short"

[judge]
dir = ""

[evaluation]
reference = "gpt2"
tail_threshold = -30.0

[[arm]]
key = "gpt2"
recipe = "base"

[[arm]]
key = "short"
recipe = "ppo"
from = "gpt2"
objective = { enough = -20.0 }
compared_with = ["gpt2"]
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let letters = from_fn(|_prompt: &str, response: &str| Ok(-(response.len() as f32)));
    let finished = Experiment::new(Settings::from_toml(SETTINGS)?)
        .with_reward("few letters", letters)
        .with_objective("enough", |context| match context.value.and_then(toml::Value::as_float) {
            Some(bar) => Ok(Enough(bar)),
            None => Err("enough needs a number".into()),
        })
        .prepare(&Home::at(datasets), Out::New(&folder.path().join("run")))?
        .run(&mut Told)?;
    println!("{}", tailguard_report::table(&finished.results, tailguard_report::Style::Plain));
    Ok(())
}
