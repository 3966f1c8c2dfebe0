//! Claims about Quark: its loss, its rounds, its state.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]
#![expect(clippy::cast_possible_truncation, reason = "single precision is what is tested")]

use std::ops::ControlFlow;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::{CausalLm, Steerable, TokenDistribution};
use tailguard_ppo::{PpoError, Quark, QuarkConfig, QuarkState, RoundStats, buckets, quark_loss};
use tailguard_reward::{RewardModel, from_fn};
use tailguard_risk::RiskLevel;
use tailguard_rollout::{Prompt, Rollout, SamplingConfig, Sequence, log_probs_of};
use tailguard_tests::{cases, close, count, counts, float, floats, golden, list, name};
use tokenizers::Tokenizer;

#[test]
fn golden_loss_and_gradient() {
    let device = Device::flex();
    for case in list(&cases("quark/cases.json")["cases"]) {
        let targets: Vec<i64> =
            counts(&case["targets"]).into_iter().map(|id| i64::try_from(id).unwrap()).collect();
        let n = targets.len();
        let matrix = |key: &str, device: &Device| {
            let values: Vec<f32> =
                floats(&case[key]).into_iter().map(|value| value as f32).collect();
            let vocab = values.len() / n;
            Tensor::<2>::from_data(TensorData::new(values, [n, vocab]), device)
        };
        let distribution = TokenDistribution {
            temperature: float(&case["temperature"]) as f32,
            suppress: (!case["masked"].is_null())
                .then(|| u32::try_from(count(&case["masked"])).unwrap()),
        };
        let config = QuarkConfig {
            kl_coef: float(&case["kl_coef"]),
            entropy_coef: float(&case["entropy_coef"]),
            ..QuarkConfig::default()
        };
        let logits = matrix("logits", &device.clone().autodiff()).require_grad();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [n]), &device);
        let loss =
            quark_loss(&logits, matrix("reference", &device), targets, &distribution, &config);
        let terms = [loss.nll, loss.kl, loss.entropy].map(|term| term.into_scalar::<f32>());
        let expected = ["nll", "kl", "entropy"].map(|key| float(&case[key]));
        close(&terms, &expected, 1e-5, name(case));
        let gradient = logits.grad(&loss.gradient_of.backward()).unwrap();
        let gradient = gradient.into_data().try_to_vec::<f32>().unwrap();
        close(&gradient, &floats(&case["gradient"]), 1e-5, name(case));
    }
}

/// Likes responses with many e, as far as these go.
fn reward() -> impl RewardModel {
    from_fn(|_: &str, response: &str| Ok(response.matches('e').count() as f32))
}

fn model() -> Gpt2 {
    let config = Gpt2Config { initializer_range: 0.2, ..Gpt2Config::new(400, 24, 16, 2, 2) };
    config.init(3, &Device::flex()).unwrap()
}

fn prompts(number: usize) -> Vec<Prompt> {
    // three of them, again and again: what is learnt of a response is learnt of the token in front,
    // and not of a prompt that no other response has
    let prompt = |row: usize| Prompt {
        ids: (0..3 + row % 3).map(|at| u32::try_from(17 + 7 * at).unwrap()).collect(),
        text: format!("prompt {row}"),
    };
    (0..number).map(prompt).collect()
}

fn config() -> QuarkConfig {
    QuarkConfig {
        steps: 45,
        explore_every: 15,
        prompts: 96,
        buckets: 4,
        batch_size: 64,
        learning_rate: 2e-2,
        epsilon: 1e-8,
        warmup: 2,
        ..QuarkConfig::default()
    }
}

type Rounds = (QuarkState<Gpt2>, Vec<RoundStats>);

