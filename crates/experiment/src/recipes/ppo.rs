//! `recipe = "ppo"`: PPO with a KL penalty to what it begins with, for the objective of the arm.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tailguard_checkpoint::WeightType;
use tailguard_lm::CausalLm;
use tailguard_ppo::{IterationStats, Trainer, TrainingState};
use tailguard_report::LogRow;
use tailguard_risk::RiskLevel;
use tailguard_rollout::Rollout;

use crate::cost::{REWARD_CALLS, SAMPLED_TOKENS};
use crate::equal_kl::{EQUAL_KL, HELD, Settling};
use crate::error::ExperimentError;
use crate::made::Made;
use crate::observer::Event;
use crate::recipe::{Recipe, Work};
use crate::record::Record;

/// Trains by `[ppo]`.
pub(crate) struct Ppo;

/// Iterations between two states from which a killed run can go on.
const SAVE_EVERY: usize = 20;
/// The KL estimate may be negative by chance, but not by more than this.
const LEAST_KL: f64 = -1.0;

impl Recipe for Ppo {
    fn sections(&self) -> &[&str] {
        &["ppo", "risk", EQUAL_KL]
    }

    fn has_objective(&self) -> bool {
        true
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let (arm, seed) = (work.arm.key.as_str(), work.seed);
        if let Some(model) = work.finished()? {
            Record::forget_state(work.dir, (arm, seed))?;
            return Ok(model.into());
        }
        let (settings, inputs) = (work.settings, work.inputs);
        let supervised = work.model_to_begin_with()?;
        let config = &settings.ppo;
        let rollout = Rollout {
            tokenizer: &inputs.tokenizer,
            reference: supervised,
            reward: &*inputs.reward.model,
            sampling: inputs.sampling,
            batch_size: settings.sampling.batch_size,
        };
        let objective = work.objectives.of(work.arm, settings)?;
        let trainer = Trainer {
            config,
            objective: &*objective,
            reported_level: RiskLevel::new(settings.risk.alpha)?,
            rollout: &rollout,
            prompts: &inputs.train_prompts,
            seed,
        };
        let held = settings.experiment.held_kl();
        let fresh = || match held {
            None => TrainingState::new(supervised, config),
            Some(kl) => TrainingState::held_at(kl, supervised, config),
        };
        let (state, mut record) = Record::open(work.dir, (arm, seed), &mut *work.observer, fresh)?;
        work.observer.tell(Event::Training {
            arm,
            seed,
            total: config.iterations,
            done: state.iteration,
        });
        let observer = &mut *work.observer;
        let (mut stopped, mut told_cut) = (false, false);
        let state = trainer.run(state, &mut |stats, state| {
            observer.tell(Event::Iteration(stats));
            if stats.kl < LEAST_KL {
                let kl = stats.kl;
                observer.tell(Event::Warning(&format!(
                    "the KL estimate is {kl:.2} nats: sampling and scoring may not use the same \
                     distribution"
                )));
            }
            let cut =
                inputs.reward.cut_note(stats.cut, stats.episodes, "episodes").filter(|_| !told_cut);
            if let Some(note) = cut {
                observer.tell(Event::Warning(&format!(
                    "{note}; the log has their number in every iteration"
                )));
                told_cut = true;
            }
            record.note(&row(stats, arm, seed))?;
            stopped = state.iteration < config.iterations && !observer.goes_on();
            if stopped || state.iteration % SAVE_EVERY == 0 {
                record.save(state)?;
            }
            Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        work.observer.tell(Event::Trained);
        if stopped {
            return Err(ExperimentError::Stopped);
        }
        let mut policy = state.finished();
        if let Some(target) = held {
            // a process that is stopped on the way has the training behind it
            record.save(&state)?;
            let name = (arm, seed);
            let (reference, way) = (supervised, HELD);
            let settling = Settling { name, reference, target, way, inputs, settings };
            policy.lm = settling.settle(policy.lm, &mut *work.observer)?;
        }
        record.sync()?;
        work.finish(|dir| {
            if config.has_value_head() {
                policy.save(dir, WeightType::F32)
            } else {
                policy.lm.save(dir, WeightType::F32)
            }
        })?;
        Record::forget_state(work.dir, (arm, seed))?;
        Ok(policy.lm.into())
    }
}

/// The row of the training log; what is of a value head is left out where there is none.
fn row(stats: &IterationStats, arm: &str, seed: u64) -> LogRow {
    let values = [
        ("reward", stats.reward),
        ("reward_std", stats.reward_std),
        ("reward_tail", stats.reward_tail),
        ("utility", stats.utility),
        ("return", stats.episode_return),
        ("return_kept", stats.return_kept),
        ("kl", stats.kl),
        ("kl_kept", stats.kl_kept),
        ("kl_coef", stats.kl_coef),
        ("entropy", stats.entropy),
        ("length", stats.length),
        (SAMPLED_TOKENS, (stats.length * stats.episodes as f64).round()),
        (REWARD_CALLS, stats.episodes as f64),
        ("kept", stats.kept as f64),
        ("cut", stats.cut as f64),
        ("learning_rate", stats.learning_rate),
        ("policy_loss", stats.update.policy_loss),
        ("approx_kl", stats.update.approx_kl),
        ("clip_fraction", stats.update.clip_fraction),
        ("ratio", stats.update.ratio),
        ("skipped", stats.update.skipped as f64),
        ("rollout_s", stats.rollout_s),
        ("generate_s", stats.rollout.generate_s),
        ("score_s", stats.rollout.score_s),
        ("reference_s", stats.rollout.reference_s),
        ("update_s", stats.update_s),
    ];
    let of_value_head =
        [("value_correlation", stats.value_correlation), ("value_loss", stats.update.value_loss)];
    let of_value_head = of_value_head.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let values = values
        .into_iter()
        .chain(of_value_head)
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
    LogRow { method: arm.to_owned(), seed, iteration: stats.iteration as u64, values }
}
