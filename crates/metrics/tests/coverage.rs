//! How often a 95 % interval holds the true value: many data sets are drawn whose true figures are
//! known.

#![expect(clippy::unwrap_used, reason = "a test that cannot draw its data has failed")]

#[path = "coverage/comparisons.rs"]
mod comparisons;
#[path = "coverage/draws.rs"]
mod draws;
#[path = "coverage/failures.rs"]
mod failures;
#[path = "coverage/forecasts.rs"]
mod forecasts;
#[path = "coverage/tails.rs"]
mod tails;

use draws::{BOTH, Design, Draws, PROMPTS, REST, SEEDS, check, covered, with_name};
use tailguard_metrics::{
    ByPrompt, Estimate, NumberedNGrams, Pairs, Scale, duplicates, estimate, lowest_over_seeds,
    mean_over_seeds,
};

fn mean(seeds: &[Vec<ByPrompt>]) -> Estimate {
    mean_over_seeds(seeds, Scale::Any).unwrap().unwrap()
}

/// The shares of these designs whose mean is covered.
fn means(designs: impl IntoIterator<Item = Design>) -> Vec<(String, f64)> {
    let share =
        |design: Design| (with_name(design), covered(Some(0.0), |draws| mean(&design.draw(draws))));
    designs.into_iter().map(share).collect()
}

fn sizes(seeds: usize) -> impl Iterator<Item = Design> {
    let sizes = [(10, 1), (10, 8), (200, 1), (50, 8)].into_iter();
    let of_size = move |(prompts, texts)| {
        [PROMPTS, BOTH, SEEDS].map(|design| Design { seeds, prompts, texts, ..design })
    };
    sizes.flat_map(of_size)
}

#[test]
fn means_of_one_seed_are_covered() {
    let sizes = [(3, 1), (10, 1), (10, 8), (200, 1), (100, 8)];
    check(&means(sizes.map(|(prompts, texts)| Design { prompts, texts, ..PROMPTS })), 0.93, 0.97);
}

#[test]
fn means_of_several_seeds_are_covered_whatever_varies_most() {
    check(&means([3, 5, 10].into_iter().flat_map(sizes)), 0.93, 0.97);
}

#[test]
fn means_of_two_seeds_are_covered_on_the_safe_side() {
    check(&means(sizes(2)), 0.93, 0.98);
}

#[test]
fn what_neither_prompts_nor_seeds_explain_is_covered_on_the_safe_side() {
    let mut designs = Vec::new();
    for seeds in [2, 3, 5, 10] {
        designs.extend([20, 200].map(|prompts| Design { seeds, prompts, ..REST }));
    }
    // both spreads show the same, and the larger one counts
    check(&means(designs), 0.94, 0.99);
}

#[test]
fn skewed_rewards_are_covered() {
    let mut designs = Vec::new();
    for prompts in [20, 50, 200] {
        for design in [PROMPTS, BOTH, SEEDS] {
            designs.push(Design { prompts, is_skewed: true, ..design });
        }
    }
    let mut found = means(designs);
    let perplexity = |prompts: usize, seeds: usize| {
        let share = covered(Some((0.5_f64 * 0.5 * 0.5).exp()), |draws| {
            let texts: Vec<f64> = (0..prompts).map(|_| draws.normal()).collect();
            let seed = || texts.iter().map(|text| (0.5 * text).exp()).enumerate().collect();
            mean(&(0..seeds).map(|_| seed()).collect::<Vec<_>>())
        });
        (format!("perplexity of {prompts} texts, {seeds} seeds that agree"), share)
    };
    found.extend([perplexity(30, 1), perplexity(200, 1), perplexity(200, 3)]);
    check(&found, 0.93, 0.97);
}

