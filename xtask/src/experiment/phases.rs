//! The phases of one seed. Each looks first whether an earlier process has done it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use burn::module::Module;
use tailguard_checkpoint::{CONFIG_FILE, ModelDir, SUMS_FILE, Sums, TOKENIZER_FILE, WEIGHTS_FILE, WeightType};
use tailguard_files::{FileError, write_dir};
use tailguard_gpt2::{Gpt2, Gpt2Error};
use tailguard_metrics::MetricsError;
use tailguard_ppo::{IterationStats, PpoConfig, PpoError, SftConfig, Trainer, TrainingState};
use tailguard_report::{LogRow, Method};
use tailguard_risk::{RiskLevel, ScheduleConfig, SoftRiskSchedule};
use tailguard_rollout::{Rollout, RolloutError};

use super::evaluate::{evaluate, is_evaluated};
use super::inputs::Inputs;
use super::record::Record;
use crate::config::RunConfig;
use crate::interrupt;
use crate::progress::Progress;
use crate::run::Run;

/// The run was asked to stop; what is done so far is in its directory.
#[derive(Debug)]
pub(crate) struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stop {}

/// Iterations between two states from which a killed run can go on.
const SAVE_EVERY: usize = 20;
/// The KL estimate may be negative by chance, but not by more than this.
const LEAST_KL: f64 = -1.0;
/// Supervised steps between two lines of progress.
const TELL_EVERY: usize = 10;

