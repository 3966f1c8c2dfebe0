//! What one method gains over another on the same prompts.

use crate::{ByPrompt, Estimate, Influences, MetricsError, Scale, estimate};

/// The values of two methods, seed by seed, on the prompts that both have in all of these seeds.
///
/// What makes a prompt hard for both methods cancels in the difference, and so does what a seed
/// does to both. The gain over all seeds has the interval of [`estimate`]: over prompts and seeds
/// together.
///
/// ```
/// # use tailguard_metrics::Pairs;
/// let better = [vec![(0, 1.0), (1, 2.1), (2, 3.0), (3, 4.2)]]; // one seed, four prompts
/// let worse = [vec![(0, 0.5), (1, 1.5), (2, 2.6), (3, 3.6), (4, -9.0)]];
/// let pairs = Pairs::new(&better, &worse)?;
/// let gain = pairs.mean_difference()?.unwrap();
/// assert!(pairs.prompts() == 4 && (gain.value - 0.525).abs() < 1e-12);
/// assert!(gain.ci95.is_some_and(|[low, high]| low > 0.3 && high < 0.75));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    seeds: Vec<[&'a [ByPrompt]; 2]>,
    /// Whether a prompt counts, by its number.
    counts: Vec<bool>,
}

impl<'a> Pairs<'a> {
    /// Of both methods the values of the same seeds, in the same order; prompts have the same
    /// numbers in all.
    ///
    /// # Errors
    /// [`MetricsError::Unpaired`] for other numbers of seeds.
    pub fn new(
        left: &'a [Vec<ByPrompt>],
        right: &'a [Vec<ByPrompt>],
    ) -> Result<Self, MetricsError> {
        if left.len() != right.len() {
            let (left_len, right_len) = (left.len(), right.len());
            return Err(MetricsError::Unpaired {
                left: "seeds on the left",
                left_len,
                right: "seeds on the right",
                right_len,
            });
        }
        let most =
            left.iter().chain(right).flatten().map(|(prompt, _)| prompt + 1).max().unwrap_or(0);
        // in how many of the lists so far a prompt is
        let mut seen = vec![0_usize; most];
        let mut lists = 0;
        for values in left.iter().chain(right) {
            for (prompt, _) in values {
                if seen[*prompt] == lists {
                    seen[*prompt] += 1;
                }
            }
            lists += 1;
        }
        let seeds = left
            .iter()
            .zip(right)
            .map(|(left, right)| [left.as_slice(), right.as_slice()])
            .collect();
        Ok(Self { seeds, counts: seen.into_iter().map(|count| count == lists).collect() })
    }

    /// Only those of the prompts that are wanted, by their numbers.
    #[must_use]
    pub fn among(mut self, is_wanted: impl Fn(usize) -> bool) -> Self {
        self.counts
            .iter_mut()
            .enumerate()
            .for_each(|(prompt, counts)| *counts &= is_wanted(prompt));
        self
    }

    /// How many different prompts both have.
    pub fn prompts(&self) -> usize {
        self.counts.iter().filter(|&&counts| counts).count()
    }

    /// The mean difference, left less right, prompt by prompt: of several texts of a prompt the
    /// mean counts. None for fewer than two prompts.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`].
    pub fn mean_difference(&self) -> Result<Option<Estimate>, MetricsError> {
        estimated(self.influences_of_mean()?)
    }

    /// The difference of the means of the lowest values (`CVaR`), each method's own; of how many,
    /// `count` says from how many there are. None for fewer than two prompts.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a count of 0, or of more than
    /// there are.
    pub fn difference_of_lowest(
        &self,
        count: impl Fn(usize) -> usize,
    ) -> Result<Option<Estimate>, MetricsError> {
        estimated(self.influences_of_lowest(count)?)
    }

    /// The difference of the quantiles ([`Influences::of_quantile`]), each method's own: of the
    /// `count`-th lowest values; which, `count` says from how many there are. None for fewer than
    /// two prompts.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a count of 0, or of more than
    /// there are.
    pub fn difference_of_quantiles(
        &self,
        count: impl Fn(usize) -> usize,
    ) -> Result<Option<Estimate>, MetricsError> {
        estimated(self.influences(|values| Influences::of_quantile(values, count(values.len())))?)
    }

    /// What [`mean_difference`](Self::mean_difference) comes from, seed by seed: for
    /// [`p_value`](crate::p_value) and [`prompts_needed`](crate::prompts_needed).
    ///
    /// # Errors
    /// Those of the difference.
    pub fn influences_of_mean(&self) -> Result<Option<Vec<Influences>>, MetricsError> {
        self.influences(|values| Influences::of_mean(&means(values.to_vec())))
    }

    /// What [`difference_of_lowest`](Self::difference_of_lowest) comes from, seed by seed.
    ///
    /// # Errors
    /// Those of the difference.
    pub fn influences_of_lowest(
        &self,
        count: impl Fn(usize) -> usize,
    ) -> Result<Option<Vec<Influences>>, MetricsError> {
        self.influences(|values| Influences::of_lowest(values, count(values.len())))
    }

