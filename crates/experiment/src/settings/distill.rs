//! `[distill]`: samples of the reference, weighted and learnt, in rounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_ppo::DistillConfig;
use tailguard_risk::Pool;

/// Distillation of the optimal policy: responses are sampled, weighed, and learnt with their
/// weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DistillSection {
    /// How a round's samples are learnt.
    #[serde(flatten)]
    pub training: DistillConfig,
    /// Training prompts of a round; each round has others, as long as there are.
    #[schemars(range(min = 1))]
    pub prompts: usize,
    /// Responses sampled to each of them.
    #[schemars(range(min = 2, max = 10_000))]
    pub samples: usize,
    /// KL coefficient beside the utility of a response: it is weighed by exp(utility / beta). Not
    /// used where `kl_target` is above 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta: f64,
    /// KL of the weighted samples to the reference that beta is chosen for, nats; 0: beta is that
    /// of `beta`. Each round goes an equal part of the way.
    #[schemars(range(min = 0.0))]
    pub kl_target: f64,
    /// Rounds: the first samples from the reference, each later one from what the one before has
    /// made.
    #[schemars(range(min = 1, max = 255))]
    pub rounds: usize,
}

impl Default for DistillSection {
    fn default() -> Self {
        Self {
            training: DistillConfig::default(),
            prompts: 1000,
            samples: 32,
            beta: 0.35,
            kl_target: 0.0,
            rounds: 1,
        }
    }
}

impl DistillSection {
    /// What the settings say that cannot be, if they do.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        let Self { training, prompts, samples, kl_target, rounds, .. } = self;
        if training.batch_size > *prompts {
            return Some(format!(
                "distill.batch_size is {}, expected at most distill.prompts, {prompts}",
                training.batch_size
            ));
        }
        let (limit, round) = (Pool::limit(*samples), kl_target / *rounds as f64);
        if round <= limit {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounds up")]
        let needed = (kl_target / limit).ceil() as usize;
        Some(format!(
            "distill.kl_target is {kl_target}, which is {round:.2} nats a round in \
             distill.rounds = {rounds}; {samples} samples of a prompt tell of {limit:.2} nats at \
             most, ln({samples}) / 2: expected distill.rounds of at least {needed}, or more \
             distill.samples"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_goes_no_further_than_its_samples_tell() {
        let of = |kl_target, rounds| DistillSection {
            kl_target,
            rounds,
            samples: 32,
            ..DistillSection::default()
        };
        assert_eq!((of(1.7, 1).conflict(), of(5.1, 3).conflict()), (None, None));
        let message = of(5.1, 2).conflict().unwrap();
        assert!(message.contains("2.55 nats a round") && message.contains("1.73"), "{message}");
        assert!(message.contains("distill.rounds of at least 3"), "{message}");
    }
}
