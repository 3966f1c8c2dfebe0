//! The optimal policy as weights of samples: by hand, by the dual over eta, and by what any step
//! must be.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its pool has failed")]

use proptest::{collection::vec, prelude::*};
use tailguard_risk::{
    Batch, KeepLowest, Mean, MeanShare, Measure, Mixture, Objective, Over, Pool, RiskAverse,
    RiskAversion, RiskLevel, SoftRiskSchedule, Spectrum, Tilted,
};

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

fn cvar(alpha: f64, over: Over) -> RiskAverse {
    RiskAverse::new(Measure::CvarRockafellarUryasev(RiskLevel::new(alpha).unwrap()), over)
}

/// Samples of the reference.
fn of_reference(scores: &[f64], responses: usize) -> Pool {
    Pool::new(scores, &vec![0.0; scores.len()], responses, 1).unwrap()
}

#[test]
fn a_table_by_hand() {
    let ln3 = 3_f64.ln();
    // two prompts of two samples, beta 1: odds are exp(score), whatever is common to a prompt
    let tilted = of_reference(&[0.0, ln3, 7.0, 7.0], 2).at_beta(&Mean, 1.0).unwrap();
    for (found, expected) in tilted.weights.iter().zip([0.25, 0.75, 0.5, 0.5]) {
        close(*found, expected, 1e-12, "weight");
    }
    let kl = (0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln()) / 2.0;
    close(tilted.kl_to_sampler, kl, 1e-12, "KL to the sampler");
    close(tilted.kl_to_reference, kl, 1e-12, "KL to the reference, which is the sampler");
    // a sampler that gives the second sample three times the odds of the reference has done it
    let pool = Pool::new(&[0.0, ln3], &[0.0, ln3], 2, 1).unwrap();
    let tilted = pool.at_beta(&Mean, 1.0).unwrap();
    close(tilted.weights[1], 0.5, 1e-12, "weight against the reference");
    close(tilted.kl_to_sampler, 0.0, 1e-12, "no step");
    close(tilted.kl_to_reference, ln3 / 2.0, 1e-12, "the mean log-ratio");
}

/// Scores of some prompts that differ, by a formula.
fn scores(prompts: usize, responses: usize) -> Vec<f64> {
    let score = |at: usize| {
        let (prompt, response) = (at / responses, at % responses);
        1.5 * ((prompt * 7 + 3) as f64).sin() + ((at * at + response) as f64 * 0.7).sin() * 1.2
    };
    (0..prompts * responses).map(score).collect()
}

/// The dual of `CVaR` less KL at a fixed eta: the log-mean-exp of the capped scores, per prompt.
fn dual(scores: &[f64], responses: usize, alpha: f64, beta: f64, eta: f64) -> f64 {
    let of_prompt = |scores: &[f64]| {
        let sum: f64 = scores.iter().map(|score| (score.min(eta) / beta).exp()).sum();
        beta * (sum / responses as f64).ln()
    };
    let prompts = scores.chunks(responses);
    let count = prompts.len() as f64;
    prompts.map(of_prompt).sum::<f64>() / count - (1.0 - alpha) * eta
}

#[test]
fn the_cap_of_cvar_is_the_quantile_of_the_policy_that_is_made() {
    let (responses, alpha, beta) = (64, 0.2, 0.4);
    let scores = scores(50, responses);
    let tilted = of_reference(&scores, responses).at_beta(&cvar(alpha, Over::Batch), beta).unwrap();
    close(tilted.tempering, 1.0, 0.0, "all of the step");
    let eta = tilted.utilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let below = |eta: f64| {
        let pairs = scores.iter().zip(&tilted.weights);
        pairs.filter(|(score, _)| **score < eta).map(|(_, weight)| weight).sum::<f64>() / 50.0
    };
    assert!(below(eta) <= alpha && below(eta + 1e-9) >= alpha - 1e-3, "{} at {eta}", below(eta));
    // the reference's own quantile is another one
    let of_reference = tailguard_risk::quantile(&scores, RiskLevel::new(alpha).unwrap()).unwrap();
    assert!(eta > of_reference + 0.1, "{eta} and {of_reference}");
    // and no other eta is better
    let at = |eta: f64| dual(&scores, responses, alpha, beta, eta);
    let best = (0..4000)
        .map(|step| -3.0 + step as f64 * 1.5e-3)
        .max_by(|one, other| at(*one).total_cmp(&at(*other)))
        .unwrap();
    close(at(eta), at(best), 1e-5, "the dual");
    close(eta, best, 0.02, "eta");
}

