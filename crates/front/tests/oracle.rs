//! The front against independent, slower code, and against what must hold for any scores.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its sample has failed")]

use std::num::NonZeroUsize;

use proptest::{collection::vec, prelude::*};
use tailguard_front::{Figures, Objective, Policy, Sample, best_of, optimum};
use tailguard_risk::{
    MeanShare, Measure, Mixture, Over, RiskAversion, RiskLevel, RiskMeasure, Spectrum,
};

fn level(alpha: f64) -> RiskLevel {
    RiskLevel::new(alpha).unwrap()
}

/// Scores of 4 responses to each of some prompts, with ties.
fn any_scores() -> impl Strategy<Value = Vec<f64>> {
    (1_usize..6).prop_flat_map(|prompts| {
        vec(prop_oneof![(-2_i32..3).prop_map(f64::from), -3.0..3.0], 4 * prompts)
    })
}

/// Weights and log-ratios by the definition: `exp(u / beta)` over the mean of the prompt's.
fn weights(utilities: &[f64], beta: f64) -> (Vec<f64>, f64) {
    let (mut all, mut kl) = (Vec::new(), 0.0);
    for row in utilities.chunks(4) {
        // less the highest, which changes no ratio, so that none overflows
        let highest = row.iter().copied().fold(f64::MIN, f64::max);
        let ratio = |utility: &f64| ((utility - highest) / beta).exp();
        let mean = row.iter().map(ratio).sum::<f64>() / 4.0;
        for utility in row {
            let ratio = ratio(utility) / mean;
            all.push(ratio / 4.0);
            kl += if ratio > 0.0 { ratio / 4.0 * ratio.ln() } else { 0.0 };
        }
    }
    (all, kl / (utilities.len() / 4) as f64)
}

/// `max over z of z - E[max(z - r, 0)] / alpha`, over all z that may be the quantile.
fn cvar(scores: &[f64], weights: &[f64], alpha: f64) -> f64 {
    let prompts = (scores.len() / 4) as f64;
    let at = |&z: &f64| {
        let shortfall = |(score, weight): (&f64, &f64)| weight / prompts * (z - score).max(0.0);
        z - scores.iter().zip(weights).map(shortfall).sum::<f64>() / alpha
    };
    scores.iter().map(at).fold(f64::NEG_INFINITY, f64::max)
}

/// A measure of a distribution, by its definition: for all but the entropic one an integral over
/// the quantiles.
fn value(which: usize, scores: &[f64], weights: &[f64]) -> f64 {
    let prompts = (scores.len() / 4) as f64;
    let mut law: Vec<(f64, f64)> =
        scores.iter().zip(weights).map(|(&score, weight)| (score, weight / prompts)).collect();
    if which == 4 {
        return -law.iter().map(|(score, mass)| mass * (-1.5 * score).exp()).sum::<f64>().ln()
            / 1.5;
    }
    law.sort_by(|one, other| one.0.total_cmp(&other.0));
    // how much attention the lowest share of the mass has
    let attention = |mass: f64| match which {
        0 => mass,
        1 => (mass / 0.3).min(1.0),
        2 => 1.0 - (1.0 - mass).powi(3),
        3 => {
            if mass < 0.5 {
                1.5 * mass
            } else {
                0.75 + 0.5 * (mass - 0.5)
            }
        }
        _ => 0.4 * mass + 0.6 * (mass / 0.3).min(1.0),
    };
    let (mut mass, mut value) = (0.0, 0.0);
    for (score, own) in law {
        value += score * (attention((mass + own).min(1.0)) - attention(mass));
        mass += own;
    }
    value
}

fn measure(which: usize) -> Box<dyn RiskMeasure + Send + Sync> {
    match which {
        0 => Box::new(Measure::Mean),
        1 => Box::new(Measure::Cvar(level(0.3))),
        2 => Box::new(Measure::WorstOf(NonZeroUsize::new(3).unwrap())),
        3 => Box::new(Spectrum::new(&[3.0, 1.0]).unwrap()),
        4 => Box::new(Measure::Entropic(RiskAversion::new(1.5).unwrap())),
        _ => {
            let share = MeanShare::new(0.4).unwrap();
            Box::new(Mixture::new(share, Measure::Cvar(level(0.3))))
        }
    }
}

