//! Algorithm 1, line 5: PPO on the kept episodes.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use tailguard_kernels::pieces;
use tailguard_lm::{CausalLm, Policy, Predictions, TokenDistribution};
use tailguard_rollout::Episode;

use crate::batches::{shuffled, streams};
use crate::config::PpoConfig;
use crate::error::{PpoError, finite, same_length};
use crate::gae::{gae, whiten};
use crate::gradients::sharded_gradients;
use crate::loss_stats::{PolicyStats, policy_stats};
use crate::losses::{policy_loss, value_loss};
use crate::optimizer::global_norm;

/// The kept episodes with what the losses need of each; nothing of a dropped episode is left.
#[derive(Clone, Debug)]
pub struct KeptBatch {
    rows: Vec<Row>,
}

/// One episode; the vectors have one entry per response token.
#[derive(Clone, Debug)]
struct Row {
    ids: Vec<u32>,
    prompt_len: usize,
    old_log_probs: Vec<f32>,
    advantages: Vec<f32>,
    critic: Option<Critic>,
}

/// What the value head learns from an episode, if there is one.
#[derive(Clone, Debug)]
struct Critic {
    old_values: Vec<f32>,
    returns: Vec<f32>,
}

impl Row {
    fn new(
        episode: &Episode,
        advantages: Vec<f32>,
        critic: Option<Critic>,
    ) -> Result<Self, PpoError> {
        same_length("log-probabilities", episode.log_probs.len(), episode.response_ids.len())?;
        finite("log-probabilities", &episode.log_probs)?;
        Ok(Self {
            ids: [episode.prompt.ids.as_slice(), &episode.response_ids].concat(),
            prompt_len: episode.prompt.ids.len(),
            old_log_probs: episode.log_probs.clone(),
            advantages,
            critic,
        })
    }
}

impl KeptBatch {
    /// Advantages and returns of the episodes `keep` by a value head, whitened over their tokens
    /// alone (Algorithm 1, lines 3 and 4).
    ///
    /// # Errors
    /// [`PpoError::Length`] if there are no episodes to keep, not rewards for each, or rows that
    /// differ in length; [`PpoError::Keep`]; [`PpoError::NotFinite`].
    pub fn new(
        episodes: &[Episode],
        rewards: &[Vec<f32>],
        keep: &[usize],
        config: &PpoConfig,
    ) -> Result<Self, PpoError> {
        let mut advantages = Vec::with_capacity(keep.len());
        let mut rows = kept(episodes, rewards, keep, |episode, rewards| {
            same_length("rewards", rewards.len(), episode.response_ids.len())?;
            let estimate = gae(rewards, &episode.values, config.gamma, config.lambda)?;
            advantages.push(estimate.advantages);
            let old_values = episode.values.clone();
            let critic = Critic { old_values, returns: estimate.returns };
            Row::new(episode, Vec::new(), Some(critic))
        })?;
        whiten(&mut advantages)?;
        for (row, advantages) in rows.iter_mut().zip(advantages) {
            row.advantages = advantages;
        }
        Ok(Self { rows })
    }

    /// The episodes `keep` with one advantage each, as [`rloo`](crate::rloo) gives them: every
    /// token of a response has that of its episode, as it is. There is no value head to learn
    /// anything.
    ///
    /// # Errors
    /// As [`KeptBatch::new`].
    pub fn with_advantages(
        episodes: &[Episode],
        advantages: &[f32],
        keep: &[usize],
    ) -> Result<Self, PpoError> {
        finite("advantages", advantages)?;
        let rows = kept(episodes, advantages, keep, |episode, &advantage| {
            Row::new(episode, vec![advantage; episode.response_ids.len()], None)
        })?;
        Ok(Self { rows })
    }

    fn has_critic(&self) -> bool {
        self.rows.iter().all(|row| row.critic.is_some())
    }
}

