//! Parity with the reference numbers in tests/golden/ppo.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::Value;
use tailguard_kernels::token_log_probs;
use tailguard_ppo::{
    KlController, KlEstimator, episode_kl, episode_return, gae, policy_loss, policy_stats,
    shaped_rewards, value_loss, value_stats, whiten, whiten_keep_mean,
};
use tailguard_risk::{RiskLevel, lowest};
use tailguard_tests::{
    cases, close, close_scaled, count, counts, device_name, float, floats, list, name,
};

/// 1e-5 over 1 + the expected size.
const TOLERANCE: f64 = 1e-5;

/// The device that `TAILGUARD_DEVICE` names.
fn device() -> Device {
    tailguard_kernels::device(&device_name()).unwrap()
}

type Rows = Vec<Vec<f32>>;

/// A number of the fixtures as the single-precision number it was written from.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fixtures' decimals read back to the same f32"
)]
fn single(number: f64) -> f32 {
    number as f32
}

/// The response tokens of a `[B, T]` array, one row per episode.
fn responses(array: &Value, mask: &Value) -> Rows {
    let rows = list(array).iter().zip(list(mask));
    rows.map(|(row, mask)| {
        let tokens = floats(row).into_iter().zip(counts(mask));
        tokens.filter(|&(_, inside)| inside == 1).map(|(number, _)| single(number)).collect()
    })
    .collect()
}

/// What of the response tokens a `[B, T]` array says, flat.
fn at_mask(array: &Value, mask: &Value) -> Vec<f32> {
    responses(array, mask).concat()
}

fn pick<T: Clone>(rows: &[T], keep: &[usize]) -> Vec<T> {
    keep.iter().map(|&index| rows[index].clone()).collect()
}

/// One case with its inputs as ragged rows.
struct Case<'a> {
    file: &'a Value,
    log_probs: Rows,
    old_log_probs: Rows,
    ref_log_probs: Rows,
    values: Rows,
    old_values: Rows,
    scores: Vec<f64>,
}

impl<'a> Case<'a> {
    fn new(file: &'a Value) -> Self {
        let inputs = &file["inputs"];
        let rows = |key: &str| responses(&inputs[key], &inputs["mask"]);
        Self {
            file,
            log_probs: rows("new_logprobs"),
            old_log_probs: rows("old_logprobs"),
            ref_log_probs: rows("ref_logprobs"),
            values: rows("new_values"),
            old_values: rows("values"),
            scores: floats(&inputs["scores"]),
        }
    }

    fn setting(&self, key: &str) -> f64 {
        float(&self.file[key])
    }

    fn mask(&self) -> &Value {
        &self.file["inputs"]["mask"]
    }

    fn episodes(&self) -> usize {
        self.scores.len()
    }

    fn near(&self, what: &str, actual: &[f32], expected: &[f32]) {
        close_scaled(actual, expected, TOLERANCE, &format!("{}, {what}", name(self.file)));
    }

    fn rewards(&self) -> Rows {
        let shaped = |index: usize| {
            let score = single(self.scores[index]);
            shaped_rewards(
                &self.old_log_probs[index],
                &self.ref_log_probs[index],
                score,
                self.setting("kl_coef"),
            )
            .unwrap()
        };
        (0..self.episodes()).map(shaped).collect()
    }

    fn kls(&self) -> Vec<f64> {
        self.old_log_probs
            .iter()
            .zip(&self.ref_log_probs)
            .map(|(new, reference)| episode_kl(new, reference).unwrap())
            .collect()
    }

    /// Raw advantages and returns.
    fn advantages(&self) -> (Rows, Rows) {
        let rewards = self.rewards();
        let estimates = rewards.iter().zip(&self.old_values).map(|(rewards, values)| {
            gae(rewards, values, self.setting("gamma"), self.setting("lam")).unwrap()
        });
        estimates.map(|estimate| (estimate.advantages, estimate.returns)).unzip()
    }

