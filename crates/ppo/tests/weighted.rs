//! Training on weighted texts: what weights and given tokens do to loss and gradient, and that
//! equal weights are plain next-token training to the last bit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use std::ops::ControlFlow;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use tailguard_gpt2::{Gpt2, Gpt2Config};
use tailguard_lm::TokenDistribution;
use tailguard_ppo::{
    DistillConfig, PpoError, WeightedBatch, WeightedText, adam, distilled, global_norm,
    next_token_loss, next_token_step, prompts_of_round, weighted_loss, weighted_step,
};

const ROWS: [&[u32]; 4] = [&[1, 2, 3, 4, 5], &[6, 7, 8], &[9, 10, 1, 2], &[3, 1, 4, 1, 5, 9]];

fn text(ids: &[u32], first: usize, weight: f64) -> WeightedText<'_> {
    WeightedText { ids, first, weight }
}

fn plain<'a>(texts: &'a [WeightedText<'a>]) -> WeightedBatch<'a> {
    WeightedBatch { texts, distribution: TokenDistribution::default() }
}

fn number(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}

fn loss(texts: &[WeightedText<'_>]) -> f64 {
    number(weighted_loss(&model(), &plain(texts)).unwrap())
}

fn model() -> Gpt2 {
    Gpt2Config::new(11, 12, 8, 2, 2).init(5, &Device::flex()).unwrap()
}

/// All parameters in a row, or what their gradients are.
#[derive(Default)]
struct Read<'a> {
    gradients: Option<&'a GradientsParams>,
    values: Vec<f32>,
}

impl ModuleVisitor for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = match self.gradients {
            Some(gradients) => gradients.get::<D>(param.id),
            None => Some(param.val().inner()),
        };
        self.values.extend(
            tensor
                .into_iter()
                .flat_map(|tensor| tensor.into_data().iter::<f32>().collect::<Vec<_>>()),
        );
    }
}

/// The gradient of a loss.
fn gradient(loss: impl Fn(&Gpt2) -> Tensor<1>) -> Vec<f32> {
    let model = model().train();
    let gradients = GradientsParams::from_grads(loss(&model).backward(), &model);
    assert!(global_norm(&model, &gradients) > 0.1);
    let mut read = Read { gradients: Some(&gradients), values: Vec::new() };
    model.visit(&mut read);
    read.values
}

#[test]
fn with_equal_weights_loss_gradient_and_step_are_those_of_fine_tuning_to_the_last_bit() {
    for weight in [1.0, 0.3] {
        let texts = ROWS.map(|row| text(row, 1, weight));
        let own = gradient(|model| weighted_loss(model, &plain(&texts)).unwrap());
        let plainly = gradient(|model| next_token_loss(model, &ROWS).unwrap());
        assert!(own == plainly, "weight {weight}");
    }
    let texts = ROWS.map(WeightedText::whole);
    let step = |weighted: bool| {
        let (model, mut adam) = (model().train(), adam());
        let (model, loss) = if weighted {
            weighted_step(model, &mut adam, &plain(&texts), 1e-2, Some(1.0), 1).unwrap()
        } else {
            next_token_step(model, &mut adam, &ROWS, 1e-2, Some(1.0), 1).unwrap()
        };
        let mut read = Read::default();
        model.visit(&mut read);
        (read.values, loss.to_bits())
    };
    assert!(step(true) == step(false));
}

#[test]
fn a_weight_of_two_is_the_text_twice() {
    let (heavy, light) = (text(ROWS[0], 2, 2.0), text(ROWS[1], 1, 1.0));
    let once = text(ROWS[0], 2, 1.0);
    let weighted = gradient(|model| weighted_loss(model, &plain(&[heavy, light])).unwrap());
    let twice = gradient(|model| weighted_loss(model, &plain(&[once, once, light])).unwrap());
    let scale = twice.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    for (own, expected) in weighted.iter().zip(&twice) {
        assert!((own - expected).abs() < 1e-5 * scale, "{own} and {expected}");
    }
}

