//! Algorithm 1 of arXiv 2501.06911: PPO that ends on the worst episodes of each batch. RLHF is the
//! same loop with an objective for which all of them count.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use tailguard_lm::{CausalLm, Policy};
use tailguard_risk::{Batch, Objective, RiskLevel};
use tailguard_rollout::{DrawSeed, Episode, Prompt, Rollout, RolloutError};

use crate::advantages::{Advantages, rloo};
use crate::average::WeightAverage;
use crate::batches::{batch, streams};
use crate::checked::Checked;
use crate::config::PpoConfig;
use crate::error::PpoError;
use crate::kl::{KlController, episode_kl};
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
    /// Training prompts, at least `batch_size / responses`.
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
    /// The mean of the policies so far whose iterations the settings average; none before the first
    /// of them.
    pub average: Option<WeightAverage<Policy<M>>>,
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
        Ok(Self { policy, optimizer: adam(), kl, iteration: 0, average: None })
    }

    /// The policy that training has come to, as an inference copy: the averaged one where the
    /// settings ask for it, the last one otherwise.
    #[must_use]
    pub fn finished(&self) -> Policy<M> {
        match &self.average {
            Some(average) => average.mean().clone(),
            None => self.policy.valid(),
        }
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
    /// Settings out of range, a schedule of another batch size, too few prompts, a state with
    /// another average than the settings ask for, a failed self-check, [`PpoError::Diverged`],
    /// [`PpoError::Score`], or what the observer returns.
    pub fn run(
        &self,
        state: TrainingState<M>,
        observe: &mut Observer<'_, M>,
    ) -> Result<TrainingState<M>, PpoError> {
        self.config.validate()?;
        self.rollout.sampling.validate()?;
        let needed = self.config.prompts();
        if self.prompts.len() < needed {
            return Err(PpoError::TooFewPrompts { needed, found: self.prompts.len() });
        }
        let objective = Checked(self.objective);
        objective.check(self.config.batch_shape()).map_err(PpoError::Objective)?;
        let TrainingState { mut policy, mut optimizer, mut kl, iteration: done, mut average } =
            state;
        self.check_average(done, average.as_ref())?;
        let prompt_numbers = self.prompt_numbers();
        for iteration in done + 1..=self.config.iterations {
            let begun = Instant::now();
            // 2  sample B / K prompts, generate K responses to each, score
            let (prompts, draws) = (self.prompt_batch(iteration), self.draws(iteration));
            let named = |error: PpoError| in_iteration(error, iteration, self.config);
            let sampler = policy.valid();
            let value_head = self.config.has_value_head().then_some(&sampler.value_head);
            let (episodes, times) = self
                .rollout
                .collect(&sampler.lm, value_head, &prompts, self.config.responses, draws)
                .map_err(|error| named(error.into()))?;
            if iteration == 1 {
                self_check(&sampler, self.rollout, &episodes, self.config)?;
            }
            drop(sampler);
            let sampled = begun.elapsed();
            // 3  shaped rewards (Eq. 5)
            let scores: Vec<f64> = episodes.iter().map(|episode| episode.score.into()).collect();
            let scores = Batch { iteration, values: &scores, prompts: &prompt_numbers };
            let utilities = objective.utilities(scores).map_err(PpoError::Objective)?;
            #[expect(clippy::cast_possible_truncation, reason = "rewards are in single precision")]
            let utilities: Vec<f32> = utilities.into_iter().map(|utility| utility as f32).collect();
            let shaped = episodes
                .iter()
                .zip(&utilities)
                .map(|(episode, utility)| shape(episode, *utility, kl.coef()));
            let rewards = shaped.collect::<Result<Vec<_>, _>>().map_err(named)?;
            let returns: Vec<f64> = rewards.iter().map(|rewards| episode_return(rewards)).collect();
            // 4 keep the episodes that count (Eqs. 8-10); advantages and whitening see nothing
            // else, but for a leave-one-out baseline, which is made of all responses to a prompt
            let keep = objective
                .counted(Batch { values: &returns, ..scores })
                .map_err(PpoError::Objective)?;
            let kept = match self.config.advantages {
                Advantages::Gae => KeptBatch::new(&episodes, &rewards, &keep, self.config),
                Advantages::Rloo => penalties(&episodes, kl.coef())
                    .and_then(|penalties| rloo(&objective, scores, &penalties))
                    .and_then(|of_all| KeptBatch::with_advantages(&episodes, &of_all, &keep)),
            };
            let kept = kept.map_err(named)?;
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
            if self.config.averaged(iteration) > 0 {
                let latest = policy.valid();
                average = Some(match average {
                    Some(average) => average.with(&latest),
                    None => WeightAverage::of(latest, 1),
                });
            }
            let (level, of_episodes) =
                (self.reported_level, (utilities.as_slice(), returns.as_slice()));
            let mut stats =
                IterationStats::new(iteration, level, &episodes, of_episodes, &keep, &kl, updated)
                    .map_err(named)?;
            kl.update(if kl.holds() { stats.kl } else { stats.kl_kept }).map_err(named)?;
            stats.iterations = self.config.iterations;
            stats.learning_rate = self.config.rate(iteration);
            stats.rollout = times;
            stats.rollout_s = sampled.as_secs_f64();
            stats.update_s = begun.elapsed().as_secs_f64() - stats.rollout_s;

            let state = TrainingState { policy, optimizer, kl, iteration, average };
            let flow = observe(&stats, &state)?;
            if flow.is_break() {
                return Ok(state);
            }
            TrainingState { policy, optimizer, kl, average, .. } = state;
        }
        let iteration = done.max(self.config.iterations);
        Ok(TrainingState { policy, optimizer, kl, iteration, average })
    }

    /// Refuses a state whose average is not that of its iteration.
    fn check_average(
        &self,
        iteration: usize,
        average: Option<&WeightAverage<Policy<M>>>,
    ) -> Result<(), PpoError> {
        let (found, expected) =
            (average.map_or(0, WeightAverage::count), self.config.averaged(iteration));
        if found == expected {
            return Ok(());
        }
        Err(PpoError::Averaged { iteration, found, expected })
    }

    /// The number of each episode's prompt: those of a prompt stand together.
    fn prompt_numbers(&self) -> Vec<usize> {
        (0..self.config.batch_size).map(|episode| episode / self.config.responses).collect()
    }

    /// The prompts of an iteration; two methods with the same seed see the same ones.
    fn prompt_batch(&self, iteration: usize) -> Vec<Prompt> {
        let (all, size) = (self.prompts.len(), self.config.prompts());
        let batch = batch(all, size, iteration - 1, self.seed, streams::PROMPTS);
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

/// What each episode pays for its KL.
fn penalties(episodes: &[Episode], kl_coef: f64) -> Result<Vec<f64>, PpoError> {
    let kls = episodes.iter().map(|episode| episode_kl(&episode.log_probs, &episode.ref_log_probs));
    kls.map(|kl| Ok(kl_coef * kl?)).collect()
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
