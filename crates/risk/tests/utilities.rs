//! The utilities of measures: by hand, by the reference numbers, and by what they must be for any
//! returns.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its measures has failed")]

use std::num::NonZeroUsize;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tailguard_risk::{
    MeanShare, Measure, Mixture, RiskAversion, RiskError, RiskLevel, RiskMeasure, Spectrum,
    Utility, mean, quantile,
};
use tailguard_tests::{cases, close, count, float, floats, list, name};

fn any_returns() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![(-3_i32..3).prop_map(f64::from), -1000.0..1000.0, Just(-0.0)], 1..80)
}

fn any_level() -> impl Strategy<Value = RiskLevel> {
    prop_oneof![(1_u32..=100).prop_map(|percent| f64::from(percent) / 100.0), 0.001..=1.0]
        .prop_map(|alpha| RiskLevel::new(alpha).unwrap())
}

fn worst_of(count: usize) -> Measure {
    Measure::WorstOf(NonZeroUsize::new(count).unwrap())
}

fn aversion(lambda: f64) -> RiskAversion {
    RiskAversion::new(lambda).unwrap()
}

/// Measures, of which those before the last do not look at the returns.
fn measures(level: RiskLevel, parts: &[f64], share: f64, lambda: f64) -> Vec<Box<dyn RiskMeasure>> {
    let mut parts = parts.to_vec();
    parts.sort_by(|left, right| right.total_cmp(left));
    vec![
        Box::new(Measure::Mean),
        Box::new(Measure::Cvar(level)),
        Box::new(Measure::CvarConditionalMean(level)),
        Box::new(Measure::CvarRockafellarUryasev(level)),
        Box::new(worst_of(1 + parts.len())),
        Box::new(Spectrum::new(&parts).unwrap()),
        Box::new(Mixture::new(MeanShare::new(share).unwrap(), Measure::Cvar(level))),
        Box::new(Measure::Entropic(aversion(lambda))),
    ]
}

#[test]
fn a_table_by_hand() {
    let returns = [4.0, -2.0, 0.0, 1.0, 3.0];
    let table: Vec<(Box<dyn RiskMeasure>, [f64; 5], f64)> = vec![
        (Box::new(Measure::Mean), [4.0, -2.0, 0.0, 1.0, 3.0], 1.0),
        // the two lowest: the cap is the second
        (Box::new(Measure::Cvar(RiskLevel::new(0.4).unwrap())), [0.0, -2.0, 0.0, 0.0, 0.0], 2.5),
        // 0.5 of five are two and a half: the cap lies halfway from the second to the third
        (
            Box::new(Measure::CvarRockafellarUryasev(RiskLevel::new(0.5).unwrap())),
            [0.5, -2.0, 0.0, 0.5, 0.5],
            2.0,
        ),
        // less than one of five is the worst alone
        (Box::new(Measure::CvarRockafellarUryasev(RiskLevel::new(0.1).unwrap())), [-2.0; 5], 5.0),
        // weights 4/10, 3/10, 2/10, 1/10, 0: slopes 3/4, 1/2, 1/4, 0 over gaps of 2, 1, 2, 1
        (Box::new(worst_of(2)), [0.5, -2.0, -0.5, 0.0, 0.5], 2.0),
        // weights 5, 5, 4, 3, 3 of 20: slopes 1, 4/5, 3/5, 3/5
        (Box::new(Spectrum::new(&[5.0, 3.0]).unwrap()), [2.6, -2.0, 0.0, 0.8, 2.0], 1.25),
        // half of the mean's slope of 1, half of 2.5, 2.5, 0, 0, 0: in all 1.75, 1.75, 0.5, 0.5,
        // 0.5
        (
            Box::new(Mixture::new(
                MeanShare::new(0.5).unwrap(),
                Measure::Cvar(RiskLevel::new(0.4).unwrap()),
            )),
            [4.0 * 2.0 / 7.0, -2.0, 0.0, 2.0 / 7.0, 6.0 / 7.0],
            1.75,
        ),
    ];
    for (measure, expected, scale) in table {
        let Utility { values, scale: found } = measure.utility(&returns).unwrap();
        close(&values, &expected, 1e-14, "by hand");
        close(&[found], &[scale], 1e-14, "scale");
    }
}

#[test]
fn the_entropic_utility_by_hand() {
    // exp(-r) is 1 and 3: the measure is -ln 2
    let returns = [0.0, -(3.0_f64.ln())];
    let utility = Measure::Entropic(aversion(1.0)).utility(&returns).unwrap();
    let centre = -(2.0_f64.ln());
    close(&utility.values, &[centre + 1.0 - 0.5, centre + 1.0 - 1.5], 1e-14, "entropic");
    close(&[utility.scale], &[1.0], 0.0, "scale");
}