proptest! {
    #[test]
    fn the_mean_is_importance_weighting(scores in any_scores(), beta in 0.2_f64..3.0) {
        let sample = Sample::new(4, scores.clone()).unwrap();
        let found = optimum(&sample, &Objective::new(Measure::Mean, Over::Batch), beta).unwrap();
        let (expected, kl) = weights(&scores, beta);
        for (found, expected) in found.policy.all_weights().iter().zip(&expected) {
            prop_assert!((found - expected).abs() < 1e-9);
        }
        prop_assert!((found.policy.kl() - kl).abs() < 1e-9);
        let levels = [level(0.05), level(0.3), level(1.0)];
        let figures = Figures::of(&sample, &found.policy, &levels).unwrap();
        for (figure, level) in figures.cvar.iter().zip(levels) {
            prop_assert!((figure.value - cvar(&scores, &expected, level.alpha())).abs() < 1e-9);
        }
        prop_assert!((figures.cvar[2].value - figures.mean.value).abs() < 1e-9);
    }

    #[test]
    fn no_cap_is_better_than_that_of_the_best_policy_for_cvar(
        scores in any_scores(),
        beta in 0.1_f64..3.0,
        alpha in 0.05_f64..1.0,
    ) {
        let sample = Sample::new(4, scores.clone()).unwrap();
        let found =
            optimum(&sample, &Objective::new(Measure::Cvar(level(alpha)), Over::Batch), beta)
                .unwrap();
        // CVaR less beta / alpha times the KL, of the best policy for each cap
        let of_cap = |&cap: &f64| {
            let capped: Vec<f64> = scores.iter().map(|score| score.min(cap)).collect();
            let (weights, kl) = weights(&capped, beta);
            cvar(&scores, &weights, alpha) - beta / alpha * kl
        };
        let best = scores.iter().map(of_cap).fold(f64::NEG_INFINITY, f64::max);
        let value = found.value - found.scale * beta * found.policy.kl();
        prop_assert!((value - best).abs() < 1e-7, "{value} and {best}");
        // the cap is the quantile of the policy itself
        let cap = found.utilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mass = |below: &dyn Fn(f64) -> bool| -> f64 {
            let masses = scores.iter().zip(found.policy.all_weights());
            let of = masses.filter(|(score, _)| below(**score)).map(|(_, weight)| weight);
            of.sum::<f64>() / sample.prompts() as f64
        };
        prop_assert!(mass(&|score| score < cap) <= alpha + 1e-9);
        prop_assert!(mass(&|score| score <= cap) >= alpha - 1e-9);
    }

    #[test]
    fn no_other_policy_is_better(
        scores in any_scores(),
        which in 0_usize..6,
        beta in 0.1_f64..2.0,
        noise in vec(-2.0_f64..2.0, 24),
        share in 0.01_f64..1.0,
    ) {
        let sample = Sample::new(4, scores.clone()).unwrap();
        let found = optimum(&sample, &Objective::new(measure(which), Over::Batch), beta).unwrap();
        let objective = |weights: &[f64], kl: f64| {
            value(which, &scores, weights) - found.scale * beta * kl
        };
        let own = found.policy.all_weights();
        prop_assert!((value(which, &scores, own) - found.value).abs() < 1e-6);
        let own = objective(own, found.policy.kl());
        let mut others = vec![scores.clone(), vec![0.0; scores.len()]];
        let moved = found.utilities.iter().zip(&noise);
        others.push(moved.map(|(utility, noise)| utility + share * noise).collect());
        for utilities in others {
            let (weights, kl) = weights(&utilities, beta);
            let other = objective(&weights, kl);
            prop_assert!(other <= own + 1e-6, "{other} is more than {own}");
        }
    }

    #[test]
    fn each_prompt_by_itself_is_a_batch_of_its_own(
        scores in any_scores(),
        which in 0_usize..6,
        beta in 0.2_f64..2.0,
    ) {
        let sample = Sample::new(4, scores.clone()).unwrap();
        let found = optimum(&sample, &Objective::new(measure(which), Over::Prompt), beta).unwrap();
        for (prompt, row) in scores.chunks(4).enumerate() {
            let alone = Sample::new(4, row.to_vec()).unwrap();
            let objective = Objective::new(measure(which), Over::Batch);
            let alone = optimum(&alone, &objective, beta).unwrap();
            prop_assert_eq!(found.policy.weights(prompt), alone.policy.weights(0));
        }
    }

    #[test]
    fn the_best_of_n_is_the_mean_over_all_choices(
        scores in vec(prop_oneof![(-2_i32..3).prop_map(f64::from), -3.0..3.0], 10),
        n in 1_usize..=5,
    ) {
        let sample = Sample::new(5, scores.clone()).unwrap();
        let best = best_of(&sample, n).unwrap();
        let figures = Figures::of(&sample, &best, &[]).unwrap();
        let (mut sum, mut count) = (0.0, 0.0);
        for row in scores.chunks(5) {
            for chosen in 0_usize..32 {
                let is_in = |place: &usize| chosen >> place & 1 == 1;
                if (0..5).filter(is_in).count() == n {
                    let best = (0..5).filter(is_in).map(|place| row[place]);
                    sum += best.fold(f64::NEG_INFINITY, f64::max);
                    count += 1.0;
                }
            }
        }
        prop_assert!((figures.mean.value - sum / count).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_the_responses_does_not_matter(
        scores in any_scores(),
        which in 0_usize..6,
        turn in 1_usize..4,
    ) {
        let turned: Vec<f64> = scores
            .chunks(4)
            .flat_map(|row| row[turn..].iter().chain(&row[..turn]).copied())
            .collect();
        let kl = |scores: Vec<f64>| {
            let sample = Sample::new(4, scores).unwrap();
            optimum(&sample, &Objective::new(measure(which), Over::Batch), 0.5).unwrap().policy.kl()
        };
        prop_assert!((kl(scores) - kl(turned)).abs() < 1e-7);
    }

    #[test]
    fn a_policy_of_equal_utilities_is_the_reference(scores in any_scores()) {
        let sample = Sample::new(4, scores.clone()).unwrap();
        let policy = Policy::tilted(4, &vec![1.0; scores.len()], 0.5).unwrap();
        prop_assert_eq!(policy.kl_where_spent().to_string(), "0");
        prop_assert_eq!(policy, Policy::reference(&sample));
    }
}
