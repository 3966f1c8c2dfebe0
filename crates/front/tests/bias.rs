//! How far estimates from K responses are from the exact front, where that is known: why there is a
//! most KL, and what holds up to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot draw its data has failed")]

mod gaussian;

use gaussian::{Design, Draws, Exact, at_kl, exact_cvar, exact_mean};
use tailguard_front::{Figures, Objective, Policy, most_kl, optimum};
use tailguard_risk::{Measure, Over, RiskLevel};

const ALPHA: f64 = 0.1;

/// Of a policy by samples: its KL, where that is spent, and the share of the exact gain at that KL
/// that it shows, in the mean for the mean and in `CVaR` for `CVaR`.
#[derive(Debug)]
struct Found {
    where_spent: f64,
    share: f64,
}

fn found(design: Design, is_cvar: bool, betas: &[f64]) -> Vec<Found> {
    let mut draws = Draws::new(7);
    let means = design.means(&mut draws);
    let sample = design.sample(&means, &mut draws);
    let level = RiskLevel::new(ALPHA).unwrap();
    let measure = if is_cvar { Measure::Cvar(level) } else { Measure::Mean };
    let objective = Objective::new(measure, Over::Batch);
    let figure = |policy: &Policy| {
        let figures = Figures::of(&sample, policy, &[level]).unwrap();
        if is_cvar { figures.cvar[0].value } else { figures.mean.value }
    };
    let reference = figure(&Policy::reference(&sample));
    let of_beta = |beta: f64| match is_cvar {
        true => exact_cvar(&means, design.of_responses, beta, ALPHA),
        false => exact_mean(&means, design.of_responses, beta, ALPHA),
    };
    let exact = |exact: Exact| if is_cvar { exact.cvar } else { exact.mean };
    let nothing = exact(of_beta(1e6));
    let of = |&beta: &f64| {
        let policy = optimum(&sample, &objective, beta).unwrap().policy;
        let gain = exact(at_kl(policy.kl(), of_beta)) - nothing;
        let where_spent = policy.kl_where_spent();
        Found { where_spent, share: (figure(&policy) - reference) / gain }
    };
    betas.iter().map(of).collect()
}

/// Up to the most KL at least this share of the gain is seen, and far beyond it less and less.
fn check(design: Design, is_cvar: bool, betas: &[f64], least: f64) {
    let most = most_kl(design.responses);
    let all = found(design, is_cvar, betas);
    let (within, beyond): (Vec<&Found>, Vec<&Found>) =
        all.iter().partition(|found| found.where_spent <= most);
    assert!(within.len() > 2 && beyond.len() > 2, "{all:?}");
    assert!(within.iter().all(|found| (least..1.03).contains(&found.share)), "{all:?}");
    let shares: Vec<f64> = beyond.iter().map(|found| found.share).collect();
    assert!(shares.is_sorted_by(|less, more| less > more), "{all:?}");
    assert!(shares.last().is_some_and(|share| *share < 0.9 * within[0].share), "{all:?}");
}

#[test]
fn the_mean_is_understated_by_little() {
    for (responses, least) in [(8, 0.85), (32, 0.94), (128, 0.95)] {
        let design = Design { prompts: 1_000, responses, of_prompts: 1.0, of_responses: 1.0 };
        check(design, false, &[2.0, 1.0, 0.7, 0.5, 0.25, 0.1, 0.05, 0.02], least);
    }
}

#[test]
fn cvar_is_understated_by_little() {
    for (responses, of_responses, least) in [(8, 1.0, 0.85), (32, 1.0, 0.93), (32, 0.8, 0.93)] {
        let design = Design { prompts: 1_500, responses, of_prompts: 1.0, of_responses };
        check(design, true, &[0.7, 0.5, 0.25, 0.18, 0.06, 0.03, 0.01], least);
    }
}
