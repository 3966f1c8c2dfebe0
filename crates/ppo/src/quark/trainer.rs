//! The rounds of Quark: explore, quantize, learn.

use std::time::Instant;

use burn::optim::GradientsParams;
use tailguard_kernels::pieces;
use tailguard_lm::{Predictions, Steerable};
use tailguard_risk::{RiskLevel, cvar};
use tailguard_rollout::{DrawSeed, Episode, Prompt, Rollout, RolloutError, RolloutTimes};

use crate::batches::{batch, streams};
use crate::descent::StepObserver;
use crate::error::PpoError;
use crate::gradients::sharded_gradients;
use crate::kl::episode_kl;
use crate::optimizer::global_norm;
use crate::quark::buckets::buckets;
use crate::quark::config::QuarkConfig;
use crate::quark::loss::quark_loss;
use crate::quark::pool::Sample;
use crate::quark::state::QuarkState;
use crate::stats::{covariance, mean};

/// The bucket of the best responses, behind whose token the policy is explored and tested.
pub(crate) const BEST: usize = 0;

/// What does not change during a training.
pub struct Quark<'a, M> {
    /// Settings.
    pub config: &'a QuarkConfig,
    /// The level whose CVaR of the rewards is reported; it does not enter training.
    pub reported_level: RiskLevel,
    /// Sampling, scoring, reference.
    pub rollout: &'a Rollout<'a, M>,
    /// Training prompts.
    pub prompts: &'a [Prompt],
    /// Decides prompts, draws, minibatches and the first control tokens.
    pub seed: u64,
}

/// Figures of one round: of what was explored at its beginning, and of the steps after that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundStats {
    /// The round, from 1.
    pub round: usize,
    /// Steps of all rounds so far.
    pub steps: usize,
    /// Responses in the pool.
    pub pool: usize,
    /// New responses of which the reward model has read only a part.
    pub cut: usize,
    /// New responses.
    pub explored: usize,
    /// Mean score of the new responses.
    pub reward: f64,
    /// Sample standard deviation of their scores.
    pub reward_std: f64,
    /// CVaR of their scores at the reported level.
    pub reward_tail: f64,
    /// Mean KL of the policy that wrote them to the reference, nats per response; 0 in the first
    /// round, in which the reference writes.
    pub kl: f64,
    /// Mean entropy of the policy that wrote them, nats per token.
    pub entropy: f64,
    /// Their mean length in tokens.
    pub length: f64,
    /// Mean loss of the round's steps, nats per token.
    pub loss: f64,
    /// Its first term: mean negative log-likelihood, nats per token.
    pub nll: f64,
    /// Its second, without its weight: mean KL of all buckets' distributions, nats per token.
    pub token_kl: f64,
    /// Its third, without its weight: mean entropy of all buckets' distributions, nats per token.
    pub token_entropy: f64,
    /// Seconds of sampling and scoring.
    pub rollout_s: f64,
    /// The parts of `rollout_s`.
    pub rollout: RolloutTimes,
    /// Seconds of the steps.
    pub update_s: f64,
}

/// Means per token of one step's loss and its terms.
#[derive(Clone, Copy, Debug, Default)]
struct StepStats {
    nll: f64,
    kl: f64,
    entropy: f64,
}

impl StepStats {
    fn loss(&self, config: &QuarkConfig) -> f64 {
        self.nll + config.kl_coef * self.kl - config.entropy_coef * self.entropy
    }
}