#[test]
fn golden_utilities() {
    let file = cases("risk/utilities.json");
    for case in list(&file["arrays"]) {
        let returns = floats(&case["values"]);
        let check = |row: &Value, measure: &dyn RiskMeasure| {
            let what = format!("{}, {row}", name(case));
            let utility = measure.utility(&returns).unwrap();
            close(
                &[measure.value(&returns).unwrap()],
                &[float(&row["value"])],
                1e-5 * (1.0 + float(&row["value"]).abs()),
                &what,
            );
            for (found, expected) in utility.values.iter().zip(floats(&row["utilities"])) {
                close(&[*found], &[expected], 1e-5 * (1.0 + expected.abs()), &what);
            }
            close(
                &[utility.scale],
                &[float(&row["scale"])],
                1e-5 * (1.0 + float(&row["scale"])),
                &what,
            );
        };
        let cvar = |row: &Value| {
            Measure::CvarRockafellarUryasev(RiskLevel::new(float(&row["alpha"])).unwrap())
        };
        list(&case["cvar"]).iter().for_each(|row| check(row, &cvar(row)));
        list(&case["worst_of"]).iter().for_each(|row| check(row, &worst_of(count(&row["k"]))));
        list(&case["spectral"])
            .iter()
            .for_each(|row| check(row, &Spectrum::new(&floats(&row["parts"])).unwrap()));
        let mixture =
            |row: &Value| Mixture::new(MeanShare::new(float(&row["share"])).unwrap(), cvar(row));
        list(&case["mixture"]).iter().for_each(|row| check(row, &mixture(row)));
        list(&case["entropic"])
            .iter()
            .for_each(|row| check(row, &Measure::Entropic(aversion(float(&row["lambda"])))));
    }
}

