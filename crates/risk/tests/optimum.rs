//! Training by the utility of a measure maximises the measure: by its exact gradient, and at the
//! optimum of a policy over a few outcomes.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its measures has failed")]

use std::num::NonZeroUsize;

use proptest::{collection::vec, prelude::*};
use tailguard_risk::{
    Batch, MeanShare, Measure, Mixture, Objective, Over, RiskAverse, RiskAversion, RiskLevel,
    RiskMeasure, Spectrum, leave_one_out,
};

/// A measure as a program of its own might add it: weights that fall in a straight line.
struct Gini;

impl RiskMeasure for Gini {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        let len = sorted.len() as f64;
        (0..sorted.len()).map(|rank| 2.0 * (1.0 - (rank as f64 + 0.5) / len) / len).collect()
    }
}

fn level(alpha: f64) -> RiskLevel {
    RiskLevel::new(alpha).unwrap()
}

fn worst_of(count: usize) -> Measure {
    Measure::WorstOf(NonZeroUsize::new(count).unwrap())
}

/// Measures whose weights depend on ranks alone, for batches of four.
fn measures_of_ranks(
    alpha: f64,
    share: f64,
    mut parts: Vec<f64>,
) -> Vec<(&'static str, Box<dyn RiskMeasure>)> {
    parts.sort_by(|left, right| right.total_cmp(left));
    let half = Measure::CvarRockafellarUryasev(level(alpha));
    vec![
        ("mean", Box::new(Measure::Mean)),
        ("lowest", Box::new(Measure::Cvar(level(alpha)))),
        ("cvar", Box::new(half)),
        ("worst of 2", Box::new(worst_of(2))),
        ("worst of 4", Box::new(worst_of(4))),
        ("spectral", Box::new(Spectrum::new(&parts).unwrap())),
        ("mixture", Box::new(Mixture::new(MeanShare::new(share).unwrap(), half))),
        ("own", Box::new(Gini)),
    ]
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

/// All batches of so many outcomes out of `choices`.
fn batches(choices: usize, len: u32) -> impl Iterator<Item = Vec<usize>> {
    (0..choices.pow(len))
        .map(move |number| (0..len).map(|place| number / choices.pow(place) % choices).collect())
}

/// Outcomes of a batch, and what the policy gives them.
fn drawn(batch: &[usize], of_choices: &[f64]) -> Vec<f64> {
    batch.iter().map(|&choice| of_choices[choice]).collect()
}

/// The expected measure of a batch of four.
fn expected(measure: &dyn RiskMeasure, rewards: &[f64], logits: &[f64]) -> f64 {
    let policy = softmax(logits);
    let mass = |batch: &[usize]| drawn(batch, &policy).iter().product::<f64>();
    batches(rewards.len(), 4)
        .map(|batch| mass(&batch) * measure.value(&drawn(&batch, rewards)).unwrap())
        .sum()
}

/// The expected policy gradient of a batch of four: the mean over its episodes of what they are
/// worth times the gradient of the log-probability.
fn policy_gradient(
    rewards: &[f64],
    logits: &[f64],
    worth: &dyn Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let policy = softmax(logits);
    let mut gradient = vec![0.0; logits.len()];
    for batch in batches(rewards.len(), 4) {
        let mass: f64 = drawn(&batch, &policy).iter().product();
        for (&choice, value) in batch.iter().zip(worth(&drawn(&batch, rewards))) {
            for (logit, slot) in gradient.iter_mut().enumerate() {
                let of_log = f64::from(u8::from(logit == choice)) - policy[logit];
                *slot += mass * value * of_log / batch.len() as f64;
            }
        }
    }
    gradient
}

/// What each return is worth in the unit of the measure.
fn scaled_utilities(measure: &dyn RiskMeasure, returns: &[f64]) -> Vec<f64> {
    let utility = measure.utility(returns).unwrap();
    utility.values.iter().map(|value| utility.scale * value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_policy_gradient_of_the_utility_is_the_gradient_of_the_measure_of_a_batch(
        rewards in vec(prop_oneof![(-2_i32..3).prop_map(f64::from), -3.0..3.0], 3),
        logits in vec(-1.5..1.5, 3),
        alpha in prop_oneof![0.05..=1.0, Just(0.5)],
        share in 0.0..=1.0,
        parts in vec(0.1..3.0, 1..6),
    ) {
        for (name, measure) in measures_of_ranks(alpha, share, parts) {
            let gradient =
                policy_gradient(&rewards, &logits, &|returns| scaled_utilities(&*measure, returns));
            for (logit, found) in gradient.into_iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = logits.clone();
                    moved[logit] += step;
                    expected(&*measure, &rewards, &moved)
                };
                let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
                prop_assert!(
                    (found - slope).abs() < 1e-6,
                    "{name}, logit {logit}: {found} by the utility, {slope} by the measure"
                );
            }
        }
    }
}

