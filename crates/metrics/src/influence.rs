//! A figure of one seed, and what each prompt does to it.

use crate::{
    MetricsError,
    error::{check_finite, check_range},
    moments::mean_of,
};

/// A value, and the number of the prompt that it is about: all texts of a prompt have the same one,
/// in all seeds. Numbers should be small, as they index lists.
pub type ByPrompt = (usize, f64);

/// A figure of one seed with its influences: by how much, to first order, each prompt moves the
/// figure off what it would be over all prompts of the kind. They sum to 0, and their squares to
/// the sampling variance; of a mean they are the shares of the prompts' distances from it. (Hampel,
/// The influence curve and its role in robust estimation, 1974.)
///
/// Every figure comes down to this, and [`estimate`](crate::estimate) knows nothing else of it.
///
/// ```
/// # use tailguard_metrics::Influences;
/// // two texts of one prompt, one of another
/// let mean = Influences::of_mean(&[(0, 1.0), (0, 2.0), (1, 6.0)])?;
/// assert_eq!(mean.value(), 3.0);
/// let same = mean.less(&mean);
/// assert_eq!(same.value(), 0.0);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Influences {
    value: f64,
    /// By prompt, in ascending order.
    parts: Vec<ByPrompt>,
}

impl Influences {
    /// The mean over all texts: a prompt counts as often as it has texts (Cochran, Sampling
    /// Techniques, 1977, chapter 6: a ratio).
    ///
    /// # Errors
    /// [`MetricsError::TooFew`] for no values; [`MetricsError::NotFinite`].
    pub fn of_mean(values: &[ByPrompt]) -> Result<Self, MetricsError> {
        let values = checked(values)?;
        let count = values.len() as f64;
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / count;
        Ok(Self { value: mean, parts: sums(&values, |value| (value - mean) / count) })
    }

    /// The mean of the `count` lowest values, whatever their prompts: `CVaR` at the level whose
    /// count of all values that is.
    ///
    /// It is the quantile less the mean shortfall below it over the share, and moves as the
    /// shortfall does (Rockafellar and Uryasev, Optimization of conditional value-at-risk, 2000).
    ///
    /// # Errors
    /// [`MetricsError::TooFew`] for no values; [`MetricsError::NotFinite`];
    /// [`MetricsError::OutOfRange`] unless `count` is in `1..=values.len()`.
    pub fn of_lowest(values: &[ByPrompt], count: usize) -> Result<Self, MetricsError> {
        let values = checked(values)?;
        check_range("count", count, 1, values.len())?;
        let mut numbers: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        if count == numbers.len() {
            return Self::of_mean(&values);
        }
        // the lowest of the others: what takes the place of one that is not there
        let (lowest, quantile, _) = numbers.select_nth_unstable_by(count, f64::total_cmp);
        // sorted, so that the sum does not depend on the order of the values
        lowest.sort_unstable_by(f64::total_cmp);
        let (mean, quantile) = (mean_of(lowest), *quantile);
        let shortfall = |value: f64| (value - quantile).min(0.0) / count as f64;
        let share =
            values.iter().map(|(_, value)| shortfall(*value)).sum::<f64>() / values.len() as f64;
        Ok(Self { value: mean, parts: sums(&values, |value| shortfall(value) - share) })
    }

    /// A figure whose influences are known, by prompt in ascending order.
    pub(crate) fn of_parts(value: f64, parts: Vec<ByPrompt>) -> Self {
        Self { value, parts }
    }

    /// Any figure, from what it would be without each of the prompts, by their ascending numbers
    /// (the jackknife; Shao and Tu, The Jackknife and Bootstrap, 1995, chapter 2).
    pub(crate) fn of_jackknife(value: f64, mut without: Vec<ByPrompt>) -> Self {
        let count = without.len() as f64;
        let mean = without.iter().map(|(_, figure)| figure).sum::<f64>() / count;
        without
            .iter_mut()
            .for_each(|(_, figure)| *figure = (mean - *figure) * (count - 1.0) / count);
        Self { value, parts: without }
    }

    /// The figure.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The influences, by prompt in ascending order.
    pub(crate) fn parts(&self) -> &[ByPrompt] {
        &self.parts
    }

    /// What this figure is more than another one whose prompts have the same numbers: what a prompt
    /// does to both cancels.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let mut parts = Vec::with_capacity(self.parts.len());
        let (mut left, mut right) = (self.parts.iter().peekable(), other.parts.iter().peekable());
        while let Some(prompt) =
            left.peek().into_iter().chain(right.peek()).map(|(prompt, _)| *prompt).min()
        {
            let own = left.next_if(|part| part.0 == prompt).map_or(0.0, |part| part.1);
            let others = right.next_if(|part| part.0 == prompt).map_or(0.0, |part| part.1);
            parts.push((prompt, own - others));
        }
        Self { value: self.value - other.value, parts }
    }
}

