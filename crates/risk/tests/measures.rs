//! Properties that risk measures have by their definition, on arbitrary returns.

use proptest::{collection::vec, prelude::*};
use tailguard_risk::{
    MeanShare, Measure, Mixture, RiskAversion, RiskError, RiskLevel, RiskMeasure, cvar,
    cvar_conditional_mean, cvar_rockafellar_uryasev, entropic, mean, quantile,
};

fn any_returns() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![(-3_i32..3).prop_map(f64::from), -1000.0..1000.0], 1..120)
}

fn any_level() -> impl Strategy<Value = RiskLevel> {
    prop_oneof![(1_u32..=100).prop_map(|percent| f64::from(percent) / 100.0), 0.001..=1.0]
        .prop_filter_map("alpha in (0, 1]", |alpha| RiskLevel::new(alpha).ok())
}

fn any_measure() -> impl Strategy<Value = Measure> {
    prop_oneof![
        Just(Measure::Mean),
        any_level().prop_map(Measure::Cvar),
        any_level().prop_map(Measure::CvarConditionalMean),
        any_level().prop_map(Measure::CvarRockafellarUryasev),
        (0.01..10.0).prop_filter_map("lambda above 0", |lambda| RiskAversion::new(lambda)
            .ok()
            .map(Measure::Entropic)),
    ]
}

/// Rounding for returns up to a few thousand; the entropic measure of lambda 0.01 is the coarsest.
const ROUNDING: f64 = 1e-9;

