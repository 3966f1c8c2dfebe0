//! Trainings with several responses to a prompt, without a value head, with averaged weights.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod kit;
mod training;

use std::fs;
use std::sync::Mutex;

use burn::module::Module;
use tailguard_gpt2::Gpt2;
use tailguard_lm::TokenDistribution;
use tailguard_ppo::{
    Advantages, KeptBatch, KlController, PpoConfig, PpoError, Train, TrainingState, adam,
    policy_loss, update,
};
use tailguard_risk::{
    Batch, KeepLowest, Mean, Measure, Objective, ObjectiveError, Over, RiskAverse, RiskLevel,
    ScheduleConfig, SoftRiskSchedule,
};

use kit::{Bits, config, episodes, model};
use training::{Reward, train};

/// Two prompts of four responses, compared with each other.
fn rloo() -> PpoConfig {
    PpoConfig {
        batch_size: 8,
        responses: 4,
        advantages: Advantages::Rloo,
        value_warmup: 0,
        kl_horizon: 40.0,
        ..config()
    }
}

fn state(config: &PpoConfig) -> TrainingState<Gpt2> {
    TrainingState::new(&model(), config).unwrap()
}

fn bits(module: &impl Module) -> Vec<Vec<u32>> {
    let mut bits = Bits::default();
    module.visit(&mut bits);
    bits.0
}

/// A score that differs from text to text.
fn uneven(text: &str) -> f32 {
    let sum: u32 = (1..).zip(text.bytes()).map(|(at, byte)| at * u32::from(byte)).sum();
    (sum % 17) as f32 / 4.0 - 2.0
}

fn half() -> RiskAverse {
    let level = RiskLevel::new(0.5).unwrap();
    RiskAverse::new(Measure::CvarRockafellarUryasev(level), Over::Prompt)
}

/// Notes the prompt numbers that it is asked about.
struct Numbers(Mutex<Vec<Vec<usize>>>);

impl Objective for Numbers {
    fn counted(&self, returns: Batch<'_>) -> Result<Vec<usize>, ObjectiveError> {
        self.0.lock().unwrap().push(returns.prompts.to_vec());
        Ok((0..returns.values.len()).collect())
    }
}

#[test]
fn the_responses_to_a_prompt_stand_together_and_differ() {
    let (objective, texts) = (Numbers(Mutex::default()), Mutex::new(Vec::new()));
    let reward = Reward(|text: &str| {
        texts.lock().unwrap().push(text.to_owned());
        0.5
    });
    for advantages in [Advantages::Rloo, Advantages::Gae] {
        let config = PpoConfig { iterations: 2, advantages, ..rloo() };
        train(&config, &reward, &objective, state(&config), |_, _| true).unwrap();
    }
    let numbers = objective.0.into_inner().unwrap();
    assert_eq!(numbers, [[0, 0, 0, 0, 1, 1, 1, 1]; 4]);
    let texts = texts.into_inner().unwrap();
    assert_eq!(texts.len(), 4 * 8);
    for of_prompt in texts.chunks(4) {
        let (prompt, _) = of_prompt[0].split_once(' ').unwrap();
        assert!(of_prompt.iter().all(|text| text.starts_with(prompt)), "{of_prompt:?}");
        assert!(of_prompt.iter().any(|text| *text != of_prompt[0]), "{of_prompt:?}");
    }
    // two iterations are a pass over the four prompts
    let mut prompts: Vec<&str> = texts[..16].iter().map(|text| &text[..2]).collect();
    prompts.dedup();
    prompts.sort_unstable();
    assert_eq!(prompts, ["p0", "p1", "p2", "p3"]);
    // the first iteration samples the same with and without a value head
    assert_eq!(texts[..8], texts[16..24]);
}

