//! Quantiles and `CVaR` at the levels of a report, gains in them, and figures of prompts with
//! several texts.

use tailguard_metrics::{
    ByPrompt, Estimate, Influences, Needed, Pairs, Scale, any_of, estimate, influences_over_seeds,
    lowest_by_prompt, lowest_over_seeds, mean_over_seeds, prompts_needed, quantile_over_seeds,
    worst_of,
};

use crate::draws::{BOTH, DATA_SETS, Design, Draws, PROMPTS, check, covered, with_name};

/// Percent, quantile and mean below it of a normal number.
const LEVELS: [(usize, f64, f64); 5] = [
    (1, -2.326_348, -2.665_214),
    (5, -1.644_854, -2.062_713),
    (10, -1.281_552, -1.754_983),
    (20, -0.841_621, -1.399_810),
    (40, -0.253_347, -0.965_856),
];

/// Shares of data sets whose quantile and mean below it are covered, where at least two texts are
/// in the tail.
fn at_levels(designs: &[Design]) -> [Vec<(String, f64)>; 2] {
    let [mut quantiles, mut means] = [Vec::new(), Vec::new()];
    for &design in designs {
        for (percent, quantile, lowest) in LEVELS {
            let count = |texts: usize| (texts * percent).div_ceil(100);
            if count(design.prompts * design.texts) < 2 {
                continue;
            }
            let name = format!("{percent} % of {}", with_name(design));
            // what seeds do moves the quantiles of all texts of a seed alike
            let truth = |of_normal: f64| Some(of_normal * design.deviation());
            let of = |figure: &dyn Fn(&[Vec<ByPrompt>]) -> Estimate, of_normal: f64| {
                covered(truth(of_normal), |draws| figure(&design.draw(draws)))
            };
            quantiles.push((
                name.clone(),
                of(&|seeds| quantile_over_seeds(seeds, count).unwrap().unwrap(), quantile),
            ));
            means.push((
                name,
                of(&|seeds| lowest_over_seeds(seeds, count).unwrap().unwrap(), lowest),
            ));
        }
    }
    [quantiles, means]
}

#[test]
fn tails_at_all_levels_are_covered() {
    let [quantiles, means] = at_levels(&[
        Design { prompts: 100, ..PROMPTS },
        Design { prompts: 400, ..PROMPTS },
        Design { prompts: 100, texts: 8, ..PROMPTS },
        Design { prompts: 200, seeds: 3, ..BOTH },
    ]);
    // so few values are below that the slope is taken over half of the tail
    check(&quantiles, 0.93, 0.985);
    // 1 % of texts that share prompts are those of one or two prompts
    let (few, others): (Vec<_>, Vec<_>) =
        means.into_iter().partition(|(name, _)| name.starts_with("1 %") && name.contains("x 8"));
    check(&others, 0.93, 0.985);
    check(&few, 0.88, 0.97);
}

#[test]
fn a_tail_of_one_text_is_covered_less_often() {
    let design = Design { prompts: 100, ..PROMPTS };
    let truth = |of_normal: f64| Some(of_normal * design.deviation());
    let quantile = covered(truth(-2.326_348), |draws| {
        quantile_over_seeds(&design.draw(draws), |_| 1).unwrap().unwrap()
    });
    let lowest = covered(truth(-2.665_214), |draws| {
        lowest_over_seeds(&design.draw(draws), |_| 1).unwrap().unwrap()
    });
    check(&[("quantile".to_owned(), quantile), ("CVaR".to_owned(), lowest)], 0.87, 0.98);
}

#[test]
fn gains_at_the_ends_of_tails_are_covered() {
    let mut found = Vec::new();
    for (seeds, prompts, texts) in [(1, 200, 1), (1, 60, 8), (3, 200, 1)] {
        let of_seeds = if seeds > 1 { 0.1 } else { 0.0 };
        let design = Design { seeds, prompts, texts, of_seeds, of_pairs: 0.3, ..PROMPTS };
        let of_methods = move |draws: &mut Draws| {
            let hard: Vec<f64> = (0..prompts).map(|_| draws.skewed()).collect();
            let helped: Vec<f64> =
                hard.iter().map(|hard| hard + 0.5 + 0.3 * draws.normal()).collect();
            [design.around(&helped, draws), design.around(&hard, draws)]
        };
        for percent in [5, 10, 40] {
            let covered = covered(None, |draws| {
                let [better, worse] = of_methods(draws);
                let pairs = Pairs::new(&better, &worse).unwrap();
                pairs
                    .difference_of_quantiles(|texts| (texts * percent).div_ceil(100))
                    .unwrap()
                    .unwrap()
            });
            found.push((format!("{percent} % of {}", with_name(design)), covered));
        }
    }
    check(&found, 0.93, 0.99);
}

