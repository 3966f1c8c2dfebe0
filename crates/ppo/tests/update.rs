//! One update: what it does not do with numbers that are none, and that threads change nothing of
//! it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod kit;

use std::ops::ControlFlow;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::{Policy, TokenDistribution};
use tailguard_ppo::{
    KeptBatch, PpoConfig, PpoError, SftConfig, Train, TrainingState, UpdateStats, adam,
    clip_global_norm, global_norm, next_token_loss, next_token_step, supervised, update,
};
use tailguard_rollout::Episode;

use kit::{Bits, config, episodes, model};

/// An update of the policy of `state` on episodes whose rewards are those given, in iteration 3.
fn updated(
    policy: Policy<Gpt2>,
    episodes: &[Episode],
    rewards: &[Vec<f32>],
    config: &PpoConfig,
    train: Train,
) -> Result<(Policy<Gpt2>, UpdateStats), PpoError> {
    let keep: Vec<usize> = (0..episodes.len()).collect();
    let batch = KeptBatch::new(episodes, rewards, &keep, config)?;
    update(policy, &mut adam(), &batch, config, &TokenDistribution::default(), train, (7, 3))
}

fn policy(model: &Gpt2) -> Policy<Gpt2> {
    TrainingState::new(model, &config()).unwrap().policy
}

fn values(episodes: &[Episode]) -> Vec<Vec<f32>> {
    episodes.iter().map(|episode| episode.values.clone()).collect()
}

fn bits(module: &impl Module) -> Vec<Vec<u32>> {
    let mut bits = Bits::default();
    module.visit(&mut bits);
    bits.0
}

/// Every parameter times a factor.
struct Times(f32);

impl ModuleMapper for Times {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| (tensor.inner() * self.0).autodiff().require_grad())
    }
}

#[test]
fn threads_change_no_bit_of_an_update() {
    // wide and long enough that faer would share out the sums of the value head's gradient: 256 x
    // about 430 tokens, twice
    let model = Gpt2Config::new(11, 80, 256, 1, 2).init(5, &Device::flex()).unwrap();
    let (episodes, config) = (
        episodes(16, 1, 50),
        PpoConfig { batch_size: 16, minibatch_size: 16, epochs: 1, ..config() },
    );
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (policy, stats) =
                updated(policy(&model), &episodes, &values(&episodes), &config, Train::All)
                    .unwrap();
            assert_eq!(stats.steps, 1);
            (bits(&policy), format!("{stats:?}"))
        })
    };
    let one = run(1);
    for threads in [2, 4] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn no_step_is_taken_with_gradients_that_are_not_finite() {
    // loss and gradients can still be held, the squares of the gradients cannot
    let (episodes, config) = (episodes(4, 1, 3), PpoConfig { value_coef: 1e6, ..config() });
    let rewards: Vec<Vec<f32>> =
        episodes.iter().map(|episode| vec![1e14; episode.values.len()]).collect();
    for train in [Train::All, Train::ValueHead] {
        let error = updated(policy(&model()), &episodes, &rewards, &config, train).err().unwrap();
        let message = error.to_string();
        assert!(
            matches!(error, PpoError::Diverged { unit: "iteration", number: 3, .. }),
            "{message}"
        );
        assert!(message.contains("iteration 3: the norm of the gradients is inf"), "{message}");
        assert!(
            message.contains("learning_rate = 0.01")
                && message.contains("value_learning_rate = 0.03"),
            "{message}"
        );
    }
}

#[test]
fn a_loss_that_is_not_finite_is_named() {
    let episodes = episodes(4, 1, 3);
    let rewards: Vec<Vec<f32>> =
        episodes.iter().map(|episode| vec![1e25; episode.values.len()]).collect();
    let error = updated(policy(&model()), &episodes, &rewards, &config(), Train::All)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("iteration 3: the value loss is inf (epoch 0)"), "{error}");
}

#[test]
fn weights_that_are_lost_are_found_out_by_the_log_probabilities() {
    let lost = policy(&model()).map(&mut Times(f32::NAN));
    let episodes = episodes(4, 1, 3);
    let error = updated(lost, &episodes, &values(&episodes), &config(), Train::All)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("iteration 3: log-probabilities hold NaN at entry 0"), "{error}");
}

#[test]
fn a_minibatch_whose_ratio_is_too_large_is_skipped_however_large_it_is() {
    for gap in [5.0, 1_000.0] {
        let mut episodes = episodes(4, 1, 3);
        // e^1000 is more than a double holds, and so is the loss
        episodes
            .iter_mut()
            .flat_map(|episode| &mut episode.log_probs)
            .for_each(|log_prob| *log_prob = -2.4 - gap);
        let before = policy(&model());
        let weights = bits(&before);
        let (after, stats) =
            updated(before, &episodes, &values(&episodes), &config(), Train::All).unwrap();
        assert_eq!((stats.steps, stats.skipped), (0, 4));
        assert_eq!(bits(&after), weights, "nothing moved");
        assert_eq!(
            stats.ratio.is_nan(),
            gap > 100.0,
            "what nothing is known of is no number: {stats:?}"
        );
    }
}

#[test]
fn supervised_training_takes_no_step_beyond_the_numbers_there_are() {
    let rows: [&[u32]; 2] = [&[1, 2, 3], &[4, 5]];
    let lost = model().train().map(&mut Times(f32::NAN));
    let error = next_token_step(lost, &mut adam(), &rows, 1e-3, Some(1.0), 12).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, PpoError::Diverged { unit: "step", number: 12, .. }), "{message}");
    assert!(
        message.contains("step 12: the loss is NaN") && message.contains("learning_rate = 0.001"),
        "{message}"
    );

    let texts: Vec<Vec<u32>> = rows.map(<[u32]>::to_vec).to_vec();
    let wild = SftConfig { steps: 50, batch_size: 2, learning_rate: 1e30, weight_decay: 0.0 };
    let mut last = 0;
    let error = supervised(&model(), &texts, &wild, 1, &mut |step, loss| {
        assert!(loss.is_finite());
        last = step;
        ControlFlow::Continue(())
    });
    match error.err().unwrap() {
        PpoError::Diverged { unit: "step", number, .. } => assert_eq!(number, last + 1),
        other => panic!("{other}"),
    }
}

#[test]
fn clipping_scales_to_the_norm_and_refuses_what_has_none() {
    let model = model().train();
    let gradients = |factor: f32| {
        let loss = next_token_loss(&model, &[&[1, 2, 3]]).unwrap() * factor;
        GradientsParams::from_grads(loss.backward(), &model)
    };
    let mut grads = gradients(1.0);
    let norm = global_norm(&model, &grads);
    assert!(norm > 0.5, "{norm}");
    assert!((clip_global_norm(&model, &mut grads, 0.5).unwrap() - norm).abs() < 1e-12);
    assert!((global_norm(&model, &grads) - 0.5).abs() < 1e-5);
    for (factor, found) in [(f32::NAN, "NaN"), (f32::MAX, "inf")] {
        let error = clip_global_norm(&model, &mut gradients(factor), 0.5).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the norm of the gradients is {found}, expected a finite number")
        );
    }
    for max_norm in [0.0, -1.0, f64::NAN] {
        assert!(matches!(
            clip_global_norm(&model, &mut gradients(1.0), max_norm),
            Err(PpoError::Setting { key, .. }) if key == "max_norm"
        ));
    }
}
