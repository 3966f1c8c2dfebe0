//! Which prompts make the tail.

use std::collections::BTreeMap;

use crate::{
    ByPrompt, MetricsError,
    error::{check_finite, check_range},
};

/// What a prompt has to do with the tail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailPrompt {
    /// Its number.
    pub prompt: usize,
    /// Its share of the shortfall of all prompts, from 0 to 1; of several seeds the mean of theirs.
    pub share: f64,
    /// How many of its texts fall short, over all seeds.
    pub in_tail: usize,
    /// How many texts it has, over all seeds.
    pub texts: usize,
    /// The mean of its texts.
    pub mean: f64,
}

/// The prompts whose texts make the tail, from the one with the largest share of the shortfall;
/// those with equal shares by number.
///
/// The tail of a seed are its `count` lowest values; of how many, `count` says from how many there
/// are. A text falls short by its distance from the lowest value that is *not* in the tail, which
/// is what `CVaR` moves by (see [`Influences::of_lowest`](crate::Influences::of_lowest)); where all
/// values are in the tail, from the highest. Texts that tie with it do not fall short. Shares sum
/// to 1, and there is no prompt where nothing falls short.
///
/// With one text per prompt the first of these prompts may only have had bad luck. Where `in_tail`
/// is most of `texts`, it is the prompt.
///
/// # Errors
/// [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for a count of 0, or of more than a
/// seed has.
///
/// # Example
/// ```
/// # use tailguard_metrics::tail_prompts;
/// let seed = vec![(0, 1.0), (0, -3.0), (1, 0.5), (1, 2.0), (2, -1.0), (2, -5.0)];
/// let worst = tail_prompts(&[seed], |count| count / 2)?; // -5, -3 and -1 fall short of 0.5
/// let counts: Vec<_> = worst.iter().map(|found| (found.prompt, found.in_tail)).collect();
/// assert_eq!(counts, [(2, 2), (0, 1)]);
/// assert!((worst[0].share - 7.0 / 10.5).abs() < 1e-12 && worst[0].mean == -3.0);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn tail_prompts(
    seeds: &[Vec<ByPrompt>],
    count: impl Fn(usize) -> usize,
) -> Result<Vec<TailPrompt>, MetricsError> {
    let mut found: BTreeMap<usize, TailPrompt> = BTreeMap::new();
    // seeds in which something falls short
    let mut short_seeds = 0.0;
    for values in seeds.iter().filter(|values| !values.is_empty()) {
        check_finite("value", values.iter().map(|(_, value)| *value))?;
        let count = count(values.len());
        check_range("count", count, 1, values.len())?;
        let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let others = sorted[count.min(sorted.len() - 1)];
        // in ascending order, so that the sum does not depend on that of the values
        let total: f64 = sorted[..count].iter().map(|value| others - value).sum();
        check_finite("shortfall of a tail", [total])?;
        short_seeds += f64::from(u8::from(total > 0.0));
        for &(prompt, value) in values {
            let entry = found.entry(prompt).or_insert(TailPrompt {
                prompt,
                share: 0.0,
                in_tail: 0,
                texts: 0,
                mean: 0.0,
            });
            entry.texts += 1;
            entry.mean += value;
            if value < others {
                entry.in_tail += 1;
                entry.share += (others - value) / total;
            }
        }
    }
    let mut worst: Vec<TailPrompt> =
        found.into_values().filter(|found| found.in_tail > 0).collect();
    for found in &mut worst {
        found.share /= short_seeds;
        found.mean /= found.texts as f64;
    }
    // by number already
    worst.sort_by(|one, other| other.share.total_cmp(&one.share));
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::Index};

    #[test]
    fn unusable_input_is_refused_and_nothing_makes_no_tail() {
        assert!(matches!(
            tail_prompts(&[vec![(0, f64::NAN)]], |_| 1),
            Err(MetricsError::NotFinite { .. })
        ));
        assert!(matches!(
            tail_prompts(&[vec![(0, 1.0)]], |_| 2),
            Err(MetricsError::OutOfRange { name: "count", .. })
        ));
        assert!(matches!(
            tail_prompts(&[vec![(0, f64::MIN), (1, f64::MAX)]], |_| 1),
            Err(MetricsError::NotFinite { what: "shortfall of a tail", .. })
        ));
        assert_eq!(tail_prompts(&[], |_| 1), Ok(vec![]));
        assert_eq!(tail_prompts(&[vec![(0, 1.0), (1, 1.0), (2, 1.0)]], |_| 1), Ok(vec![]));
    }

    #[test]
    fn seeds_count_alike() {
        let seeds = [vec![(0, -9.0), (1, 1.0), (2, 2.0)], vec![(0, 1.0), (1, 0.0), (2, 2.0)]];
        let worst = tail_prompts(&seeds, |_| 1).unwrap();
        let of = |prompt, mean| TailPrompt { prompt, share: 0.5, in_tail: 1, texts: 2, mean };
        assert_eq!(worst, [of(0, -4.0), of(1, 0.5)]);
    }

    proptest! {
        #[test]
        fn shares_sum_to_one_and_fall(
            seeds in vec(vec((0_usize..9, -3_i32..9), 1..40), 1..4),
            which: Index,
        ) {
            let seeds: Vec<Vec<ByPrompt>> = seeds
                .iter()
                .map(|seed| {
                    seed.iter().map(|&(prompt, value)| (prompt, f64::from(value))).collect()
                })
                .collect();
            let worst = tail_prompts(&seeds, |count| which.index(count) + 1).unwrap();
            prop_assert!(worst.is_sorted_by(|one, other| one.share >= other.share));
            prop_assert!(
                worst.is_empty()
                    || (worst.iter().map(|found| found.share).sum::<f64>() - 1.0).abs() < 1e-9
            );
            prop_assert!(worst.iter().all(|found| found.share > 0.0
                && 0 < found.in_tail
                && found.in_tail <= found.texts));
        }
    }
}
