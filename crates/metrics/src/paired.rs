//! What one method gains over another on the same prompts, and how far that can be trusted.

use crate::{Bootstrap, MetricsError, clustered, over_seeds, paired_differences};

/// What one method gains over another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// Mean difference, left less right.
    pub mean: f64,
    /// Its standard error over prompts.
    pub std: f64,
    /// Its 95 % interval over prompts.
    pub ci95: [f64; 2],
    /// Its 95 % interval over seeds; `None` for one seed.
    pub seeds_ci95: Option<[f64; 2]>,
}

/// The paired bootstrap of two methods: `left` and `right` have one row per seed and in it one value per prompt, the same prompts and
/// seeds in the same order.
///
/// The values of a prompt are averaged over the seeds, the differences of these averages are taken prompt by prompt, and the
/// *prompts* are resampled (more than [`MANY`](crate::MANY) are not: see [`clustered`]): what makes a prompt hard for both
/// methods cancels. `ci95` therefore says how far the gain depends on the choice of prompts (and on the samples drawn for
/// them), **given the policies that these seeds have trained**. It does not say what another training run would give, and with
/// many prompts it is narrow however much the seeds differ. That is what `seeds_ci95` is for: Student's t interval of the gain
/// of each seed (the prompts fixed), which needs two seeds and is wide with few. A claim about a method, rather than about a
/// policy, should rest on the wider of the two.
///
/// # Errors
/// [`MetricsError::Unpaired`] where seeds or prompts do not match; [`MetricsError::TooFew`] for no seed or fewer than two prompts, as
/// one difference has no spread; [`MetricsError::NotFinite`]; [`MetricsError::OutOfRange`] for fewer than 40 resamples.
///
/// # Example
/// ```
/// # use tailguard_metrics::{Bootstrap, paired_bootstrap};
/// let better = [vec![1.0, 2.1, 3.0, 4.2]]; // one seed, four prompts
/// let worse = [vec![0.5, 1.5, 2.6, 3.6]];
/// let gain = paired_bootstrap(&better, &worse, Bootstrap { resamples: 1000, seed: 0 })?;
/// assert!((gain.mean - 0.525).abs() < 1e-12);
/// assert!(gain.ci95[0] >= 0.4 && gain.ci95[1] <= 0.61 && gain.seeds_ci95.is_none());
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn paired_bootstrap(left: &[Vec<f64>], right: &[Vec<f64>], settings: Bootstrap) -> Result<Gain, MetricsError> {
    if left.len() != right.len() {
        let (left_len, right_len) = (left.len(), right.len());
        return Err(MetricsError::Unpaired { left: "seeds on the left", left_len, right: "seeds on the right", right_len });
    }
    let rows = left.iter().zip(right).map(|(left, right)| paired_differences(left, right)).collect::<Result<Vec<_>, _>>()?;
    let prompts = rows.first().map_or(0, Vec::len);
    if rows.is_empty() {
        return Err(MetricsError::TooFew { what: "seeds", needed: 1, found: 0 });
    }
    if prompts < 2 {
        return Err(MetricsError::TooFew { what: "prompts", needed: 2, found: prompts });
    }
    if let Some(other) = rows.iter().find(|row| row.len() != prompts) {
        let (left_len, right_len) = (prompts, other.len());
        return Err(MetricsError::Unpaired { left: "prompts of the first seed", left_len, right: "of another", right_len });
    }
    let seeds = rows.len() as f64;
    let of_prompt = |prompt: usize| (rows.iter().map(|row| row[prompt]).sum::<f64>() / seeds, 1);
    let per_prompt: Vec<_> = (0..prompts).map(of_prompt).collect();
    let over_prompts = clustered(&per_prompt, settings)?;
    let per_seed: Vec<f64> = rows.iter().map(|row| row.iter().sum::<f64>() / prompts as f64).collect();
    let seeds_ci95 = if per_seed.len() > 1 { Some(over_seeds(&per_seed)?.ci95) } else { None };
    Ok(Gain { mean: over_prompts.mean, std: over_prompts.std, ci95: over_prompts.ci95, seeds_ci95 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const SETTINGS: Bootstrap = Bootstrap { resamples: 200, seed: 3 };

    /// Values of two methods: seeds, and in each as many prompts.
    fn methods() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<Vec<f64>>)> {
        (1_usize..4, 2_usize..30).prop_flat_map(|(seeds, prompts)| {
            let values = || vec(vec(-9.0..9.0, prompts), seeds);
            (values(), values())
        })
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    proptest! {
        #[test]
        fn the_other_way_round_it_is_a_loss((left, right) in methods()) {
            let gain = paired_bootstrap(&left, &right, SETTINGS).unwrap();
            let loss = paired_bootstrap(&right, &left, SETTINGS).unwrap();
            prop_assert!(near(gain.mean, -loss.mean) && near(gain.std, loss.std));
            prop_assert!(near(gain.ci95[0], -loss.ci95[1]) && near(gain.ci95[1], -loss.ci95[0]));
            let [over, back] = [gain, loss].map(|gain| gain.seeds_ci95.unwrap_or_default());
            prop_assert!(near(over[0], -back[1]) && near(over[1], -back[0]));
        }

        #[test]
        fn a_method_gains_nothing_over_itself((left, _) in methods()) {
            let gain = paired_bootstrap(&left, &left, SETTINGS).unwrap();
            prop_assert!(near(gain.mean, 0.0) && near(gain.ci95[0], 0.0) && near(gain.ci95[1], 0.0));
        }

        #[test]
        fn the_gain_is_the_difference_of_the_means_and_what_prompts_share_cancels((left, right) in methods(), shift in -9.0..9.0_f64) {
            let mean = |rows: &[Vec<f64>]| rows.iter().flatten().sum::<f64>() / rows.iter().flatten().count() as f64;
            let gain = paired_bootstrap(&left, &right, SETTINGS).unwrap();
            prop_assert!(near(gain.mean, mean(&left) - mean(&right)));
            let harder = |rows: &[Vec<f64>]| {
                let row = |row: &Vec<f64>| row.iter().enumerate().map(|(prompt, value)| value + shift * prompt as f64).collect();
                rows.iter().map(row).collect::<Vec<Vec<f64>>>()
            };
            let same = paired_bootstrap(&harder(&left), &harder(&right), SETTINGS).unwrap();
            prop_assert!((same.mean - gain.mean).abs() < 1e-6 && (same.ci95[0] - gain.ci95[0]).abs() < 1e-6);
        }

        #[test]
        fn the_same_gain_everywhere_has_an_interval_of_one_point((left, _) in methods(), gain in -3.0..3.0_f64) {
            let better: Vec<Vec<f64>> = left.iter().map(|row| row.iter().map(|value| value + gain).collect()).collect();
            let found = paired_bootstrap(&better, &left, SETTINGS).unwrap();
            prop_assert!(near(found.ci95[0], gain) && near(found.ci95[1], gain));
        }
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let one = |values: &[f64]| vec![values.to_vec()];
        let message = |left: &[Vec<f64>], right: &[Vec<f64>]| paired_bootstrap(left, right, SETTINGS).unwrap_err().to_string();
        assert_eq!(message(&one(&[1.0]), &one(&[1.0])), "prompts: found 1, expected at least 2");
        assert_eq!(message(&[], &[]), "seeds: found 0, expected at least 1");
        let unpaired = message(&one(&[1.0, 2.0]), &[]);
        assert_eq!(unpaired, "1 seeds on the left, but 0 seeds on the right: expected one for one");
        assert!(message(&one(&[1.0, 2.0]), &one(&[1.0])).contains("expected one for one"));
        assert!(message(&one(&[1.0, f64::NAN]), &one(&[1.0, 2.0])).contains("NaN"));
        let ragged = [vec![1.0, 2.0], vec![1.0, 2.0, 3.0]];
        assert!(message(&ragged, &ragged).contains("2 prompts of the first seed, but 3 of another"));
    }

    #[test]
    fn seeds_that_differ_widen_the_interval_over_seeds_alone() {
        let left = [vec![1.0, 1.1, 0.9, 1.0], vec![3.0, 3.1, 2.9, 3.0]];
        let right = [vec![0.0; 4], vec![0.0; 4]];
        let gain = paired_bootstrap(&left, &right, SETTINGS).unwrap();
        assert!(gain.ci95[1] - gain.ci95[0] < 0.2, "{gain:?}");
        assert!(gain.seeds_ci95.is_some_and(|[low, high]| high - low > 10.0), "{gain:?}");
    }
}
