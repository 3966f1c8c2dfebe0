//! Parity with Hugging Face transformers: `tests/golden/gpt2`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot read its files has failed"
)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, s};
use serde_json::Value;
use tailguard_checkpoint::{ModelDir, WeightType};
use tailguard_gpt2::Gpt2;
use tailguard_lm::{
    CausalLm, Decoder, Predictions, TokenBatch, TokenDistribution, ValueHead, id_tensor,
};
use tailguard_tests::{
    cases, close, close_scaled, count, counts, device_name, float, floats, golden, list,
    optional_float,
};

/// Logits, values and log-probabilities: absolute.
const MODEL: f64 = 1e-4;
/// Perplexities, gradient norms and losses: relative.
const DERIVED: f64 = 1e-4;

/// The device that `TAILGUARD_DEVICE` names.
fn device() -> Device {
    tailguard_kernels::device(&device_name()).unwrap()
}

fn model(device: &Device) -> Gpt2 {
    Gpt2::load(&ModelDir::open(golden("gpt2")).unwrap(), device).unwrap()
}

fn value_head(model: &Gpt2) -> ValueHead {
    ValueHead::load(&golden("gpt2/value_head.safetensors"), model.config().n_embd, &model.device())
        .unwrap()
}

fn rows(value: &Value) -> Vec<Vec<u32>> {
    list(value)
        .iter()
        .map(|row| counts(row).into_iter().map(|id| u32::try_from(id).unwrap()).collect())
        .collect()
}