/// Values in the order of their prompts.
pub(crate) fn checked(values: &[ByPrompt]) -> Result<Vec<ByPrompt>, MetricsError> {
    if values.is_empty() {
        return Err(MetricsError::TooFew { what: "values", needed: 1, found: 0 });
    }
    check_finite("value", values.iter().map(|(_, value)| *value))?;
    let mut values = values.to_vec();
    values.sort_by_key(|(prompt, _)| *prompt);
    Ok(values)
}

/// The sum over the values of each prompt.
pub(crate) fn sums(values: &[ByPrompt], of: impl Fn(f64) -> f64) -> Vec<ByPrompt> {
    let same = values.chunk_by(|(one, _), (other, _)| one == other);
    same.map(|same| (same[0].0, same.iter().map(|(_, value)| of(*value)).sum())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mean, mean_of_lowest};
    use proptest::{collection::vec, prelude::*, sample::Index};

    fn any_values() -> impl Strategy<Value = Vec<ByPrompt>> {
        vec((0_usize..9, -9.0..9.0), 1..60)
    }

    fn numbers(values: &[ByPrompt]) -> Vec<f64> {
        values.iter().map(|(_, value)| *value).collect()
    }

    #[test]
    fn unusable_input_is_refused() {
        assert!(matches!(Influences::of_mean(&[]), Err(MetricsError::TooFew { .. })));
        assert!(matches!(
            Influences::of_mean(&[(0, f64::NAN)]),
            Err(MetricsError::NotFinite { .. })
        ));
        assert!(matches!(
            Influences::of_lowest(&[(0, 1.0)], 2),
            Err(MetricsError::OutOfRange { .. })
        ));
        assert!(matches!(
            Influences::of_lowest(&[(0, 1.0)], 0),
            Err(MetricsError::OutOfRange { .. })
        ));
    }

    proptest! {
        #[test]
        fn figures_are_the_plain_ones_and_influences_sum_to_nothing(
            values in any_values(),
            which: Index,
        ) {
            let count = which.index(values.len()) + 1;
            let figures = [
                Influences::of_mean(&values).unwrap(),
                Influences::of_lowest(&values, count).unwrap(),
            ];
            let expected = [
                mean(&numbers(&values)).unwrap(),
                mean_of_lowest(&numbers(&values), count).unwrap(),
            ];
            for (figure, expected) in figures.iter().zip(expected) {
                prop_assert!((figure.value() - expected).abs() < 1e-9);
                prop_assert!(figure.parts().iter().map(|(_, part)| part).sum::<f64>().abs() < 1e-9);
                prop_assert!(figure.parts().is_sorted_by(|one, other| one.0 < other.0));
            }
        }

        #[test]
        fn copies_of_every_text_change_nothing(values in any_values()) {
            let (once, twice) = (
                Influences::of_mean(&values).unwrap(),
                Influences::of_mean(&values.repeat(2)).unwrap(),
            );
            prop_assert!((once.value() - twice.value()).abs() < 1e-12);
            prop_assert!(
                once.parts()
                    .iter()
                    .zip(twice.parts())
                    .all(|(one, two)| (one.1 - two.1).abs() < 1e-12)
            );
        }

        #[test]
        fn the_mean_less_another_is_the_mean_of_the_differences(values in any_values()) {
            let half: Vec<ByPrompt> =
                values.iter().map(|&(prompt, value)| (prompt, value / 2.0)).collect();
            let mean = Influences::of_mean(&values).unwrap();
            let (less, half) = (
                mean.less(&Influences::of_mean(&half).unwrap()),
                Influences::of_mean(&half).unwrap(),
            );
            prop_assert!((less.value() - half.value()).abs() < 1e-12);
            prop_assert!(
                less.parts()
                    .iter()
                    .zip(half.parts())
                    .all(|(one, two)| (one.1 - two.1).abs() < 1e-12)
            );
        }

        #[test]
        fn what_only_one_has_is_kept(values in any_values()) {
            let mean = Influences::of_mean(&values).unwrap();
            let other = Influences::of_mean(&[(100, 1.0), (101, 3.0)]).unwrap();
            let (less, more) = (mean.less(&other), other.less(&mean));
            prop_assert_eq!(less.parts().len(), mean.parts().len() + 2);
            prop_assert!(
                less.parts()
                    .iter()
                    .zip(more.parts())
                    .all(|(one, two)| one.0 == two.0 && (one.1 + two.1).abs() < 1e-12)
            );
        }
    }
}