/// Rounds up to `last`, from a state.
fn train(
    state: Option<QuarkState<Gpt2>>,
    config: &QuarkConfig,
    last: usize,
) -> Result<Rounds, PpoError> {
    let tokenizer = Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap();
    let (reference, reward, prompts) = (model(), reward(), prompts(100));
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &reference,
        reward: &reward,
        sampling: SamplingConfig { max_new_tokens: 12, ..SamplingConfig::default() },
        batch_size: 32,
    };
    let trainer = Quark {
        config,
        reported_level: RiskLevel::new(0.2).unwrap(),
        rollout: &rollout,
        prompts: &prompts,
        seed: 5,
    };
    let mut state = match state {
        Some(state) => state,
        None => QuarkState::new(&reference, config, 5)?,
    };
    let mut told = Vec::new();
    while state.round < last {
        let first = state.round * config.explore_every;
        let mut steps = Vec::new();
        let outcome = trainer.round(state, &mut |step, loss| {
            assert!(loss.is_finite());
            steps.push(step);
            ControlFlow::Continue(())
        })?;
        let stats;
        (state, stats) = outcome.unwrap();
        assert_eq!(steps, (first + 1..=stats.steps).collect::<Vec<_>>());
        told.push(stats);
    }
    Ok((state, told))
}

/// All parameters by their bits, in the order of the module.
#[derive(Default)]
struct Bits(Vec<Vec<u32>>);

impl ModuleVisitor for Bits {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().inner().into_data().try_to_vec::<f32>().unwrap();
        self.0.push(values.into_iter().map(f32::to_bits).collect());
    }
}

fn bits(state: &QuarkState<Gpt2>) -> Vec<Vec<u32>> {
    let mut bits = Bits::default();
    state.policy.visit(&mut bits);
    bits.0
}

#[test]
fn each_token_comes_to_mean_the_responses_of_its_bucket() {
    let longer = QuarkConfig { steps: 240, explore_every: 80, learning_rate: 5e-3, ..config() };
    let (state, told) = train(None, &longer, 3).unwrap();
    assert_eq!(told.iter().map(|stats| stats.pool).collect::<Vec<_>>(), [96, 192, 288]);
    assert_eq!(told.iter().map(|stats| stats.steps).collect::<Vec<_>>(), [80, 160, 240]);
    // the reference writes the first responses, and what writes the others has gone from it
    assert!(told[0].kl.abs() < 1e-3 && told[2].kl > 0.3, "{told:?}");
    assert!(told[2].nll < told[0].nll, "{told:?}");
    let policy = Quark::policy(&state).unwrap();
    assert_eq!((policy.config().prefix_token_id, policy.sizes().context), (Some(400), 23));
    // responses are likelier behind the token of their bucket than behind that of the other end
    let (prompts, of) = (prompts(100), buckets(&state.pool.rewards(), 4).unwrap());
    let mean = |bucket: usize, token: usize| {
        let samples = state.pool.samples.iter().zip(&of).filter(|(_, of)| **of == bucket);
        let sequences: Vec<Sequence<'_>> = samples
            .map(|(sample, _)| Sequence {
                prompt: &prompts[sample.prompt].ids,
                response: &sample.response,
            })
            .collect();
        let model = state.policy.valid().under(Some(token)).unwrap();
        let scores =
            log_probs_of(&model, None, &sequences, &TokenDistribution::default(), 32).unwrap();
        let sums = scores.iter().map(|scores| scores.log_probs.iter().sum::<f32>());
        sums.sum::<f32>() / sequences.len() as f32
    };
    for (bucket, other) in [(0, 3), (3, 0)] {
        let (own, foreign) = (mean(bucket, bucket), mean(bucket, other));
        assert!(own > foreign + 1.0, "bucket {bucket}: {own} and {foreign} nats per response");
    }
}

