//! `recipe = "distill"`: the optimal policy of the arm's objective as weights of samples of what
//! the arm begins with, learnt by weighted cross-entropy. In rounds: each one after the first
//! samples from what the one before has made, and weighs against the reference.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use tailguard_checkpoint::WeightType;
use tailguard_gpt2::Gpt2;
use tailguard_lm::CausalLm;
use tailguard_ppo::{PpoError, WeightedText, distilled, prompts_of_round};
use tailguard_report::LogRow;
use tailguard_risk::{Batch, BatchShape, Objective, ObjectiveError, Pool, RiskLevel, Tilted, cvar};
use tailguard_rollout::{Prompt, Sequence, log_probs_of};

use crate::error::ExperimentError;
use crate::made::Made;
use crate::observer::Event;
use crate::recipe::{Recipe, Work};
use crate::rounds::Rounds;
use crate::samples::{SampleSet, Sampler};
use crate::settings::Settings;

/// Trains by `[distill]`.
pub(crate) struct Distill;

/// The lightest samples of a prompt that have no more than this share of its weight together are
/// not learnt. Most samples are among them, and each costs a pass as long as that of the heaviest.
/// The KL of what is left to the weighted samples is at most -ln(1 - this), 0.01 nats.
const SKIPPED: f64 = 0.01;
/// A KL that is asked for is reached when it is missed by no more than this share of it.
const NEAR: f64 = 0.05;

impl Recipe for Distill {
    fn sections(&self) -> &[&str] {
        &["distill", "risk"]
    }

    fn has_objective(&self) -> bool {
        true
    }

    fn suits(&self, settings: &Settings, objective: &dyn Objective) -> Result<(), ObjectiveError> {
        let distill = &settings.distill;
        if let Some(conflict) = distill.conflict() {
            return Err(conflict.into());
        }
        // whether it has a utility of weighted samples
        let iteration = settings.ppo.iterations;
        objective
            .weighted(Batch { iteration, values: &[0.0, 1.0], prompts: &[0, 0] }, &[1.0, 1.0])?;
        let (episodes, responses) =
            (distill.prompts.saturating_mul(distill.samples), distill.samples);
        objective.check(BatchShape { episodes, responses })
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let rounds = work.settings.distill.rounds;
        if let Some(model) = work.finished()? {
            Rounds::forget(work, rounds)?;
            return Ok(model.into());
        }
        let (needed, found) = (work.settings.distill.prompts, work.inputs.train_prompts.len());
        if found < needed {
            return Err(ExperimentError::refused(format!(
                "distill.prompts is {needed}, but there are {found} training prompts"
            )));
        }
        let reference = work.model_to_begin_with()?;
        let objective = work.objectives.of(work.arm, work.settings)?;
        let (mut record, done, model) = Rounds::open(work, rounds)?;
        let mut model = model.unwrap_or_else(|| reference.clone());
        for round in done + 1..=rounds {
            let row;
            (model, row) = Round { round, reference, model: &model }.run(&*objective, work)?;
            record.keep(work, round, &model, &row)?;
        }
        work.finish(|dir| model.save(dir, WeightType::F32))?;
        Rounds::forget(work, rounds)?;
        Ok(model.into())
    }
}

/// A round, from 1, and what it samples from.
struct Round<'a> {
    round: usize,
    reference: &'a Gpt2,
    model: &'a Gpt2,
}

