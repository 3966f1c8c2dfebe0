//! A language model of somebody else's: a table of bigrams. It is sampled, scored, fine-tuned and
//! trained by PPO as ours are, and not a line of ours is touched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::ControlFlow;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, s};
use tailguard_checkpoint::{CheckpointError, WeightType, Weights, WeightsWriter};
use tailguard_kernels::{TokenStats, token_log_probs};
use tailguard_lm::{
    CausalLm, Decoder, KvCache, LmError, LmSizes, Policy, Predictions, TokenBatch,
    TokenDistribution, VALUE_HEAD_FILE, ValueHead,
};
use tailguard_ppo::{
    DistillConfig, PpoConfig, SftConfig, Trainer, TrainingState, WeightedText, distilled,
    supervised, validation_loss,
};
use tailguard_reward::from_fn;
use tailguard_risk::{Mean, Pool, RiskLevel};
use tailguard_rollout::{
    DrawSeed, Prompt, Rollout, SamplingConfig, Sequence, generate, log_probs_of, prompts,
};
use tailguard_tests::{close, golden};
use tokenizers::Tokenizer;

const HIDDEN: usize = 12;
const CONTEXT: usize = 16;

/// The next token depends on the last one alone.
#[derive(Module, Debug)]
struct Bigrams {
    embedding: Param<Tensor<2>>, // [vocab, hidden]
    head: Param<Tensor<2>>,      // [vocab, hidden]
}

impl Bigrams {
    fn new(vocab: usize) -> Self {
        let table = |step: usize| {
            let values: Vec<f32> = (0..vocab * HIDDEN)
                .map(|at| ((at * step % 97) as f32 / 97.0 - 0.5) * 0.6)
                .collect();
            Param::from_tensor(Tensor::from_data(
                TensorData::new(values, [vocab, HIDDEN]),
                &Device::flex(),
            ))
        };
        Self { embedding: table(31), head: table(57) }
    }
}

impl CausalLm for Bigrams {
    type Decoder = Self;

    fn sizes(&self) -> LmSizes {
        let [vocab_size, hidden] = self.embedding.val().dims();
        LmSizes { vocab_size, context: CONTEXT, hidden }
    }

    fn device(&self) -> Device {
        self.embedding.val().device()
    }

    fn predicting(&self, batch: &Predictions) -> Result<Tensor<2>, LmError> {
        batch.tokens.check(&CausalLm::sizes(self))?;
        let [rows, seq] = batch.tokens.dims();
        let states =
            self.embedding.val().select(0, batch.tokens.input_ids.clone().reshape([rows * seq]));
        Ok(batch.states(states.reshape([rows, seq, HIDDEN])))
    }

    fn token_stats(
        &self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        distribution: &TokenDistribution,
    ) -> TokenStats {
        token_log_probs(
            hidden,
            self.head.val(),
            targets,
            distribution.temperature,
            distribution.suppress,
        )
    }

    fn decoder(&self) -> Self {
        self.clone()
    }

    fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), CheckpointError> {
        let mut weights = WeightsWriter::new(weight_type);
        weights.insert("embedding", self.embedding.val());
        weights.insert("head", self.head.val());
        weights.write(&dir.join("model.safetensors"))
    }
}

impl Decoder for Bigrams {
    fn sizes(&self) -> LmSizes {
        CausalLm::sizes(self)
    }

    fn device(&self) -> Device {
        CausalLm::device(self)
    }

    fn cache(&self, rows: usize, capacity: usize) -> KvCache {
        // the last token is all that there is to know
        KvCache::new(0, HIDDEN, rows, capacity, &CausalLm::device(self))
    }

    fn prefill(&self, tokens: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        let [rows, seq] = tokens.dims();
        cache.check(rows, 0, seq)?;
        tokens.check(&CausalLm::sizes(self))?;
        cache.begin(seq, &tokens.starts);
        Ok(self
            .embedding
            .val()
            .select(0, tokens.input_ids.clone().slice(s![.., -1..]).reshape([rows])))
    }

    fn step_drawn(&self, ids: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<2>, LmError> {
        cache.check(ids.dims()[0], 0, cache.len() + 1)?;
        cache.advance();
        Ok(self.embedding.val().select(0, ids))
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.head.val().transpose())
    }
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap()
}

fn model() -> Bigrams {
    Bigrams::new(tokenizer().get_vocab_size(true))
}