    /// Whitens over the episodes `keep` and compares losses, gradients and statistics with
    /// `expected`, whose arrays have the response tokens of these episodes where `mask` is 1.
    fn check_losses(&self, keep: &[usize], mask: &Value, whitened: &Value, expected: &Value) {
        let (advantages, returns) = self.advantages();
        let mut advantages = pick(&advantages, keep);
        whiten(&mut advantages).unwrap();
        self.near("whitened advantages", &advantages.concat(), &at_mask(whitened, mask));

        let flat = |rows: &Rows| pick(rows, keep).concat();
        let (log_probs, old_log_probs) = (flat(&self.log_probs), flat(&self.old_log_probs));
        let (values, old_values) = (flat(&self.values), flat(&self.old_values));
        let (advantages, returns) = (advantages.concat(), flat(&returns));
        let (clip, value_clip) = (self.setting("cliprange"), self.setting("cliprange_value"));

        let device = device().autodiff();
        let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
        let (leaf, value_leaf) =
            (tensor(&log_probs).require_grad(), tensor(&values).require_grad());
        let policy_part =
            policy_loss(leaf.clone(), tensor(&old_log_probs), tensor(&advantages), clip);
        let value_part =
            value_loss(value_leaf.clone(), tensor(&old_values), tensor(&returns), value_clip);
        let total = policy_part.clone() + value_part.clone() * self.setting("vf_coef");
        let number = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
        let losses = [number(&policy_part), number(&value_part), number(&total)];
        let grads = total.backward();
        let grad =
            |leaf: &Tensor<1>| leaf.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
        let (grad, value_grad) = (grad(&leaf), grad(&value_leaf));

        let policy = policy_stats(&log_probs, &old_log_probs, &advantages, clip).unwrap();
        let value = value_stats(&values, &old_values, &returns, value_clip).unwrap();
        // the reference multiplies losses and gradients by 0 where the trainer skips the minibatch
        let factor = if policy.ratio > self.setting("ratio_threshold") { 0.0 } else { 1.0 };
        let mut found = BTreeMap::from([
            ("loss/policy", losses[0] * factor),
            ("loss/value", losses[1] * factor),
            ("loss/total", losses[2] * factor),
            ("policy/approxkl", policy.approx_kl),
            ("policy/policykl", policy.policy_kl),
            ("policy/clipfrac", policy.clip_fraction),
            ("ratio_mean", policy.ratio),
            ("val/vpred", value.mean),
            ("val/error", value.error),
            ("val/clipfrac", value.clip_fraction),
        ]);
        let moments = |values: &[f32]| {
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            (
                mean,
                values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>()
                    / (count - 1.0),
            )
        };
        found.insert("policy/advantages_mean", moments(&advantages).0);
        for (mean, variance, values) in
            [("returns/mean", "returns/var", &returns), ("val/mean", "val/var", &old_values)]
        {
            found.insert(mean, moments(values).0);
            // of a single token it is undefined
            if values.len() > 1 {
                found.insert(variance, moments(values).1);
            }
        }
        for (key, found) in found {
            close_scaled(
                &[found],
                &[float(&expected[key])],
                TOLERANCE,
                &format!("{}, {key}", name(self.file)),
            );
        }
        let scaled = |grad: Vec<f32>| {
            grad.into_iter().map(|grad| grad * single(factor)).collect::<Vec<f32>>()
        };
        let gradient = |key: &str| at_mask(&expected[key], mask);
        self.near(
            "gradient of log-probabilities",
            &scaled(grad),
            &gradient("total_loss_grad_wrt_new_logprobs"),
        );
        self.near(
            "gradient of values",
            &scaled(value_grad),
            &gradient("total_loss_grad_wrt_vpreds"),
        );
    }
}

