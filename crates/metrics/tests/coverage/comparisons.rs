//! p-values where there is no gain, and what is left of them where several methods are compared.

use tailguard_metrics::{ByPrompt, Pairs, holm, p_value};

use crate::draws::{DATA_SETS, Design, Draws, PROMPTS, check, with_name};

/// How often one method of several seems to gain, before and after Holm's adjustment, where none
/// does.
fn found_by_chance(design: Design, methods: usize) -> [f64; 2] {
    let mut draws = Draws::new(7);
    let mut found = [0.0; 2];
    for _ in 0..DATA_SETS {
        let prompts: Vec<f64> = (0..design.prompts).map(|_| draws.skewed()).collect();
        // the one that all are compared with makes the comparisons alike
        let baseline = design.around(&prompts, &mut draws);
        let p_values: Vec<f64> = (0..methods)
            .map(|_| {
                let other: Vec<Vec<ByPrompt>> = design.around(&prompts, &mut draws);
                p_value(
                    &Pairs::new(&other, &baseline).unwrap().influences_of_mean().unwrap().unwrap(),
                )
                .unwrap()
                .unwrap()
            })
            .collect();
        let adjusted = holm(&p_values).unwrap();
        for (found, p_values) in found.iter_mut().zip([p_values, adjusted]) {
            *found += f64::from(u8::from(p_values.iter().any(|p| *p < 0.05)));
        }
    }
    found.map(|count| count / f64::from(DATA_SETS))
}

#[test]
fn one_comparison_finds_a_gain_by_chance_in_one_of_twenty() {
    let mut found = Vec::new();
    for (seeds, prompts) in [(1, 20), (1, 200), (3, 100), (5, 100)] {
        let design = Design {
            seeds,
            prompts,
            of_seeds: if seeds > 1 { 0.1 } else { 0.0 },
            of_pairs: 0.3,
            ..PROMPTS
        };
        let [plain, adjusted] = found_by_chance(design, 1);
        found.extend([
            (with_name(design), plain),
            (format!("{} adjusted", with_name(design)), adjusted),
        ]);
    }
    check(&found, 0.03, 0.07);
}

#[test]
fn of_many_comparisons_any_is_found_by_chance_in_no_more_than_that() {
    let design = Design { prompts: 100, of_pairs: 0.3, ..PROMPTS };
    let [plain, adjusted] = found_by_chance(design, 6);
    assert!(plain > 0.12, "six comparisons without a gain: {plain}");
    assert!((0.02..0.065).contains(&adjusted), "adjusted: {adjusted}");
}