/// The supervised model: the baseline SFT, the policy's start and the reference.
pub(crate) fn supervised(run: &Run, inputs: &Inputs, seed: u64) -> Result<Gpt2> {
    let path = run.dir.checkpoint_path(Method::Sft, seed).join("model");
    if let Some(model) = finished(&path, run)? {
        return Ok(model);
    }
    let sft = &run.config.sft;
    let (steps, batch_size) = (sft.steps, sft.batch_size);
    let config = SftConfig { steps, batch_size, learning_rate: sft.learning_rate, weight_decay: sft.weight_decay };
    let mut progress = Progress::new(steps.div_ceil(TELL_EVERY), format!("sft, seed {seed}"));
    let model = tailguard_ppo::supervised(&inputs.base, &inputs.sft_texts, &config, seed, &mut |step, loss| {
        if step % TELL_EVERY == 0 || step == steps {
            progress.iteration(&format!("loss {loss:.3}"));
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    progress.finish();
    let model = model.ok_or(Stop)?;
    write_model(&path, &model, inputs)?;
    Ok(model)
}

/// The policy that PPO makes of the supervised model: RLHF, or RA-RLHF by the soft-risk schedule.
pub(crate) fn reinforced(run: &Run, inputs: &Inputs, (method, seed): (Method, u64), supervised: &Gpt2) -> Result<Gpt2> {
    let path = run.dir.checkpoint_path(method, seed).join("model");
    if let Some(model) = finished(&path, run)? {
        Record::forget_state(run, (method, seed))?;
        return Ok(model);
    }
    let config = ppo_config(&run.config);
    let rollout = Rollout {
        tokenizer: &inputs.tokenizer,
        reference: supervised,
        reward: &*inputs.reward.model,
        sampling: inputs.sampling,
        batch_size: run.config.sampling.batch_size,
    };
    let schedule = schedule(method, &run.config)?;
    let reported_level = RiskLevel::new(run.config.risk.alpha)?;
    let trainer = Trainer { config: &config, schedule, reported_level, rollout: &rollout, prompts: &inputs.train_prompts, seed };
    let (state, mut record) = Record::open(run, (method, seed), || TrainingState::new(supervised, &config))?;
    let mut progress = Progress::new(config.iterations, format!("{}, seed {seed}", method.name()));
    progress.skip(state.iteration);
    let (mut stopped, mut told_cut) = (false, false);
    let state = trainer.run(state, &mut |stats, state| {
        progress.iteration(&line(stats));
        if stats.kl < LEAST_KL {
            tracing::warn!("the KL estimate is {:.2} nats: sampling and scoring may not use the same distribution", stats.kl);
        }
        let cut = inputs.reward.cut_note(stats.cut, stats.episodes, "episodes").filter(|_| !told_cut);
        if let Some(note) = cut {
            tracing::warn!("{note}; the log has their number in every iteration");
            told_cut = true;
        }
        record.note(&row(stats, method, seed))?;
        stopped = interrupt::requested() && state.iteration < config.iterations;
        if stopped || state.iteration % SAVE_EVERY == 0 {
            record.save(state)?;
        }
        Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    progress.finish();
    if stopped {
        return Err(Stop.into());
    }
    let policy = state.policy.valid();
    record.sync()?;
    write_policy(&path, &policy, inputs)?;
    Record::forget_state(run, (method, seed))?;
    Ok(policy.gpt2)
}

/// Whether a policy was lost in training, and not something that would hold for any policy: the numbers of the training itself, or of the
/// policy that it left, are not finite.
pub(crate) fn is_divergence(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<PpoError>().is_some_and(PpoError::is_divergence)
            || matches!(cause.downcast_ref(), Some(RolloutError::NotFinite { .. }))
            || matches!(cause.downcast_ref(), Some(MetricsError::NotFinite { .. }))
    })
}

/// Evaluates a method unless its figures are there.
pub(crate) fn evaluated(run: &Run, inputs: &Inputs, (method, seed): (Method, u64), model: &Gpt2, reference: &Gpt2) -> Result<()> {
    if is_evaluated(&run.dir, method, seed)? {
        return Ok(());
    }
    if interrupt::requested() {
        return Err(Stop.into());
    }
    tracing::info!("evaluating {method}, seed {seed}");
    evaluate(inputs, &run.config, &run.dir, (method, seed), model, reference).map_err(|error| {
        // the training came to its end, and left a policy that is of no use
        let is_of_ppo = matches!(method, Method::Rlhf | Method::RaRlhf);
        let rate = run.config.ppo.learning_rate;
        if is_of_ppo && is_divergence(&error) {
            error.context(format!("the policy after its training cannot be evaluated (learning_rate = {rate})"))
        } else {
            error.context(format!("evaluating {method}, seed {seed}"))
        }
    })
}

fn finished(path: &Path, run: &Run) -> Result<Option<Gpt2>> {
    if !path.is_dir() {
        return Ok(None);
    }
    Sums::check(&path.join(SUMS_FILE), &[CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE])?;
    Ok(Some(Gpt2::load(&ModelDir::open(path)?, &run.device)?))
}

fn write_model(path: &Path, model: &Gpt2, inputs: &Inputs) -> Result<()> {
    with_tokenizer(path, inputs, |dir| model.save(dir, WeightType::F32))
}

fn write_policy(path: &Path, policy: &tailguard_gpt2::Policy, inputs: &Inputs) -> Result<()> {
    with_tokenizer(path, inputs, |dir| policy.save(dir, WeightType::F32))
}

/// A whole Hugging Face directory: what `transformers` loads.
fn with_tokenizer(path: &Path, inputs: &Inputs, save: impl FnOnce(&Path) -> Result<(), Gpt2Error>) -> Result<()> {
    write_dir(path, |dir| {
        save(dir)?;
        let to = dir.join(TOKENIZER_FILE);
        std::fs::copy(&inputs.tokenizer_path, &to).map_err(FileError::of("write", &to))?;
        Ok(Sums::seal(dir)?)
    })
}

fn schedule(method: Method, config: &RunConfig) -> Result<SoftRiskSchedule> {
    let batch = config.ppo.batch_size;
    let (alpha, warmup, rho) = (config.risk.alpha, config.risk.warmup, config.risk.rho);
    Ok(match method {
        Method::RaRlhf => SoftRiskSchedule::new(ScheduleConfig { batch, alpha, warmup, rho, iterations: config.ppo.iterations })?,
        _ => SoftRiskSchedule::keep_all(batch)?,
    })
}

fn ppo_config(config: &RunConfig) -> PpoConfig {
    let ppo = &config.ppo;
    PpoConfig {
        iterations: ppo.iterations,
        batch_size: ppo.batch_size,
        minibatch_size: ppo.minibatch_size,
        epochs: ppo.epochs,
        learning_rate: ppo.learning_rate,
        value_learning_rate: ppo.value_learning_rate,
        gamma: ppo.gamma,
        lambda: ppo.lambda,
        clip: ppo.clip,
        value_clip: ppo.value_clip,
        value_coef: ppo.value_coef,
        kl_coef: ppo.kl_coef,
        kl_target: ppo.kl_target,
        kl_horizon: ppo.kl_horizon,
        ratio_threshold: ppo.ratio_threshold,
        value_warmup: ppo.value_warmup,
    }
}

fn line(stats: &IterationStats) -> String {
    let IterationStats { reward, reward_tail, kl, kept, episodes, .. } = stats;
    // adding 0 turns -0 into 0
    let kl = (10.0 * kl).round() / 10.0 + 0.0;
    format!("reward {reward:.2}  tail {reward_tail:.2}  kl {kl:.1}  keep {kept}/{episodes}")
}

fn row(stats: &IterationStats, method: Method, seed: u64) -> LogRow {
    let values = [
        ("reward", stats.reward),
        ("reward_std", stats.reward_std),
        ("reward_tail", stats.reward_tail),
        ("return", stats.episode_return),
        ("return_kept", stats.return_kept),
        ("kl", stats.kl),
        ("kl_kept", stats.kl_kept),
        ("kl_coef", stats.kl_coef),
        ("entropy", stats.entropy),
        ("length", stats.length),
        ("kept", stats.kept as f64),
        ("cut", stats.cut as f64),
        ("value_correlation", stats.value_correlation),
        ("policy_loss", stats.update.policy_loss),
        ("value_loss", stats.update.value_loss),
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
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>();
    LogRow { method, seed, iteration: stats.iteration as u64, values }
}
