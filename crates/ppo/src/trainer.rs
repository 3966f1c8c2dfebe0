//! Algorithm 1 of arXiv 2501.06911: PPO that ends on the worst episodes of each batch. RLHF is the
//! same loop with an objective for which all of them count.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use tailguard_lm::{CausalLm, Policy};
use tailguard_risk::{Batch, BatchShape, Objective, RiskLevel};
use tailguard_rollout::{DrawSeed, Episode, LARGEST_SCORE, Prompt, Rollout, RolloutError};

use crate::batches::{batch, streams};
use crate::config::PpoConfig;
use crate::error::PpoError;
use crate::kl::KlController;
use crate::optimizer::adam;
use crate::rewards::{episode_return, shaped_rewards};
use crate::self_check::{ratio_is_one, self_check};
use crate::stats::IterationStats;
use crate::update::{KeptBatch, Train, update};

/// What does not change during a run.
pub struct Trainer<'a, M> {
    /// Settings of PPO.
    pub config: &'a PpoConfig,
    /// What is maximised: [`Mean`](tailguard_risk::Mean) makes this RLHF,
    /// [`KeepLowest`](tailguard_risk::KeepLowest) RA-RLHF.
    pub objective: &'a dyn Objective,
    /// The level whose CVaR of the rewards is reported; it does not enter training.
    pub reported_level: RiskLevel,
    /// Sampling, scoring, reference.
    pub rollout: &'a Rollout<'a, M>,
    /// Training prompts, at least `batch_size`.
    pub prompts: &'a [Prompt],
    /// Decides prompts, draws and minibatches.
    pub seed: u64,
}

/// What changes, and therefore what a resumed run needs.
pub struct TrainingState<M: CausalLm> {
    /// On the autodiff device.
    pub policy: Policy<M>,
    /// Adam's moments.
    pub optimizer: ModuleOptimizer,
    /// The KL coefficient.
    pub kl: KlController,
    /// Iterations done.
    pub iteration: usize,
}

impl<M: CausalLm> TrainingState<M> {
    /// Algorithm 1, line 1: the policy starts from the supervised model, with a fresh value head.
    ///
    /// # Errors
    /// [`PpoError::Setting`] for a setting out of range.
    pub fn new(supervised: &M, config: &PpoConfig) -> Result<Self, PpoError> {
        config.validate()?;
        let policy = Policy::new(supervised.clone().train());
        let kl = KlController::adaptive(
            config.kl_coef,
            config.kl_target,
            KlController::gain(config.batch_size, config.kl_horizon),
        )?;
        Ok(Self { policy, optimizer: adam(), kl, iteration: 0 })
    }

    /// [`new`](Self::new), with the KL of all episodes held at so many nats, whatever the objective
    /// counts: `kl_coef` is where the coefficient begins, `kl_target` and `kl_horizon` have no use.
    ///
    /// # Errors
    /// [`PpoError::Setting`] for a setting out of range, or a KL that is not positive.
    pub fn held_at(kl: f64, supervised: &M, config: &PpoConfig) -> Result<Self, PpoError> {
        let kl = KlController::holding(config.kl_coef, kl)?;
        Ok(Self { kl, ..Self::new(supervised, config)? })
    }
}

/// What is told after each iteration; breaking ends the run there.
pub type Observer<'a, M> =
    dyn FnMut(&IterationStats, &TrainingState<M>) -> Result<ControlFlow<()>, PpoError> + 'a;