#[test]
fn a_tail_of_each_prompt_has_a_cap_of_each_prompt() {
    let (responses, alpha, beta) = (64, 0.2, 0.4);
    let scores = scores(3, responses);
    let objective = cvar(alpha, Over::Prompt);
    let together = of_reference(&scores, responses).at_beta(&objective, beta).unwrap();
    for (prompt, own) in scores.chunks(responses).enumerate() {
        let alone = of_reference(own, responses).at_beta(&objective, beta).unwrap();
        let range = prompt * responses..(prompt + 1) * responses;
        for (found, expected) in together.weights[range].iter().zip(&alone.weights) {
            close(*found, *expected, 1e-6, "weight");
        }
    }
}

#[test]
fn a_step_goes_as_far_as_the_samples_tell_and_says_so() {
    let responses = 16;
    let (scores, limit) = (scores(40, responses), Pool::limit(responses));
    let pool = of_reference(&scores, responses);
    let objectives: [(&str, Box<dyn Objective>); 2] =
        [("mean", Box::new(Mean)), ("cvar", Box::new(cvar(0.4, Over::Batch)))];
    for (name, objective) in objectives {
        let far = pool.at_beta(&*objective, 0.01).unwrap();
        assert!(far.tempering < 1.0 && far.kl_to_sampler <= limit, "{name}: {far:?}");
        close(far.kl_to_sampler, limit, 0.01 * limit, name);
        let near = pool.at_beta(&*objective, 5.0).unwrap();
        assert!(near.tempering >= 1.0 && near.kl_to_sampler < 0.1, "{name}");
        for kl in [0.2, 0.7, 1.2] {
            let found = pool.at_kl(&*objective, kl).unwrap();
            close(found.kl_to_reference, kl, 2e-3 * kl, name);
        }
        // what cannot be is as near as can be
        let found = pool.at_kl(&*objective, 9.0).unwrap();
        close(found.kl_to_reference, limit, 0.01 * limit, name);
    }
}

#[test]
fn from_the_optimum_no_step_leads_away_however_it_is_tempered() {
    let (responses, beta) = (32, 0.05);
    let scores = scores(10, responses);
    // a sampler that is the reference times exp(score / beta)
    let log_ratios: Vec<f64> = scores.iter().map(|score| score / beta - 3.0).collect();
    let pool = Pool::new(&scores, &log_ratios, responses, 1).unwrap();
    let tilted = pool.at_beta(&Mean, beta).unwrap();
    for weight in tilted.weights {
        close(weight, 1.0 / responses as f64, 1e-9, "weight");
    }
}

#[test]
fn tempered_steps_lead_to_the_optimum() {
    // the reference takes all outcomes alike; a policy is sampled by as many copies of each as it
    // has of 4096 parts, and by one at least
    let (outcomes, parts, beta) = (512, 4096.0, 1.0);
    let best = outcomes as f64 - 1.0;
    let unscaled: Vec<f64> = (0..outcomes).map(|outcome| (outcome as f64 - best).exp()).collect();
    let sum: f64 = unscaled.iter().sum();
    let mut policy = vec![1.0 / outcomes as f64; outcomes];
    let mut temperings = Vec::new();
    for _ in 0..4 {
        let counts: Vec<f64> =
            policy.iter().map(|share| (share * parts).round().max(1.0)).collect();
        let all: f64 = counts.iter().sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some thousand copies at most"
        )]
        let copies = |outcome: usize| std::iter::repeat_n(outcome, counts[outcome] as usize);
        let sampled: Vec<usize> = (0..outcomes).flat_map(copies).collect();
        let log_ratio = |&outcome: &usize| (counts[outcome] / all * outcomes as f64).ln();
        let pool = Pool::new(
            &sampled.iter().map(|&outcome| outcome as f64).collect::<Vec<_>>(),
            &sampled.iter().map(log_ratio).collect::<Vec<_>>(),
            sampled.len(),
            1,
        )
        .unwrap();
        let Tilted { weights, tempering, .. } = pool.at_beta(&Mean, beta).unwrap();
        temperings.push(tempering);
        policy = vec![0.0; outcomes];
        for (outcome, weight) in sampled.into_iter().zip(weights) {
            policy[outcome] += weight;
        }
    }
    // 4,000 samples do not tell of all of the way at once, and of the rest they do
    assert!(temperings[0] < 0.5 && temperings[3] >= 1.0, "{temperings:?}");
    for (found, weight) in policy.iter().zip(&unscaled) {
        close(*found, weight / sum, 1e-6, "probability");
    }
}