    /// The difference of any figure, seed by seed, each method's own on the prompts that both have.
    /// None for fewer than two prompts.
    ///
    /// # Errors
    /// Those of the figure.
    pub fn influences(
        &self,
        figure: impl Fn(&[ByPrompt]) -> Result<Influences, MetricsError>,
    ) -> Result<Option<Vec<Influences>>, MetricsError> {
        if self.prompts() < 2 || self.seeds.is_empty() {
            return Ok(None);
        }
        let of = |values: &[ByPrompt]| {
            figure(
                &values
                    .iter()
                    .copied()
                    .filter(|(prompt, _)| self.counts[*prompt])
                    .collect::<Vec<_>>(),
            )
        };
        self.seeds
            .iter()
            .map(|[left, right]| Ok(of(left)?.less(&of(right)?)))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn estimated(differences: Option<Vec<Influences>>) -> Result<Option<Estimate>, MetricsError> {
    differences.map(|differences| estimate(&differences, Scale::Any)).transpose()
}

/// The mean of each prompt's values.
fn means(mut values: Vec<ByPrompt>) -> Vec<ByPrompt> {
    values.sort_by_key(|(prompt, _)| *prompt);
    let mean = |same: &[ByPrompt]| {
        (same[0].0, same.iter().map(|(_, value)| value).sum::<f64>() / same.len() as f64)
    };
    values.chunk_by(|(one, _), (other, _)| one == other).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    type Seeds = Vec<Vec<ByPrompt>>;

    fn gain(left: &[Vec<ByPrompt>], right: &[Vec<ByPrompt>]) -> Estimate {
        Pairs::new(left, right).unwrap().mean_difference().unwrap().unwrap()
    }

    fn by_prompt(rows: Vec<Vec<f64>>) -> Seeds {
        rows.into_iter().map(|row| row.into_iter().enumerate().collect()).collect()
    }

    fn map(seeds: &Seeds, of: impl Fn(usize, f64) -> f64) -> Seeds {
        seeds
            .iter()
            .map(|seed| seed.iter().map(|&(prompt, value)| (prompt, of(prompt, value))).collect())
            .collect()
    }

    /// Values of two methods: seeds, and in each as many prompts.
    fn methods() -> impl Strategy<Value = (Seeds, Seeds)> {
        (1_usize..4, 2_usize..30).prop_flat_map(|(seeds, prompts)| {
            let values = || vec(vec(-9.0..9.0, prompts), seeds).prop_map(by_prompt);
            (values(), values())
        })
    }

    fn near(one: [f64; 2], other: [f64; 2]) -> bool {
        (0..2).all(|end| (one[end] - other[end]).abs() < 1e-6 * (1.0 + one[end].abs()))
    }

    proptest! {
        #[test]
        fn the_other_way_round_it_is_a_loss((left, right) in methods()) {
            let (gain, loss) = (gain(&left, &right), gain(&right, &left));
            let ([low, high], [below, above]) = (gain.ci95.unwrap(), loss.ci95.unwrap());
            prop_assert!(
                (gain.value + loss.value).abs() < 1e-9 && near([low, high], [-above, -below])
            );
        }

        #[test]
        fn a_method_gains_nothing_over_itself((left, _) in methods()) {
            let gain = gain(&left, &left);
            prop_assert!(gain.value.abs() < 1e-12 && near(gain.ci95.unwrap(), [0.0, 0.0]));
        }

        #[test]
        fn what_prompts_share_cancels((left, right) in methods(), shift in -9.0..9.0_f64) {
            let harder = |seeds: &Seeds| map(seeds, |prompt, value| value + shift * prompt as f64);
            let (plain, shifted) = (gain(&left, &right), gain(&harder(&left), &harder(&right)));
            prop_assert!(
                (plain.value - shifted.value).abs() < 1e-6
                    && near(plain.ci95.unwrap(), shifted.ci95.unwrap())
            );
        }

        #[test]
        fn the_same_gain_everywhere_has_an_interval_of_one_point(
            (left, _) in methods(),
            more in -3.0..3.0_f64,
        ) {
            let found = gain(&map(&left, |_, value| value + more), &left);
            prop_assert!(near(found.ci95.unwrap(), [more, more]), "{:?}", found);
        }

        #[test]
        fn prompts_that_one_lacks_and_copies_of_texts_count_for_nothing(
            (left, right) in methods(),
        ) {
            let mut more: Seeds = left.iter().map(|seed| seed.repeat(2)).collect();
            more[0].push((77, 5.0));
            let (plain, other) = (gain(&left, &right), gain(&more, &right));
            prop_assert!(
                (plain.value - other.value).abs() < 1e-9
                    && near(plain.ci95.unwrap(), other.ci95.unwrap())
            );
        }
    }

    #[test]
    fn two_prompts_make_a_gain_and_one_does_not() {
        let (better, worse) =
            (by_prompt(vec![vec![1.0, 2.0, 4.0]]), by_prompt(vec![vec![0.5, 1.0, 1.0]]));
        let pairs = Pairs::new(&better, &worse).unwrap();
        assert_eq!(pairs.clone().among(|prompt| prompt == 1).mean_difference(), Ok(None));
        let two = pairs.clone().among(|prompt| prompt > 0).mean_difference().unwrap().unwrap();
        assert!((two.value - 2.0).abs() < 1e-12, "{two:?}");
        let lowest = pairs.difference_of_lowest(|_| 1).unwrap().unwrap();
        assert!((lowest.value - 0.5).abs() < 1e-12, "{lowest:?}");
        let median = pairs.difference_of_quantiles(|_| 2).unwrap().unwrap();
        assert!((median.value - 1.0).abs() < 1e-12, "{median:?}");
        assert_eq!(Pairs::new(&[], &[]).unwrap().mean_difference(), Ok(None));
    }

    #[test]
    fn seeds_must_match() {
        let message = Pairs::new(&[vec![]], &[]).unwrap_err().to_string();
        assert_eq!(message, "1 seeds on the left, but 0 seeds on the right: expected one for one");
    }

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let left = by_prompt(vec![vec![1.0, 1.1, 0.9, 1.0], vec![3.0, 3.1, 2.9, 3.0]]);
        let gain = gain(&left, &map(&left, |_, _| 0.0));
        assert!(gain.ci95.is_some_and(|[low, high]| high - low > 10.0), "{gain:?}");
    }
}
