//! `cargo xtask bench iteration`: PPO iterations by the trainer itself, on a randomly initialised
//! GPT-2.

use std::ops::ControlFlow;

use anyhow::{Result, ensure};
use burn::module::Module;
use serde_json::{Value, json};
use tailguard::failure::say;
use tailguard::{Program, device};
use tailguard_benchmarks::{Spread, median};
use tailguard_ppo::{IterationStats, PpoConfig, Trainer, TrainingState};
use tailguard_reward::{RewardError, RewardModel};
use tailguard_risk::{KeepLowest, RiskLevel, ScheduleConfig, SoftRiskSchedule};
use tailguard_rollout::{EndOfText, Prompt, Rollout, SamplingConfig};
use tokenizers::Tokenizer;
use tokenizers::models::wordlevel::WordLevel;

use super::args::SizeArgs;
use super::flops;
use super::head::Head;
use super::machine::OtherProcesses;
use super::sizes::Sizes;

/// Runs the command.
///
/// # Errors
/// Sizes that make no sense, a device that is not there, a training that fails or that did other
/// work than was asked for.
pub(crate) fn run(args: &SizeArgs, program: &Program) -> Result<()> {
    let sizes = Sizes::resolve(args)?;
    device::set_threads(args.timing.threads)?;
    let device = device::select_with(&args.device, args.precision, program)?;
    let supervised = sizes.model(&device)?;
    let config = ppo_config(&sizes);
    let state = TrainingState::new(&supervised, &config)?;
    let parameters = state.policy.num_params();
    let episode = format!("{} + {} tokens", sizes.prompt_len, sizes.gen_len);
    tracing::info!(
        "{:.1} M parameters, {} episodes of {episode}",
        parameters as f64 / 1e6,
        sizes.batch
    );

    let tokenizer = tokenizer(sizes.vocab)?;
    // a new batch of prompts for each iteration
    let rows = sizes.random_rows(sizes.batch * config.iterations, sizes.prompt_len);
    let prompts: Vec<Prompt> =
        rows.into_iter().map(|ids| Prompt { ids, text: String::new() }).collect();
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &supervised,
        reward: &OfIds,
        sampling: sampling(&sizes),
        batch_size: sizes.batch,
    };
    let level = RiskLevel::new(sizes.alpha_keep)?;
    let trainer = Trainer {
        config: &config,
        objective: &KeepLowest(schedule(&sizes)?),
        reported_level: level,
        rollout: &rollout,
        prompts: &prompts,
        seed: sizes.seed,
    };
    let (mut measured, mut others) = (Vec::with_capacity(sizes.iters), None);
    trainer.run(state, &mut |stats, _| {
        tracing::info!("{}", progress(stats));
        if stats.iteration > 1 {
            measured.push(*stats);
        }
        others.get_or_insert_with(OtherProcesses::watch).lap();
        Ok(ControlFlow::Continue(()))
    })?;
    for stats in &measured {
        check(stats, &sizes, level.count(sizes.batch))?;
    }
    let others = others.and_then(OtherProcesses::most);
    let head = Head {
        benchmark: "iteration",
        size: args.size,
        sizes: &sizes,
        parameters,
        device: &args.device,
        precision: args.precision,
        others,
    };
    say(head.line(summary(&measured, &sizes))?)?;
    Ok(())
}

/// The paper's settings, which are TRL's defaults.
fn ppo_config(sizes: &Sizes) -> PpoConfig {
    PpoConfig {
        iterations: sizes.iters + 1, // the first one warms up
        batch_size: sizes.batch,
        minibatch_size: sizes.mini_batch,
        epochs: sizes.ppo_epochs,
        ..PpoConfig::default()
    }
}

/// The share `alpha_keep` from the first iteration on.
fn schedule(sizes: &Sizes) -> Result<SoftRiskSchedule> {
    let (batch, alpha) = (sizes.batch, sizes.alpha_keep);
    Ok(SoftRiskSchedule::new(ScheduleConfig { batch, alpha, warmup: 0, rho: 1.0, iterations: 1 })?)
}

/// Plain sampling without an end token: every response has `gen_len` tokens.
pub(crate) fn sampling(sizes: &Sizes) -> SamplingConfig {
    SamplingConfig {
        max_new_tokens: sizes.gen_len,
        end_of_text: EndOfText::None,
        ..SamplingConfig::default()
    }
}

/// A tokenizer whose words are the ids themselves.
fn tokenizer(vocab: usize) -> Result<Tokenizer> {
    let words = (0..).take(vocab).map(|id: u32| (id.to_string(), id));
    let model = WordLevel::builder().vocab(words.collect()).unk_token("0".to_owned()).build();
    Ok(Tokenizer::new(model.map_err(anyhow::Error::from_boxed)?))
}

/// A reward in [0, 1) that costs nothing and differs from text to text: the mean of
/// `(31 id + 7) mod 97 / 97` over the ids that the text spells.
struct OfIds;

