//! A saved state goes on as if it had never stopped, and a damaged one is refused by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use tailguard_gpt2::{Gpt2, Gpt2Config, TokenDistribution};
use tailguard_ppo::{KeptBatch, KlController, PpoConfig, PpoError, Train, TrainingState, update};
use tailguard_rollout::{Episode, Prompt};

fn config() -> PpoConfig {
    PpoConfig {
        iterations: 6,
        batch_size: 4,
        minibatch_size: 2,
        epochs: 2,
        learning_rate: 1e-2,
        value_learning_rate: 3e-2,
        gamma: 1.0,
        lambda: 0.95,
        clip: 0.2,
        value_clip: 0.2,
        value_coef: 0.1,
        kl_coef: 0.2,
        kl_target: 6.0,
        kl_horizon: 300.0,
        ratio_threshold: 10.0,
        value_warmup: 1,
    }
}

fn model() -> Gpt2 {
    Gpt2Config::new(11, 12, 8, 2, 2).init(5, &Device::flex()).unwrap()
}

fn state() -> TrainingState {
    TrainingState::new(&model(), &config()).unwrap()
}

/// Made-up episodes of an iteration: the numbers vary, and the rows have different lengths.
fn episodes(iteration: usize) -> Vec<Episode> {
    let episode = |row: usize| {
        let ids = |count: usize, shift: usize| {
            (0..count).map(|t| u32::try_from((7 * t + 3 * row + shift + iteration) % 11).unwrap()).collect()
        };
        let length = 3 + row;
        let wave = |scale: f32| (0..length).map(|t| scale * ((t * t + row + 2 * iteration) as f32).sin()).collect();
        let log_probs: Vec<f32> = (0..length).map(|t| -2.4 + 0.1 * ((t + row + iteration) as f32).cos()).collect();
        Episode {
            prompt: Prompt { ids: ids(4, 1), text: String::new() },
            response_ids: ids(length, 2),
            response: String::new(),
            score: (row as f32 - 1.5) * 0.7,
            cut: false,
            ref_log_probs: log_probs.iter().map(|log_prob| log_prob - 0.05).collect(),
            log_probs,
            values: wave(0.3),
            entropies: vec![1.0; length],
        }
    };
    (0..config().batch_size).map(episode).collect()
}

/// Iterations after those done, up to `last`.
fn train(state: TrainingState, last: usize) -> TrainingState {
    let config = config();
    let TrainingState { mut policy, mut optimizer, mut kl, iteration: done } = state;
    for iteration in done + 1..=last {
        let episodes = episodes(iteration);
        let rewards: Vec<Vec<f32>> = episodes.iter().map(|episode| episode.values.clone()).collect();
        let batch = KeptBatch::new(&episodes, &rewards, &[0, 1, 2, 3], &config).unwrap();
        let train = if iteration <= config.value_warmup { Train::ValueHead } else { Train::All };
        let distribution = TokenDistribution::default();
        let (updated, stats) = update(policy, &mut optimizer, &batch, &config, &distribution, train, (7, iteration)).unwrap();
        assert!(stats.steps > 0, "iteration {iteration} took no step");
        policy = updated;
        kl.update(3.0 + iteration as f64);
    }
    TrainingState { policy, optimizer, kl, iteration: last }
}

/// All parameters by their bits, in the order of the module.
#[derive(Default)]
struct Bits(Vec<(u64, Vec<u32>)>);

impl ModuleVisitor for Bits {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().inner().into_data().try_to_vec::<f32>().unwrap();
        self.0.push((param.id.val(), values.into_iter().map(f32::to_bits).collect()));
    }
}

/// Bits of the weights, in the order of the module, without the ids, which differ from run to run.
fn weights(state: &TrainingState) -> Vec<Vec<u32>> {
    let mut bits = Bits::default();
    state.policy.visit(&mut bits);
    bits.0.into_iter().map(|(_, values)| values).collect()
}

#[test]
fn six_iterations_equal_three_saved_loaded_and_three_more_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let through = train(state(), 6);
    let half = train(state(), 3);
    half.save(&path).unwrap();
    let loaded = state().load(&path).unwrap();
    assert_eq!(loaded.iteration, 3);
    assert_eq!(loaded.kl.coef().to_bits(), half.kl.coef().to_bits());
    assert_eq!(weights(&loaded), weights(&half));
    let resumed = train(loaded, 6);
    assert_eq!(resumed.kl.coef().to_bits(), through.kl.coef().to_bits());
    assert_eq!(weights(&resumed), weights(&through));
    // the moments matter: weights alone do not go on the same way
    let forgetful = TrainingState { optimizer: state().optimizer, ..state().load(&path).unwrap() };
    assert_ne!(weights(&train(forgetful, 6)), weights(&through));
}

#[test]
fn saving_again_replaces_the_state_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let first = train(state(), 1);
    first.save(&path).unwrap();
    let second = train(first, 2);
    second.save(&path).unwrap();
    let loaded = state().load(&path).unwrap();
    assert_eq!((loaded.iteration, weights(&loaded)), (2, weights(&second)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_cut_or_garbled_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let trained = train(state(), 1);
    trained.save(&path).unwrap();
    let files: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let whole = fs::read(&file).unwrap();
        let refused = |what: &str| {
            let name = file.file_name().unwrap().to_string_lossy();
            let Err(error) = state().load(&path) else { panic!("{name}, {what}: loaded") };
            assert!(matches!(error, PpoError::State { action: "read", .. }), "{name}, {what}: {error}");
            assert!(error.to_string().contains(&*name), "{name}, {what}: {error}");
        };
        fs::remove_file(&file).unwrap();
        refused("missing");
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..cut]).unwrap();
            refused("cut");
        }
        fs::write(&file, vec![0x5a; whole.len()]).unwrap();
        refused("garbled");
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(weights(&state().load(&path).unwrap()), weights(&trained));
}

#[test]
fn the_state_of_another_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    train(state(), 1).save(&path).unwrap();
    for other in [Gpt2Config::new(11, 12, 16, 2, 2), Gpt2Config::new(11, 12, 8, 3, 2), Gpt2Config::new(11, 12, 8, 1, 2)] {
        let fresh = TrainingState::new(&other.init(5, &Device::flex()).unwrap(), &config()).unwrap();
        assert!(matches!(fresh.load(&path), Err(PpoError::State { .. })), "{other:?}");
    }
    assert!(matches!(state().load(Path::new("no/such/place")), Err(PpoError::State { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_coefficient_comes_back_to_the_last_bit(coef in 1e-6f64..10.0) {
        // it is written as text: a reader that rounds would make a resumed run drift
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        TrainingState { kl: KlController::fixed(coef).unwrap(), ..state() }.save(&path).unwrap();
        prop_assert_eq!(state().load(&path).unwrap().kl.coef().to_bits(), coef.to_bits());
    }
}
