//! What a training cannot begin with is refused by name, before anything is sampled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::ops::ControlFlow;

use burn::tensor::Device;
use tailguard_gpt2::{Gpt2, Gpt2Config, Gpt2Error};
use tailguard_ppo::{PpoConfig, PpoError, Trainer, TrainingState, validation_loss};
use tailguard_reward::{RewardError, RewardModel};
use tailguard_risk::{RiskLevel, SoftRiskSchedule};
use tailguard_rollout::{Prompt, Rollout, SamplingConfig};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;

fn config() -> PpoConfig {
    PpoConfig {
        iterations: 1,
        batch_size: 4,
        minibatch_size: 2,
        epochs: 1,
        learning_rate: 1e-3,
        value_learning_rate: 1e-3,
        gamma: 1.0,
        lambda: 0.95,
        clip: 0.2,
        value_clip: 0.2,
        value_coef: 0.1,
        kl_coef: 0.2,
        kl_target: 6.0,
        kl_horizon: 300.0,
        ratio_threshold: 10.0,
        value_warmup: 0,
    }
}

fn model() -> Gpt2 {
    Gpt2Config::new(11, 12, 8, 2, 2).init(5, &Device::flex()).unwrap()
}

/// No text gets as far as this.
struct Unasked;

impl RewardModel for Unasked {
    fn score(&self, _texts: &[String]) -> Result<Vec<f32>, RewardError> {
        panic!("nothing is to be scored")
    }
}

#[test]
fn a_schedule_of_another_batch_size_is_refused() {
    let (config, supervised) = (config(), model());
    let words = (0..11).map(|id: u32| (id.to_string(), id)).collect();
    let tokenizer = Tokenizer::new(WordLevel::builder().vocab(words).unk_token("0".to_owned()).build().unwrap());
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &supervised,
        reward: &Unasked,
        sampling: SamplingConfig { max_new_tokens: 3, ..SamplingConfig::default() },
        batch_size: 4,
    };
    let prompts = vec![Prompt { ids: vec![1, 2], text: String::new() }; 4];
    let trainer = Trainer {
        config: &config,
        schedule: SoftRiskSchedule::keep_all(3).unwrap(),
        reported_level: RiskLevel::new(0.5).unwrap(),
        rollout: &rollout,
        prompts: &prompts,
        seed: 1,
    };
    let state = TrainingState::new(&supervised, &config).unwrap();
    let error = trainer.run(state, &mut |_, _| Ok(ControlFlow::Continue(()))).err().unwrap().to_string();
    assert_eq!(error, "training setting the risk schedule's batch is 3, expected that of the training, batch_size");
}

#[test]
fn a_horizon_that_would_turn_the_coefficient_negative_is_refused() {
    for (kl_horizon, valid) in [(0.0, true), (0.9, true), (0.8, false), (-1.0, false), (f64::NAN, false)] {
        let found = PpoConfig { kl_horizon, ..config() }.validate();
        assert_eq!(found.is_ok(), valid, "{kl_horizon}");
        assert!(valid || matches!(found, Err(PpoError::Setting { key: "kl_horizon", .. })), "{kl_horizon}");
    }
}

#[test]
fn the_loss_of_no_rows_and_of_an_empty_row_is_an_error() {
    assert!(matches!(validation_loss(&model(), &[], 2), Err(Gpt2Error::Empty { row: 0, rows: 0 })));
    assert!(matches!(validation_loss(&model(), &[vec![1, 2], Vec::new()], 2), Err(Gpt2Error::Empty { row: 1, rows: 2 })));
}