fn texts() -> Vec<String> {
    [
        "the movie was good",
        "so it is",
        "a film",
        "not at all",
        "the end of it",
        "what a movie",
        "and so",
        "it was not bad",
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn what_is_noted_while_sampling_equals_a_pass_over_the_whole() {
    let (model, head) = (model(), ValueHead::init(HIDDEN, &Device::flex()));
    let prompts = prompts(&tokenizer(), &texts(), 4).unwrap();
    let sampling = SamplingConfig { max_new_tokens: 6, ..SamplingConfig::default() };
    let sampled =
        generate(&model, Some(&head), &prompts, &sampling, DrawSeed { seed: 3, stream: 0 }, 4)
            .unwrap();
    let sequences: Vec<Sequence<'_>> = prompts
        .iter()
        .zip(&sampled)
        .map(|(prompt, of)| Sequence { prompt: &prompt.ids, response: &of.response_ids })
        .collect();
    for (sampled, scored) in sampled
        .iter()
        .zip(log_probs_of(&model, None, &sequences, &sampling.distribution(), 3).unwrap())
    {
        assert_eq!(sampled.response_ids.len(), 6);
        close(&sampled.log_probs, &scored.log_probs, 1e-5, "log-probabilities");
    }
    let too_long = SamplingConfig { max_new_tokens: CONTEXT, ..sampling };
    let refused = generate(&model, None, &prompts, &too_long, DrawSeed { seed: 3, stream: 0 }, 4)
        .unwrap_err();
    assert!(refused.to_string().contains("do not fit the context of 16 tokens"), "{refused}");
}

#[test]
fn fine_tuning_learns_what_follows_what() {
    let (model, tokenizer) = (model(), tokenizer());
    let rows: Vec<Vec<u32>> = texts()
        .iter()
        .map(|text| tokenizer.encode(text.as_str(), false).unwrap().get_ids().to_vec())
        .collect();
    let config = SftConfig { steps: 30, batch_size: 8, learning_rate: 0.05, weight_decay: 0.0 };
    let tuned = supervised(&model, &rows, &config, 1, &mut |_, _| ControlFlow::Continue(()))
        .unwrap()
        .unwrap();
    let loss = |model: &Bigrams| validation_loss(model, &rows, 8).unwrap();
    assert!(loss(&tuned) < 0.5 * loss(&model), "{} and {}", loss(&tuned), loss(&model));
}

#[test]
fn ppo_learns_short_words_and_its_policy_is_written() {
    let (model, tokenizer) = (model(), tokenizer());
    let prompts = prompts(&tokenizer, &[texts(), texts()].concat(), 4).unwrap();
    let reward = from_fn(|_prompt, response| Ok(-(response.len() as f32)));
    let sampling = SamplingConfig { max_new_tokens: 6, ..SamplingConfig::default() };
    let rollout = Rollout {
        tokenizer: &tokenizer,
        reference: &model,
        reward: &reward,
        sampling,
        batch_size: 16,
    };
    let config = PpoConfig {
        iterations: 40,
        batch_size: 16,
        minibatch_size: 8,
        learning_rate: 0.03,
        value_learning_rate: 0.03,
        kl_coef: 0.05,
        ..PpoConfig::default()
    };
    let reported_level = RiskLevel::new(0.25).unwrap();
    let trainer = Trainer {
        config: &config,
        objective: &Mean,
        reported_level,
        rollout: &rollout,
        prompts: &prompts,
        seed: 1,
    };
    let mut rewards = Vec::new();
    let state = TrainingState::new(&model, &config).unwrap();
    let state = trainer.run(state, &mut |stats, _| {
        rewards.push(stats.reward);
        Ok(ControlFlow::Continue(()))
    });
    let Policy { lm, value_head } = state.unwrap().policy.valid();
    let mean = |rewards: &[f64]| rewards.iter().sum::<f64>() / rewards.len() as f64;
    let (first, last) = (mean(&rewards[..5]), mean(&rewards[35..]));
    assert!(last > first + 2.0, "{rewards:?}");

    let folder = tempfile::tempdir().unwrap();
    Policy { lm: lm.clone(), value_head }.save(folder.path(), WeightType::F32).unwrap();
    assert!(folder.path().join(VALUE_HEAD_FILE).is_file());
    let mut weights = Weights::open(&folder.path().join("model.safetensors")).unwrap();
    let read: Tensor<2> = weights.tensor("head", lm.head.val().dims(), &Device::flex()).unwrap();
    assert_eq!(
        read.into_data().try_to_vec::<f32>().unwrap(),
        lm.head.val().into_data().try_to_vec::<f32>().unwrap()
    );
}

/// Log-probability of every token after a prompt.
fn of_next(model: &Bigrams, prompt: &Prompt) -> Vec<f64> {
    let ids: Vec<[u32; 1]> =
        (0..u32::try_from(CausalLm::sizes(model).vocab_size).unwrap()).map(|id| [id]).collect();
    let sequences: Vec<Sequence<'_>> =
        ids.iter().map(|id| Sequence { prompt: &prompt.ids, response: id }).collect();
    let scores = log_probs_of(model, None, &sequences, &TokenDistribution::default(), 512).unwrap();
    scores.iter().map(|row| f64::from(row.log_probs[0])).collect()
}

/// What a response of one token is worth.
fn score(id: u32) -> f64 {
    f64::from(id * 37 % 11) / 5.0 - 1.0
}

#[test]
fn distillation_in_rounds_comes_near_the_policy_that_is_optimal() {
    const RESPONSES: usize = 2000;
    const BETA: f64 = 0.5;
    let (reference, tokenizer) = (model(), tokenizer());
    let prompts = prompts(&tokenizer, &texts(), 4).unwrap();
    let sampling = SamplingConfig { max_new_tokens: 1, ..SamplingConfig::default() };
    let config =
        DistillConfig { epochs: 30, batch_size: 8, learning_rate: 0.02, weight_decay: 0.0 };
    // KL from the optimal policy, reference * exp(score / beta), and its mean score, both exactly
    let measured = |model: &Bigrams| {
        let (mut kl, mut own_score, mut best_score) = (0.0, 0.0, 0.0);
        for prompt in &prompts {
            let (own, of_reference) = (of_next(model, prompt), of_next(&reference, prompt));
            let tilted =
                |(id, log_prob): (usize, &f64)| log_prob + score(u32::try_from(id).unwrap()) / BETA;
            let tilted: Vec<f64> = of_reference.iter().enumerate().map(tilted).collect();
            let log_sum = tilted.iter().map(|log_weight| log_weight.exp()).sum::<f64>().ln();
            for (id, (log_weight, log_prob)) in tilted.iter().zip(&own).enumerate() {
                let (best, score) =
                    ((log_weight - log_sum).exp(), score(u32::try_from(id).unwrap()));
                kl += best * (log_weight - log_sum - log_prob) / prompts.len() as f64;
                best_score += best * score / prompts.len() as f64;
                own_score += log_prob.exp() * score / prompts.len() as f64;
            }
        }
        (kl, own_score, best_score)
    };
    let repeated: Vec<Prompt> =
        prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt.clone(), RESPONSES)).collect();
    let (before, first_score, best_score) = measured(&reference);
    let mut policy = reference.clone();
    let mut left = vec![before];
    for round in 1..=2 {
        let draws = DrawSeed { seed: 5, stream: round as u64 * 1_000_000 };
        let samples = generate(&policy, None, &repeated, &sampling, draws, 256).unwrap();
        let ids: Vec<Vec<u32>> = repeated
            .iter()
            .zip(&samples)
            .map(|(prompt, sample)| [&prompt.ids[..], &sample.response_ids].concat())
            .collect();
        let sequences: Vec<Sequence<'_>> = repeated
            .iter()
            .zip(&samples)
            .map(|(prompt, of)| Sequence { prompt: &prompt.ids, response: &of.response_ids })
            .collect();
        let under =
            log_probs_of(&reference, None, &sequences, &sampling.distribution(), 256).unwrap();
        let scores: Vec<f64> = samples.iter().map(|sample| score(sample.response_ids[0])).collect();
        let ratios: Vec<f64> = samples
            .iter()
            .zip(&under)
            .map(|(own, reference)| f64::from(own.log_probs[0] - reference.log_probs[0]))
            .collect();
        let tilted =
            Pool::new(&scores, &ratios, RESPONSES, 1).unwrap().at_beta(&Mean, BETA).unwrap();
        let learnt: Vec<Vec<WeightedText<'_>>> = (0..prompts.len())
            .map(|prompt| {
                (prompt * RESPONSES..(prompt + 1) * RESPONSES)
                    .map(|place| WeightedText {
                        ids: &ids[place],
                        first: repeated[place].ids.len(),
                        weight: tilted.weights[place],
                    })
                    .collect()
            })
            .collect();
        let distribution = sampling.distribution();
        policy = distilled(&policy, &learnt, distribution, &config, (1, round), &mut |_, _| {
            ControlFlow::Continue(())
        })
        .unwrap()
        .unwrap();
        left.push(measured(&policy).0);
    }
    let (_, last_score, _) = measured(&policy);
    assert!(left[1] < 0.5 * before && left[2] < 0.5 * before, "{left:?}");
    let gained = (last_score - first_score) / (best_score - first_score);
    assert!((0.8..1.2).contains(&gained), "{first_score}, {last_score} of {best_score}");
}
