//! Claims about control tokens: a model behind one is an ordinary GPT-2 whose texts begin with it,
//! and which draws none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData, s};
use proptest::prelude::*;
use serde_json::{Value, json};
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::{
    CausalLm, Decoder, LmError, Predictions, Steerable, TokenBatch, TokenDistribution,
};
use tailguard_tests::close;

const VOCAB: usize = 23;
const CONTROL: usize = 3;
const POSITIONS: usize = 12;
const WIDTH: usize = 8;

/// Weights that are far from those that do nothing.
fn steered(tied: bool) -> Gpt2 {
    let config = Gpt2Config {
        initializer_range: 0.5,
        tie_word_embeddings: tied,
        ..Gpt2Config::new(VOCAB, POSITIONS, WIDTH, 2, 2)
    };
    let rows: Vec<f32> = (0..CONTROL * WIDTH).map(|at| (1.7 * at as f32).sin()).collect();
    let rows = Tensor::from_data(TensorData::new(rows, [CONTROL, WIDTH]), &Device::flex());
    config.init(4, &Device::flex()).unwrap().with_control_tokens(rows)
}

/// The same weights as an ordinary model, whose vocabulary has the control tokens at its end.
fn ordinary(model: &Gpt2) -> Gpt2 {
    let home = tempfile::tempdir().unwrap();
    model.save(home.path(), WeightType::F32).unwrap();
    let path = home.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for key in ["control_tokens", "prefix_token_id"] {
        config.as_object_mut().unwrap().remove(key);
    }
    fs::write(&path, config.to_string()).unwrap();
    load(home.path()).unwrap()
}

fn load(dir: &Path) -> Result<Gpt2, String> {
    Gpt2::load(&ModelDir::open(dir).unwrap(), &Device::flex()).map_err(|error| error.to_string())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

fn behind(token: usize, row: &[u32]) -> Vec<u32> {
    [&[u32::try_from(VOCAB + token).unwrap()], row].concat()
}

fn views(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_token_in_front_is_the_first_of_an_ordinary_models_text(
        rows in prop::collection::vec(prop::collection::vec(0u32..23, 2..9), 1..5),
        token in 0..CONTROL,
        tied: bool,
    ) {
        let (steered, device) = (steered(tied), Device::flex());
        let ordinary = ordinary(&steered);
        prop_assert_eq!(ordinary.sizes().vocab_size, VOCAB + CONTROL);
        let steered = steered.under(Some(token)).unwrap();
        let whole: Vec<Vec<u32>> = rows.iter().map(|row| behind(token, row)).collect();
        let (rows, whole) = (views(&rows), views(&whole));
        // log-probabilities of all but the first token, over the vocabulary without control tokens
        let ours = Predictions::new(&rows, &vec![1; rows.len()], 0, &device).unwrap();
        let theirs = Predictions::new(&whole, &vec![2; rows.len()], 0, &device).unwrap();
        let states = steered.predicting(&ours).unwrap();
        let expected = ordinary.predicting(&theirs).unwrap();
        close(&values(states.clone()), &values(expected.clone()), 1e-5, "states");
        let logits = values(ordinary.logits(expected).slice(s![.., ..VOCAB]));
        close(
            &values(Gpt2::logits(&steered, states.clone())), &logits, 1e-5, "logits",
        );
        let under = steered.clone().under(None).unwrap();
        let tokens = vec![token; rows.len()];
        let again = under.predicting_under(&ours, &tokens).unwrap();
        close(&values(again), &values(states.clone()), 1e-6, "each row its token");
        let distribution = TokenDistribution::default();
        let scored = steered.token_stats(states, ours.targets, &distribution).log_probs;
        prop_assert!(values(scored).iter().all(|log_prob| log_prob.is_finite()));
        // sampling: prompts of different lengths, then a step
        let (decoder, of_ordinary) = (steered.decoder(), ordinary.decoder());
        let room = 10;
        let (mut cache, mut other) =
            (decoder.cache(rows.len(), room), of_ordinary.cache(rows.len(), room + 1));
        let batch = |rows: &[&[u32]]| TokenBatch::left_padded(rows, 0, &device).unwrap();
        let found = decoder.prefill(&batch(&rows), &mut cache).unwrap();
        let expected = of_ordinary.prefill(&batch(&whole), &mut other).unwrap();
        close(&values(found), &values(expected), 1e-5, "prefill");
        let next: Vec<u32> = (0..rows.len()).map(|row| u32::try_from(row).unwrap()).collect();
        let found = decoder.logits(decoder.step(&next, &mut cache).unwrap());
        let expected = of_ordinary.logits(of_ordinary.step(&next, &mut other).unwrap());
        prop_assert_eq!(found.dims()[1], VOCAB);
        close(&values(found), &values(expected.slice(s![.., ..VOCAB])), 1e-5, "step");
        // hidden states have the shape of the tokens
        let hidden = steered.hidden(&TokenBatch::right_padded(&rows, 0, &device).unwrap());
        let longest = rows.iter().map(|row| row.len()).max().unwrap();
        prop_assert_eq!(hidden.unwrap().dims(), [rows.len(), longest, WIDTH]);
    }
}

#[test]
fn a_directory_says_which_token_stands_in_front_and_which_are_never_drawn() {
    let home = tempfile::tempdir().unwrap();
    for tied in [true, false] {
        let model = steered(tied).under(Some(1)).unwrap();
        model.save(home.path(), WeightType::F32).unwrap();
        let json = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(home.path().join(name)).unwrap()).unwrap()
        };
        let config = json("config.json");
        assert_eq!(
            [&config["vocab_size"], &config["control_tokens"], &config["prefix_token_id"]],
            [&json!(26), &json!(3), &json!(24)]
        );
        assert_eq!(json("generation_config.json")["suppress_tokens"], json!([23, 24, 25]));
        let again = load(home.path()).unwrap();
        assert_eq!((again.config(), again.sizes()), (model.config(), model.sizes()));
        let rows: [&[u32]; 2] = [&[1, 2, 3], &[4, 5]];
        let batch = Predictions::new(&rows, &[1, 1], 0, &Device::flex()).unwrap();
        let states = |model: &Gpt2| values(model.predicting(&batch).unwrap());
        assert_eq!(states(&again), states(&model));
    }
    // a model without them is written as before
    let plain = Gpt2Config::new(5, 4, 4, 1, 1).init(1, &Device::flex()).unwrap();
    let home = tempfile::tempdir().unwrap();
    plain.save(home.path(), WeightType::F32).unwrap();
    assert!(!home.path().join("generation_config.json").exists());
    let config = fs::read_to_string(home.path().join("config.json")).unwrap();
    assert!(!config.contains("control_tokens") && !config.contains("prefix_token_id"), "{config}");
}

