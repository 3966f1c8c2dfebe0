//! How often a 95 % interval of the front holds the figure that very many prompts have, with as
//! many responses to each.

#![expect(clippy::unwrap_used, reason = "a test that cannot draw its data has failed")]

#[expect(dead_code, reason = "the exact front is for the test of bias")]
mod gaussian;

use gaussian::{Design, Draws};
use tailguard_front::{Betas, Figures, Objective, Point, Policy, best_of_point, line};
use tailguard_metrics::Estimate;
use tailguard_risk::{Measure, Over, RiskLevel};

/// Data sets; of so many, the share that is covered has a standard error of 0.7 %.
const DATA_SETS: u64 = 1_000;
/// Prompts that stand for all.
const VERY_MANY: usize = 60_000;

fn levels() -> Vec<RiskLevel> {
    [0.1, 0.4].into_iter().map(|alpha| RiskLevel::new(alpha).unwrap()).collect()
}

/// All that has an interval, by name.
fn figures(point: &Point) -> Vec<(&'static str, Estimate)> {
    let (figures, gains) = (&point.figures, point.gains.as_ref().unwrap());
    vec![
        ("mean", figures.mean),
        ("tail", figures.tail.unwrap()),
        ("CVaR .1", figures.cvar[0]),
        ("CVaR .4", figures.cvar[1]),
        ("KL", figures.kl),
        ("gain of the mean", gains.mean),
        ("gain of the tail", gains.tail.unwrap()),
        ("gain of CVaR .1", gains.cvar[0]),
        ("gain of CVaR .4", gains.cvar[1]),
    ]
}

/// The shares of data sets of this design whose figures are covered.
fn shares(design: Design, point: impl Fn(&tailguard_front::Sample) -> Point) -> Vec<(String, f64)> {
    let drawn = |prompts: usize, seed: u64| {
        let design = Design { prompts, ..design };
        let mut draws = Draws::new(seed);
        let means = design.means(&mut draws);
        let tail = (0..prompts).filter(|&prompt| means[prompt] < -0.5).collect();
        point(&design.sample(&means, &mut draws).with_tail(tail).unwrap())
    };
    let truth = figures(&drawn(VERY_MANY, 1_000_003));
    let mut covered = vec![0.0; truth.len()];
    for seed in 0..DATA_SETS {
        for ((_, found), ((_, truth), covered)) in
            figures(&drawn(design.prompts, seed)).iter().zip(truth.iter().zip(&mut covered))
        {
            let [low, high] = found.ci95.unwrap();
            // the best of n has a KL of no width
            let room = 1e-9;
            let is_in = low - room <= truth.value && truth.value <= high + room;
            *covered += f64::from(u8::from(is_in)) / DATA_SETS as f64;
        }
    }
    truth.iter().zip(covered).map(|((name, _), share)| ((*name).to_owned(), share)).collect()
}

fn check(shares: &[(String, f64)], least: f64, most: f64) {
    let outside: Vec<_> =
        shares.iter().filter(|(_, share)| !(least..=most).contains(share)).collect();
    assert!(outside.is_empty(), "{outside:?} of {shares:?}");
}

const DESIGN: Design = Design { prompts: 200, responses: 16, of_prompts: 1.0, of_responses: 1.0 };

fn point_of(measure: Measure, over: Over, beta: f64) -> impl Fn(&tailguard_front::Sample) -> Point {
    let objective = Objective::new(measure, over);
    move |sample| {
        let line = line(sample, &objective, &Betas::Given(vec![beta]), &levels(), true).unwrap();
        line.points[0].clone()
    }
}

#[test]
fn figures_of_the_best_policy_for_the_mean_are_covered() {
    let shares = shares(DESIGN, point_of(Measure::Mean, Over::Batch, 1.0));
    let (gains, figures): (Vec<_>, Vec<_>) =
        shares.into_iter().partition(|(name, _)| name.starts_with("gain"));
    check(&figures, 0.93, 0.97);
    // over itself it gains nothing, and its intervals hold that always
    check(&gains, 0.999, 1.001);
}

/// Of a policy with a cap that is given. A cap that is found from the same prompts moves with them,
/// and moves the figures: intervals of what it would be with other prompts would be wider.
#[test]
fn figures_of_a_policy_with_a_given_cap_are_covered() {
    let (cap, beta) = (-0.5, 0.4);
    let shares = shares(DESIGN, |sample| {
        let capped: Vec<f64> = sample.scores().iter().map(|score| score.min(cap)).collect();
        let policy = Policy::tilted(sample.responses(), &capped, beta).unwrap();
        let figures = Figures::of(sample, &policy, &levels()).unwrap();
        // the best of n has gains, which are left out here
        Point { figures, ..best_of_point(sample, 2, &levels()).unwrap() }
    });
    let of_policy = shares.into_iter().filter(|(name, _)| !name.starts_with("gain"));
    // a tenth of so few prompts is few
    check(&of_policy.collect::<Vec<_>>(), 0.92, 0.97);
}

/// What it gains over the mean at the same KL hardly moves with the cap.
#[test]
fn gains_of_the_best_policy_for_cvar_are_nearly_covered() {
    let level = RiskLevel::new(0.2).unwrap();
    let shares = shares(DESIGN, point_of(Measure::Cvar(level), Over::Batch, 0.4));
    let gains = shares.into_iter().filter(|(name, _)| name.starts_with("gain"));
    check(&gains.collect::<Vec<_>>(), 0.88, 0.995);
}

#[test]
fn figures_of_the_best_policy_for_each_prompt_are_covered() {
    let level = RiskLevel::new(0.25).unwrap();
    check(&shares(DESIGN, point_of(Measure::Cvar(level), Over::Prompt, 0.5)), 0.93, 0.97);
}

#[test]
fn figures_of_the_best_of_n_are_covered() {
    check(
        &shares(DESIGN, |sample| best_of_point(sample, 4, &levels()).unwrap())
            .into_iter()
            .filter(|(name, _)| name != "KL")
            .collect::<Vec<_>>(),
        0.93,
        0.97,
    );
}