proptest! {
    #[test]
    fn every_measure_lies_between_the_lowest_return_and_the_mean(
        returns in any_returns(),
        measure in any_measure(),
    ) {
        let value = measure.value(&returns).unwrap();
        let lowest = returns.iter().copied().fold(f64::INFINITY, f64::min);
        prop_assert!(value >= lowest);
        prop_assert!(value <= mean(&returns).unwrap() + ROUNDING);
    }

    #[test]
    fn no_measure_depends_on_the_order(
        (returns, shuffled) in any_returns()
            .prop_flat_map(|returns| (Just(returns.clone()), Just(returns).prop_shuffle())),
        measure in any_measure(),
        level in any_level(),
    ) {
        prop_assert_eq!(
            measure.value(&returns).unwrap().to_bits(),
            measure.value(&shuffled).unwrap().to_bits()
        );
        prop_assert_eq!(
            cvar(&returns, level).unwrap().to_bits(),
            cvar(&shuffled, level).unwrap().to_bits()
        );
    }

    #[test]
    fn a_shift_of_all_returns_shifts_every_measure(
        returns in any_returns(),
        measure in any_measure(),
        shift in -1000.0_f64..1000.0,
    ) {
        // The conditional mean is left out: a shift can merge returns that differed by less than
        // rounding.
        prop_assume!(!matches!(measure, Measure::CvarConditionalMean(_)));
        let shifted: Vec<f64> = returns.iter().map(|value| value + shift).collect();
        let (value, moved) = (measure.value(&returns).unwrap(), measure.value(&shifted).unwrap());
        prop_assert!((value + shift - moved).abs() < ROUNDING);
    }

    #[test]
    fn cvar_scales_with_the_returns(
        returns in any_returns(),
        level in any_level(),
        scale in 0.001_f64..1000.0,
    ) {
        let scaled: Vec<f64> = returns.iter().map(|value| value * scale).collect();
        for form in [cvar, cvar_rockafellar_uryasev] {
            let (value, expected) =
                (form(&scaled, level).unwrap(), scale * form(&returns, level).unwrap());
            prop_assert!((value - expected).abs() < ROUNDING * scale.max(1.0));
        }
    }

    #[test]
    fn cvar_is_superadditive(
        pairs in vec((-100.0..100.0, -100.0..100.0), 1..80),
        level in any_level(),
    ) {
        let (left, right): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let both: Vec<f64> = left.iter().zip(&right).map(|(left, right)| left + right).collect();
        for form in [cvar, cvar_rockafellar_uryasev] {
            let apart = form(&left, level).unwrap() + form(&right, level).unwrap();
            prop_assert!(form(&both, level).unwrap() >= apart - ROUNDING);
        }
    }

    #[test]
    fn cvar_never_falls_as_alpha_rises(
        returns in any_returns(),
        left in any_level(),
        right in any_level(),
    ) {
        let (low, high) = if left.alpha() <= right.alpha() { (left, right) } else { (right, left) };
        for form in [cvar, cvar_conditional_mean, cvar_rockafellar_uryasev] {
            prop_assert!(form(&returns, low).unwrap() <= form(&returns, high).unwrap() + ROUNDING);
        }
    }

    #[test]
    fn better_returns_never_lower_a_measure(
        pairs in vec((-100.0..100.0, 0.0..10.0), 1..80),
        level in any_level(),
        lambda in 0.01..10.0,
    ) {
        let worse: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        let better: Vec<f64> = pairs.iter().map(|pair| pair.0 + pair.1).collect();
        let aversion = RiskAversion::new(lambda).unwrap();
        for measure in [
            Measure::Cvar(level),
            Measure::CvarRockafellarUryasev(level),
            Measure::Entropic(aversion),
        ] {
            prop_assert!(
                measure.value(&better).unwrap() >= measure.value(&worse).unwrap() - ROUNDING
            );
        }
    }

    #[test]
    fn the_forms_of_cvar_are_ordered_and_agree_where_they_should(
        returns in any_returns(),
        level in any_level(),
    ) {
        let lowest_mean = cvar(&returns, level).unwrap();
        let conditional = cvar_conditional_mean(&returns, level).unwrap();
        let optimum = cvar_rockafellar_uryasev(&returns, level).unwrap();
        prop_assert!(optimum <= lowest_mean + ROUNDING && lowest_mean <= conditional + ROUNDING);

        let cut = quantile(&returns, level).unwrap();
        if returns.iter().filter(|&&value| value <= cut).count() == level.count(returns.len()) {
            prop_assert!((conditional - lowest_mean).abs() < ROUNDING);
        }
        let fours: Vec<f64> = returns.iter().flat_map(|&value| [value; 4]).collect();
        let quarter = RiskLevel::new(0.25).unwrap(); // of 4 n returns: whole
        prop_assert!(
            (cvar(&fours, quarter).unwrap() - cvar_rockafellar_uryasev(&fours, quarter).unwrap())
                .abs()
                < ROUNDING
        );
    }

    #[test]
    fn the_optimum_of_rockafellar_and_uryasev_is_the_best_of_all_cuts(
        returns in any_returns(),
        level in any_level(),
    ) {
        let objective = |cut: f64| {
            let shortfall: f64 = returns.iter().map(|value| (cut - value).max(0.0)).sum();
            cut - shortfall / returns.len() as f64 / level.alpha()
        };
        let best = returns.iter().map(|&cut| objective(cut)).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!((cvar_rockafellar_uryasev(&returns, level).unwrap() - best).abs() < 1e-7);
    }

    #[test]
    fn at_alpha_one_every_form_of_cvar_is_the_mean(returns in any_returns()) {
        let all = RiskLevel::new(1.0).unwrap();
        let mean = mean(&returns).unwrap();
        for form in [cvar, cvar_conditional_mean, cvar_rockafellar_uryasev] {
            prop_assert!((form(&returns, all).unwrap() - mean).abs() < ROUNDING);
        }
    }

    #[test]
    fn weights_are_a_distribution_that_never_rises(
        returns in any_returns(),
        measure in any_measure(),
    ) {
        let mut sorted = returns;
        sorted.sort_by(f64::total_cmp);
        let weights = measure.weights(&sorted);
        prop_assert!(weights.iter().all(|&weight| weight >= 0.0));
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(weights.is_sorted_by(|earlier, later| earlier >= later));
    }

    #[test]
    fn episode_weights_give_the_same_weighted_mean(returns in any_returns(), level in any_level()) {
        let weights = Measure::Cvar(level).episode_weights(&returns).unwrap();
        let value: f64 = returns.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        prop_assert!((value - cvar(&returns, level).unwrap()).abs() < ROUNDING);
        let kept: Vec<usize> = (0..returns.len()).filter(|&index| weights[index] > 0.0).collect();
        prop_assert_eq!(
            kept,
            tailguard_risk::lowest(&returns, level.count(returns.len())).unwrap()
        );
    }

    #[test]
    fn the_entropic_measure_falls_with_aversion(
        returns in any_returns(),
        low in 0.01..10.0,
        factor in 1.0..10.0,
    ) {
        let at = |lambda| entropic(&returns, RiskAversion::new(lambda).unwrap()).unwrap();
        prop_assert!(at(low * factor) <= at(low) + ROUNDING);
    }

    #[test]
    fn entropic_weights_are_its_gradient(
        returns in vec(-3.0..3.0, 1..10),
        lambda in 0.1..2.0,
        which: prop::sample::Index,
    ) {
        let measure = Measure::Entropic(RiskAversion::new(lambda).unwrap());
        let (index, step) = (which.index(returns.len()), 1e-5);
        let at = |shift: f64| {
            let mut moved = returns.clone();
            moved[index] += shift;
            measure.value(&moved).unwrap()
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        prop_assert!((slope - measure.episode_weights(&returns).unwrap()[index]).abs() < 1e-6);
    }

    #[test]
    fn one_bad_return_is_named_by_every_measure(
        mut returns in any_returns(),
        measure in any_measure(),
        which: prop::sample::Index,
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ) {
        let index = which.index(returns.len());
        returns[index] = bad;
        let refused = |result: Result<f64, RiskError>| {
            matches!(result, Err(RiskError::NotFinite { index: at, .. }) if at == index)
        };
        prop_assert!(refused(measure.value(&returns)));
        prop_assert!(refused(cvar(&returns, RiskLevel::new(0.5).unwrap())));
        let weights = measure.episode_weights(&returns);
        prop_assert!(matches!(weights, Err(RiskError::NotFinite { .. })), "{:?}", weights);
    }
}

/// A measure whose weights are what the caller says.
struct Given(Vec<f64>);

impl RiskMeasure for Given {
    fn weights(&self, _sorted: &[f64]) -> Vec<f64> {
        self.0.clone()
    }
}

#[test]
fn weights_that_are_no_distribution_over_the_returns_are_refused() {
    let returns = [3.0, 1.0, 2.0];
    let both = |weights: &[f64]| {
        let measure = Given(weights.to_vec());
        let (value, weights) = (measure.value(&returns), measure.episode_weights(&returns));
        // by their words: NaN is not NaN
        assert_eq!(
            value.as_ref().err().map(ToString::to_string),
            weights.as_ref().err().map(ToString::to_string)
        );
        value
    };
    assert_eq!(both(&[0.5, 0.5, 0.0]), Ok(1.5));
    assert_eq!(both(&[0.5, 0.5]), Err(RiskError::WeightCount { found: 2, expected: 3 }));
    assert_eq!(both(&[0.25; 4]), Err(RiskError::WeightCount { found: 4, expected: 3 }));
    assert!(matches!(both(&[0.5, f64::NAN, 0.5]), Err(RiskError::Weight { rank: 1, .. })));
    assert!(matches!(both(&[f64::INFINITY, 0.0, 0.0]), Err(RiskError::Weight { rank: 0, .. })));
    assert!(matches!(both(&[1.5, 0.0, -0.5]), Err(RiskError::Weight { rank: 2, .. })));
    assert_eq!(both(&[0.5, 0.25, 0.0]), Err(RiskError::WeightSum { sum: 0.75 }));
    assert_eq!(both(&[1.0, 1.0, 0.0]), Err(RiskError::WeightSum { sum: 2.0 }));
    assert_eq!(both(&[0.0; 3]), Err(RiskError::WeightSum { sum: 0.0 }));
}

#[test]
fn of_equal_returns_the_earlier_one_has_the_earlier_weight() {
    let half = Measure::Cvar(RiskLevel::new(0.5).unwrap());
    // 0 and -0 are equal
    assert_eq!(half.episode_weights(&[0.0, -0.0]), Ok(vec![1.0, 0.0]));
}

#[test]
fn the_weights_of_a_mixture_are_mixed() {
    let share = MeanShare::new(0.5).unwrap();
    let mixture = Mixture::new(share, Measure::Cvar(RiskLevel::new(0.5).unwrap()));
    assert_eq!(mixture.episode_weights(&[4.0, -2.0]), Ok(vec![0.25, 0.75]));
    let of_three = Mixture::new(share, Measure::WorstOf(3.try_into().unwrap()));
    let too_few = RiskError::TooFew { needed: 3, found: 2 };
    assert_eq!(of_three.episode_weights(&[4.0, -2.0]), Err(too_few));
}

#[test]
fn a_boxed_measure_is_the_measure() {
    let returns = [3.0, -1.0, 0.5, 2.0];
    let aversion = RiskAversion::new(0.7).unwrap();
    for plain in [Measure::Entropic(aversion), Measure::WorstOf(3.try_into().unwrap())] {
        let boxed: Box<dyn RiskMeasure> = Box::new(plain);
        assert_eq!(boxed.value(&returns), plain.value(&returns));
        assert_eq!(boxed.utility(&returns), plain.utility(&returns));
        assert_eq!(boxed.episode_weights(&returns), plain.episode_weights(&returns));
        assert_eq!(boxed.weights(&[1.0, 2.0, 3.0]), plain.weights(&[1.0, 2.0, 3.0]));
        assert_eq!(boxed.fewest(), plain.fewest());
    }
}

#[test]
fn no_measure_has_weights_of_no_returns() {
    let level = RiskLevel::new(0.5).unwrap();
    let measures = [
        Measure::Mean,
        Measure::Cvar(level),
        Measure::CvarConditionalMean(level),
        Measure::CvarRockafellarUryasev(level),
        Measure::Entropic(RiskAversion::new(1.0).unwrap()),
    ];
    for measure in measures {
        assert!(measure.weights(&[]).is_empty(), "{measure:?}");
    }
}

#[test]
fn empty_returns_are_refused_by_every_measure() {
    let level = RiskLevel::new(0.5).unwrap();
    let aversion = RiskAversion::new(1.0).unwrap();
    for form in [cvar, cvar_conditional_mean, cvar_rockafellar_uryasev] {
        assert_eq!(form(&[], level), Err(RiskError::Empty));
    }
    assert_eq!(mean(&[]), Err(RiskError::Empty));
    assert_eq!(entropic(&[], aversion), Err(RiskError::Empty));
    assert_eq!(Measure::Mean.episode_weights(&[]), Err(RiskError::Empty));
}

#[test]
fn the_largest_doubles_do_not_overflow() {
    let returns = [f64::MAX, f64::MAX, f64::MIN, f64::MAX];
    let half = RiskLevel::new(0.5).unwrap();
    assert_eq!(mean(&[f64::MAX; 7]), Ok(f64::MAX));
    assert_eq!(cvar(&returns, half), Ok(0.0));
    assert_eq!(entropic(&returns, RiskAversion::new(1.0).unwrap()), Ok(f64::MIN));
}
