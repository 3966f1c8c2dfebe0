//! Two prompts, three responses, and what is computed of them by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its sample has failed")]

use tailguard_front::{
    Betas, Figures, FrontError, Objective, Policy, Sample, best_of, best_of_kl, best_of_point,
    line, most_kl, optimum, trained_point,
};
use tailguard_risk::{Measure, Over, RiskLevel};

const LN_2: f64 = std::f64::consts::LN_2;
const LN_5: f64 = 1.609_437_912_434_100_3;

/// With beta 1, weights are as 1 : 2 : 5 and as 1 : 1 : 2.
fn sample() -> Sample {
    let sample = Sample::new(3, vec![0.0, LN_2, LN_5, 0.0, 0.0, LN_2]).unwrap();
    let judge = vec![8.0, 0.0, 0.0, 0.0, 0.0, 4.0];
    sample.with_judge(judge).unwrap().with_tail(vec![1]).unwrap()
}

fn level(alpha: f64) -> RiskLevel {
    RiskLevel::new(alpha).unwrap()
}

fn objective(measure: Measure) -> Objective {
    Objective::new(measure, Over::Batch)
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} and {expected}");
    }
}

#[test]
fn the_best_policy_for_the_mean() {
    let sample = sample();
    let policy = optimum(&sample, &objective(Measure::Mean), 1.0).unwrap().policy;
    close(policy.weights(0), &[0.125, 0.25, 0.625]);
    close(policy.weights(1), &[0.25, 0.25, 0.5]);
    // 1/8 ln 3/8 + 1/4 ln 3/4 + 5/8 ln 15/8, and twice 1/4 ln 3/4 + 1/2 ln 3/2
    let kl = [0.198_356_237_399, 0.058_891_517_828];
    close(&policy.kl_of_prompts(), &kl);
    close(
        &[policy.kl(), policy.kl_where_spent()],
        &[0.128_623_877_614, (kl[0] * kl[0] + kl[1] * kl[1]) / (kl[0] + kl[1])],
    );
    // 1 / (1/64 + 4/64 + 25/64) and 1 / (1/16 + 1/16 + 4/16)
    close(&[policy.effective_responses()], &[(64.0 / 30.0 + 16.0 / 6.0) / 2.0]);

    let levels = [level(0.25), level(0.5), level(1.0)];
    let figures = Figures::of(&sample, &policy, &levels).unwrap();
    let means = [(2.0 * LN_2 + 5.0 * LN_5) / 8.0, LN_2 / 2.0];
    close(
        &[figures.mean.value, figures.kl.value],
        &[(means[0] + means[1]) / 2.0, 0.128_623_877_614],
    );
    // the spread of the two prompts
    let error = (means[0] - means[1]).abs() / 2.0;
    close(&[figures.mean.se.unwrap()], &[error]);
    close(&[figures.tail.unwrap().value, figures.judge.unwrap().value], &[means[1], 1.5]);
    close(&[figures.judge_tail.unwrap().value], &[2.0]);
    // 5/16 of the mass is at 0; of half of the mass 3/16 are at ln 2
    let cvar: Vec<f64> = figures.cvar.iter().map(|cvar| cvar.value).collect();
    close(&cvar, &[0.0, 0.375 * LN_2, (means[0] + means[1]) / 2.0]);
}

#[test]
fn the_best_policy_for_cvar_caps_at_its_own_quantile() {
    let sample = sample();
    let half = optimum(&sample, &objective(Measure::Cvar(level(0.5))), 1.0).unwrap();
    // with the cap at ln 2 the weights are as 1 : 2 : 2 and 1 : 1 : 2; 0.35 of the mass is then
    // below it, and 0.8 at or below
    close(half.policy.weights(0), &[0.2, 0.4, 0.4]);
    close(half.policy.weights(1), &[0.25, 0.25, 0.5]);
    close(&half.utilities, &[0.0, LN_2, LN_2, 0.0, 0.0, LN_2]);
    close(&[half.value, half.scale], &[0.3 * LN_2, 2.0]);
    let figures = Figures::of(&sample, &half.policy, &[level(0.5)]).unwrap();
    close(&[figures.cvar[0].value], &[half.value]);
    // each prompt by itself: the first is also at rest with the cap at ln 2, but better with it at
    // ln 5; of the second, half of the mass is at 0 whatever is done with beta 1
    let each = Objective::new(Measure::Cvar(level(0.5)), Over::Prompt);
    let each = optimum(&sample, &each, 1.0).unwrap();
    close(each.policy.weights(0), &[0.125, 0.25, 0.625]);
    close(each.policy.weights(1), &[1.0 / 3.0; 3]);
    close(&[each.value], &[(0.25 * LN_2 + 0.125 * LN_5 + 0.0) / 0.5 / 2.0]);
}

