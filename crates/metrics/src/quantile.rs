//! The quantile of a method's values, with its interval.

use crate::{
    ByPrompt, Influences, MetricsError,
    error::check_range,
    influence::{checked, sums},
    student::NORMAL_975,
};

impl Influences {
    /// The `count`-th lowest value, whatever their prompts: the quantile at the level whose count
    /// of all values that is, `inf {x: F(x) >= level}`.
    ///
    /// To first order a quantile moves against the share of values that are at or below it, by the
    /// slope of the quantile function (Hampel, 1974). The slope is taken where Woodruff's interval
    /// (Confidence intervals for medians and other position measures, 1952) ends: from 1.96
    /// standard errors of that share below the level to as many above, errors that count prompts
    /// and not texts (Francisco and Fuller, Quantile estimation with a complex survey design,
    /// 1991). Ends beyond the values are moved to the last of them. Of the highest value there is
    /// no interval but a point: what lies above it was not seen.
    ///
    /// # Errors
    /// [`MetricsError::TooFew`] for no values; [`MetricsError::NotFinite`];
    /// [`MetricsError::OutOfRange`] unless `count` is in `1..=values.len()`.
    ///
    /// # Example
    /// ```
    /// # use tailguard_metrics::{Influences, Scale, estimate};
    /// let scores: Vec<(usize, f64)> = (0..100).map(|prompt| (prompt, prompt as f64)).collect();
    /// // the 10th lowest of 100
    /// let tenth = estimate(&[Influences::of_quantile(&scores, 10)?], Scale::Any)?;
    /// assert_eq!(tenth.value, 9.0);
    /// assert!(tenth.ci95.is_some_and(|[low, high]| {
    ///     (2.0..5.0).contains(&low) && (14.0..17.0).contains(&high)
    /// }));
    /// # Ok::<(), tailguard_metrics::MetricsError>(())
    /// ```
    pub fn of_quantile(values: &[ByPrompt], count: usize) -> Result<Self, MetricsError> {
        let values = checked(values)?;
        check_range("count", count, 1, values.len())?;
        let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (quantile, texts) = (sorted[count - 1], values.len() as f64);
        let is_below = |value: f64| f64::from(u8::from(value <= quantile));
        // with ties this is more than the level
        let share = sorted.iter().copied().map(is_below).sum::<f64>() / texts;
        let against = sums(&values, |value| (share - is_below(value)) / texts);
        let half = NORMAL_975 * against.iter().map(|(_, part)| part * part).sum::<f64>().sqrt();
        let at = |level: f64| {
            let place = (level * texts - 1.0).clamp(0.0, texts - 1.0);
            (place, between(&sorted, place))
        };
        let level = count as f64 / texts;
        let ((from, low), (to, high)) = (at(level - half), at(level + half));
        let slope = if to > from { (high - low) / (to - from) * texts } else { 0.0 };
        Ok(Self::of_parts(
            quantile,
            against.into_iter().map(|(prompt, part)| (prompt, slope * part)).collect(),
        ))
    }
}

/// The value at a place that lies between two values, by a straight line. The place is none beyond
/// them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place is within the values"
)]
fn between(sorted: &[f64], place: f64) -> f64 {
    let before = place.floor() as usize;
    let (one, other) = (sorted[before], sorted[(before + 1).min(sorted.len() - 1)]);
    one + place.fract() * (other - one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::Index};

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(Influences::of_quantile(&[], 1), Err(MetricsError::TooFew { .. })));
        assert!(matches!(
            Influences::of_quantile(&[(0, f64::NAN)], 1),
            Err(MetricsError::NotFinite { .. })
        ));
        assert!(matches!(
            Influences::of_quantile(&[(0, 1.0)], 0),
            Err(MetricsError::OutOfRange { .. })
        ));
        assert!(matches!(
            Influences::of_quantile(&[(0, 1.0)], 2),
            Err(MetricsError::OutOfRange { .. })
        ));
    }

    #[test]
    fn values_in_even_steps_have_the_slope_of_their_distance() {
        // the 20th of 100 in steps of 0.5: influences of 0.2 and -0.8, by the slope 50 over 100
        // values
        let values: Vec<ByPrompt> = (0..100).map(|place| (place, place as f64 / 2.0)).collect();
        let found = Influences::of_quantile(&values, 20).unwrap();
        assert!((found.value() - 9.5).abs() < 1e-12);
        let expected = |place: usize| if place < 20 { -0.8 * 0.5 } else { 0.2 * 0.5 };
        assert!(
            found.parts().iter().all(|&(place, part)| (part - expected(place)).abs() < 1e-9),
            "{found:?}"
        );
    }

    #[test]
    fn of_the_highest_value_nothing_is_known_but_itself() {
        let highest = Influences::of_quantile(&[(0, 3.0), (1, 1.0), (2, 2.0)], 3).unwrap();
        assert_eq!(highest, Influences::of_parts(3.0, vec![(0, 0.0), (1, 0.0), (2, 0.0)]));
    }

    proptest! {
        #[test]
        fn it_is_a_value_and_influences_sum_to_nothing(
            values in vec((0_usize..9, -9.0..9.0), 1..60),
            which: Index,
        ) {
            let count = which.index(values.len()) + 1;
            let found = Influences::of_quantile(&values, count).unwrap();
            let at_most = values.iter().filter(|(_, value)| *value <= found.value()).count();
            let below = values.iter().filter(|(_, value)| *value < found.value()).count();
            prop_assert!(below < count && count <= at_most);
            prop_assert!(found.parts().iter().map(|(_, part)| part).sum::<f64>().abs() < 1e-9);
        }

        #[test]
        fn it_moves_and_stretches_with_the_values(
            values in vec((0_usize..20, -9.0..9.0_f64), 2..60),
            which: Index,
            shift in -9.0..9.0_f64,
        ) {
            let count = which.index(values.len()) + 1;
            let moved: Vec<ByPrompt> =
                values.iter().map(|&(prompt, value)| (prompt, 2.0 * value + shift)).collect();
            let (one, other) = (
                Influences::of_quantile(&values, count).unwrap(),
                Influences::of_quantile(&moved, count).unwrap(),
            );
            prop_assert!((2.0 * one.value() + shift - other.value()).abs() < 1e-9);
            prop_assert!(
                one.parts()
                    .iter()
                    .zip(other.parts())
                    .all(|(one, other)| (2.0 * one.1 - other.1).abs() < 1e-9)
            );
        }
    }
}
