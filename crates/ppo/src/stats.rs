//! What is known after an iteration: a row of the training log.

use tailguard_risk::{RiskLevel, cvar};
use tailguard_rollout::{Episode, RolloutTimes};

use crate::error::PpoError;
use crate::kl::{KlController, episode_kl};
use crate::update::UpdateStats;

/// Figures of one iteration. Means are over all sampled episodes unless the name says `kept`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IterationStats {
    /// The iteration, counted from 1.
    pub iteration: usize,
    /// Iterations of the whole run.
    pub iterations: usize,
    /// Episodes sampled.
    pub episodes: usize,
    /// Episodes that entered the update.
    pub kept: usize,
    /// Episodes of which the reward model has read only a part.
    pub cut: usize,
    /// Mean score of the reward model, raw logits.
    pub reward: f64,
    /// Sample standard deviation of the scores.
    pub reward_std: f64,
    /// CVaR of the scores at the run's reported level.
    pub reward_tail: f64,
    /// Mean utility: what the objective makes of the scores; those of RLHF and RA-RLHF leave them
    /// as they are.
    pub utility: f64,
    /// Mean return: utility minus KL penalty.
    pub episode_return: f64,
    /// The same over the kept episodes.
    pub return_kept: f64,
    /// Mean KL to the reference per episode, in nats; an estimate that may be negative.
    pub kl: f64,
    /// The same over the kept episodes: what the controller of Eq. 12 sees.
    pub kl_kept: f64,
    /// KL coefficient used in this iteration.
    pub kl_coef: f64,
    /// Mean entropy of the policy per token, in nats.
    pub entropy: f64,
    /// Mean length of the responses in tokens.
    pub length: f64,
    /// Correlation of the value of the first state with the return, over all episodes; none without
    /// a value head.
    pub value_correlation: Option<f64>,
    /// The policy's learning rate in this iteration.
    pub learning_rate: f64,
    /// What the update did.
    pub update: UpdateStats,
    /// Seconds of sampling and scoring, with the self-check of a first iteration.
    pub rollout_s: f64,
    /// The parts of `rollout_s`.
    pub rollout: RolloutTimes,
    /// Seconds of all that follows: shaped rewards, selection, advantages, the optimiser's steps.
    pub update_s: f64,
}

impl IterationStats {
    /// The figures without the length of the run, the learning rate and the times, which the
    /// trainer knows.
    pub(crate) fn new(
        iteration: usize,
        reported_level: RiskLevel,
        episodes: &[Episode],
        (utilities, returns): (&[f32], &[f64]),
        keep: &[usize],
        kl: &KlController,
        update: UpdateStats,
    ) -> Result<Self, PpoError> {
        let scores: Vec<f64> = episodes.iter().map(|episode| f64::from(episode.score)).collect();
        let kls =
            episodes.iter().map(|episode| episode_kl(&episode.log_probs, &episode.ref_log_probs));
        let kls = kls.collect::<Result<Vec<f64>, _>>()?;
        let kept = |of: &[f64]| mean(keep.iter().map(|&index| of[index]));
        let first_values: Option<Vec<f64>> = episodes
            .iter()
            .map(|episode| episode.values.first().map(|&value| f64::from(value)))
            .collect();
        let entropies = episodes
            .iter()
            .flat_map(|episode| &episode.entropies)
            .map(|&entropy| f64::from(entropy));
        #[expect(clippy::cast_precision_loss, reason = "responses are short")]
        let lengths = episodes.iter().map(|episode| episode.response_ids.len() as f64);
        Ok(Self {
            iteration,
            iterations: 0,
            episodes: episodes.len(),
            kept: keep.len(),
            cut: episodes.iter().filter(|episode| episode.cut).count(),
            reward: mean(scores.iter().copied()),
            reward_std: covariance(&scores, &scores).sqrt(),
            reward_tail: cvar(&scores, reported_level)?,
            utility: mean(utilities.iter().map(|&utility| f64::from(utility))),
            episode_return: mean(returns.iter().copied()),
            return_kept: kept(returns),
            kl: mean(kls.iter().copied()),
            kl_kept: kept(&kls),
            kl_coef: kl.coef(),
            entropy: mean(entropies),
            length: mean(lengths),
            value_correlation: first_values.map(|values| correlation(&values, returns)),
            learning_rate: 0.0,
            update,
            rollout_s: 0.0,
            rollout: RolloutTimes::default(),
            update_s: 0.0,
        })
    }
}

/// Mean, 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// Sample covariance, 0 of fewer than two.
pub(crate) fn covariance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() < 2 {
        return 0.0;
    }
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    let degrees = (a.len() - 1) as f64;
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>() / degrees
}

/// Correlation, 0 where one of the two does not vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let scale = (covariance(a, a) * covariance(b, b)).sqrt();
    if scale > 0.0 { covariance(a, b) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_is_one_for_a_line_and_zero_for_a_constant() {
        assert!((correlation(&[1.0, 2.0, 4.0], &[3.0, 5.0, 9.0]) - 1.0).abs() < 1e-12);
        assert!((correlation(&[1.0, 2.0, 4.0], &[-3.0, -5.0, -9.0]) + 1.0).abs() < 1e-12);
        assert!(correlation(&[1.0, 2.0], &[5.0, 5.0]).abs() < 1e-12);
        assert!(correlation(&[1.0], &[5.0]).abs() < 1e-12);
    }
}