impl<M: Steerable> Quark<'_, M> {
    /// The next round: prompts are sampled under the best token (by the reference in the first
    /// round), the pool is cut into buckets anew, and as many steps are taken as lie between two
    /// explorations. Nothing where `on_step`, which is told each step and its loss in nats per
    /// token, breaks off.
    ///
    /// Which prompts, draws and minibatches there are depends on the seed and the round alone.
    ///
    /// # Errors
    /// Settings out of range, too few prompts, [`PpoError::Diverged`], what sampling or scoring
    /// says.
    #[tracing::instrument(name = "quark", skip_all, fields(round = state.round + 1))]
    pub fn round(
        &self,
        state: QuarkState<M>,
        on_step: &mut StepObserver<'_>,
    ) -> Result<Option<(QuarkState<M>, RoundStats)>, PpoError> {
        self.config.validate()?;
        let QuarkState { mut policy, mut optimizer, mut pool, round: done } = state;
        let begun = Instant::now();
        // 1 explore
        let (prompts, draws) = self.explored(done)?;
        let explorer = match done {
            0 => self.rollout.reference.clone(),
            _ => policy.valid().under(Some(BEST))?,
        };
        let texts: Vec<Prompt> =
            prompts.iter().map(|&prompt| self.prompts[prompt].clone()).collect();
        let (episodes, times) = self
            .rollout
            .collect(&explorer, None, &texts, 1, draws)
            .map_err(|error| self.in_round(error, done))?;
        let mut stats = RoundStats::of(&episodes, self.reported_level)?;
        pool.add(&prompts, episodes);
        // 2 quantize
        let buckets = buckets(&pool.rewards(), self.config.buckets)?;
        stats.rollout_s = begun.elapsed().as_secs_f64();
        stats.rollout = times;
        // 3 learn
        let first = done * self.config.explore_every;
        let last = (first + self.config.explore_every).min(self.config.steps);
        let mut means = StepStats::default();
        for step in first..last {
            let chosen = self.minibatch(pool.samples.len(), done, step - first);
            let mut rows: Vec<(&Sample, usize)> =
                chosen.into_iter().map(|at| (&pool.samples[at], buckets[at])).collect();
            // rows of like length share a shard, so that padding is rare
            rows.sort_by_key(|(sample, _)| {
                self.prompts[sample.prompt].ids.len() + sample.response.len()
            });
            let (grads, step_stats) = self.gradients(&policy, &rows)?;
            let loss = step_stats.loss(self.config);
            let norm = global_norm(&policy, &grads);
            for (what, value) in [("loss", loss), ("norm of the gradients", norm)] {
                if !value.is_finite() {
                    return Err(self.diverged(step, format!("the {what} is {value}")));
                }
            }
            policy = optimizer.step(self.config.rate(step), policy, grads);
            #[expect(clippy::cast_precision_loss, reason = "step counts are far below 2^52")]
            let share = 1.0 / (step - first + 1) as f64;
            for (mean, value) in [
                (&mut means.nll, step_stats.nll),
                (&mut means.kl, step_stats.kl),
                (&mut means.entropy, step_stats.entropy),
            ] {
                *mean += (value - *mean) * share;
            }
            if on_step(step + 1, loss).is_break() {
                return Ok(None);
            }
        }
        let stats = RoundStats {
            round: done + 1,
            steps: last,
            pool: pool.samples.len(),
            loss: means.loss(self.config),
            nll: means.nll,
            token_kl: means.kl,
            token_entropy: means.entropy,
            update_s: begun.elapsed().as_secs_f64() - stats.rollout_s,
            ..stats
        };
        Ok(Some((QuarkState { policy, optimizer, pool, round: done + 1 }, stats)))
    }

    /// What has been learnt: the policy behind the token of the best bucket, for inference.
    ///
    /// # Errors
    /// Never for a state that this trainer made.
    pub fn policy(state: &QuarkState<M>) -> Result<M, PpoError> {
        Ok(state.policy.valid().under(Some(BEST))?)
    }

    /// The places of the prompts that the round after `done` rounds samples, and its draws.
    fn explored(&self, done: usize) -> Result<(Vec<usize>, DrawSeed), PpoError> {
        let found = self.prompts.len();
        let count = if self.config.prompts == 0 { found } else { self.config.prompts };
        if count > found {
            let expected = format!("at most {found}, the number of training prompts");
            return Err(PpoError::setting("prompts", &count, &expected));
        }
        let batch_size = self.config.batch_size;
        if batch_size > count {
            let expected = format!("at most {count}, the number of prompts of an exploration");
            return Err(PpoError::setting("batch_size", &batch_size, &expected));
        }
        let prompts = batch(found, count, done, self.seed, streams::PROMPTS);
        let stream = streams::EPISODES + (done * count) as u64;
        Ok((prompts, DrawSeed { seed: self.seed, stream }))
    }

    /// Places in a pool of that size: a round goes through it in an order of its own.
    fn minibatch(&self, pool: usize, done: usize, step: usize) -> Vec<usize> {
        // no round has as many passes
        let stream = streams::POOL + ((done as u64) << 20);
        batch(pool, self.config.batch_size, step, self.seed, stream)
    }

    /// Gradients of the mean loss over the response tokens of some samples, each with its bucket.
    fn gradients(
        &self,
        policy: &M,
        rows: &[(&Sample, usize)],
    ) -> Result<(GradientsParams, StepStats), PpoError> {
        let prompt = |sample: &Sample| self.prompts[sample.prompt].ids.as_slice();
        let tokens: usize = rows.iter().map(|(sample, _)| sample.response.len()).sum();
        // the token in front is one more
        let lengths = rows.iter().map(|(sample, _)| prompt(sample).len() + sample.response.len());
        let longest = 1 + lengths.max().unwrap_or(0);
        let (device, reference) = (policy.device(), self.rollout.reference);
        let distribution = self.rollout.sampling.distribution();
        let parts: Vec<&[(&Sample, usize)]> =
            pieces(&device, rows.len(), longest).into_iter().map(|range| &rows[range]).collect();
        let (grads, terms) = sharded_gradients(&device, policy, &parts, |policy, rows| {
            let ids: Vec<Vec<u32>> = rows
                .iter()
                .map(|(sample, _)| [prompt(sample), &sample.response].concat())
                .collect();
            let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
            let first: Vec<usize> = rows.iter().map(|(sample, _)| prompt(sample).len()).collect();
            let tokens_in_front: Vec<usize> = rows.iter().map(|(_, bucket)| *bucket).collect();
            let batch = Predictions::new(&ids, &first, 0, &device)?;
            let of_reference = reference.logits(reference.predicting(&batch)?);
            let logits = policy.logits(policy.predicting_under(&batch, &tokens_in_front)?);
            let loss = quark_loss(&logits, of_reference, batch.targets, &distribution, self.config);
            #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
            let share = 1.0 / tokens as f64;
            let terms = [loss.nll, loss.kl, loss.entropy];
            Ok::<_, PpoError>((loss.gradient_of * share, terms.map(|term| term * share)))
        })?;
        let sum = |at: usize| {
            terms.iter().map(|terms| f64::from(terms[at].clone().into_scalar::<f32>())).sum()
        };
        Ok((grads, StepStats { nll: sum(0), kl: sum(1), entropy: sum(2) }))
    }

    /// The same error, or the divergence that it is a sign of once training has moved the weights.
    fn in_round(&self, error: RolloutError, done: usize) -> PpoError {
        match error {
            RolloutError::NotFinite { .. } if done > 0 => {
                self.diverged(done * self.config.explore_every, error.to_string())
            }
            other => other.into(),
        }
    }

    fn diverged(&self, step: usize, what: String) -> PpoError {
        let cause = format!("learning_rate = {} is too high", self.config.learning_rate);
        PpoError::Diverged { unit: "step", number: step + 1, what, cause }
    }
}

impl RoundStats {
    /// What is known of the new responses.
    fn of(episodes: &[Episode], level: RiskLevel) -> Result<Self, PpoError> {
        let scores: Vec<f64> = episodes.iter().map(|episode| f64::from(episode.score)).collect();
        let kl = episodes
            .iter()
            .map(|episode| episode_kl(&episode.log_probs, &episode.ref_log_probs))
            .collect::<Result<Vec<f64>, _>>()?;
        let entropies = episodes.iter().flat_map(|episode| &episode.entropies);
        #[expect(clippy::cast_precision_loss, reason = "responses are short")]
        let lengths = episodes.iter().map(|episode| episode.response_ids.len() as f64);
        Ok(Self {
            explored: episodes.len(),
            cut: episodes.iter().filter(|episode| episode.cut).count(),
            reward: mean(scores.iter().copied()),
            reward_std: covariance(&scores, &scores).sqrt(),
            reward_tail: cvar(&scores, level)?,
            kl: mean(kl.into_iter()),
            entropy: mean(entropies.map(|&entropy| f64::from(entropy))),
            length: mean(lengths),
            ..Self::default()
        })
    }
}