impl<M: CausalLm> Trainer<'_, M> {
    /// Runs the iterations that are left in `state`. A run begins with the policy that is the
    /// reference: its first batch checks that their KL is 0.
    ///
    /// # Errors
    /// Settings out of range, a schedule of another batch size, too few prompts, a failed
    /// self-check, [`PpoError::Diverged`], [`PpoError::Score`], or what the observer returns.
    pub fn run(
        &self,
        state: TrainingState<M>,
        observe: &mut Observer<'_, M>,
    ) -> Result<TrainingState<M>, PpoError> {
        self.config.validate()?;
        self.rollout.sampling.validate()?;
        let batch_size = self.config.batch_size;
        if self.prompts.len() < batch_size {
            return Err(PpoError::TooFewPrompts { needed: batch_size, found: self.prompts.len() });
        }
        self.objective.check(BatchShape::single(batch_size)).map_err(PpoError::Objective)?;
        let TrainingState { mut policy, mut optimizer, mut kl, iteration: done } = state;
        for iteration in done + 1..=self.config.iterations {
            let begun = Instant::now();
            // 2  sample B prompts, generate, score
            let (prompts, draws) = (self.prompt_batch(iteration), self.draws(iteration));
            let named = |error: PpoError| in_iteration(error, iteration, self.config);
            let (episodes, times) = self
                .rollout
                .collect(&policy.valid(), &prompts, draws)
                .map_err(|error| named(error.into()))?;
            if iteration == 1 {
                self_check(&policy.valid(), self.rollout, &episodes, self.config)?;
            }
            let sampled = begun.elapsed();
            // 3  shaped rewards (Eq. 5)
            let utilities = self.utilities(iteration, &episodes)?;
            let shaped = episodes
                .iter()
                .zip(&utilities)
                .map(|(episode, utility)| shape(episode, *utility, kl.coef()));
            let rewards = shaped.collect::<Result<Vec<_>, _>>().map_err(named)?;
            let returns: Vec<f64> = rewards.iter().map(|rewards| episode_return(rewards)).collect();
            // 4 keep the episodes that count (Eqs. 8-10); advantages and whitening see nothing else
            let keep = self.counted(iteration, &returns)?;
            let kept = KeptBatch::new(&episodes, &rewards, &keep, self.config).map_err(named)?;
            // 5 update value and policy on the kept episodes (Eqs. 11 and 13), then beta (Eqs. 4
            // and 12)
            let train =
                if iteration <= self.config.value_warmup { Train::ValueHead } else { Train::All };
            let step = (self.seed, iteration);
            let updated;
            (policy, updated) = update(
                policy,
                &mut optimizer,
                &kept,
                self.config,
                &self.rollout.sampling.distribution(),
                train,
                step,
            )?;
            if iteration == 1 {
                ratio_is_one(updated.first_ratio_gap)?;
            }
            let (level, of_episodes) =
                (self.reported_level, (utilities.as_slice(), returns.as_slice()));
            let mut stats =
                IterationStats::new(iteration, level, &episodes, of_episodes, &keep, &kl, updated)
                    .map_err(named)?;
            kl.update(if kl.holds() { stats.kl } else { stats.kl_kept }).map_err(named)?;
            stats.iterations = self.config.iterations;
            stats.rollout = times;
            stats.rollout_s = sampled.as_secs_f64();
            stats.update_s = begun.elapsed().as_secs_f64() - stats.rollout_s;

            let state = TrainingState { policy, optimizer, kl, iteration };
            let flow = observe(&stats, &state)?;
            TrainingState { policy, optimizer, kl, .. } = state;
            if flow.is_break() {
                return Ok(TrainingState { policy, optimizer, kl, iteration });
            }
        }
        let iteration = done.max(self.config.iterations);
        Ok(TrainingState { policy, optimizer, kl, iteration })
    }

    /// What the objective makes of the scores of an iteration's episodes.
    fn utilities(&self, iteration: usize, episodes: &[Episode]) -> Result<Vec<f32>, PpoError> {
        let scores: Vec<f64> = episodes.iter().map(|episode| episode.score.into()).collect();
        let prompts: Vec<usize> = (0..scores.len()).collect();
        let utilities =
            self.objective.utilities(Batch { iteration, values: &scores, prompts: &prompts });
        let utilities = utilities.map_err(PpoError::Objective)?;
        if utilities.len() != scores.len() {
            let message = format!(
                "it gives {} utilities, expected one for each of {} episodes",
                utilities.len(),
                scores.len()
            );
            return Err(PpoError::Objective(message.into()));
        }
        let limit = f64::from(LARGEST_SCORE);
        if let Some(utility) =
            utilities.iter().find(|utility| !utility.is_finite() || utility.abs() > limit)
        {
            let message = format!(
                "it gives the utility {utility:e}, expected numbers of at most {LARGEST_SCORE:e} \
                 in size, as scores are"
            );
            return Err(PpoError::Objective(message.into()));
        }
        #[expect(clippy::cast_possible_truncation, reason = "rewards are in single precision")]
        Ok(utilities.into_iter().map(|utility| utility as f32).collect())
    }

    /// The episodes that count by their returns.
    fn counted(&self, iteration: usize, returns: &[f64]) -> Result<Vec<usize>, PpoError> {
        let prompts: Vec<usize> = (0..returns.len()).collect();
        let keep = self
            .objective
            .counted(Batch { iteration, values: returns, prompts: &prompts })
            .map_err(PpoError::Objective)?;
        let is_ascending = keep.is_sorted_by(|one, next| one < next);
        if keep.is_empty()
            || !is_ascending
            || keep.last().is_some_and(|last| *last >= returns.len())
        {
            let message = format!(
                "it counts {keep:?}, expected ascending places of {} episodes, at least one",
                returns.len()
            );
            return Err(PpoError::Objective(message.into()));
        }
        Ok(keep)
    }

    /// The prompts of an iteration; two methods with the same seed see the same ones.
    fn prompt_batch(&self, iteration: usize) -> Vec<Prompt> {
        let batch = batch(
            self.prompts.len(),
            self.config.batch_size,
            iteration - 1,
            self.seed,
            streams::PROMPTS,
        );
        batch.into_iter().map(|prompt| self.prompts[prompt].clone()).collect()
    }

    /// Streams of an iteration's draws: one per episode, none of them used by another iteration.
    fn draws(&self, iteration: usize) -> DrawSeed {
        DrawSeed {
            seed: self.seed,
            stream: streams::EPISODES + (iteration * self.config.batch_size) as u64,
        }
    }
}

fn shape(episode: &Episode, utility: f32, kl_coef: f64) -> Result<Vec<f32>, PpoError> {
    shaped_rewards(&episode.log_probs, &episode.ref_log_probs, utility, kl_coef)
}

/// The same error, or the divergence that it is a sign of: numbers that are not finite once
/// training has moved the weights.
fn in_iteration(error: PpoError, iteration: usize, config: &PpoConfig) -> PpoError {
    match error {
        PpoError::NotFinite { .. } | PpoError::Gradients { .. } => {
            config.diverged(iteration, error.to_string())
        }
        // whatever the learning rate
        PpoError::Rollout(RolloutError::Score { row, score }) if score.is_finite() => {
            PpoError::Score { iteration, episode: row, score }
        }
        // before the first update it is the model that is damaged
        PpoError::Rollout(RolloutError::NotFinite { .. }) if iteration > 1 => {
            config.diverged(iteration, error.to_string())
        }
        other => other,
    }
}