fn views(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The rows of a left-padded batch without their padding.
fn unpadded(batch: &Value) -> Vec<Vec<u32>> {
    let masks = list(&batch["attention_mask"]).iter().map(counts);
    let strip = |(row, mask): (Vec<u32>, Vec<usize>)| {
        row.into_iter().zip(mask).filter(|(_, real)| *real == 1).map(|(id, _)| id).collect()
    };
    rows(&batch["input_ids"]).into_iter().zip(masks).map(strip).collect()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

fn flat(hidden: Tensor<3>) -> Tensor<2> {
    let [b, t, d] = hidden.dims();
    hidden.reshape([b * t, d])
}

#[test]
fn golden_logits_values_entropies_and_log_probs_of_unpadded_rows() {
    let cases = cases("gpt2/cases.json");
    let plain = &cases["plain"];
    let model = model(&device());
    let rows = rows(&plain["input_ids"]);
    let batch = Predictions::new(&views(&rows), &vec![1; rows.len()], 0, &model.device()).unwrap();
    let hidden = model.hidden(&batch.tokens).unwrap();
    close(&values(model.logits(flat(hidden.clone()))), &floats(&plain["logits"]), MODEL, "logits");
    close(
        &values(value_head(&model).forward(flat(hidden.clone()))),
        &floats(&plain["values"]),
        MODEL,
        "values",
    );
    let stats = model.token_stats(
        batch.states(hidden.clone()),
        batch.targets.clone(),
        &TokenDistribution::default(),
    );
    close(
        &values(stats.log_probs),
        &floats(&plain["next_token_logprobs"]),
        MODEL,
        "next-token log-probabilities",
    );
    let everywhere = id_tensor(&rows.concat(), &model.device());
    let entropies =
        model.token_stats(flat(hidden), everywhere, &TokenDistribution::default()).entropies;
    close(&values(entropies), &floats(&plain["entropy"]), MODEL, "entropies");
}

#[test]
fn golden_left_padded_rows_equal_the_rows_alone() {
    let cases = cases("gpt2/cases.json");
    let padded = &cases["left_padded"];
    let pad = u32::try_from(count(&cases["pad_token_id"])).unwrap();
    let model = model(&device());
    let rows = unpadded(padded);
    let batch = TokenBatch::left_padded(&views(&rows), pad, &model.device()).unwrap();
    let positions = batch.position_ids.clone().try_into_vec_as::<i64>().unwrap();
    close(
        &positions.iter().map(|&p| f64::from(i32::try_from(p).unwrap())).collect::<Vec<_>>(),
        &floats(&padded["position_ids"]),
        0.0,
        "positions",
    );
    let hidden = model.hidden(&batch).unwrap();
    let [_, seq, _] = hidden.dims();
    for (row, ids) in rows.iter().enumerate() {
        let real = hidden.clone().slice(s![row..=row, seq - ids.len().., ..]);
        let expected =
            (&padded["logits_at_real_positions"][row], &padded["values_at_real_positions"][row]);
        close(
            &values(model.logits(flat(real.clone()))),
            &floats(expected.0),
            MODEL,
            &format!("logits of row {row}"),
        );
        close(
            &values(value_head(&model).forward(flat(real))),
            &floats(expected.1),
            MODEL,
            &format!("values of row {row}"),
        );
    }
}

#[test]
fn golden_greedy_decoding_with_the_cache() {
    let cases = cases("gpt2/cases.json");
    let greedy = &cases["greedy"];
    let pad = u32::try_from(count(&cases["pad_token_id"])).unwrap();
    let steps = count(&greedy["max_new_tokens"]);
    let model = model(&device());
    let rows = unpadded(greedy);
    let batch = TokenBatch::left_padded(&views(&rows), pad, &model.device()).unwrap();
    let decoder = model.decoder();
    let mut cache = decoder.cache(rows.len(), batch.dims()[1] + steps);
    let mut hidden = decoder.prefill(&batch, &mut cache).unwrap();
    let mut chosen = vec![Vec::new(); rows.len()];
    for _ in 0..steps {
        let ids = decoder.logits(hidden).argmax(1).squeeze_dim::<1>(1);
        let ids: Vec<u32> = ids
            .try_into_vec_as::<i64>()
            .unwrap()
            .into_iter()
            .map(|id| u32::try_from(id).unwrap())
            .collect();
        for (row, &id) in chosen.iter_mut().zip(&ids) {
            row.push(usize::try_from(id).unwrap());
        }
        hidden = decoder.step(&ids, &mut cache).unwrap();
    }
    assert_eq!(chosen.concat(), counts(&greedy["new_tokens"]));
}

#[test]
fn golden_perplexities_with_and_without_a_first_token() {
    let cases = cases("gpt2/cases.json");
    let expected = &cases["perplexity"];
    let bos = u32::try_from(count(&cases["bos_token_id"])).unwrap();
    let model = model(&device());
    let perplexity = |row: &[u32]| {
        let batch = Predictions::new(&[row], &[1], 0, &model.device()).unwrap();
        let hidden = model.hidden(&batch.tokens).unwrap();
        let stats =
            model.token_stats(batch.states(hidden), batch.targets, &TokenDistribution::default());
        f64::from(stats.log_probs.mean().neg().into_scalar::<f32>()).exp()
    };
    for (index, row) in rows(&expected["sequences"]).iter().enumerate() {
        let with = perplexity(&[&[bos], row.as_slice()].concat());
        close_scaled(
            &[with],
            &[float(&expected["bos_prepended"][index])],
            DERIVED,
            &format!("sequence {index} after the first token"),
        );
        match optional_float(&expected["no_bos"][index]) {
            Some(without) => close_scaled(
                &[perplexity(row)],
                &[without],
                DERIVED,
                &format!("sequence {index} alone"),
            ),
            None => assert_eq!(row.len(), 1, "only one token alone has no perplexity"),
        }
    }
}

/// L2 norm of each parameter's gradient, by Burn's path.
struct Norms<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    found: Vec<(String, f64)>,
}

impl ModuleVisitor for Norms<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = self.grads.get::<D>(param.id).expect("every parameter has a gradient");
        let norm = f64::from((grad.clone() * grad).sum().into_scalar::<f32>()).sqrt();
        self.found.push((format!("transformer.{}", self.path.join(".")), norm));
    }
}

fn loss(model: &Gpt2, rows: &[Vec<u32>]) -> Tensor<1> {
    let batch = Predictions::new(&views(rows), &vec![1; rows.len()], 0, &model.device()).unwrap();
    let states = model.predicting(&batch).unwrap();
    model.token_stats(states, batch.targets, &TokenDistribution::default()).log_probs.mean().neg()
}

