//! Mean and standard deviation, and the differences of pairs.

use crate::{
    MetricsError,
    error::{check, check_pair},
};

/// The mean of the values.
///
/// # Errors
/// [`MetricsError::TooFew`] for no values, [`MetricsError::NotFinite`].
pub fn mean(values: &[f64]) -> Result<f64, MetricsError> {
    check("values", values)?;
    Ok(mean_of(values))
}

/// The standard deviation of a whole population: squares are divided by n.
///
/// # Errors
/// [`MetricsError::TooFew`] for no values, [`MetricsError::NotFinite`].
pub fn std_population(values: &[f64]) -> Result<f64, MetricsError> {
    check("values", values)?;
    Ok((squares(values) / values.len() as f64).sqrt())
}

/// The standard deviation of a sample: squares are divided by n - 1.
///
/// # Errors
/// [`MetricsError::TooFew`] for fewer than two values, [`MetricsError::NotFinite`].
///
/// ```
/// # use tailguard_metrics::std_sample;
/// assert_eq!(std_sample(&[1.0, 2.0, 3.0])?, 1.0);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn std_sample(values: &[f64]) -> Result<f64, MetricsError> {
    check("values", values)?;
    if values.len() < 2 {
        return Err(MetricsError::TooFew { what: "values", needed: 2, found: values.len() });
    }
    Ok((squares(values) / (values.len() - 1) as f64).sqrt())
}

/// `left - right` pair by pair: the same prompt or the same seed under two methods.
///
/// The spread of the differences is the one to judge a gain by; what both share cancels.
///
/// # Errors
/// [`MetricsError::Unpaired`], [`MetricsError::TooFew`], [`MetricsError::NotFinite`].
pub fn paired_differences(left: &[f64], right: &[f64]) -> Result<Vec<f64>, MetricsError> {
    check_pair(("left values", left), ("right values", right))?;
    Ok(left.iter().zip(right).map(|(left, right)| left - right).collect())
}

/// The mean of checked values.
pub(crate) fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sum of squared distances from the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = mean_of(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn empty_and_not_finite_values_are_refused() {
        for function in [mean, std_population, std_sample] {
            assert!(matches!(function(&[]), Err(MetricsError::TooFew { found: 0, .. })));
            for bad in [f64::NAN, f64::INFINITY] {
                assert!(matches!(
                    function(&[1.0, bad]),
                    Err(MetricsError::NotFinite { index: 1, .. })
                ));
            }
        }
        assert_eq!(
            std_sample(&[1.0]).unwrap_err().to_string(),
            "values: found 1, expected at least 2"
        );
        assert_eq!(std_population(&[1.0]), Ok(0.0));
    }

    #[test]
    fn pairs_must_match() {
        let message = paired_differences(&[1.0], &[]).unwrap_err().to_string();
        assert_eq!(message, "1 left values, but 0 right values: expected one for one");
        assert_eq!(paired_differences(&[3.0, 1.0], &[1.0, 2.0]), Ok(vec![2.0, -1.0]));
    }

    proptest! {
        #[test]
        fn the_spread_ignores_shifts(
            values in vec(-100.0..100.0, 2..50),
            shift in -100.0_f64..100.0,
        ) {
            let shifted: Vec<f64> = values.iter().map(|value: &f64| value + shift).collect();
            prop_assert!(
                (std_sample(&values).unwrap() - std_sample(&shifted).unwrap()).abs() < 1e-9
            );
            prop_assert!(std_population(&values).unwrap() <= std_sample(&values).unwrap());
        }

        #[test]
        fn the_mean_difference_is_the_difference_of_means(
            pairs in vec((-100.0..100.0, -100.0..100.0), 1..50),
        ) {
            let (left, right): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let differences = paired_differences(&left, &right).unwrap();
            let expected = mean(&left).unwrap() - mean(&right).unwrap();
            prop_assert!((mean(&differences).unwrap() - expected).abs() < 1e-9);
        }
    }
}