#[test]
fn means_of_the_lowest_are_covered() {
    // of a normal distribution: its density at the quantile over the share
    let of_normal = |percent: usize| if percent == 10 { -1.754_983 } else { -0.965_907 };
    let mut found = Vec::new();
    for (design, percent) in [
        (Design { prompts: 100, ..PROMPTS }, 10),
        (Design { prompts: 50, texts: 8, ..PROMPTS }, 10),
        (Design { prompts: 400, ..PROMPTS }, 10),
        (Design { prompts: 50, ..PROMPTS }, 40),
        (Design { prompts: 200, seeds: 3, ..BOTH }, 10),
        (Design { prompts: 200, ..BOTH }, 40),
    ] {
        let truth = of_normal(percent) * design.deviation();
        let count = |texts: usize| texts * percent / 100;
        let covered = covered(Some(truth), |draws| {
            lowest_over_seeds(&design.draw(draws), count).unwrap().unwrap()
        });
        found.push((format!("{percent} % of {}", with_name(design)), covered));
    }
    check(&found, 0.93, 0.97);
}

/// The share of texts above a threshold, in deviations of all that varies.
fn share_above(threshold: f64, design: Design, draws: &mut Draws) -> Estimate {
    let total = design.deviation().hypot(design.of_seeds);
    let mut seeds = design.draw(draws);
    seeds
        .iter_mut()
        .flatten()
        .for_each(|(_, value)| *value = f64::from(u8::from(*value > threshold * total)));
    mean_over_seeds(&seeds, Scale::Share).unwrap().unwrap()
}

#[test]
fn shares_are_covered() {
    // thresholds that a normal number exceeds with these probabilities
    let mut found = Vec::new();
    for (share, threshold) in [(0.5, 0.0), (0.1, 1.281_552)] {
        for design in [
            Design { prompts: 100, ..PROMPTS },
            Design { prompts: 100, texts: 8, ..PROMPTS },
            Design { prompts: 400, ..PROMPTS },
            Design { prompts: 100, seeds: 3, ..BOTH },
            Design { prompts: 200, ..BOTH },
        ] {
            let covered = covered(Some(share), |draws| share_above(threshold, design, draws));
            found.push((format!("{share}: {}", with_name(design)), covered));
        }
    }
    // few texts of a kind come in whole numbers, so that the coverage of a small share jumps
    check(&found, 0.93, 0.985);
}

#[test]
fn shares_next_to_nothing_are_covered_by_intervals_that_say_something() {
    let mut found = Vec::new();
    for (share, threshold) in [(0.0, f64::INFINITY), (0.005, 2.575_829)] {
        for (seeds, prompts) in [(2, 64), (2, 200), (2, 2_000), (3, 200)] {
            for design in [PROMPTS, BOTH] {
                let design = Design { seeds, prompts, ..design };
                // the upper end where no text is above the threshold: that of Wilson's interval for
                // so many prompts
                let mut highest: f64 = 0.0;
                let covered = covered(Some(share), |draws| {
                    let found = share_above(threshold, design, draws);
                    if let Some([_, high]) = found.ci95.filter(|_| found.value <= 0.0) {
                        highest = highest.max(high);
                    }
                    found
                });
                let name = format!("{share}: {}", with_name(design));
                assert!(highest < 4.0 / prompts as f64, "{name}: nothing may be up to {highest}");
                found.push((name, covered));
            }
        }
    }
    // what is not there is always covered
    check(&found, 0.93, 1.0);
}

#[test]
fn ratios_are_covered() {
    // prompts have 1 to 8 texts, and those with more are harder: the mean over texts is below that
    // over prompts
    let share = |prompts: usize, seeds: usize| {
        let design = Design { prompts, seeds, ..if seeds > 1 { BOTH } else { PROMPTS } };
        // E[n (4.5 - n)] / E[n]
        let truth = (4.5 * 4.5 - 25.5) / 4.5;
        let covered = covered(Some(truth), |draws| {
            let texts: Vec<usize> = (0..prompts).map(|_| 1 + draws.below(8)).collect();
            let hard: Vec<f64> =
                texts.iter().map(|&texts| 4.5 - texts as f64 + draws.normal()).collect();
            let mut seeds = Vec::new();
            for values in design.around(&hard, draws) {
                let own =
                    values.iter().flat_map(|&(prompt, value)| vec![(prompt, value); texts[prompt]]);
                seeds.push(
                    own.map(|(prompt, value)| (prompt, value + 0.5 * draws.normal())).collect(),
                );
            }
            mean(&seeds)
        });
        (format!("{prompts} prompts, {seeds} seeds"), covered)
    };
    check(&[share(20, 1), share(100, 1), share(50, 5), share(20, 10)], 0.93, 0.97);
}

