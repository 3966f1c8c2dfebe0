//! Trainings of the small model.

use std::ops::ControlFlow;

use tailguard_gpt2::Gpt2;
use tailguard_ppo::{IterationStats, PpoConfig, PpoError, Trainer, TrainingState};
use tailguard_reward::{RewardError, RewardModel};
use tailguard_risk::{Objective, RiskLevel};
use tailguard_rollout::{Prompt, Rollout, SamplingConfig};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;

use crate::kit::model;

/// A reward that is a function of the text: the prompt's, and the ids of the response.
pub(crate) struct Reward<F>(pub(crate) F);

impl<F: Fn(&str) -> f32 + Send + Sync> RewardModel for Reward<F> {
    fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
        Ok(texts.iter().map(|text| (self.0)(text)).collect())
    }
}

/// Trains on from a state, and is told of the state after each iteration until it wants no more.
pub(crate) fn train(
    config: &PpoConfig,
    reward: &dyn RewardModel,
    objective: &dyn Objective,
    state: TrainingState<Gpt2>,
    mut goes_on: impl FnMut(&IterationStats, &TrainingState<Gpt2>) -> bool,
) -> Result<TrainingState<Gpt2>, PpoError> {
    let reference = model();
    let words = (0..11).map(|id: u32| (id.to_string(), id)).collect();
    let tokenizer = Tokenizer::new(
        WordLevel::builder().vocab(words).unk_token("0".to_owned()).build().unwrap(),
    );
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &reference,
        reward,
        sampling: SamplingConfig { max_new_tokens: 3, ..SamplingConfig::default() },
        batch_size: 4,
    };
    let prompt = |id: u32| Prompt { ids: vec![1, id], text: format!("p{id} ") };
    let prompts: Vec<Prompt> = (0..4).map(prompt).collect();
    let reported_level = RiskLevel::new(0.5).unwrap();
    let trainer = Trainer {
        config,
        objective,
        reported_level,
        rollout: &rollout,
        prompts: &prompts,
        seed: 1,
    };
    trainer.run(state, &mut |stats, state| {
        let goes_on = goes_on(stats, state);
        Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
}
