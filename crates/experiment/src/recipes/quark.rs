//! `recipe = "quark"`: responses sorted by reward, each part behind a token of its own; what is
//! compared is the policy behind the token of the best.

use std::ops::ControlFlow;

use tailguard_checkpoint::WeightType;
use tailguard_lm::CausalLm;
use tailguard_ppo::{Quark as Trainer, QuarkState, RoundStats};
use tailguard_report::LogRow;
use tailguard_risk::RiskLevel;
use tailguard_rollout::Rollout;

use crate::error::ExperimentError;
use crate::made::Made;
use crate::observer::Event;
use crate::recipe::{Recipe, Work};
use crate::record::Record;

/// Trains by `[quark]`.
pub(crate) struct Quark;

impl Recipe for Quark {
    fn sections(&self) -> &[&str] {
        &["quark"]
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let (arm, seed) = (work.arm.key.as_str(), work.seed);
        if let Some(model) = work.finished()? {
            Record::forget_state(work.dir, (arm, seed))?;
            return Ok(model.into());
        }
        let (settings, inputs) = (work.settings, work.inputs);
        let (config, reference) = (&settings.quark, work.model_to_begin_with()?);
        let (needed, context) = (settings.episode_tokens() + 1, reference.sizes().context);
        if needed > context {
            return Err(ExperimentError::refused(format!(
                "arm {arm:?}: prompt, response and the token in front need {needed} positions, but \
                 the policy's context has {context}"
            ))
            .with_hint("shorten data.prompt_tokens or sampling.max_new_tokens"));
        }
        let rollout = Rollout {
            tokenizer: &inputs.tokenizer,
            reference,
            reward: &*inputs.reward.model,
            sampling: inputs.sampling,
            batch_size: settings.sampling.batch_size,
        };
        let trainer = Trainer {
            config,
            reported_level: RiskLevel::new(settings.risk.alpha)?,
            rollout: &rollout,
            prompts: &inputs.train_prompts,
            seed,
        };
        let fresh = || QuarkState::new(reference, config, seed);
        let (mut state, mut record) =
            Record::open(work.dir, (arm, seed), &mut *work.observer, fresh)?;
        let done = (state.round * config.explore_every).min(config.steps);
        work.observer.tell(Event::Training { arm, seed, total: config.steps, done });
        let mut told_cut = false;
        while state.round < config.rounds() {
            let observer = &mut *work.observer;
            let outcome = trainer.round(state, &mut |step, loss| {
                observer.tell(Event::Step { step, loss });
                if observer.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            let Some((next, stats)) = outcome else {
                work.observer.tell(Event::Trained);
                return Err(ExperimentError::Stopped);
            };
            state = next;
            let cut = inputs.reward.cut_note(stats.cut, stats.explored, "episodes");
            if let Some(note) = cut.filter(|_| !told_cut) {
                work.observer.tell(Event::Warning(&note));
                told_cut = true;
            }
            record.note(&row(&stats, arm, seed))?;
            record.save(&state)?;
        }
        work.observer.tell(Event::Trained);
        let policy = Trainer::policy(&state)?;
        work.finish(|dir| policy.save(dir, WeightType::F32))?;
        Record::forget_state(work.dir, (arm, seed))?;
        Ok(policy.into())
    }
}

/// The row of the training log.
fn row(stats: &RoundStats, arm: &str, seed: u64) -> LogRow {
    let values = [
        ("reward", stats.reward),
        ("reward_std", stats.reward_std),
        ("reward_tail", stats.reward_tail),
        ("kl", stats.kl),
        ("entropy", stats.entropy),
        ("length", stats.length),
        ("cut", stats.cut as f64),
        ("quark_pool", stats.pool as f64),
        ("quark_steps", stats.steps as f64),
        ("quark_loss", stats.loss),
        ("quark_nll", stats.nll),
        ("quark_token_kl", stats.token_kl),
        ("quark_token_entropy", stats.token_entropy),
        ("rollout_s", stats.rollout_s),
        ("generate_s", stats.rollout.generate_s),
        ("score_s", stats.rollout.score_s),
        ("reference_s", stats.rollout.reference_s),
        ("update_s", stats.update_s),
    ];
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    LogRow { method: arm.to_owned(), seed, iteration: stats.round as u64, values }
}