proptest! {
    #[test]
    fn cvar_caps_the_returns_at_the_quantile(returns in any_returns(), level in any_level()) {
        let eta = quantile(&returns, level).unwrap();
        let capped: Vec<f64> = returns.iter().map(|value| value.min(eta)).collect();
        prop_assert_eq!(&Measure::Cvar(level).utility(&returns).unwrap().values, &capped);
        prop_assert_eq!(
            &Measure::CvarConditionalMean(level).utility(&returns).unwrap().values,
            &capped
        );
        // the other form has its cap between that return and the one below
        let values = Measure::CvarRockafellarUryasev(level).utility(&returns).unwrap().values;
        let cap = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let below =
            returns.iter().copied().filter(|value| *value < eta).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(cap <= eta && (cap >= below), "{cap} of {below} to {eta}");
        prop_assert_eq!(
            values,
            returns.iter().map(|of_return| of_return.min(cap)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_mean_and_level_one_leave_returns_to_the_last_bit(returns in any_returns()) {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let neutral: [&dyn RiskMeasure; 5] = [
            &Measure::Mean,
            &Measure::Cvar(RiskLevel::NEUTRAL),
            &Measure::CvarRockafellarUryasev(RiskLevel::NEUTRAL),
            &worst_of(1),
            &Mixture::new(MeanShare::new(0.4).unwrap(), Measure::Mean),
        ];
        for measure in neutral {
            let utility = measure.utility(&returns).unwrap();
            prop_assert_eq!(bits(&utility.values), bits(&returns));
            prop_assert!((utility.scale - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn utilities_rise_with_the_returns_and_no_faster(
        returns in any_returns(),
        level in any_level(),
        parts in vec(0.1..3.0, 1..6),
        share in 0.0..=1.0,
        lambda in 0.01..2.0,
    ) {
        let measures = measures(level, &parts, share, lambda);
        let last = measures.len() - 1;
        for (place, measure) in measures.iter().enumerate() {
            let Utility { values, scale } = measure.utility(&returns).unwrap();
            prop_assert!(values.iter().all(|value| value.is_finite()) && scale > 0.0);
            let mut pairs: Vec<(f64, f64)> = returns.iter().copied().zip(values).collect();
            pairs.sort_by(|left, right| left.0.total_cmp(&right.0));
            let mut slope_before = f64::INFINITY;
            for pair in pairs.windows(2) {
                let (gap, rise) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
                prop_assert!(rise >= -1e-9, "measure {place}: falls by {rise}");
                if gap <= 0.0 {
                    prop_assert!(
                        (pair[1].1 - pair[0].1).abs() <= 0.0,
                        "measure {place}: ties differ"
                    );
                } else if gap > 1e-3 && place < last {
                    let slope = rise / gap;
                    prop_assert!(
                        slope <= slope_before + 1e-6,
                        "measure {place}: slope rises to {slope}"
                    );
                    prop_assert!(slope < 1.0 + 1e-6, "measure {place}: slope {slope}");
                    slope_before = slope;
                }
            }
            if place < last {
                prop_assert!(
                    (pairs[0].0 - pairs[0].1).abs() <= 0.0,
                    "measure {place}: the lowest is itself"
                );
            }
        }
    }

    #[test]
    fn no_utility_depends_on_the_order(
        (returns, order) in any_returns().prop_flat_map(|returns| {
            let order: Vec<usize> = (0..returns.len()).collect();
            (Just(returns), Just(order).prop_shuffle())
        }),
        level in any_level(), parts in vec(0.1..3.0, 1..6), share in 0.0..=1.0, lambda in 0.01..2.0,
    ) {
        let shuffled: Vec<f64> = order.iter().map(|&place| returns[place]).collect();
        for measure in measures(level, &parts, share, lambda) {
            let (plain, moved) =
                (measure.utility(&returns).unwrap(), measure.utility(&shuffled).unwrap());
            let expected: Vec<f64> = order.iter().map(|&place| plain.values[place]).collect();
            prop_assert_eq!(moved.values, expected);
            prop_assert_eq!(moved.scale.to_bits(), plain.scale.to_bits());
        }
    }

    #[test]
    fn equal_returns_have_themselves_as_utility(
        value in -100.0..100.0,
        len in 1_usize..40,
        level in any_level(),
        lambda in 0.01..2.0,
    ) {
        let returns = vec![value; len];
        for measure in measures(level, &[2.0, 1.0], 0.3, lambda) {
            for utility in measure.utility(&returns).unwrap().values {
                prop_assert!((utility - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_mean_of_entropic_utilities_is_the_measure(
        returns in vec(-20.0..20.0, 1..80),
        lambda in 0.01..3.0,
    ) {
        let measure = Measure::Entropic(aversion(lambda));
        let utility = measure.utility(&returns).unwrap();
        let bound = 1e-9 * (1.0 + returns.len() as f64 / lambda);
        prop_assert!(
            (mean(&utility.values).unwrap() - measure.value(&returns).unwrap()).abs() < bound
        );
        // one return of n cannot be worth more than n
        prop_assert!(
            utility.values.iter().all(|value| value.abs() <= 21.0 + returns.len() as f64 / lambda)
        );
    }

    #[test]
    fn a_tiny_aversion_is_the_mean(returns in vec(-20.0..20.0, 1..80)) {
        close(
            &Measure::Entropic(aversion(1e-12)).utility(&returns).unwrap().values,
            &returns,
            1e-8,
            "tiny aversion",
        );
    }

    #[test]
    fn the_worst_of_k_is_the_mean_over_all_choices(
        returns in vec(-9.0..9.0, 1..9),
        choice: prop::sample::Index,
    ) {
        let count = choice.index(returns.len()) + 1;
        let chosen =
            |subset: usize| (0..returns.len()).filter(move |place| subset >> place & 1 == 1);
        let subsets: Vec<usize> =
            (0..1 << returns.len()).filter(|&subset| chosen(subset).count() == count).collect();
        let lowest = |&subset: &usize| {
            chosen(subset).map(|place| returns[place]).fold(f64::INFINITY, f64::min)
        };
        let expected = subsets.iter().map(lowest).sum::<f64>() / subsets.len() as f64;
        prop_assert!((worst_of(count).value(&returns).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn the_worst_of_k_falls_with_k_from_the_mean_to_the_lowest(returns in any_returns()) {
        let values: Vec<f64> =
            (1..=returns.len()).map(|count| worst_of(count).value(&returns).unwrap()).collect();
        prop_assert!(values.is_sorted_by(|fewer, more| more <= &(fewer + 1e-9)));
        prop_assert!((values[0] - mean(&returns).unwrap()).abs() < 1e-9);
        let lowest = returns.iter().copied().fold(f64::INFINITY, f64::min);
        prop_assert!((values[returns.len() - 1] - lowest).abs() < 1e-9);
    }

    #[test]
    fn a_spectrum_of_one_part_is_the_mean_and_one_that_ends_is_cvar(
        returns in any_returns(), parts in 1_usize..9, used: prop::sample::Index,
    ) {
        let used = used.index(parts) + 1;
        let heights: Vec<f64> = (0..parts).map(|part| f64::from(u8::from(part < used))).collect();
        let value = Spectrum::new(&heights).unwrap().value(&returns).unwrap();
        let level = RiskLevel::new(used as f64 / parts as f64).unwrap();
        prop_assert!(
            (value - Measure::CvarRockafellarUryasev(level).value(&returns).unwrap()).abs() < 1e-9
        );
    }

    #[test]
    fn spectral_weights_are_a_distribution_that_never_rises(
        len in 1_usize..90,
        mut parts in vec(0.0..3.0_f64, 1..9),
    ) {
        parts.sort_by(|left, right| right.total_cmp(left));
        prop_assume!(parts[0] > 0.0);
        let weights = Spectrum::new(&parts).unwrap().weights(&vec![0.0; len]);
        prop_assert!(weights.iter().all(|weight| *weight >= 0.0));
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(weights.is_sorted_by(|earlier, later| earlier >= later));
    }

    #[test]
    fn one_bad_return_is_named_by_every_utility(
        mut returns in any_returns(), which: prop::sample::Index, level in any_level(),
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ) {
        let index = which.index(returns.len());
        returns[index] = bad;
        for measure in measures(level, &[1.0], 0.5, 1.0) {
            let is_named = matches!(
                measure.utility(&returns),
                Err(RiskError::NotFinite { index: at, .. }) if at == index
            );
            prop_assert!(is_named);
        }
    }
}

#[test]
fn no_returns_have_no_utility() {
    for measure in measures(RiskLevel::new(0.4).unwrap(), &[1.0], 0.5, 1.0) {
        assert_eq!(measure.utility(&[]), Err(RiskError::Empty));
    }
}

#[test]
fn too_few_returns_have_no_worst_of_k_but_a_utility() {
    let measure = worst_of(3);
    let returns = [2.0, 1.0];
    let error = RiskError::TooFew { needed: 3, found: 2 };
    assert_eq!(measure.value(&returns), Err(error.clone()));
    assert_eq!(measure.episode_weights(&returns), Err(error.clone()));
    assert_eq!(error.to_string(), "2 returns, expected at least 3");
    let mixture = Mixture::new(MeanShare::new(0.5).unwrap(), measure);
    assert_eq!(mixture.value(&returns), Err(error));
    assert_eq!(measure.utility(&returns).unwrap().values, [1.0, 1.0]);
}

/// Weights that are greatest in the middle: no measure of risk, but one of location.
struct Median;

impl RiskMeasure for Median {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        let middle = sorted.len() / 2;
        (0..sorted.len()).map(|rank| f64::from(u8::from(rank == middle))).collect()
    }
}

#[test]
fn weights_that_rise_have_a_utility_and_bad_ones_have_none() {
    let utility = Median.utility(&[5.0, 1.0, 2.0]).unwrap();
    // slope 1 below the middle alone: the lowest is worth 0 of it
    assert_eq!(utility, Utility { values: vec![1.0, 0.0, 1.0], scale: 3.0 });
    struct TooMany;
    impl RiskMeasure for TooMany {
        fn weights(&self, _: &[f64]) -> Vec<f64> {
            vec![0.25; 4]
        }
    }
    assert_eq!(TooMany.utility(&[1.0, 2.0]), Err(RiskError::WeightCount { found: 4, expected: 2 }));
}

#[test]
fn the_largest_doubles_do_not_overflow() {
    let returns = [f64::MAX, f64::MIN, f64::MAX, f64::MIN];
    for share in [0.0, 0.3, 1.0] {
        for measure in measures(RiskLevel::new(0.75).unwrap(), &[3.0, 2.0, 1.0], share, 1.0) {
            let values = measure.utility(&returns).unwrap().values;
            assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
        }
    }
    // of the highest: MIN and twice MAX by the slope, which is the second weight over the first
    let cvar = Measure::Cvar(RiskLevel::new(0.5).unwrap());
    let table: [(&dyn RiskMeasure, f64, f64); 3] = [
        (&Spectrum::new(&[3.0, 1.0]).unwrap(), -1.0 / 3.0, 1.5),
        (&Spectrum::new(&[4.0, 3.0]).unwrap(), 0.5, 8.0 / 7.0),
        (&Mixture::new(MeanShare::new(0.5).unwrap(), cvar), -1.0 / 3.0, 1.5),
    ];
    for (measure, highest, expected) in table {
        let Utility { values, scale } = measure.utility(&[f64::MAX, f64::MIN]).unwrap();
        let found = [values[0] / f64::MAX, values[1] / f64::MAX, scale];
        close(&found, &[highest, -1.0, expected], 1e-14, "the largest doubles");
    }
}