#[test]
fn the_others_without_an_episode_are_a_baseline_and_with_it_they_are_none() {
    let (rewards, logits, prompts) = ([-2.0, 0.5, 1.0], [0.3, -0.2, 0.1], [0; 4]);
    let apart = |one: &[f64], other: &[f64]| {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
    };
    for measure in [Measure::Mean, Measure::CvarRockafellarUryasev(level(0.4)), worst_of(3)] {
        let objective = RiskAverse::new(measure, Over::Prompt);
        let plain = |values: &[f64]| {
            objective.utilities(Batch { iteration: 1, values, prompts: &prompts }).unwrap()
        };
        let without = |values: &[f64]| {
            let baselines =
                leave_one_out(&objective, Batch { iteration: 1, values, prompts: &prompts })
                    .unwrap();
            plain(values)
                .iter()
                .zip(baselines)
                .map(|(utility, baseline)| utility - baseline)
                .collect()
        };
        let with = |values: &[f64]| {
            let utilities = plain(values);
            let sum: f64 = utilities.iter().sum();
            utilities.iter().map(|utility| utility - (sum - utility) / 3.0).collect()
        };
        let gradient =
            |worth: &dyn Fn(&[f64]) -> Vec<f64>| policy_gradient(&rewards, &logits, worth);
        let expected = gradient(&plain);
        assert!(apart(&gradient(&without), &expected) < 1e-12, "{measure:?}");
        let is_biased = apart(&gradient(&with), &expected) > 1e-3;
        assert_eq!(is_biased, measure != Measure::Mean, "{measure:?}");
    }
}

/// Rewards of the outcomes, and how likely the reference takes each.
const REWARDS: [f64; 4] = [-3.0, -1.0, 0.0, 1.5];
const REFERENCE: [f64; 4] = [0.15, 0.25, 0.35, 0.25];
/// Beside the utility.
const KL_COEF: f64 = 0.8;

/// A measure of the policy itself, not of a batch.
type OfPolicy = dyn Fn(&[f64]) -> f64;

/// What a measure with this mass at the worst share `p` makes of a policy.
fn by_mass(mass: impl Fn(f64) -> f64 + 'static) -> Box<OfPolicy> {
    Box::new(move |policy| {
        let mut below = 0.0;
        let mut value = 0.0;
        for (probability, reward) in policy.iter().zip(REWARDS) {
            let to = f64::min(below + probability, 1.0);
            value += reward * (mass(to) - mass(below));
            below = to;
        }
        value
    })
}

