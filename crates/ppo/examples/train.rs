//! Training without an experiment: a model, prompts, a reward that is a function, and Algorithm 1.
//! RA-RLHF and RLHF differ by one argument, the objective.
//!
//! `cargo run --release -p tailguard-ppo --example train`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_gpt2::Gpt2;
use tailguard_ppo::{PpoConfig, Trainer, TrainingState};
use tailguard_reward::from_fn;
use tailguard_risk::{KeepLowest, RiskLevel, ScheduleConfig, SoftRiskSchedule};
use tailguard_rollout::{Rollout, SamplingConfig, prompts};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let dir =
        ModelDir::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/gpt2-reviews"))?;
    let supervised = Gpt2::load(&dir, &Device::flex())?;
    let tokenizer = dir.tokenizer(supervised.config().vocab_size)?;
    let texts = [
        "This film is",
        "I did not like",
        "The actors are",
        "What a",
        "My friends say",
        "Nobody knows",
        "It was",
        "The end",
    ];
    let prompts = prompts(&tokenizer, &texts.map(str::to_owned), 8)?;

    // short words are good words
    let reward = from_fn(|_prompt, response| {
        let words = response.split_whitespace().count().max(1);
        Ok(-(response.len() as f32) / words as f32)
    });
    let sampling = SamplingConfig { max_new_tokens: 12, ..SamplingConfig::default() };
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &supervised,
        reward: &reward,
        sampling,
        batch_size: 8,
    };

    let config = PpoConfig {
        iterations: 8,
        batch_size: 8,
        minibatch_size: 4,
        learning_rate: 1e-4,
        ..PpoConfig::default()
    };
    // all 8 episodes count for two iterations, then fewer and fewer, at last the worst 4
    let schedule =
        ScheduleConfig { batch: 8, alpha: 0.5, warmup: 2, rho: 0.9, iterations: config.iterations };
    let objective = KeepLowest(SoftRiskSchedule::new(schedule)?);
    let trainer = Trainer {
        config: &config,
        objective: &objective,
        reported_level: RiskLevel::new(0.25)?,
        rollout: &rollout,
        prompts: &prompts,
        seed: 1,
    };
    trainer.run(TrainingState::new(&supervised, &config)?, &mut |stats, _state| {
        let (reward, tail) = (stats.reward, stats.reward_tail);
        println!(
            "iteration {}: reward {reward:.2}, worst quarter {tail:.2}, kept {}",
            stats.iteration, stats.kept
        );
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}