impl Round<'_> {
    /// Samples, weighs and learns, and gives what comes out with its row of the log.
    fn run(
        &self,
        objective: &dyn Objective,
        work: &mut Work<'_>,
    ) -> Result<(Gpt2, LogRow), ExperimentError> {
        let (settings, seed, begun) = (work.settings, work.seed, Instant::now());
        let distill = &settings.distill;
        let all = &work.inputs.train_prompts;
        let prompts: Vec<Prompt> = prompts_of_round(all.len(), distill.prompts, seed, self.round)
            .into_iter()
            .map(|prompt| all[prompt].clone())
            .collect();
        let set = self.samples(&prompts, work)?;
        let (scores, log_ratios) = (scores(&set), self.log_ratios(&set, work)?);
        let sampled_s = begun.elapsed().as_secs_f64();
        let refused = |error| ExperimentError::from(PpoError::Objective(error));
        let pool = Pool::new(&scores, &log_ratios, set.responses, settings.ppo.iterations)
            .map_err(refused)?;
        let share = self.round as f64 / distill.rounds as f64;
        let tilted = if distill.kl_target > 0.0 {
            pool.at_kl(objective, distill.kl_target * share)
        } else {
            pool.at_beta(objective, distill.beta)
        };
        let tilted = tilted.map_err(refused)?;
        if let Some(note) = self.falls_short(&tilted, settings) {
            work.observer.tell(Event::Warning(&note));
        }
        let ids: Vec<Vec<u32>> = set
            .samples
            .iter()
            .map(|sample| [&set.prompts[sample.prompt].ids[..], &sample.response_ids].concat())
            .collect();
        let learnt: Vec<Vec<WeightedText<'_>>> = (0..prompts.len())
            .map(|prompt| {
                let first = prompt * set.responses;
                let weights = &tilted.weights[first..first + set.responses];
                heaviest(weights, SKIPPED)
                    .into_iter()
                    .map(|(place, weight)| WeightedText {
                        ids: &ids[first + place],
                        first: prompts[prompt].ids.len(),
                        weight,
                    })
                    .collect()
            })
            .collect();
        let (model, loss) = self.learn(&learnt, work)?;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        let count = scores.len() as f64;
        let reward = mean(&mut scores.iter().copied()) / count;
        let squares = mean(&mut scores.iter().map(|score| (score - reward).powi(2)));
        let lengths = mean(&mut set.samples.iter().map(|one| one.response_ids.len() as f64));
        let weighted = mean(&mut tilted.weights.iter().zip(&scores).map(|(w, score)| w * score));
        let learnt = learnt.iter().map(Vec::len).sum::<usize>() as f64;
        let values = [
            ("reward", reward),
            ("reward_std", (squares / (count - 1.0)).sqrt()),
            ("reward_tail", cvar(&scores, RiskLevel::new(settings.risk.alpha)?)?),
            ("reward_weighted", weighted / prompts.len() as f64),
            ("utility", mean(&mut tilted.utilities.iter().copied()) / count),
            ("kl", mean(&mut log_ratios.iter().copied()) / count),
            ("kl_step", tilted.kl_to_sampler),
            ("kl_weighted", tilted.kl_to_reference),
            ("kl_coef", tilted.beta),
            ("tempering", tilted.tempering),
            ("learnt", learnt / prompts.len() as f64),
            ("loss", loss),
            ("length", lengths / count),
            ("sampled_tokens", lengths),
            ("reward_calls", count),
            ("rollout_s", sampled_s),
            ("update_s", begun.elapsed().as_secs_f64() - sampled_s),
        ];
        let row = LogRow {
            method: work.arm.key.clone(),
            seed,
            iteration: self.round as u64,
            values: values
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        };
        Ok((model, row))
    }

    /// The responses to the prompts of the round. Those of the first round come from what the arm
    /// begins with, so all arms that begin with it share them, whatever their objective is.
    fn samples(
        &self,
        prompts: &[Prompt],
        work: &mut Work<'_>,
    ) -> Result<SampleSet, ExperimentError> {
        let (arm, seed) = (work.arm, work.seed);
        let from = arm.from.as_deref().unwrap_or_default();
        let (made_by, name) = match self.round - 1 {
            0 => (from.to_owned(), format!("{from}-{}", prompts.len())),
            done => (format!("{}, round {done}", arm.key), format!("{}-round-{done}", arm.key)),
        };
        let model = (self.model, format!("{made_by}, seed {seed}, of this run"));
        let mut sampler = Sampler::of(work.inputs, work.settings, model, prompts, seed);
        // training does not look at the judge
        sampler.judge = None;
        sampler.made_of.retain(|name, _| !name.starts_with("judge"));
        sampler.round = u8::try_from(self.round - 1).unwrap_or(u8::MAX);
        let dir = format!("seed-{seed}-{}", name.replace('_', "-"));
        let dir = work.dir.path().join("samples").join(dir);
        sampler.open_or_draw(&dir, work.settings.distill.samples, &mut *work.observer)
    }

    /// Log-probability of each sample under what it was sampled from, less that under the
    /// reference.
    fn log_ratios(&self, set: &SampleSet, work: &Work<'_>) -> Result<Vec<f64>, ExperimentError> {
        if self.round == 1 {
            return Ok(vec![0.0; set.samples.len()]);
        }
        let sequences: Vec<Sequence<'_>> = set
            .samples
            .iter()
            .map(|sample| Sequence {
                prompt: &set.prompts[sample.prompt].ids,
                response: &sample.response_ids,
            })
            .collect();
        let under_reference = log_probs_of(
            self.reference,
            None,
            &sequences,
            &work.inputs.sampling.distribution(),
            work.settings.sampling.batch_size,
        )?;
        let of_reference =
            |row: &[f32]| row.iter().map(|&log_prob| f64::from(log_prob)).sum::<f64>();
        let pairs = set.samples.iter().zip(&under_reference);
        Ok(pairs.map(|(sample, row)| sample.log_prob - of_reference(&row.log_probs)).collect())
    }

    /// Learns the weighted samples, and gives the mean loss of the steps beside.
    fn learn(
        &self,
        learnt: &[Vec<WeightedText<'_>>],
        work: &mut Work<'_>,
    ) -> Result<(Gpt2, f64), ExperimentError> {
        let (arm, seed, distill) = (&work.arm.key, work.seed, &work.settings.distill);
        let steps = distill.training.steps(learnt.len());
        let (total, done) = (distill.rounds * steps, (self.round - 1) * steps);
        work.observer.tell(Event::Training { arm, seed, total, done });
        let observer = &mut *work.observer;
        let mut sum = 0.0;
        let model = distilled(
            self.model,
            learnt,
            work.inputs.sampling.distribution(),
            &distill.training,
            (seed, self.round),
            &mut |step, loss| {
                sum += loss;
                observer.tell(Event::Step { step: done + step, loss });
                if observer.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        work.observer.tell(Event::Trained);
        let model = model?.ok_or(ExperimentError::Stopped)?;
        Ok((model, sum / steps as f64))
    }

    /// Says that the weighted samples are not those that were asked for, where they are not.
    fn falls_short(&self, tilted: &Tilted, settings: &Settings) -> Option<String> {
        let distill = &settings.distill;
        let (round, rounds, samples) = (self.round, distill.rounds, distill.samples);
        let limit = Pool::limit(samples);
        if distill.kl_target > 0.0 {
            let (asked, reached) =
                (distill.kl_target * round as f64 / rounds as f64, tilted.kl_to_reference);
            return ((reached - asked).abs() > NEAR * asked).then(|| {
                format!(
                    "round {round} of {rounds}: the weighted samples have a KL of {reached:.2} \
                     nats to the reference, where {asked:.2} were asked for; {samples} samples of \
                     a prompt tell of a step of at most {limit:.2} nats"
                )
            });
        }
        (tilted.tempering < 1.0 && round == rounds).then(|| {
            format!(
                "round {round} of {rounds} goes {:.0} % of the way that beta = {} asks for, as \
                 {samples} samples of a prompt tell of a step of at most {limit:.2} nats: more \
                 distill.rounds go on",
                100.0 * tilted.tempering,
                distill.beta
            )
        })
    }
}

fn scores(set: &SampleSet) -> Vec<f64> {
    set.samples.iter().map(|sample| f64::from(sample.score)).collect()
}

/// The samples of a prompt that are learnt, with weights that sum to 1: without the lightest ones,
/// as many as have at most a share of the weight together.
fn heaviest(weights: &[f64], skipped: f64) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&left, &right| weights[left].total_cmp(&weights[right]));
    let mut below = 0.0;
    let light = order
        .iter()
        .take_while(|&&place| {
            below += weights[place];
            below <= skipped
        })
        .count();
    let mut kept = order.split_off(light);
    kept.sort_unstable();
    let sum: f64 = kept.iter().map(|&place| weights[place]).sum();
    kept.into_iter().map(|place| (place, weights[place] / sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lightest_samples_are_left_out_and_the_others_share_their_weight() {
        let kept = heaviest(&[0.5, 0.004, 0.3, 0.005, 0.191], 0.01);
        let places: Vec<usize> = kept.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 2, 4]);
        let sum: f64 = kept.iter().map(|(_, weight)| weight).sum();
        assert!((sum - 1.0).abs() < 1e-12 && (kept[0].1 - 0.5 / 0.991).abs() < 1e-12, "{kept:?}");
        // equal weights are all learnt, and one that has all of it is learnt alone
        assert_eq!(heaviest(&[0.25; 4], 0.01), [0, 1, 2, 3].map(|place| (place, 0.25)));
        assert_eq!(heaviest(&[0.0, 1.0, 0.0], 0.01), [(1, 1.0)]);
    }
}