/// A name, the measure of a batch, that of a policy, and what a unit of utility is worth in it.
type Case = (&'static str, Box<dyn RiskMeasure>, Box<OfPolicy>, f64);

fn kl(policy: &[f64]) -> f64 {
    let terms = policy.iter().zip(REFERENCE).filter(|(probability, _)| **probability > 0.0);
    terms.map(|(probability, reference)| probability * (probability / reference).ln()).sum()
}

/// `reference * exp(utility / beta)`, normalised.
fn best_policy(utilities: &[f64], kl_coef: f64) -> Vec<f64> {
    softmax(
        &utilities
            .iter()
            .zip(REFERENCE)
            .map(|(utility, reference)| utility / kl_coef + reference.ln())
            .collect::<Vec<_>>(),
    )
}

/// Outcomes as often as the policy takes them, each at least once so that it has a utility.
fn batch_of(policy: &[f64], len: usize) -> Vec<usize> {
    let mut batch: Vec<usize> = (0..policy.len()).collect();
    let mut below = 0.0;
    for (choice, probability) in policy.iter().enumerate() {
        below += probability;
        while batch.len() < len && (batch.len() as f64 - 3.5) / ((len - 4) as f64) < below {
            batch.push(choice);
        }
    }
    batch.resize(len, policy.len() - 1);
    batch.sort_unstable();
    batch
}

/// A policy that is the best answer to its own utility, reached from the rewards capped at one of
/// them.
fn fixed_point(measure: &dyn RiskMeasure, kl_coef: f64, cap: f64) -> Vec<f64> {
    let mut utilities: Vec<f64> = REWARDS.iter().map(|reward| reward.min(cap)).collect();
    for _ in 0..40 {
        let batch = batch_of(&best_policy(&utilities, kl_coef), 1000);
        let found = measure.utility(&drawn(&batch, &REWARDS)).unwrap().values;
        for (choice, utility) in utilities.iter_mut().enumerate() {
            let place = batch.iter().position(|&other| other == choice).unwrap();
            *utility = f64::midpoint(*utility, found[place]);
        }
    }
    best_policy(&utilities, kl_coef)
}

/// The best of these policies. A risk measure is convex in the policy - to give up a share of the
/// outcomes and to save it may both be answers to their own utilities - so there can be several.
fn best_fixed_point(
    measure: &dyn RiskMeasure,
    kl_coef: f64,
    objective: &dyn Fn(&[f64]) -> f64,
) -> Vec<f64> {
    let policies = REWARDS.map(|cap| fixed_point(measure, kl_coef, cap));
    policies.into_iter().max_by(|one, other| objective(one).total_cmp(&objective(other))).unwrap()
}

/// The best of all policies in steps of a fiftieth.
fn best_on_grid(objective: &dyn Fn(&[f64]) -> f64) -> f64 {
    let mut best = f64::NEG_INFINITY;
    for first in 0..=50_u8 {
        for second in 0..=50 - first {
            for third in 0..=50 - first - second {
                let fourth = 50 - first - second - third;
                let policy = [first, second, third, fourth].map(|steps| f64::from(steps) / 50.0);
                best = best.max(objective(&policy));
            }
        }
    }
    best
}

#[test]
fn the_policy_that_answers_its_own_utility_is_the_optimum_of_measure_less_kl() {
    let aversion = RiskAversion::new(0.7).unwrap();
    let entropic = |policy: &[f64]| {
        let mean: f64 = policy
            .iter()
            .zip(REWARDS)
            .map(|(probability, reward)| probability * (-0.7 * reward).exp())
            .sum();
        -mean.ln() / 0.7
    };
    let cvar = |alpha: f64| move |share: f64| f64::min(share / alpha, 1.0);
    // 4/5 in the worst third, 1/5 in the next
    let spectral = |share: f64| (2.4 * share).min(0.6 + 0.6 * share).min(1.0);
    let mixture =
        Mixture::new(MeanShare::new(0.3).unwrap(), Measure::CvarRockafellarUryasev(level(0.2)));
    let cases: Vec<Case> = vec![
        ("mean", Box::new(Measure::Mean), by_mass(|share| share), 1.0),
        ("cvar .2", Box::new(Measure::CvarRockafellarUryasev(level(0.2))), by_mass(cvar(0.2)), 5.0),
        ("lowest .4", Box::new(Measure::Cvar(level(0.4))), by_mass(cvar(0.4)), 2.5),
        ("worst of 4", Box::new(worst_of(4)), by_mass(|share| 1.0 - (1.0 - share).powi(4)), 4.0),
        ("spectral", Box::new(Spectrum::new(&[4.0, 1.0, 0.0]).unwrap()), by_mass(spectral), 2.4),
        (
            "mixture",
            Box::new(mixture),
            by_mass(move |share| 0.3 * share + 0.7 * cvar(0.2)(share)),
            0.3 + 0.7 * 5.0,
        ),
        ("own", Box::new(Gini), by_mass(|share| 1.0 - (1.0 - share).powi(2)), 2.0),
        ("entropic", Box::new(Measure::Entropic(aversion)), Box::new(entropic), 1.0),
    ];
    for (name, of_batch, of_policy, scale) in cases {
        let objective = |policy: &[f64]| of_policy(policy) - scale * KL_COEF * kl(policy);
        let policy = best_fixed_point(&*of_batch, KL_COEF, &objective);
        let (found, on_grid) = (objective(&policy), best_on_grid(&objective));
        assert!(found > on_grid - 1e-4, "{name}: {found} by the utility, {on_grid} on the grid");
        assert!(
            found < on_grid + 0.05,
            "{name}: {found} by the utility, but the grid is fine: {on_grid}"
        );
        // another scale is another optimum
        for factor in [0.5, 2.0] {
            let other = objective(&best_fixed_point(&*of_batch, factor * KL_COEF, &objective));
            assert!(
                other < found - 1e-3,
                "{name}: {other} at {factor} times the coefficient, {found} at the right one"
            );
        }
        // training for the mean to the same KL is worse
        if name != "mean" {
            let (mut low, mut high) = (0.01, 100.0);
            for _ in 0..100 {
                let middle: f64 = (low + high) / 2.0;
                if kl(&best_policy(&REWARDS, middle)) > kl(&policy) {
                    low = middle
                } else {
                    high = middle
                }
            }
            let neutral = best_policy(&REWARDS, high);
            assert!(
                of_policy(&neutral) < of_policy(&policy) - 1e-3,
                "{name}: RLHF at the same KL is not worse"
            );
        }
    }
}