#[test]
fn the_best_of_two_by_hand() {
    let sample = sample();
    let best = best_of(&sample, 2).unwrap();
    close(best.weights(0), &[0.0, 1.0 / 3.0, 2.0 / 3.0]);
    close(best.weights(1), &[1.0 / 6.0, 1.0 / 6.0, 2.0 / 3.0]);
    let point = best_of_point(&sample, 2, &[]).unwrap();
    close(&[point.figures.kl.value, best_of_kl(2)], &[LN_2 - 0.5; 2]);
    let mean = (LN_2 / 3.0 + 2.0 * LN_5 / 3.0 + 2.0 * LN_2 / 3.0) / 2.0;
    close(&[point.figures.mean.value], &[mean]);
}

#[test]
fn a_line_refuses_what_three_responses_cannot_say() {
    let sample = sample();
    let betas = Betas::Given(vec![0.02, 1.0]);
    let line = line(&sample, &objective(Measure::Mean), &betas, &[level(0.5)], true).unwrap();
    assert_eq!((line.points.len(), line.refused.len()), (1, 1));
    let (point, refused) = (&line.points[0], &line.refused[0]);
    assert_eq!((point.beta, refused.beta), (Some(1.0), 0.02));
    // at next to no beta a prompt has its best response alone: ln 3 nats
    close(&[refused.kl, refused.kl_where_spent], &[3.0_f64.ln(); 2]);
    assert!(refused.kl_where_spent > most_kl(3));
    // the mean gains nothing over itself
    let gains = point.gains.as_ref().unwrap();
    assert!((gains.beta - 1.0).abs() < 1e-6, "{gains:?}");
    assert!(gains.mean.value.abs() < 1e-6 && gains.cvar[0].value.abs() < 1e-6, "{gains:?}");
}

#[test]
fn a_trained_policy_is_its_texts() {
    let sample = sample();
    let texts = Sample::new(1, vec![1.0, 3.0]).unwrap().with_judge(vec![0.0, 1.0]).unwrap();
    let point = trained_point(&sample, &texts, vec![0.25, 0.15], &[level(0.5)]).unwrap();
    let figures = &point.figures;
    close(&[figures.mean.value, figures.kl.value, figures.cvar[0].value], &[2.0, 0.2, 1.0]);
    close(&[figures.tail.unwrap().value, figures.judge_tail.unwrap().value], &[3.0, 1.0]);
    // at the same KL, the mean's policy has less than these made-up texts
    assert!(point.gains.unwrap().mean.value > 0.0);
    let refused = |texts: &Sample, kl: Vec<f64>| {
        trained_point(&sample, texts, kl, &[]).unwrap_err().to_string()
    };
    assert_eq!(refused(&texts, vec![0.1]), "there are 1 KLs, expected 2");
    assert_eq!(refused(&sample, vec![0.1; 2]), "there are 3 responses to a prompt, expected 1");
    let alone = Sample::new(1, vec![1.0, 3.0]).unwrap();
    assert_eq!(refused(&alone, vec![0.1; 2]), "there are 0 second scorers, expected 1");
}

#[test]
fn what_is_no_coefficient_and_no_policy_is_refused() {
    let sample = sample();
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = optimum(&sample, &objective(Measure::Mean), beta).unwrap_err();
        assert!(matches!(error, FrontError::Beta(_)), "{error}");
        assert!(Policy::tilted(1, &[0.0], beta).is_err());
    }
    let other = Policy::tilted(2, &[0.0, 1.0], 1.0).unwrap();
    assert_eq!(
        Figures::of(&sample, &other, &[]).unwrap_err().to_string(),
        "there are 2 weights, expected 6"
    );
}

#[test]
fn scores_that_are_all_alike_have_a_line_that_stays_where_it_is() {
    let sample = Sample::new(4, vec![2.0; 8]).unwrap();
    let measure = objective(Measure::Cvar(level(0.1)));
    let line = line(&sample, &measure, &Betas::Spread(3), &[level(0.1)], true).unwrap();
    assert_eq!((line.points.len(), line.refused.len()), (3, 0));
    for point in &line.points {
        close(&[point.figures.mean.value, point.figures.kl.value], &[2.0, 0.0]);
    }
}