#[test]
fn without_a_value_head_there_are_no_values_and_none_is_trained() {
    let config = rloo();
    let before = state(&config);
    let head = bits(&before.policy.value_head);
    let after = train(&config, &Reward(uneven), &half(), before, |stats, _| {
        assert_eq!((stats.value_correlation, stats.update.value_loss), (None, None));
        assert!(stats.update.steps == 8 && stats.kept == 8, "{stats:?}");
        true
    });
    let after = after.unwrap();
    assert_eq!(bits(&after.policy.value_head), head);
    assert_ne!(bits(&after.policy.lm), bits(&model()));
    let with_head = PpoConfig { advantages: Advantages::Gae, ..config };
    train(&with_head, &Reward(uneven), &half(), state(&with_head), |stats, _| {
        assert!(stats.value_correlation.is_some() && stats.update.value_loss.is_some());
        true
    })
    .unwrap();
}

#[test]
fn responses_that_are_all_worth_the_same_teach_nothing() {
    let config = PpoConfig { kl_coef: 0.0, ..rloo() };
    type Score = fn(&str) -> f32;
    let rewards: [(Score, bool); 2] = [(|_| 3.0, false), (uneven, true)];
    for (reward, moves) in rewards {
        let after = train(&config, &Reward(reward), &Mean, state(&config), |_, _| true).unwrap();
        assert_eq!(bits(&after.policy.lm) != bits(&model()), moves);
    }
}

#[test]
fn every_token_has_the_advantage_of_its_episode() {
    let (episodes, config) = (episodes(4, 1, 3), PpoConfig { epochs: 1, ..rloo() });
    let (advantages, keep) = ([0.5, -1.0, 2.0, 0.25], [0, 2, 3]);
    let one_step = PpoConfig { batch_size: 4, minibatch_size: 4, ..config };
    let updated = |train| {
        let batch = KeptBatch::with_advantages(&episodes, &advantages, &keep).unwrap();
        let distribution = TokenDistribution::default();
        let policy = state(&one_step).policy;
        update(policy, &mut adam(), &batch, &one_step, &distribution, train, (7, 3))
    };
    let (_, stats) = updated(Train::All).unwrap();
    // the loss of the same policy, from its log-probabilities and the formula
    let (mut log_probs, mut old, mut of_tokens) = (Vec::new(), Vec::new(), Vec::new());
    for &place in &keep {
        let episode = &episodes[place];
        let scores = tailguard_rollout::log_probs_of(
            &model(),
            None,
            &[episode.sequence()],
            &TokenDistribution::default(),
            1,
        );
        log_probs.extend(scores.unwrap()[0].log_probs.clone());
        old.extend(episode.log_probs.clone());
        of_tokens.extend(vec![advantages[place]; episode.log_probs.len()]);
    }
    let tensor = |values: &[f32]| {
        burn::tensor::Tensor::<1>::from_floats(values, &burn::tensor::Device::flex())
    };
    let loss = policy_loss(tensor(&log_probs), tensor(&old), tensor(&of_tokens), one_step.clip);
    let expected = f64::from(loss.into_scalar::<f32>());
    assert!((stats.policy_loss - expected).abs() < 1e-5, "{stats:?}, expected {expected}");
    assert!(expected.abs() > 0.1 && stats.steps == 1 && stats.value_loss.is_none());
    // there is nothing that a value head could learn
    let error = updated(Train::ValueHead).err().unwrap();
    assert!(matches!(error, PpoError::Setting { key, .. } if key == "value_warmup"));
}

#[test]
fn all_episodes_move_the_coefficient_but_where_the_paper_drops_some() {
    let schedule = ScheduleConfig { batch: 8, alpha: 0.25, warmup: 0, rho: 0.5, iterations: 6 };
    let keep_lowest = KeepLowest(SoftRiskSchedule::new(schedule).unwrap());
    let objectives: [(&dyn Objective, bool); 3] =
        [(&Mean, true), (&half(), true), (&keep_lowest, false)];
    for (objective, sees_all) in objectives {
        for config in [rloo(), PpoConfig { advantages: Advantages::Gae, ..rloo() }] {
            // as far from the target as makes the coefficient follow the KL itself
            let config = PpoConfig { kl_target: 0.05, ..config };
            let gain = KlController::gain(config.batch_size, config.kl_horizon);
            let mut expected =
                KlController::adaptive(config.kl_coef, config.kl_target, gain).unwrap();
            let mut differed = false;
            train(&config, &Reward(uneven), objective, state(&config), |stats, state| {
                assert_eq!(stats.kl_coef.to_bits(), expected.coef().to_bits());
                expected.update(if sees_all { stats.kl } else { stats.kl_kept }).unwrap();
                assert_eq!(state.kl.coef().to_bits(), expected.coef().to_bits());
                differed |= stats.kl_kept.to_bits() != stats.kl.to_bits();
                true
            })
            .unwrap();
            assert_eq!(differed, !sees_all);
            assert_ne!(expected.coef().to_bits(), config.kl_coef.to_bits());
        }
    }
}

