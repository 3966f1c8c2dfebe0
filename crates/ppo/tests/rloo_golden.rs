//! Parity with the numbers in tests/golden/rloo.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor};
use serde_json::Value;
use tailguard_ppo::{episode_kl, policy_loss, rloo};
use tailguard_risk::{
    Batch, KeepLowest, Mean, Measure, Objective, Over, RiskAverse, RiskAversion, RiskLevel,
    ScheduleConfig, SoftRiskSchedule, leave_one_out,
};
use tailguard_tests::{cases, close_scaled, count, counts, device_name, float, floats, list, name};

/// 1e-5 over 1 + the expected size.
const TOLERANCE: f64 = 1e-5;

/// A number of the fixtures as the single-precision number it was written from.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fixtures' decimals read back to the same f32"
)]
fn single(number: f64) -> f32 {
    number as f32
}

fn rows(array: &Value) -> Vec<Vec<f32>> {
    list(array).iter().map(|row| floats(row).into_iter().map(single).collect()).collect()
}

fn objective(case: &Value, episodes: usize) -> Box<dyn Objective> {
    let over = if case["over"] == "prompt" { Over::Prompt } else { Over::Batch };
    let setting = &case["setting"];
    match case["objective"].as_str().unwrap() {
        "mean" => Box::new(Mean),
        "keep_lowest" => {
            let alpha = float(setting);
            let at_once =
                ScheduleConfig { batch: episodes, alpha, warmup: 0, rho: 1.0, iterations: 1 };
            Box::new(KeepLowest(SoftRiskSchedule::new(at_once).unwrap()))
        }
        "cvar" => {
            let level = RiskLevel::new(float(setting)).unwrap();
            Box::new(RiskAverse::new(Measure::CvarRockafellarUryasev(level), over))
        }
        "worst_of" => {
            let most = NonZeroUsize::new(count(setting)).unwrap();
            Box::new(RiskAverse::new(Measure::WorstOf(most), over))
        }
        "entropic" => {
            let aversion = RiskAversion::new(float(setting)).unwrap();
            Box::new(RiskAverse::new(Measure::Entropic(aversion), over))
        }
        other => panic!("{}: no objective {other}", name(case)),
    }
}

fn each(check: impl Fn(&Value)) {
    let file = cases("rloo/cases.json");
    list(&file["cases"]).iter().for_each(check);
}

#[test]
fn golden_leave_one_out_advantages_and_kept_episodes() {
    each(|case| {
        let (inputs, expect) = (&case["inputs"], &case["expect"]);
        let near = |what: &str, found: &[f64]| {
            let what_of = format!("{}, {what}", name(case));
            close_scaled(found, &floats(&expect[what]), TOLERANCE, &what_of);
        };
        let (values, prompts) = (floats(&inputs["scores"]), counts(&inputs["prompts"]));
        let scores = Batch { iteration: 1, values: &values, prompts: &prompts };
        let objective = objective(case, values.len());
        let kl_coef = float(&case["kl_coef"]);
        let (old, reference) = (rows(&inputs["old_logprobs"]), rows(&inputs["ref_logprobs"]));
        let kls = old.iter().zip(&reference).map(|(old, of)| episode_kl(old, of).unwrap());
        let penalties: Vec<f64> = kls.map(|kl| kl_coef * kl).collect();
        near("kl_penalties", &penalties);
        let utilities = objective.utilities(scores).unwrap();
        near("utilities", &utilities);
        let of_others = leave_one_out(&*objective, scores).unwrap();
        let paid = leave_one_out(&Mean, Batch { values: &penalties, ..scores }).unwrap();
        let baselines: Vec<f64> =
            of_others.iter().zip(paid).map(|(utility, penalty)| utility - penalty).collect();
        near("baselines", &baselines);
        let advantages = rloo(&*objective, scores, &penalties).unwrap();
        near("advantages", &advantages.into_iter().map(f64::from).collect::<Vec<_>>());
        let returns: Vec<f64> =
            utilities.iter().zip(&penalties).map(|(utility, penalty)| utility - penalty).collect();
        let keep = objective.counted(Batch { values: &returns, ..scores }).unwrap();
        assert_eq!(keep, counts(&expect["keep"]), "{}", name(case));
    });
}

#[test]
fn golden_loss_and_gradient_of_leave_one_out_advantages() {
    let device: Device = tailguard_kernels::device(&device_name()).unwrap().autodiff();
    let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
    each(|case| {
        let (inputs, expect) = (&case["inputs"], &case["expect"]);
        let (old, new) = (rows(&inputs["old_logprobs"]), rows(&inputs["new_logprobs"]));
        let advantages = floats(&expect["advantages"]);
        let keep = counts(&expect["keep"]);
        let flat = |of: &dyn Fn(usize) -> Vec<f32>| {
            keep.iter().flat_map(|&place| of(place)).collect::<Vec<f32>>()
        };
        let leaf = tensor(&flat(&|place| new[place].clone())).require_grad();
        let before = tensor(&flat(&|place| old[place].clone()));
        let of_tokens = tensor(&flat(&|place| vec![single(advantages[place]); old[place].len()]));
        let loss = policy_loss(leaf.clone(), before, of_tokens, float(&case["clip"]));
        let grads = loss.backward();
        let loss = f64::from(loss.into_scalar::<f32>());
        close_scaled(&[loss], &[float(&expect["policy_loss"])], TOLERANCE, name(case));
        let found = leaf.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
        close_scaled(&found, &floats(&expect["gradient"]), TOLERANCE, name(case));
    });
}