/// The rows of the episodes to keep, each from its episode and what else there is of it.
fn kept<T>(
    episodes: &[Episode],
    of_episodes: &[T],
    keep: &[usize],
    mut row: impl FnMut(&Episode, &T) -> Result<Row, PpoError>,
) -> Result<Vec<Row>, PpoError> {
    if keep.is_empty() {
        return Err(PpoError::Length { what: "episodes to keep", found: 0, expected: 1 });
    }
    let one = |&index: &usize| match (episodes.get(index), of_episodes.get(index)) {
        (Some(episode), Some(of_episode)) => row(episode, of_episode),
        _ => Err(PpoError::Keep { index, episodes: episodes.len().min(of_episodes.len()) }),
    };
    keep.iter().map(one).collect()
}

/// What happened in one update, as means over its minibatches, the skipped ones among them unless
/// their losses are infinite; NaN if all are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateStats {
    /// Policy loss before the value loss is added.
    pub policy_loss: f64,
    /// Value loss before its weight; none without a value head, or if nothing is known of it.
    pub value_loss: Option<f64>,
    /// Half the mean squared difference of new and old log-probabilities.
    pub approx_kl: f64,
    /// Share of tokens at which the clipped policy term is the larger one.
    pub clip_fraction: f64,
    /// Mean ratio of new to old probabilities.
    pub ratio: f64,
    /// Largest distance of the ratio from 1 in the first minibatch of the update, which sees the
    /// policy that sampled.
    pub first_ratio_gap: f64,
    /// Minibatches skipped because their mean ratio was above the threshold: no step is taken. (TRL
    /// takes one with a loss of 0, in which Adam's momentum still moves the weights.)
    pub skipped: usize,
    /// Optimiser steps taken.
    pub steps: usize,
}

/// Which parts of the policy an update moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Train {
    /// Trunk and value head.
    All,
    /// The value head alone, while it learns what returns to expect.
    ValueHead,
}

/// `epochs` passes of PPO over the kept episodes in shuffled minibatches (Eqs. 11 and 13). The
/// order depends on `seed` and `iteration` alone.
///
/// No NaN reaches a weight: losses and gradients are looked at before each step.
///
/// # Errors
/// Settings out of range; [`PpoError::Diverged`] if log-probabilities, losses or the norm of the
/// gradients are not finite: the policy is then lost, so nothing is returned.
#[tracing::instrument(name = "update", skip_all, fields(episodes = batch.rows.len()))]
pub fn update<M: CausalLm>(
    mut policy: Policy<M>,
    optimizer: &mut ModuleOptimizer,
    batch: &KeptBatch,
    config: &PpoConfig,
    distribution: &TokenDistribution,
    train: Train,
    (seed, iteration): (u64, usize),
) -> Result<(Policy<M>, UpdateStats), PpoError> {
    config.validate()?;
    if train == Train::ValueHead && !batch.has_critic() {
        let expected = "0, as there is no value head to train";
        return Err(PpoError::setting("value_warmup", &config.value_warmup, expected));
    }
    let diverged =
        |epoch: usize, what: String| config.diverged(iteration, format!("{what} (epoch {epoch})"));
    let mut stats = UpdateStats::default();
    let (mut seen, mut first_ratio_gap) = (0usize, None);
    for epoch in 0..config.epochs {
        let order = shuffled(
            batch.rows.len(),
            seed,
            streams::MINIBATCHES + (iteration * config.epochs + epoch) as u64,
        );
        for minibatch in minibatches(&order, (config.batch_size, config.minibatch_size)) {
            // rows of like length share a shard, so that padding is rare
            let mut rows: Vec<&Row> = minibatch.iter().map(|&row| &batch.rows[row]).collect();
            rows.sort_by_key(|row| row.ids.len());
            let (mut grads, step) = gradients(&policy, &rows, config, distribution, train)
                .map_err(|error| {
                    if let PpoError::NotFinite { .. } = error {
                        diverged(epoch, error.to_string())
                    } else {
                        error
                    }
                })?;
            let losses = [("policy loss", Some(step.policy_loss)), ("value loss", step.value_loss)];
            let infinite = losses
                .into_iter()
                .find_map(|(name, loss)| Some((name, loss.filter(|loss| !loss.is_finite())?)));
            // a ratio beyond the threshold may be so large that the loss is infinite; what is
            // skipped does no harm
            let skipped = step.policy.ratio > config.ratio_threshold;
            first_ratio_gap.get_or_insert(step.policy.ratio_gap);
            if infinite.is_none() {
                stats.add(&step, &mut seen);
            }
            if skipped {
                stats.skipped += 1;
                continue;
            }
            if let Some((name, loss)) = infinite {
                return Err(diverged(epoch, format!("the {name} is {loss}")));
            }
            let norm = global_norm(&policy, &grads);
            if !norm.is_finite() {
                return Err(diverged(epoch, PpoError::Gradients { norm }.to_string()));
            }
            let rates = (config.rate(iteration), config.value_learning_rate);
            policy = step_both(policy, optimizer, &mut grads, rates);
            stats.steps += 1;
        }
    }
    if seen == 0 {
        stats = UpdateStats { skipped: stats.skipped, ..UpdateStats::UNKNOWN };
    }
    stats.first_ratio_gap = first_ratio_gap.unwrap_or(f64::NAN);
    Ok((policy, stats))
}