#[test]
fn in_the_warm_up_the_rate_is_the_share_that_it_is_of_the_whole() {
    let warm = PpoConfig { rate_warmup: 1, ..rloo() };
    let slow = PpoConfig { learning_rate: warm.learning_rate / 2.0, ..rloo() };
    let first = |config: &PpoConfig| {
        let rate = config.rate(1);
        let after = train(config, &Reward(uneven), &Mean, state(config), |stats, _| {
            assert_eq!(stats.learning_rate.to_bits(), rate.to_bits());
            false
        });
        bits(&after.unwrap().policy)
    };
    assert_eq!(first(&warm), first(&slow));
    assert_ne!(first(&warm), first(&rloo()));
}

#[test]
fn the_finished_policy_is_the_mean_of_the_last_ones() {
    let config = PpoConfig { average: 0.5, ..rloo() };
    let mut sums: Vec<Vec<f64>> = Vec::new();
    let after = train(&config, &Reward(uneven), &Mean, state(&config), |_, state| {
        let averaged = state.average.as_ref().map_or(0, |average| average.count());
        assert_eq!(averaged, state.iteration.saturating_sub(3));
        if state.iteration > 3 {
            let weights = bits(&state.policy);
            sums.resize(weights.len(), Vec::new());
            for (sum, weights) in sums.iter_mut().zip(weights) {
                sum.resize(weights.len(), 0.0);
                for (sum, bits) in sum.iter_mut().zip(weights) {
                    *sum += f64::from(f32::from_bits(bits)) / 3.0;
                }
            }
        }
        true
    });
    let finished = bits(&after.unwrap().finished());
    let found = finished.concat().into_iter().map(f32::from_bits);
    for (found, expected) in found.zip(sums.concat()) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
    // without it, the last one is the finished one
    let plain = train(&rloo(), &Reward(uneven), &Mean, state(&rloo()), |_, _| true).unwrap();
    assert_eq!(bits(&plain.finished()), bits(&plain.policy));
    assert_ne!(bits(&plain.finished()), finished);
}

#[test]
fn a_training_that_goes_on_comes_to_the_same_bits_and_the_same_average() {
    let config = PpoConfig { average: 0.7, rate_warmup: 2, rate_end: 0.1, ..rloo() };
    let through = train(&config, &Reward(uneven), &half(), state(&config), |_, _| true).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let load = |config: &PpoConfig| state(config).load(&path);
    // before the average begins, with one policy in it, and with several
    for stop in [1, 3, 5] {
        let reward = Reward(uneven);
        let half_way =
            train(&config, &reward, &half(), state(&config), |_, state| state.iteration < stop);
        half_way.unwrap().save(&path).unwrap();
        let loaded = load(&config).unwrap();
        assert_eq!(loaded.iteration, stop);
        let resumed = train(&config, &reward, &half(), loaded, |_, _| true).unwrap();
        assert_eq!(bits(&resumed.policy), bits(&through.policy), "from {stop}");
        assert_eq!(bits(&resumed.finished()), bits(&through.finished()), "from {stop}");
        assert_eq!(resumed.kl.coef().to_bits(), through.kl.coef().to_bits());
    }
    // a state of other settings has another average
    let other = PpoConfig { average: 0.0, ..config.clone() };
    let error = train(&other, &Reward(uneven), &half(), load(&other).unwrap(), |_, _| true);
    assert!(matches!(
        error.err().unwrap(),
        PpoError::Averaged { iteration: 5, found: 3, expected: 0 }
    ));
    fs::remove_file(path.join("average.bpk")).unwrap();
    let error = load(&config).err().unwrap().to_string();
    assert!(error.contains("average.bpk"), "{error}");
}