#[test]
fn an_objective_without_a_utility_of_weighted_samples_is_refused() {
    struct GoodEnough;
    impl Objective for GoodEnough {}
    let pool = of_reference(&[0.0, 1.0], 2);
    let lowest = KeepLowest(SoftRiskSchedule::keep_all(2).unwrap());
    let message = pool.at_beta(&lowest, 1.0).unwrap_err().to_string();
    assert!(message.starts_with("keep_lowest drops episodes"), "{message}");
    let message = pool.at_beta(&GoodEnough, 1.0).unwrap_err().to_string();
    assert!(message.contains("says nothing of weighted samples"), "{message}");
}

#[test]
fn samples_that_are_none_are_refused() {
    let refused = |scores: &[f64], ratios: &[f64], responses| {
        Pool::new(scores, ratios, responses, 1).unwrap_err().to_string()
    };
    assert_eq!(refused(&[], &[], 2), "0 samples, expected 2 for each of some prompts");
    assert_eq!(refused(&[1.0; 3], &[0.0; 3], 2), "3 samples, expected 2 for each of some prompts");
    assert_eq!(refused(&[1.0; 2], &[0.0], 2), "1 log-ratios for 2 samples");
    assert_eq!(
        refused(&[1.0, f64::NAN], &[0.0; 2], 2),
        "the score of sample 1 is NaN, expected a finite number"
    );
    for beta in [0.0, -1.0, f64::NAN] {
        let message = of_reference(&[1.0, 2.0], 2).at_beta(&Mean, beta).unwrap_err().to_string();
        assert!(message.contains("expected a number above 0"), "{message}");
    }
}

/// Objectives that have utilities of weighted samples.
fn objectives(alpha: f64, parts: &[f64], over: Over) -> Vec<Box<dyn Objective>> {
    let mut parts = parts.to_vec();
    parts.sort_by(|left, right| right.total_cmp(left));
    let level = RiskLevel::new(alpha).unwrap();
    let measure = Measure::CvarRockafellarUryasev(level);
    vec![
        Box::new(Mean),
        Box::new(RiskAverse::new(measure, over)),
        Box::new(RiskAverse::new(Measure::Entropic(RiskAversion::new(alpha).unwrap()), over)),
        Box::new(RiskAverse::new(Spectrum::new(&parts).unwrap(), over)),
        Box::new(RiskAverse::new(Mixture::new(MeanShare::new(alpha).unwrap(), measure), over)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn weights_of_a_prompt_sum_to_one_and_rise_with_the_score(
        samples in vec((-5.0..5.0, -1.0..1.0), 8..40),
        alpha in 0.05..=1.0,
        beta in 0.02..3.0,
        parts in vec(0.1..3.0, 1..5),
        by_prompt: bool,
    ) {
        let responses = 4;
        let count = samples.len() / responses * responses;
        let (scores, ratios): (Vec<f64>, Vec<f64>) = samples[..count].iter().copied().unzip();
        let over = if by_prompt { Over::Prompt } else { Over::Batch };
        for (at, objective) in objectives(alpha, &parts, over).into_iter().enumerate() {
            let pool = Pool::new(&scores, &ratios, responses, 1).unwrap();
            let tilted = pool.at_beta(&*objective, beta).unwrap();
            prop_assert!(tilted.kl_to_sampler <= Pool::limit(responses) * (1.0 + 1e-9));
            prop_assert!(tilted.tempering > 0.0 && tilted.tempering <= 1.0);
            for weights in tilted.weights.chunks(responses) {
                prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
            // a better score is worth no less
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|&left, &right| scores[left].total_cmp(&scores[right]));
            if over == Over::Batch {
                let ascending =
                    order.windows(2).all(|two| {
                        tilted.utilities[two[0]] <= tilted.utilities[two[1]] + 1e-9
                    });
                prop_assert!(ascending);
            }
            // and it is worth what its own policy makes of it, but where the answer of the entropic
            // measure jumps, which takes more turns than there are
            if at == 2 {
                continue;
            }
            let prompts: Vec<usize> = (0..count).map(|place| place / responses).collect();
            let batch = Batch { iteration: 1, values: &scores, prompts: &prompts };
            let worth = objective.weighted(batch, &tilted.weights).unwrap();
            for (own, measured) in tilted.utilities.iter().zip(worth.utilities) {
                prop_assert!((own - measured).abs() < 1e-3, "{at}: {own} and {measured}");
            }
        }
    }
}