#[test]
fn the_loss_is_the_weighted_mean_over_learnt_tokens() {
    // by the losses of each text alone, of 3, 2 and 2 learnt tokens
    let (a, b, c) = (text(ROWS[0], 2, 0.5), text(ROWS[1], 1, 0.2), text(ROWS[2], 2, 0.3));
    let expected = (3.0 * 0.5 * loss(&[a]) + 2.0 * 0.2 * loss(&[b]) + 2.0 * 0.3 * loss(&[c]))
        / (3.0 * 0.5 + 2.0 * 0.2 + 2.0 * 0.3);
    assert!((loss(&[a, b, c]) - expected).abs() < 1e-5);
    // ratios of weights alone matter, so the number of samples of a prompt does not
    let tenfold = [a, b, c].map(|text| WeightedText { weight: 10.0 * text.weight, ..text });
    assert!((loss(&tenfold) - expected).abs() < 1e-5);
    // what is given is not learnt, and what is learnt sees it
    let whole = -(loss(&[text(ROWS[0], 1, 1.0)]) * 4.0 - loss(&[a]) * 3.0);
    let first_alone = -loss(&[text(&ROWS[0][..2], 1, 1.0)]);
    assert!((whole - first_alone).abs() < 1e-5, "{whole} and {first_alone}");
}

#[test]
fn tokens_are_learnt_under_the_distribution_of_sampling() {
    let texts = [text(ROWS[0], 2, 1.0), text(ROWS[1], 1, 3.0)];
    let under = |temperature, suppress| {
        let distribution = TokenDistribution { temperature, suppress };
        number(weighted_loss(&model(), &WeightedBatch { texts: &texts, distribution }).unwrap())
    };
    let plain = loss(&texts);
    assert!((under(1.0, None) - plain).abs() < 1e-6);
    assert!(under(1.0, Some(0)) < plain - 1e-3, "a token that cannot be takes no probability");
    assert!((under(0.5, None) - plain).abs() > 1e-4);
}

#[test]
fn what_cannot_be_learnt_is_refused() {
    let step = |texts: &[WeightedText<'_>]| {
        weighted_step(model().train(), &mut adam(), &plain(texts), 1e-2, None, 1).err().unwrap()
    };
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = step(&[text(ROWS[0], 1, 1.0), text(ROWS[1], 1, weight)]);
        assert!(matches!(&error, PpoError::Setting { key, .. } if key == "weight"), "{error}");
    }
    assert!(matches!(step(&[text(ROWS[0], 0, 1.0)]), PpoError::Lm(_)));
    assert!(matches!(step(&[text(ROWS[0], 5, 1.0)]), PpoError::Lm(_)));

    let distil = |prompts: &[Vec<WeightedText<'_>>], config: &DistillConfig| {
        let plain = TokenDistribution::default();
        distilled(&model(), prompts, plain, config, (1, 1), &mut |_, _| ControlFlow::Continue(()))
    };
    let (config, one) = (DistillConfig::default(), vec![text(ROWS[0], 1, 1.0)]);
    let message = distil(&[], &config).err().unwrap().to_string();
    assert!(message.starts_with("prompt 0 of 0 has no weighted samples"), "{message}");
    let message = distil(&[one.clone(), Vec::new()], &config).err().unwrap().to_string();
    assert!(message.starts_with("prompt 1 of 2 has no weighted samples"), "{message}");
    let never = DistillConfig { epochs: 0, ..config };
    assert!(distil(&[one], &never).err().unwrap().to_string().contains("epochs"));
}

#[test]
fn steps_and_prompts_of_rounds_are_counted() {
    let config = DistillConfig { epochs: 3, batch_size: 4, ..DistillConfig::default() };
    // two full batches of ten prompts in each pass, and no more prompts than there are
    assert_eq!((config.steps(10), config.steps(2)), (6, 3));
    let of_round = |round| prompts_of_round(10, 4, 7, round);
    let (first, second) = (of_round(1), of_round(2));
    assert!(first.iter().all(|prompt| !second.contains(prompt)), "{first:?}, {second:?}");
    assert_eq!((first.len(), prompts_of_round(3, 4, 7, 1).len()), (4, 3));
    assert_ne!(of_round(1), prompts_of_round(10, 4, 8, 1));

    let texts: Vec<Vec<WeightedText<'_>>> =
        ROWS.iter().map(|row| vec![text(row, 1, 0.75), text(&row[..2], 1, 0.25)]).collect();
    let config = DistillConfig { epochs: 3, batch_size: 2, ..DistillConfig::default() };
    let run = |stop| {
        let mut seen = Vec::new();
        let plain = TokenDistribution::default();
        let model = distilled(&model(), &texts, plain, &config, (1, 1), &mut |step, loss| {
            assert!(loss.is_finite());
            seen.push(step);
            if step == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (model.unwrap().is_some(), seen)
    };
    assert_eq!(run(99), (true, (1..=6).collect()));
    assert_eq!(run(4), (false, (1..=4).collect()));
}