/// As many minibatches as the whole batch would have, of nearly equal size: however few episodes
/// are kept, RA-RLHF takes as many optimiser steps as RLHF does. (TRL masks what it drops, and so
/// takes as many too.)
fn minibatches(
    order: &[usize],
    (batch_size, minibatch_size): (usize, usize),
) -> impl Iterator<Item = &[usize]> {
    let (kept, count) = (order.len(), batch_size.div_ceil(minibatch_size).min(order.len()));
    (0..count).map(move |at| &order[at * kept / count..(at + 1) * kept / count])
}

/// One optimiser step: the value head at its own rate, the second one, all else at the policy's.
/// What has no gradients is left as it is.
fn step_both<M: CausalLm>(
    policy: Policy<M>,
    optimizer: &mut ModuleOptimizer,
    grads: &mut GradientsParams,
    (rate, value_rate): (f64, f64),
) -> Policy<M> {
    let mut head = Take { from: grads, taken: GradientsParams::new() };
    policy.value_head.visit(&mut head);
    let head = head.taken;
    let rest = std::mem::take(grads);
    let policy = if rest.is_empty() { policy } else { optimizer.step(rate, policy, rest) };
    if head.is_empty() { policy } else { optimizer.step(value_rate, policy, head) }
}

/// Takes the gradients of the parameters it visits.
struct Take<'a> {
    from: &'a mut GradientsParams,
    taken: GradientsParams,
}

impl ModuleVisitor for Take<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.from.remove::<D>(param.id) {
            self.taken.register(param.id, grad);
        }
    }
}

/// Losses and statistics of one minibatch.
#[derive(Clone, Copy, Debug, Default)]
struct StepStats {
    policy_loss: f64,
    value_loss: Option<f64>,
    policy: PolicyStats,
}

impl UpdateStats {
    /// Those of no minibatch.
    const UNKNOWN: Self = Self {
        policy_loss: f64::NAN,
        value_loss: None,
        approx_kl: f64::NAN,
        clip_fraction: f64::NAN,
        ratio: f64::NAN,
        first_ratio_gap: f64::NAN,
        skipped: 0,
        steps: 0,
    };

    /// Takes one minibatch into the running means.
    fn add(&mut self, step: &StepStats, seen: &mut usize) {
        *seen += 1;
        #[expect(clippy::cast_precision_loss, reason = "an update has few minibatches")]
        let share = 1.0 / *seen as f64;
        for (mean, value) in [
            (&mut self.policy_loss, step.policy_loss),
            (&mut self.approx_kl, step.policy.approx_kl),
            (&mut self.clip_fraction, step.policy.clip_fraction),
            (&mut self.ratio, step.policy.ratio),
        ] {
            *mean += (value - *mean) * share;
        }
        if let Some(value) = step.value_loss {
            let mean = self.value_loss.get_or_insert(0.0);
            *mean += (value - *mean) * share;
        }
    }
}

