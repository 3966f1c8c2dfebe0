//! Rates of failures: exact intervals are never too narrow, and those of texts that share a prompt
//! hold the rate as often as they say.

use tailguard_metrics::{ByPrompt, RateInterval, failure_rate, rate_of_any};

use crate::draws::{DATA_SETS, Design, Draws, PROMPTS, check, with_name};

/// Rates, and the points that a normal number is below so often.
const RATES: [(f64, f64); 4] =
    [(0.5, 0.0), (0.1, -1.281_552), (0.02, -2.053_749), (0.005, -2.575_829)];

/// The shares of data sets whose two-sided and one-sided interval hold the rate, for all of these
/// rates and thresholds.
fn held(
    design: Design,
    rates: &[(f64, f64)],
    interval: impl Fn(&[Vec<ByPrompt>], f64) -> RateInterval,
) -> Vec<(String, f64)> {
    let mut draws = Draws::new(7);
    let mut held = vec![[0.0; 2]; rates.len()];
    for _ in 0..DATA_SETS {
        let seeds = design.draw(&mut draws);
        for ((rate, threshold), held) in rates.iter().zip(&mut held) {
            let RateInterval { ci95: [low, high], upper95, .. } = interval(&seeds, *threshold);
            held[0] += f64::from(u8::from(low <= *rate && *rate <= high));
            held[1] += f64::from(u8::from(*rate <= upper95));
        }
    }
    let named = |((rate, _), [both, upper]): (&(f64, f64), [f64; 2])| {
        let name = |side: &str| format!("{rate}: {}, {side}", with_name(design));
        [
            (name("two-sided"), both / f64::from(DATA_SETS)),
            (name("one-sided"), upper / f64::from(DATA_SETS)),
        ]
    };
    rates.iter().zip(held).flat_map(named).collect()
}

/// The shares of data sets that are held at all rates.
fn of_designs(designs: &[Design]) -> Vec<(String, f64)> {
    let of_design = |design: &Design| {
        let deviation = design.deviation().hypot(design.of_seeds);
        let rates = RATES.map(|(rate, threshold)| (rate, threshold * deviation));
        held(*design, &rates, |seeds, threshold| {
            failure_rate(seeds, threshold).unwrap().unwrap().interval.unwrap()
        })
    };
    designs.iter().flat_map(of_design).collect()
}

#[test]
fn exact_intervals_hold_the_rate_at_least_as_often_as_they_say() {
    let found = of_designs(&[20, 100, 400].map(|prompts| Design { prompts, ..PROMPTS }));
    // at least 95 %, but for the chance of 1,500 data sets
    check(&found, 0.938, 1.0);
}

#[test]
fn rates_of_texts_that_share_a_prompt_are_held() {
    // how much of what varies is the prompt's: a fifth, most, nearly all
    let like = |texts: usize, of_prompts: f64, of_texts: f64| Design {
        prompts: 100,
        texts,
        of_prompts,
        of_texts,
        ..PROMPTS
    };
    let found =
        of_designs(&[like(8, 0.5, 1.0), like(8, 1.0, 0.6), like(25, 1.0, 0.6), like(4, 1.0, 0.2)]);
    check(&found, 0.92, 1.0);
    // where failures are not rare it is neither too wide
    let frequent: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| name.starts_with("0.5") || name.starts_with("0.1"))
        .collect();
    check(&frequent, 0.93, 0.985);
}

#[test]
fn rates_of_several_seeds_are_held() {
    let like = |seeds: usize, prompts: usize, texts: usize| Design {
        seeds,
        prompts,
        texts,
        of_seeds: 0.3,
        ..PROMPTS
    };
    check(&of_designs(&[like(3, 100, 1), like(5, 200, 1), like(3, 50, 8)]), 0.92, 1.0);
}

#[test]
fn the_rate_of_prompts_any_of_whose_texts_fail_is_held() {
    let design = Design {
        prompts: 100,
        texts: 10,
        of_prompts: 0.0,
        of_pairs: 0.0,
        of_texts: 1.0,
        ..PROMPTS
    };
    let mut found = Vec::new();
    for k in [1, 5, 10] {
        let any = RATES.map(|(rate, threshold)| (1.0 - (1.0 - rate).powi(k), threshold));
        let k = usize::try_from(k).unwrap();
        found.extend(held(design, &any, |seeds, threshold| {
            rate_of_any(seeds, k, threshold).unwrap().unwrap().interval.unwrap()
        }));
    }
    check(&found, 0.93, 1.0);
}