#[test]
fn figures_of_prompts_with_several_texts_are_covered() {
    let mut found = Vec::new();
    for (prompts, seeds) in [(20, 1), (100, 1), (50, 5)] {
        let design = Design {
            prompts,
            seeds,
            texts: 10,
            of_seeds: if seeds > 1 { 0.15 } else { 0.0 },
            of_texts: 1.0,
            ..PROMPTS
        };
        let by_prompt =
            |draws: &mut Draws, figure: &dyn Fn(&[ByPrompt]) -> Vec<ByPrompt>, scale: Scale| {
                let seeds: Vec<Vec<ByPrompt>> =
                    design.draw(draws).iter().map(|seed| figure(seed)).collect();
                mean_over_seeds(&seeds, scale).unwrap().unwrap()
            };
        // of two and of ten normal numbers
        for (k, lowest) in [(1, 0.0), (2, -0.564_190), (10, -1.538_753)] {
            let covered = covered(Some(lowest), |draws| {
                by_prompt(draws, &|values| worst_of(values, k).unwrap(), Scale::Any)
            });
            found.push((format!("worst of {k}: {}", with_name(design)), covered));
        }
        for k in [2, 10] {
            let covered = covered(None, |draws| {
                by_prompt(draws, &|values| any_of(values, k, -2.0).unwrap(), Scale::Share)
            });
            found.push((format!("any of {k}: {}", with_name(design)), covered));
        }
        let lowest = |values: &[ByPrompt]| lowest_by_prompt(values, |texts| texts / 5).unwrap();
        // of the two lowest of ten: (1.538_753 + 1.001_357) / 2
        let covered = covered(Some(-1.270_055), |draws| by_prompt(draws, &lowest, Scale::Any));
        found.push((format!("own CVaR: {}", with_name(design)), covered));
    }
    // shares of few prompts come in whole numbers
    check(&found, 0.93, 0.98);
}

#[test]
fn so_many_prompts_make_the_interval_about_as_narrow_as_wanted() {
    // pilots of 100 prompts ask for half the width; data sets of as many prompts then have it
    let ratios = |design: Design, figure: &dyn Fn(&[ByPrompt]) -> Influences| -> [f64; 3] {
        let mut draws = Draws::new(11);
        let half = |seeds: &[Influences]| {
            estimate(seeds, Scale::Any).unwrap().ci95.map(|[low, high]| (high - low) / 2.0).unwrap()
        };
        let mut influences = |design: Design| {
            influences_over_seeds(&design.draw(&mut draws), |values| Ok(figure(values)))
                .unwrap()
                .unwrap()
        };
        let mut ratios = Vec::new();
        for _ in 0..DATA_SETS / 10 {
            let pilot = influences(design);
            let wanted = half(&pilot) / 2.0;
            let Some(Needed::Prompts(prompts)) =
                prompts_needed(&pilot, Scale::Any, wanted).unwrap()
            else {
                continue;
            };
            ratios.push(half(&influences(Design { prompts, ..design })) / wanted);
        }
        assert!(ratios.len() > 100, "{}", ratios.len());
        ratios.sort_by(f64::total_cmp);
        [ratios.len() / 20, ratios.len() / 2, ratios.len() * 19 / 20].map(|place| ratios[place])
    };
    let one = Design { prompts: 100, ..PROMPTS };
    let mean = ratios(one, &|values| Influences::of_mean(values).unwrap());
    assert!(mean[0] > 0.8 && (0.95..1.05).contains(&mean[1]) && mean[2] < 1.25, "mean: {mean:?}");
    let lowest = ratios(one, &|values| Influences::of_lowest(values, values.len() / 10).unwrap());
    assert!(
        lowest[0] > 0.5 && (0.85..1.2).contains(&lowest[1]) && lowest[2] < 2.0,
        "CVaR: {lowest:?}"
    );
}