impl RewardModel for OfIds {
    fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
        Ok(texts.iter().map(|text| of_ids(text)).collect())
    }
}

fn of_ids(text: &str) -> f32 {
    let ids = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (count, sum) =
        ids.fold((0u64, 0u64), |(count, sum), id| (count + 1, sum + (31 * id + 7) % 97));
    #[expect(clippy::cast_possible_truncation, reason = "a reward is single precision")]
    let mean = (sum as f64 / (97 * count.max(1)) as f64) as f32;
    mean
}

fn seconds(stats: &IterationStats) -> f64 {
    stats.rollout_s + stats.update_s
}

fn progress(stats: &IterationStats) -> String {
    let name = if stats.iteration == 1 {
        "warm-up".to_owned()
    } else {
        format!("iteration {}", stats.iteration - 1)
    };
    let (rollout, update) = (&stats.rollout, stats.update_s);
    format!(
        "{name}: {:.2} s (generate {:.2}, reference {:.2}, score {:.3}, update {update:.2})",
        seconds(stats),
        rollout.generate_s,
        rollout.reference_s,
        rollout.score_s
    )
}

/// That the timed work was the work that was asked for.
fn check(stats: &IterationStats, sizes: &Sizes, kept: usize) -> Result<()> {
    let steps = sizes.ppo_epochs * (sizes.batch / sizes.mini_batch).min(kept);
    ensure!(stats.kept == kept, "{} episodes were kept, expected {kept}", stats.kept);
    ensure!(
        stats.update.steps == steps,
        "{} optimizer steps were taken, expected {steps}",
        stats.update.steps
    );
    let gap = (stats.length - sizes.gen_len as f64).abs();
    ensure!(
        gap < 1e-9,
        "responses have {} tokens in the mean, expected {}",
        stats.length,
        sizes.gen_len
    );
    Ok(())
}

fn summary(measured: &[IterationStats], sizes: &Sizes) -> Value {
    let middle = |of: fn(&IterationStats) -> f64| median(measured, of);
    let (kept, steps) = measured.first().map_or((0, 0), |stats| (stats.kept, stats.update.steps));
    let (generate_s, update_s, iteration_s) =
        (middle(|stats| stats.rollout.generate_s), middle(|stats| stats.update_s), middle(seconds));
    let all: Vec<f64> = measured.iter().map(seconds).collect();
    json!({
        "generate_s": generate_s,
        "reference_s": middle(|stats| stats.rollout.reference_s),
        "score_s": middle(|stats| stats.rollout.score_s),
        "update_s": update_s,
        "iteration_s": iteration_s,
        "iteration_min_s": Spread::of(&all).map(|all| all.min),
        "generated_tokens_per_s": (sizes.batch * sizes.gen_len) as f64 / generate_s,
        "update_tokens_per_s": (kept * sizes.episode_tokens() * sizes.ppo_epochs) as f64 / update_s,
        "kept": kept,
        "optimizer_steps": steps,
        "gflops": flops::update(sizes, kept) / update_s / 1e9,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sizes::TINY;
    use super::*;

    #[test]
    fn the_reward_is_a_function_of_the_ids() {
        // (31 * 2 + 7) mod 97 = 69, (31 * 5 + 7) mod 97 = 65
        assert!((of_ids("2 5") - 67.0 / 97.0).abs() < 1e-6);
        assert!((of_ids("5 2") - of_ids("2 5")).abs() < 1e-9);
        assert!(of_ids("").abs() < 1e-9);
        let text = tokenizer(12).unwrap().decode(&[2, 5, 11], true).unwrap();
        assert_eq!(text, "2 5 11");
    }

    #[test]
    fn the_share_is_kept_from_the_first_iteration_on() {
        let sizes = |batch, alpha_keep| Sizes { batch, mini_batch: batch, alpha_keep, ..TINY };
        let kept = |batch, alpha| {
            [1, 2, 4].map(|iteration| schedule(&sizes(batch, alpha)).unwrap().keep(iteration))
        };
        assert_eq!(kept(64, 0.4), [26; 3]);
        assert_eq!(kept(32, 1.0), [32; 3]);
        assert_eq!(kept(100, 0.07), [7; 3]);
    }

    #[test]
    fn other_work_than_was_asked_for_is_noticed() {
        let sizes = Sizes { gen_len: 3, ppo_epochs: 4, ..TINY };
        let mut stats = IterationStats { kept: 4, length: 3.0, ..IterationStats::default() };
        stats.update.steps = 8;
        check(&stats, &sizes, 4).unwrap();
        stats.update.steps = 7;
        assert!(
            check(&stats, &sizes, 4)
                .unwrap_err()
                .to_string()
                .contains("7 optimizer steps were taken, expected 8")
        );
        let short = IterationStats {
            length: 2.5,
            update: tailguard_ppo::UpdateStats { steps: 8, ..stats.update },
            ..stats
        };
        assert!(check(&short, &sizes, 4).unwrap_err().to_string().contains("2.5 tokens"));
    }
}