#[test]
fn gains_are_covered() {
    let mut found = Vec::new();
    for (seeds, prompts) in [(1, 20), (1, 200), (2, 100), (3, 100), (5, 200), (10, 20)] {
        let design = Design {
            seeds,
            prompts,
            of_seeds: if seeds > 1 { 0.1 } else { 0.0 },
            of_pairs: 0.3,
            ..PROMPTS
        };
        let of_methods = move |draws: &mut Draws| {
            let hard: Vec<f64> = (0..prompts).map(|_| draws.skewed()).collect();
            // what the better method makes of it
            let helped: Vec<f64> =
                hard.iter().map(|hard| hard + 0.5 + 0.3 * draws.normal()).collect();
            [design.around(&helped, draws), design.around(&hard, draws)]
        };
        let mean = covered(Some(0.5), |draws| {
            let [better, worse] = of_methods(draws);
            Pairs::new(&better, &worse).unwrap().mean_difference().unwrap().unwrap()
        });
        found.push((format!("{seeds} seeds, {prompts} prompts"), mean));
        if prompts == 200 {
            let lowest = covered(None, |draws| {
                let [better, worse] = of_methods(draws);
                Pairs::new(&better, &worse)
                    .unwrap()
                    .difference_of_lowest(|texts| texts / 5)
                    .unwrap()
                    .unwrap()
            });
            found.push((format!("{seeds} seeds, lowest fifth of {prompts}"), lowest));
        }
    }
    check(&found, 0.93, 0.97);
}

#[test]
fn figures_of_all_texts_together_are_covered() {
    // responses to a prompt share its words, and half of the texts are short enough to come twice
    let text = |draws: &mut Draws, topic: usize| {
        let mut words = Vec::new();
        // some words are frequent and most are rare
        let common =
            |draws: &mut Draws| draws.below(200) * draws.below(200) * draws.below(200) / 40_000;
        for _ in 0..1 + draws.below(2) * 11 {
            words.push(if draws.uniform() < 0.3 {
                format!("t{topic}")
            } else {
                format!("w{}", common(draws))
            });
        }
        words.join(" ")
    };
    let mut found = Vec::new();
    for (seeds, prompts, texts) in [(1, 60, 1), (1, 40, 4), (3, 40, 2)] {
        let draw = move |draws: &mut Draws| {
            let topics: Vec<usize> = (0..prompts).map(|_| draws.below(1_000)).collect();
            let responses = |draws: &mut Draws| {
                topics
                    .iter()
                    .flat_map(|&topic| vec![topic; texts])
                    .map(|topic| text(draws, topic))
                    .collect()
            };
            (0..seeds).map(|_| responses(draws)).collect::<Vec<Vec<String>>>()
        };
        let numbers: Vec<usize> = (0..prompts * texts).map(|place| place / texts).collect();
        let what = |figure: &str| format!("{figure} of {seeds} seeds, {prompts} x {texts}");
        for n in [1, 2] {
            let of_seed = |texts: &Vec<String>| {
                NumberedNGrams::new(texts, n).unwrap().influences(&numbers).unwrap()
            };
            let figure = |draws: &mut Draws| {
                estimate(&draw(draws).iter().map(of_seed).collect::<Vec<_>>(), Scale::Share)
                    .unwrap()
            };
            found.push((what(&format!("distinct-{n}")), covered(None, figure)));
        }
        let of_seed = |texts: &Vec<String>| duplicates(texts, &numbers).unwrap();
        let figure = |draws: &mut Draws| {
            estimate(&draw(draws).iter().map(of_seed).collect::<Vec<_>>(), Scale::Share).unwrap()
        };
        found.push((what("duplicates"), covered(None, figure)));
    }
    // what varies is mostly of neither prompts nor seeds
    check(&found, 0.93, 0.995);
}