#[test]
fn three_rounds_equal_one_saved_loaded_and_two_more_bit_for_bit() {
    let config = QuarkConfig { steps: 7, explore_every: 3, ..config() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let (through, _) = train(None, &config, 3).unwrap();
    let (begun, _) = train(None, &config, 1).unwrap();
    begun.save(&path).unwrap();
    let loaded = QuarkState::new(&model(), &config, 5).unwrap().load(&path).unwrap();
    assert_eq!((loaded.round, &loaded.pool, bits(&loaded)), (1, &begun.pool, bits(&begun)));
    let (resumed, told) = train(Some(loaded), &config, 3).unwrap();
    assert_eq!((&resumed.pool, bits(&resumed)), (&through.pool, bits(&through)));
    assert_eq!(told.last().unwrap().steps, 7, "the last round is shorter");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let config = QuarkConfig { steps: 4, explore_every: 2, warmup: 0, ..config() };
    let [one, two] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (state, _) = train(None, &config, 2).unwrap();
            (bits(&state), state.pool)
        })
    });
    assert_eq!(one, two);
}

#[test]
fn a_seed_decides_the_first_control_tokens_and_they_look_like_the_others() {
    let rows = |seed| {
        let state = QuarkState::new(&model(), &QuarkConfig { buckets: 900, ..config() }, seed);
        bits(&state.unwrap()).last().unwrap().iter().map(|&bits| f32::from_bits(bits)).collect()
    };
    let (one, again, other): (Vec<f32>, Vec<f32>, Vec<f32>) = (rows(1), rows(1), rows(2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!(one.len(), 900 * 16);
    let table = model().embedding().into_data().try_to_vec::<f32>().unwrap();
    for column in [0, 7, 15] {
        let moments = |values: &[f32]| {
            let of: Vec<f32> = values.iter().skip(column).step_by(16).copied().collect();
            let mean = of.iter().sum::<f32>() / of.len() as f32;
            let square = of.iter().map(|value| (value - mean).powi(2)).sum::<f32>();
            [mean, (square / of.len() as f32).sqrt()]
        };
        // five standard errors of 900 draws
        close(&moments(&one), &moments(&table).map(f64::from), 0.035, "moments");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let refused = |config: QuarkConfig| match train(None, &config, 1) {
        Err(error) => error.to_string(),
        Ok(_) => String::from("trained"),
    };
    assert_eq!(
        refused(QuarkConfig { prompts: 101, ..config() }),
        "training setting prompts is 101, expected at most 100, the number of training prompts"
    );
    assert_eq!(
        refused(QuarkConfig { prompts: 32, ..config() }),
        "training setting batch_size is 64, expected at most 32, the number of prompts of an \
         exploration"
    );
    assert!(refused(QuarkConfig { warmup: 45, ..config() }).contains("warmup is 45"));
    let steered = model().with_control_tokens(Tensor::zeros([2, 16], &Device::flex()));
    let error = QuarkState::new(&steered, &config(), 1).err().unwrap().to_string();
    assert!(error.contains("control tokens is 2, expected a reference without them"), "{error}");
    let wild = refused(QuarkConfig { learning_rate: 1e30, ..config() });
    assert!(
        wild.starts_with("training diverged in step") && wild.contains("learning_rate = 1000"),
        "{wild}"
    );
}

#[test]
fn a_round_that_is_broken_off_leaves_nothing() {
    let tokenizer = Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap();
    let (reference, reward, prompts, config) = (model(), reward(), prompts(100), config());
    let sampling = SamplingConfig { max_new_tokens: 4, ..SamplingConfig::default() };
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &reference,
        reward: &reward,
        sampling,
        batch_size: 32,
    };
    let reported_level = RiskLevel::new(0.2).unwrap();
    let trainer =
        Quark { config: &config, reported_level, rollout: &rollout, prompts: &prompts, seed: 5 };
    let state = QuarkState::new(&reference, &config, 5).unwrap();
    let mut told = 0;
    let outcome = trainer.round(state, &mut |_, _| {
        told += 1;
        ControlFlow::Break(())
    });
    assert!(outcome.unwrap().is_none());
    assert_eq!(told, 1);
}
