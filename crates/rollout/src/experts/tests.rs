//! Claims about three models side by side.

use super::*;
use crate::config::EndOfText;
use crate::engine::{Generation, generate, generate_by};
use crate::fixtures::{SEED, VOCAB, model, prompts, sampling};
use crate::prompt::Prompt;
use tailguard_gpt2::{Gpt2, Gpt2Config, Gpt2Decoder};
use tailguard_lm::CausalLm;
use tailguard_tests::close;

const THREE: [u64; 3] = [1, 2, 3];

fn experts(
    seeds: [u64; 3],
    (alpha, top_p): (f32, f32),
    config: &SamplingConfig,
) -> Experts<Gpt2Decoder> {
    let decoders = seeds.map(|seed| model(seed).decoder());
    Experts::new(decoders, Steering { alpha, top_p }, config).unwrap()
}

fn answers(
    experts: &Experts<Gpt2Decoder>,
    prompts: &[Prompt],
    config: &SamplingConfig,
    batch_size: usize,
) -> Vec<Generation> {
    let asked: Vec<(usize, &Prompt)> = prompts.iter().enumerate().collect();
    generate_by(experts, None, &asked, config, SEED, batch_size).unwrap()
}

/// Combined logits of four tokens whose probabilities are these.
fn combined(
    steering: (f32, f32),
    config: &SamplingConfig,
    probabilities: [[f32; 4]; 3],
) -> [f32; 4] {
    let mut combined = [0.0; 4];
    let [base, good, bad] = probabilities.map(|of| of.map(f32::ln));
    let experts = experts(THREE, steering, config);
    experts.combine([&base, &good, &bad], &mut combined, &mut Scratch::default());
    combined
}

#[test]
fn expert_and_anti_expert_tilt_what_the_base_models_nucleus_has_kept() {
    let good = [0.2, 0.4, 0.1, 0.3];
    let bad = [0.2, 0.2, 0.2, 0.003];
    let base = [0.5, 0.3, 0.15, 0.05];
    let plain = sampling(4);
    let probabilities = |steering, config: &SamplingConfig, base| {
        let exps = combined(steering, config, [base, good, bad]).map(f32::exp);
        exps.map(|e| e / exps.iter().sum::<f32>())
    };
    // by hand: 0.5 * 1, 0.3 * 2^2, 0.15 * 0.5^2; the last is far likelier under the expert, and
    // outside the nucleus of the base model
    let found = probabilities((2.0, 0.9), &plain, base);
    close(&found, &[0.287_769_8, 0.690_647_5, 0.021_582_73, 0.0], 1e-6, "alpha 2");
    // without a cut its weight is 0.05 * 100^2
    let found = probabilities((2.0, 1.0), &plain, base);
    close(&found, &[0.000_996_545, 0.002_391_708, 7.474_089e-5, 0.996_537], 1e-5, "no cut");
    // without weight it is the nucleus of the base model
    let found = probabilities((0.0, 0.79), &plain, base);
    close(&found, &[0.625, 0.375, 0.0, 0.0], 1e-6, "alpha 0");
    // a masked token takes no part in the nucleus: of the rest, 0.3, 0.15 and 0.05
    let masked = SamplingConfig { end_of_text: EndOfText::Mask(0), ..plain };
    let found = probabilities((0.0, 0.9), &masked, base);
    close(&found, &[0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0], 1e-6, "masked");
}

#[test]
fn an_end_token_that_may_be_forbidden_is_not_all_that_is_left() {
    let base = [0.95, 0.01, 0.03, 0.01];
    let same = [0.25; 4];
    let ends = SamplingConfig { end_of_text: EndOfText::Stop(0), ..sampling(4) };
    let kept = |config: &SamplingConfig| {
        combined((1.0, 0.9), config, [base, same, same]).map(|logit| logit > f32::NEG_INFINITY)
    };
    assert_eq!(kept(&ends), [true, false, false, false]);
    let held_back = SamplingConfig { min_new_tokens: 2, ..ends };
    assert_eq!(kept(&held_back), [true, false, true, false]);
}

#[test]
fn logits_that_make_no_distribution_stay_none() {
    let mut combined = [0.0; 3];
    experts(THREE, (1.0, 0.9), &sampling(4)).combine(
        [&[0.0, f32::NAN, 1.0], &[0.0; 3], &[0.0; 3]],
        &mut combined,
        &mut Scratch::default(),
    );
    assert!(combined.iter().all(|logit| logit.is_nan()), "{combined:?}");
}

/// Logits of the tokens before each response token, `[response, vocab]`.
fn logits(model: &Gpt2, prompt: &[u32], response: &[u32]) -> Vec<Vec<f32>> {
    let ids = [prompt, response].concat();
    let tokens = TokenBatch::right_padded(&[&ids], 0, &model.device()).unwrap();
    let hidden = model.hidden(&tokens).unwrap().squeeze_dim::<2>(0);
    let logits = model.logits(hidden).try_into_vec_as::<f32>().unwrap();
    let rows = logits.chunks(VOCAB).skip(prompt.len() - 1).take(response.len());
    rows.map(<[f32]>::to_vec).collect()
}

