//! Measures of returns that are not equally likely: by hand, against those of equal ones, and by
//! what a utility must be.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its measures has failed")]

use std::num::NonZeroUsize;

use proptest::{collection::vec, prelude::*};
use tailguard_risk::{
    MeanShare, Measure, Mixture, RiskAversion, RiskError, RiskLevel, RiskMeasure, Spectrum,
    Utility, Weighted, Worth,
};

fn level(alpha: f64) -> RiskLevel {
    RiskLevel::new(alpha).unwrap()
}

fn worst_of(count: usize) -> Measure {
    Measure::WorstOf(NonZeroUsize::new(count).unwrap())
}

fn measures() -> Vec<Box<dyn RiskMeasure>> {
    let share = MeanShare::new(0.25).unwrap();
    vec![
        Box::new(Measure::Mean),
        Box::new(Measure::CvarRockafellarUryasev(level(0.3))),
        Box::new(Spectrum::new(&[4.0, 2.0, 1.0]).unwrap()),
        Box::new(Mixture::new(share, Measure::CvarRockafellarUryasev(level(0.3)))),
        Box::new(Measure::Entropic(RiskAversion::new(0.7).unwrap())),
        Box::new(worst_of(3)),
    ]
}

/// Only the weights of equally likely returns.
struct Plain(Box<dyn RiskMeasure>);

impl RiskMeasure for Plain {
    fn weights(&self, sorted: &[f64]) -> Vec<f64> {
        self.0.weights(sorted)
    }
}

/// A measure, its value, its utilities and their scale.
type Row = (Box<dyn RiskMeasure>, f64, [f64; 3], f64);

#[test]
fn a_table_by_hand() {
    let (returns, masses) = ([-2.0, 0.0, 4.0], [0.25, 0.5, 0.25]);
    let table: [Row; 6] = [
        (Box::new(Measure::Mean), 0.5, returns, 1.0),
        (Box::new(Measure::Cvar(level(0.5))), -1.0, [-2.0, 0.0, 0.0], 2.0),
        // reached at the second return exactly, or only at the last
        (Box::new(Measure::Cvar(level(0.75))), -2.0 / 3.0, [-2.0, 0.0, 0.0], 1.0 / 0.75),
        (Box::new(Measure::Cvar(level(0.8))), -0.5 / 0.8 + 0.2 / 0.8, returns, 1.25),
        // 7/16, 8/16 and 1/16 of the attention; slopes 3/4 and 1/4
        (Box::new(worst_of(2)), -14.0 / 16.0 + 4.0 / 16.0, [-2.0, -0.5, 0.5], 2.0),
        // 3/8, 3/8 + 1/8 and 1/8; slopes 1 and 1/3
        (Box::new(Spectrum::new(&[3.0, 1.0]).unwrap()), -0.75 + 0.5, [-2.0, 0.0, 4.0 / 3.0], 1.5),
    ];
    for (place, (measure, value, utilities, scale)) in table.into_iter().enumerate() {
        let worth = measure.worth(Weighted::new(&returns, &masses).unwrap()).unwrap();
        let Worth { value: found, utility: Utility { values, scale: found_scale } } = worth;
        assert!((found - value).abs() < 1e-9, "{place}: {found}");
        assert!((found_scale - scale).abs() < 1e-12, "{place}: {found_scale}");
        for (found, expected) in values.iter().zip(utilities) {
            assert!((found - expected).abs() < 1e-9, "{place}: {values:?}");
        }
    }
}

#[test]
fn what_is_no_distribution_is_refused() {
    let refused = |returns: &[f64], masses: &[f64]| {
        Weighted::new(returns, masses).map(|_| ()).unwrap_err().to_string()
    };
    assert!(matches!(Weighted::new(&[], &[]), Err(RiskError::Empty)));
    assert!(matches!(Weighted::new(&[f64::NAN], &[1.0]), Err(RiskError::NotFinite { .. })));
    assert_eq!(
        refused(&[0.0, 1.0, 0.5], &[0.5, 0.25, 0.25]),
        "return 2 is below the one before it, expected returns that ascend"
    );
    assert_eq!(
        refused(&[0.0, 1.0], &[1.0]),
        "there are 1 probabilities, expected one per return: 2"
    );
    assert_eq!(
        refused(&[0.0, 1.0], &[1.5, -0.5]),
        "the probability of return 1 is -0.5, expected a number of at least 0"
    );
    assert_eq!(
        refused(&[0.0, 1.0], &[0.5, 0.25]),
        "the probabilities of the returns sum to 0.75, expected 1"
    );
}

/// Returns that ascend, and probabilities.
fn any_distribution() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    vec((-5.0_f64..5.0, 0.01_f64..1.0), 2..30).prop_map(|mut pairs| {
        pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let sum: f64 = pairs.iter().map(|(_, mass)| mass).sum();
        pairs.into_iter().map(|(value, mass)| (value, mass / sum)).unzip()
    })
}

proptest! {
    #[test]
    fn equal_probabilities_give_the_measure_itself(mut returns in vec(-5.0_f64..5.0, 1..40)) {
        returns.sort_by(f64::total_cmp);
        let masses = vec![1.0 / returns.len() as f64; returns.len()];
        // the worst of k is unbiased for a sample, and exact for a distribution
        for measure in measures().iter().take(5) {
            let worth = measure.worth(Weighted::new(&returns, &masses).unwrap()).unwrap();
            prop_assert!((worth.value - measure.value(&returns).unwrap()).abs() < 1e-9);
        }
    }

    #[test]
    fn utilities_are_what_moving_a_little_mass_changes(
        (returns, masses) in any_distribution(),
        from in 0_usize..30,
        to in 0_usize..30,
    ) {
        let (from, to) = (from % returns.len(), to % returns.len());
        for measure in measures() {
            let worth = |masses: &[f64]| {
                measure.worth(Weighted::new(&returns, masses).unwrap()).unwrap()
            };
            let (here, step) = (worth(&masses), 1e-7);
            let mut moved = masses.clone();
            moved[from] -= step;
            moved[to] += step;
            let Utility { values, scale } = &here.utility;
            let slope = (worth(&moved).value - here.value) / step;
            let expected = scale * (values[to] - values[from]);
            // kinks are where a level is met within the step
            let mut mass = 0.0;
            let is_near = masses.iter().any(|own| {
                mass += own;
                [0.3, 1.0 / 3.0, 2.0 / 3.0].iter().any(|level| (mass - level).abs() < 1e-5)
            });
            prop_assert!(is_near || (slope - expected).abs() < 1e-3, "{slope} and {expected}");
            prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        }
    }

    #[test]
    fn a_measure_of_ranks_alone_is_asked_about_quantiles((returns, masses) in any_distribution()) {
        for measure in [
            Box::new(Measure::CvarRockafellarUryasev(level(0.3))) as Box<dyn RiskMeasure>,
            Box::new(Spectrum::new(&[4.0, 2.0, 1.0]).unwrap()),
        ] {
            let sample = Weighted::new(&returns, &masses).unwrap();
            let exact = measure.worth(sample).unwrap();
            let asked = Plain(measure).worth(sample).unwrap();
            prop_assert!((exact.value - asked.value).abs() < 0.02);
            prop_assert!((exact.utility.scale - asked.utility.scale).abs() < 0.01);
        }
    }
}
