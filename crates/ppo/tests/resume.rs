//! A saved state goes on as if it had never stopped, and a damaged one is refused by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod kit;

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use proptest::prelude::*;
use tailguard_checkpoint::{SUMS_FILE, Sums};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::TokenDistribution;
use tailguard_ppo::{KeptBatch, KlController, PpoError, Train, TrainingState, update};

use kit::{Bits, config, episodes, model};

fn state() -> TrainingState<Gpt2> {
    TrainingState::new(&model(), &config()).unwrap()
}

/// Iterations after those done, up to `last`.
fn train(state: TrainingState<Gpt2>, last: usize) -> TrainingState<Gpt2> {
    let config = config();
    let TrainingState { mut policy, mut optimizer, mut kl, iteration: done, average } = state;
    for iteration in done + 1..=last {
        let episodes = episodes(4, iteration, 3);
        let rewards: Vec<Vec<f32>> =
            episodes.iter().map(|episode| episode.values.clone()).collect();
        let batch = KeptBatch::new(&episodes, &rewards, &[0, 1, 2, 3], &config).unwrap();
        let train = if iteration <= config.value_warmup { Train::ValueHead } else { Train::All };
        let distribution = TokenDistribution::default();
        let (updated, stats) =
            update(policy, &mut optimizer, &batch, &config, &distribution, train, (7, iteration))
                .unwrap();
        assert!(stats.steps > 0, "iteration {iteration} took no step");
        policy = updated;
        kl.update(3.0 + iteration as f64).unwrap();
    }
    TrainingState { policy, optimizer, kl, iteration: last, average }
}

/// Bits of the weights, in the order of the module.
fn weights(state: &TrainingState<Gpt2>) -> Vec<Vec<u32>> {
    let mut bits = Bits::default();
    state.policy.visit(&mut bits);
    bits.0
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
    assert_eq!(files.len(), 4);
    for file in files {
        let whole = fs::read(&file).unwrap();
        let refused = |what: &str| {
            let name = file.file_name().unwrap().to_string_lossy();
            let Err(error) = state().load(&path) else { panic!("{name}, {what}: loaded") };
            assert!(
                matches!(error, PpoError::State { action: "read", .. }),
                "{name}, {what}: {error}"
            );
            assert!(error.to_string().contains(&*name), "{name}, {what}: {error}");
        };
        fs::remove_file(&file).unwrap();
        refused("missing");
        for cut in [0, 1, whole.len() / 2, whole.len() * 3 / 4] {
            fs::write(&file, &whole[..cut]).unwrap();
            refused("cut");
        }
        let mut other = whole.clone();
        other[whole.len() / 2] ^= 1;
        fs::write(&file, other).unwrap();
        refused("a bit of it another");
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
    for other in [
        Gpt2Config::new(11, 12, 16, 2, 2),
        Gpt2Config::new(11, 12, 8, 3, 2),
        Gpt2Config::new(11, 12, 8, 1, 2),
    ] {
        let fresh =
            TrainingState::new(&other.init(5, &Device::flex()).unwrap(), &config()).unwrap();
        assert!(matches!(fresh.load(&path), Err(PpoError::State { .. })), "{other:?}");
    }
    assert!(matches!(state().load(Path::new("no/such/place")), Err(PpoError::State { .. })));
}

/// Makes the digests of a state those of its files as they are now.
fn seal_again(state: &Path) {
    fs::remove_file(state.join(SUMS_FILE)).unwrap();
    Sums::seal(state).unwrap();
}

#[test]
fn the_moments_of_another_model_are_refused_with_how_many_match() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // the same shapes, other ids
    train(state(), 3).save(&path("ours")).unwrap();
    train(state(), 3).save(&path("other")).unwrap();
    fs::copy(path("other").join("optimizer.bpk"), path("ours").join("optimizer.bpk")).unwrap();
    seal_again(&path("ours"));
    let Err(error) = state().load(&path("ours")) else { panic!("loaded") };
    assert!(matches!(error, PpoError::State { action: "read", .. }), "{error}");
    let parameters = weights(&state()).len();
    let expected = format!(
        "optimizer.bpk: it is of another model: 0 of its {parameters} parameters are among the \
         {parameters} of the model"
    );
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn a_state_whose_trunk_has_not_been_trained_yet_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    // the first iteration trains the value head alone
    let warm = train(state(), 1);
    warm.save(&path).unwrap();
    assert_eq!(weights(&train(state().load(&path).unwrap(), 3)), weights(&train(state(), 3)));
}

#[test]
fn a_coefficient_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    train(state(), 1).save(&path).unwrap();
    fs::write(path.join("progress.json"), r#"{"iteration": 1, "kl_coef": -0.5}"#).unwrap();
    seal_again(&path);
    let Err(error) = state().load(&path) else { panic!("loaded") };
    assert!(
        error.to_string().contains("progress.json: training setting kl_coef is -0.5"),
        "{error}"
    );
}

#[test]
fn a_kl_that_is_held_is_held_on_after_a_stop_and_another_controller_does_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let held = || TrainingState::held_at(3.0, &model(), &config()).unwrap();
    let half = train(held(), 3);
    half.save(&path).unwrap();
    let loaded = held().load(&path).unwrap();
    assert_eq!(loaded.kl, half.kl);
    assert_eq!(train(loaded, 6).kl, train(half, 6).kl);
    let Err(error) = state().load(&path) else { panic!("loaded") };
    assert!(error.to_string().contains("as the KL is not held"), "{error}");
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