#[test]
fn what_is_noted_while_three_models_step_equals_passes_over_the_whole() {
    let prompts = prompts(&[5, 3, 7, 5]);
    let config = SamplingConfig { temperature: 0.8, ..sampling(9) };
    let steering = (1.5, 0.9);
    let sampled = answers(&experts(THREE, steering, &config), &prompts, &config, 4);
    let mut inside = 0;
    for (prompt, sampled) in prompts.iter().zip(&sampled) {
        let three = THREE.map(|seed| logits(&model(seed), &prompt.ids, &sampled.response_ids));
        for (at, &token) in sampled.response_ids.iter().enumerate() {
            let [base, good, bad] = three.each_ref().map(|rows| &rows[at]);
            let nucleus = crate::sampler::probabilities(base, 1.0, 0, steering.1).unwrap();
            let scaled = (0..VOCAB).filter(|&token| nucleus[token] > 0.0).map(|token| {
                let tilted = f64::from(base[token]) + 1.5 * f64::from(good[token] - bad[token]);
                (token, tilted / 0.8)
            });
            let scaled: Vec<(usize, f64)> = scaled.collect();
            let log_sum = scaled.iter().map(|(_, l)| l.exp()).sum::<f64>().ln();
            let own = scaled.iter().find(|(known, _)| *known == token as usize).unwrap();
            let gap = own.1 - log_sum - f64::from(sampled.log_probs[at]);
            assert!(gap.abs() < 1e-3, "token {at}: {gap}");
            inside += usize::from(scaled.len() > 1);
        }
    }
    assert!(inside > 10, "nearly all tokens were drawn from a single one");
}

#[test]
fn experts_that_agree_leave_the_nucleus_of_the_base_model() {
    let prompts = prompts(&[5, 3, 5, 4]);
    let config = SamplingConfig { top_p: 0.8, ..sampling(9) };
    let base = generate(&model(1), None, &prompts, &config, SEED, 4).unwrap();
    let plain = sampling(9);
    let same = answers(&experts([1, 2, 2], (2.0, 0.8), &plain), &prompts, &plain, 4);
    let ids = |generations: &[Generation]| {
        generations.iter().map(|of| of.response_ids.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&same), ids(&base));
    let steered = answers(&experts(THREE, (2.0, 0.8), &plain), &prompts, &plain, 4);
    assert_ne!(ids(&steered), ids(&base));
}

#[test]
fn batches_and_rows_that_leave_them_change_no_token() {
    let prompts = prompts(&[5, 5, 4, 5, 5, 3, 5, 5]);
    let run = |config: &SamplingConfig, batch_size| {
        answers(&experts(THREE, (1.0, 1.0), config), &prompts, config, batch_size)
    };
    let ended = |config: &SamplingConfig| {
        run(config, 16).iter().filter(|of| of.response_ids.len() < 12).count()
    };
    let free = run(&sampling(12), 16);
    let ends = free.iter().flat_map(|of| of.response_ids[2..6].to_vec());
    let config = ends
        .map(|end| SamplingConfig { end_of_text: EndOfText::Stop(end), ..sampling(12) })
        .find(|config| ended(config) >= 3)
        .expect("some token ends several rows");
    let whole = run(&config, 16);
    for batch_size in [1, 3] {
        for (one, other) in whole.iter().zip(run(&config, batch_size)) {
            assert_eq!(one.response_ids, other.response_ids);
        }
    }
}

#[test]
fn models_that_do_not_go_together_and_settings_out_of_range_are_refused() {
    let new = |vocab, alpha, top_p| {
        let other = Gpt2Config::new(vocab, 24, 8, 1, 2).init(1, &Device::flex()).unwrap();
        let decoders = [model(1).decoder(), model(2).decoder(), other.decoder()];
        Experts::new(decoders, Steering { alpha, top_p }, &sampling(4))
            .map(|experts| experts.sizes())
            .map_err(|error| error.to_string())
    };
    // the three may have other widths
    let sizes = LmSizes { vocab_size: VOCAB, context: 24, hidden: 16 + 16 + 8 };
    assert_eq!(new(VOCAB, 1.0, 0.9), Ok(sizes));
    assert_eq!(
        new(30, 1.0, 0.9).unwrap_err(),
        "the base model has 401 tokens, the expert 401 and the anti-expert 30: expected the same \
         tokens"
    );
    assert!(new(VOCAB, f32::NAN, 0.9).unwrap_err().contains("alpha is NaN"));
    assert!(new(VOCAB, 1.0, 0.0).unwrap_err().contains("top_p is 0"));
    let (experts, config) = (experts(THREE, (1.0, 0.9), &sampling(4)), sampling(20));
    let prompts = prompts(&[5]);
    let too_long = generate_by(&experts, None, &[(0, &prompts[0])], &config, SEED, 1).unwrap_err();
    assert!(too_long.to_string().contains("do not fit the context of 24 tokens"), "{too_long}");
    let tokens = TokenBatch::left_padded(&[&prompts[0].ids], 0, &Device::flex()).unwrap();
    let mut of_one = model(1).decoder().cache(1, 9);
    assert!(experts.prefill(&tokens, &mut of_one).is_err());
}