#[test]
fn a_control_token_takes_a_position_and_what_is_not_there_is_refused() {
    let (model, device) = (steered(true), Device::flex());
    assert_eq!((model.sizes().context, model.control_tokens()), (POSITIONS, CONTROL));
    let longest = [1; POSITIONS];
    let predictions = |row: &[u32]| Predictions::new(&[row], &[1], 0, &device).unwrap();
    assert!(model.predicting(&predictions(&longest)).is_ok());
    let too_long = |outcome: Result<Tensor<2>, LmError>| {
        let message = outcome.unwrap_err().to_string();
        let expected = "a sequence of 12 tokens does not fit the context of 11 tokens";
        assert_eq!(message, expected);
    };
    too_long(model.predicting_under(&predictions(&longest), &[0]));
    let under = model.clone().under(Some(2)).unwrap();
    assert_eq!(under.sizes().context, POSITIONS - 1);
    too_long(under.predicting(&predictions(&longest)));
    assert!(under.predicting(&predictions(&longest[1..])).is_ok());
    let decoder = under.decoder();
    let mut cache = decoder.cache(1, POSITIONS);
    let prompt: [&[u32]; 1] = [&longest[1..]];
    decoder.prefill(&TokenBatch::left_padded(&prompt, 0, &device).unwrap(), &mut cache).unwrap();
    too_long(decoder.step(&[1], &mut cache));

    let error = model.predicting_under(&predictions(&[1, 2]), &[3]).unwrap_err().to_string();
    assert_eq!(error, "control token 3 was asked for, but the model has 3 of them");
    let error = model.predicting_under(&predictions(&[1, 2]), &[0, 1]).unwrap_err();
    assert!(matches!(error, LmError::Count { found: 2, expected: 1, .. }), "{error}");
    assert!(matches!(model.under(Some(3)), Err(LmError::NoControlToken { token: 3, tokens: 3 })));
    // no id names one
    let error = under.predicting(&predictions(&[1, 23])).unwrap_err();
    assert!(matches!(error, LmError::UnknownToken { id: 23, vocab_size: 23, .. }), "{error}");
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_by_key() {
    let refused = |change: &[(&str, Value)]| {
        let home = tempfile::tempdir().unwrap();
        steered(true).save(home.path(), WeightType::F32).unwrap();
        let path = home.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (key, value) in change {
            config[*key] = value.clone();
        }
        fs::write(&path, config.to_string()).unwrap();
        load(home.path()).unwrap_err()
    };
    assert!(refused(&[("control_tokens", json!(27))]).contains("control_tokens is 27"));
    for id in [22, 26] {
        let message = refused(&[("prefix_token_id", json!(id))]);
        assert!(
            message.contains(&format!("prefix_token_id is {id}, expected the id of a")),
            "{message}"
        );
    }
    let message = refused(&[("eos_token_id", json!(23))]);
    assert!(message.contains("eos_token_id is 23"), "{message}");
}

/// Gradients of the parameters of that shape.
struct OfShape<'a> {
    grads: &'a GradientsParams,
    shape: [usize; 2],
    found: Vec<Vec<f32>>,
}

impl ModuleVisitor for OfShape<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().dims()[..] == self.shape {
            self.found.extend(self.grads.get::<D>(param.id).map(values));
        }
    }
}

#[test]
fn the_rows_of_the_tokens_in_front_learn_and_no_others() {
    let model = steered(true).train();
    let rows: [&[u32]; 2] = [&[1, 2, 3], &[4, 5]];
    let batch = Predictions::new(&rows, &[1, 1], 0, &Device::flex()).unwrap();
    let logits = Steerable::logits(&model, model.predicting_under(&batch, &[2, 0]).unwrap());
    let grads = (logits.clone() * logits).sum().backward();
    let grads = GradientsParams::from_grads(grads, &model);
    let mut control = OfShape { grads: &grads, shape: [CONTROL, WIDTH], found: Vec::new() };
    model.visit(&mut control);
    assert_eq!(control.found.len(), 1, "the control tokens are parameters");
    let moves: Vec<bool> = control.found[0]
        .chunks(WIDTH)
        .map(|row| row.iter().any(|value| value.abs() > 1e-6))
        .collect();
    assert_eq!(moves, [true, false, true]);
}