fn gradients<M: CausalLm>(
    policy: &Policy<M>,
    rows: &[&Row],
    config: &PpoConfig,
    distribution: &TokenDistribution,
    train: Train,
) -> Result<(GradientsParams, StepStats), PpoError> {
    let tokens: usize = rows.iter().map(|row| row.advantages.len()).sum();
    let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
    let device = policy.lm.device();
    let parts: Vec<&[&Row]> =
        pieces(&device, rows.len(), longest).into_iter().map(|range| &rows[range]).collect();
    let (grads, parts) = sharded_gradients(&device, policy, &parts, |policy, rows| {
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        let first: Vec<usize> = rows.iter().map(|row| row.prompt_len).collect();
        let batch = Predictions::new(&ids, &first, 0, &device)?;
        let of_rows = |of: fn(&Row) -> &[f32]| flat(rows.iter().map(|row| of(row)), &device);
        let states = policy.lm.predicting(&batch)?;
        let log_probs =
            policy.lm.token_stats(states.clone(), batch.targets, distribution).log_probs;
        let policy_part = policy_loss(
            log_probs.clone(),
            of_rows(|row| &row.old_log_probs),
            of_rows(|row| &row.advantages),
            config.clip,
        );
        let critic: Option<Vec<&Critic>> = rows.iter().map(|row| row.critic.as_ref()).collect();
        let value_part = critic.map(|critic| {
            let states = if train == Train::ValueHead { states.detach() } else { states };
            let of_critic =
                |of: fn(&Critic) -> &[f32]| flat(critic.iter().map(|row| of(row)), &device);
            value_loss(
                policy.value_head.forward(states),
                of_critic(|row| &row.old_values),
                of_critic(|row| &row.returns),
                config.value_clip,
            )
        });
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let share =
            rows.iter().map(|row| row.advantages.len()).sum::<usize>() as f64 / tokens as f64;
        let losses = (
            policy_part.clone().inner() * share,
            value_part.clone().map(|part| part.inner() * share),
        );
        let loss = match value_part.map(|part| part * config.value_coef) {
            Some(value_part) if train == Train::ValueHead => value_part,
            Some(value_part) => policy_part + value_part,
            None => policy_part,
        };
        let new_log_probs = log_probs.inner().into_data().iter::<f32>().collect::<Vec<f32>>();
        Ok::<_, PpoError>((loss * share, (losses, new_log_probs)))
    })?;
    let mut stats = StepStats::default();
    let mut new_log_probs = Vec::with_capacity(tokens);
    for ((policy_part, value_part), log_probs) in parts {
        stats.policy_loss += f64::from(policy_part.into_scalar::<f32>());
        if let Some(value_part) = value_part {
            *stats.value_loss.get_or_insert(0.0) += f64::from(value_part.into_scalar::<f32>());
        }
        new_log_probs.extend(log_probs);
    }
    let host = |of: fn(&Row) -> &Vec<f32>| {
        rows.iter().flat_map(|row| of(row)).copied().collect::<Vec<f32>>()
    };
    let (old, advantages) = (host(|row| &row.old_log_probs), host(|row| &row.advantages));
    stats.policy = policy_stats(&new_log_probs, &old, &advantages, config.clip)?;
    Ok((grads, stats))
}

/// One number per response token of all rows, `[n]`.
fn flat<'r>(rows: impl Iterator<Item = &'r [f32]>, device: &Device) -> Tensor<1> {
    let values: Vec<f32> = rows.flatten().copied().collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), &device.clone().inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn minibatches_hold_every_kept_episode_once(
            batch in 1usize..200,
            kept in 1usize..200,
            minibatch in 1usize..200,
        ) {
            let (kept, minibatch) = (kept.min(batch), minibatch.min(batch));
            let order: Vec<usize> = (0..kept).rev().collect();
            let parts: Vec<&[usize]> = minibatches(&order, (batch, minibatch)).collect();
            prop_assert_eq!(&parts.concat(), &order);
            prop_assert_eq!(parts.len(), batch.div_ceil(minibatch).min(kept));
            let sizes = || parts.iter().map(|part| part.len());
            prop_assert!(sizes().max().unwrap_or(0) - sizes().min().unwrap_or(0) <= 1);
            prop_assert!(sizes().all(|size| (1..=minibatch).contains(&size)));
        }
    }

    #[test]
    fn dropping_episodes_takes_no_optimiser_step_away() {
        let order: Vec<usize> = (0..52).collect();
        assert_eq!(minibatches(&order, (128, 32)).map(<[usize]>::len).collect::<Vec<_>>(), [13; 4]);
    }
}