fn gradients(model: &Gpt2, rows: &[Vec<u32>]) -> (GradientsParams, f64) {
    let loss = loss(model, rows);
    (GradientsParams::from_grads(loss.backward(), model), f64::from(loss.into_scalar::<f32>()))
}

#[test]
fn golden_gradients_of_every_parameter() {
    let cases = cases("gpt2/cases.json");
    let expected = &cases["gradients"];
    let model = model(&device().autodiff());
    let (grads, loss) = gradients(&model, &rows(&cases["plain"]["input_ids"]));
    close_scaled(&[loss], &[float(&expected["loss"])], DERIVED, "loss");
    let mut norms = Norms { grads: &grads, path: Vec::new(), found: Vec::new() };
    model.visit(&mut norms);
    let expected_norms = expected["grad_l2"].as_object().unwrap();
    assert_eq!(norms.found.len(), expected_norms.len(), "one gradient for each parameter");
    for (name, norm) in &norms.found {
        close_scaled(&[*norm], &[float(&expected_norms[name])], DERIVED, name);
    }
    let all = norms.found.iter().map(|(_, norm)| norm * norm).sum::<f64>().sqrt();
    close_scaled(&[all], &[float(&expected["grad_l2_all"])], DERIVED, "all gradients");
}

#[test]
fn golden_loss_after_one_step_of_adam_and_of_adam_w() {
    let cases = cases("gpt2/cases.json");
    let expected = &cases["gradients"];
    let rows = rows(&cases["plain"]["input_ids"]);
    let after = |mut optimizer: ModuleOptimizer, settings: &Value| {
        let model = model(&device().autodiff());
        let (grads, _) = gradients(&model, &rows);
        let model = optimizer.step(float(&settings["lr"]), model, grads);
        f64::from(loss(&model.valid(), &rows).into_scalar::<f32>())
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Burn takes the optimiser's constants in single precision"
    )]
    let single = |value: &Value| float(value) as f32;
    let settings = &expected["adam_settings"];
    let adam = AdamConfig::new().with_epsilon(single(&settings["eps"]));
    let adam = adam
        .with_beta_1(single(&settings["betas"][0]))
        .with_beta_2(single(&settings["betas"][1]))
        .init();
    close_scaled(
        &[after(adam, settings)],
        &[float(&expected["loss_after_one_adam_step"])],
        DERIVED,
        "Adam",
    );
    let settings = &expected["adamw_settings"];
    let adam_w = AdamWConfig::new()
        .with_epsilon(single(&settings["eps"]))
        .with_weight_decay(single(&settings["weight_decay"]));
    let adam_w = adam_w
        .with_beta_1(single(&settings["betas"][0]))
        .with_beta_2(single(&settings["betas"][1]))
        .init();
    close_scaled(
        &[after(adam_w, settings)],
        &[float(&expected["loss_after_one_adamw_step"])],
        DERIVED,
        "AdamW",
    );
}

#[test]
fn golden_weights_survive_a_round_trip_with_and_without_the_prefix() {
    let original = model(&device());
    let dir = tempfile::tempdir().unwrap();
    original.save(dir.path(), WeightType::F32).unwrap();
    let again = Gpt2::load(&ModelDir::open(dir.path()).unwrap(), &device()).unwrap();
    let batch = TokenBatch::right_padded(&[&[1, 2, 3]], 0, &device()).unwrap();
    assert_eq!(
        values(original.hidden(&batch).unwrap()),
        values(again.hidden(&batch).unwrap()),
        "the same weights, bit for bit"
    );
    // the same tensors under the names that older checkpoints use
    let path = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let text = std::str::from_utf8(&bytes[8..8 + header]).unwrap().replace("transformer.", "");
    let renamed =
        [&u64::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes(), &bytes[8 + header..]]
            .concat();
    std::fs::write(&path, renamed).unwrap();
    let bare = Gpt2::load(&ModelDir::open(dir.path()).unwrap(), &device()).unwrap();
    assert_eq!(values(original.hidden(&batch).unwrap()), values(bare.hidden(&batch).unwrap()));
}