fn each(check: impl Fn(&Case<'_>)) {
    let file = cases("ppo/cases.json");
    list(&file["cases"]).iter().for_each(|case| check(&Case::new(case)));
}

#[test]
fn golden_rewards_and_kl() {
    each(|case| {
        let expect = &case.file["expect"];
        let expected = |key: &str| responses(&expect[key], case.mask());
        let penalties =
            case.old_log_probs.iter().zip(&case.ref_log_probs).map(|(new, reference)| {
                // without a score only the penalty is left
                shaped_rewards(new, reference, 0.0, case.setting("kl_coef")).unwrap()
            });
        case.near(
            "KL rewards",
            &penalties.collect::<Rows>().concat(),
            &expected("kl_rewards_at_mask").concat(),
        );
        case.near("rewards", &case.rewards().concat(), &expected("rewards_at_mask").concat());

        let kls = case.kls();
        close_scaled(&kls, &floats(&expect["kl_per_episode"]), TOLERANCE, name(case.file));
        let mean = kls.iter().sum::<f64>() / kls.len() as f64;
        close_scaled(&[mean], &[float(&expect["kl_mean"])], TOLERANCE, name(case.file));
        for (estimator, key) in [
            (KlEstimator::Absolute, "kl_penalty_abs_at_mask"),
            (KlEstimator::HalfSquare, "kl_penalty_mse_at_mask"),
        ] {
            let rows = case.old_log_probs.iter().zip(&case.ref_log_probs);
            let found: Vec<f64> = rows
                .flat_map(|(new, reference)| estimator.per_token(new, reference).unwrap())
                .collect();
            close_scaled(
                &found,
                &expected(key).concat(),
                TOLERANCE,
                &format!("{}, {key}", name(case.file)),
            );
        }
    });
}

#[test]
fn golden_advantages_returns_and_whitening() {
    each(|case| {
        let expected = |key: &str| at_mask(&case.file["expect"][key], case.mask());
        let (advantages, returns) = case.advantages();
        case.near("advantages", &advantages.concat(), &expected("advantages_raw_at_mask"));
        case.near("returns", &returns.concat(), &expected("returns_at_mask"));
        let (mut whitened, mut kept) = (advantages.clone(), advantages);
        whiten(&mut whitened).unwrap();
        whiten_keep_mean(&mut kept).unwrap();
        case.near("whitened", &whitened.concat(), &expected("advantages_whitened_at_mask"));
        case.near(
            "whitened, mean kept",
            &kept.concat(),
            &expected("advantages_whitened_keep_mean_at_mask"),
        );
    });
}

#[test]
fn golden_losses_gradients_and_statistics() {
    each(|case| {
        let expect = &case.file["expect"];
        let all: Vec<usize> = (0..case.episodes()).collect();
        case.check_losses(
            &all,
            case.mask(),
            &expect["advantages_whitened_at_mask"],
            &expect["loss"],
        );
    });
}

#[test]
fn golden_selection_of_the_riskiest_episodes() {
    each(|case| {
        let risk = &case.file["paper_risk"];
        let returns: Vec<f64> =
            case.rewards().iter().map(|rewards| episode_return(rewards)).collect();
        close_scaled(&returns, &floats(&risk["episode_returns"]), TOLERANCE, name(case.file));
        for row in list(&risk["masks"]) {
            let keep = keep(case, float(&row["alpha"]));
            assert_eq!(keep.len(), count(&row["keep_count"]), "{}, {row}", name(case.file));
            assert_eq!(keep, kept(&row["keep"]), "{}, {row}", name(case.file));
        }
    });
}

#[test]
fn golden_losses_on_kept_episodes() {
    each(|case| {
        let risk = &case.file["paper_risk"]["ppo_on_kept_episodes"];
        let keep = keep(case, float(&risk["alpha"]));
        assert_eq!(keep, kept(&risk["keep"]), "{}", name(case.file));
        // rows of dropped episodes have mask 0 throughout, so they are empty among the expected
        // ones
        case.check_losses(
            &keep,
            &risk["mask"],
            &risk["whitened_advantages_at_mask"],
            &risk["loss"],
        );
        let kls = pick(&case.kls(), &keep);
        let mean = kls.iter().sum::<f64>() / kls.len() as f64;
        close_scaled(&[mean], &[float(&risk["kl_mean_over_kept"])], TOLERANCE, name(case.file));
    });
}

/// The episodes that training would keep.
fn keep(case: &Case<'_>, alpha: f64) -> Vec<usize> {
    let returns: Vec<f64> = case.rewards().iter().map(|rewards| episode_return(rewards)).collect();
    lowest(&returns, RiskLevel::new(alpha).unwrap().count(returns.len())).unwrap()
}

/// Indices of the `true` entries.
fn kept(mask: &Value) -> Vec<usize> {
    let flags = list(mask).iter().enumerate();
    flags.filter(|(_, flag)| flag.as_bool() == Some(true)).map(|(index, _)| index).collect()
}

#[test]
fn golden_log_probabilities_and_entropy() {
    each(|case| {
        let inputs = &case.file["inputs"];
        let (tokens, logits) = (list(&inputs["tokens"]), list(&inputs["new_logits"]));
        let vocabulary = count(&case.file["V"]);
        // logits, tokens and mask of a column belong together
        let (mut states, mut targets) = (Vec::new(), Vec::new());
        for ((tokens, logits), mask) in tokens.iter().zip(logits).zip(list(case.mask())) {
            let (tokens, mask) = (counts(tokens), counts(mask));
            for t in (0..tokens.len()).filter(|&t| mask[t] == 1) {
                states.extend(floats(&logits[t]).into_iter().map(single));
                targets.push(i32::try_from(tokens[t]).unwrap());
            }
        }
        let device = device();
        let n = targets.len();
        let hidden = Tensor::<2>::from_data(TensorData::new(states, [n, vocabulary]), &device);
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [n]), &device);
        let found = token_log_probs(hidden, Tensor::eye(vocabulary, &device), targets, 1.0, None);
        let vector = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
        close(
            &vector(found.log_probs),
            &case.log_probs.concat(),
            1e-4,
            &format!("{}, log-probabilities", name(case.file)),
        );
        let entropies = vector(found.entropies);
        let mean = entropies.iter().map(|&entropy| f64::from(entropy)).sum::<f64>()
            / entropies.len() as f64;
        let expected = float(&case.file["expect"]["loss"]["policy/entropy"]);
        close_scaled(&[mean], &[expected], TOLERANCE, &format!("{}, entropy", name(case.file)));
    });
}

#[test]
fn golden_kl_controller_of_trl_and_of_the_paper() {
    let file = cases("ppo/cases.json");
    let controller = &file["kl_controller"];
    let setting = |key: &str| float(&controller[key]);
    let mut trl = setting("init");
    let mut paper =
        KlController::adaptive(setting("init"), setting("target"), setting("K_beta")).unwrap();
    for (index, update) in list(&controller["updates"]).iter().enumerate() {
        // here the number of steps changes from update to update, and with it the gain
        let gain = float(&update["n_steps"]) / setting("horizon");
        let mut step = KlController::adaptive(trl, setting("target"), gain).unwrap();
        for controller in [&mut step, &mut paper] {
            controller.update(float(&update["current_kl"])).unwrap();
        }
        trl = step.coef();
        let what = format!("update {index}");
        close_scaled(&[trl], &[float(&update["kl_coef_trl"])], TOLERANCE, &what);
        close_scaled(&[paper.coef()], &[float(&update["kl_coef_paper_eq4"])], TOLERANCE, &what);
    }
}
