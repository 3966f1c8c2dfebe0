//! Degenerate text: what a policy writes once it has learned to please a reward model and no reader.
//!
//! Each function flags the texts one by one, so that the share of flagged texts can be given an interval over texts.

use std::collections::HashMap;

use crate::{MetricsError, distinct_per_text, error::check_texts, words::is_space};

/// Which texts have a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// One flag per text, in order.
    pub flags: Vec<bool>,
}

impl Flagged {
    /// The share of texts that have the fault; 0 where there is no text.
    pub fn share(&self) -> f64 {
        self.flags.iter().filter(|&&flag| flag).count() as f64 / self.flags.len().max(1) as f64
    }

    /// 1 for a text that has the fault and 0 for one that has not: values whose mean is the share.
    pub fn values(&self) -> Vec<f64> {
        self.flags.iter().map(|&flag| f64::from(u8::from(flag))).collect()
    }
}

/// Flags the texts in which some run of `n` words occurs twice; the two may overlap.
///
/// Words are those of [`distinct`](crate::distinct): "a a a a a" repeats its 4-gram.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0.
///
/// # Example
/// ```
/// # use tailguard_metrics::repeating;
/// let texts = ["the film is good and the film is good", "the film is good and so is the cast"];
/// assert_eq!(repeating(&texts, 4)?.flags, [true, false]);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn repeating<T: AsRef<str>>(texts: &[T], n: usize) -> Result<Flagged, MetricsError> {
    // all n-grams differ exactly where their share is 1
    let ratios = distinct_per_text(texts, n)?.ratios;
    Ok(Flagged { flags: ratios.into_iter().map(|ratio| ratio.is_some_and(|ratio| ratio < 1.0)).collect() })
}

/// Flags the texts that are nothing but white space.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts.
///
/// # Example
/// ```
/// # use tailguard_metrics::empty;
/// assert_eq!(empty(&["", " \n", "."])?.flags, [true, true, false]);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn empty<T: AsRef<str>>(texts: &[T]) -> Result<Flagged, MetricsError> {
    check_texts(texts)?;
    Ok(Flagged { flags: texts.iter().map(|text| trimmed(text).is_empty()).collect() })
}

/// Flags the texts that another text of the list equals, white space at both ends aside: of two that are alike, both.
///
/// Whether a text is flagged depends on the whole list, so flag first and resample the flags.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts.
///
/// # Example
/// ```
/// # use tailguard_metrics::duplicated;
/// let duplicated = duplicated(&["good film", "bad film", " good film\n"])?;
/// assert_eq!(duplicated.flags, [true, false, true]);
/// assert_eq!(duplicated.share(), 2.0 / 3.0);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn duplicated<T: AsRef<str>>(texts: &[T]) -> Result<Flagged, MetricsError> {
    check_texts(texts)?;
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for text in texts {
        *copies.entry(trimmed(text)).or_default() += 1;
    }
    Ok(Flagged { flags: texts.iter().map(|text| copies[trimmed(text)] > 1).collect() })
}

fn trimmed(text: &impl AsRef<str>) -> &str {
    text.as_ref().trim_matches(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean;
    use proptest::{collection::vec, prelude::*};

    fn any_texts() -> impl Strategy<Value = Vec<String>> {
        vec("[ab ]{0,14}", 1..12)
    }

    #[test]
    fn no_texts_and_n_of_zero_are_refused() {
        let none: [&str; 0] = [];
        for refused in [repeating(&none, 4), empty(&none), duplicated(&none)] {
            assert_eq!(refused.unwrap_err().to_string(), "texts: found 0, expected at least 1");
        }
        assert!(matches!(repeating(&["a"], 0), Err(MetricsError::OutOfRange { name: "n", .. })));
    }

    #[test]
    fn overlapping_runs_repeat_and_texts_too_short_do_not() {
        let texts = ["so so so so so", "so so so so", "so", "", "a b c d a b c", "a b c d\na  b c d"];
        assert_eq!(repeating(&texts, 4).unwrap().flags, [true, false, false, false, false, true]);
    }

    #[test]
    fn runs_of_two_texts_do_not_repeat_each_other() {
        assert_eq!(repeating(&["a b c d", "a b c d"], 4).unwrap().flags, [false, false]);
    }

    #[test]
    fn empty_texts_are_alike() {
        let texts = ["", "\u{1c} \u{a0}", "a b", "a  b"];
        assert_eq!(empty(&texts).unwrap().flags, [true, true, false, false]);
        assert_eq!(duplicated(&texts).unwrap().flags, [true, true, false, false], "only white space at the ends is set aside");
    }

    proptest! {
        #[test]
        fn flags_agree_with_the_plain_definitions(texts in any_texts(), n in 1_usize..5) {
            let repeats = |text: &String| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let runs: Vec<&[&str]> = words.windows(n).collect();
                (0..runs.len()).any(|run| runs[..run].contains(&runs[run]))
            };
            let again = |place: usize| (0..texts.len()).any(|other| other != place && texts[other].trim() == texts[place].trim());
            prop_assert_eq!(repeating(&texts, n).unwrap().flags, texts.iter().map(repeats).collect::<Vec<_>>());
            prop_assert_eq!(empty(&texts).unwrap().flags, texts.iter().map(|text| text.trim().is_empty()).collect::<Vec<_>>());
            prop_assert_eq!(duplicated(&texts).unwrap().flags, (0..texts.len()).map(again).collect::<Vec<_>>());
        }

        #[test]
        fn the_share_is_the_mean_of_the_values(flags in vec(any::<bool>(), 1..40)) {
            let flagged = Flagged { flags };
            prop_assert!((flagged.share() - mean(&flagged.values()).unwrap()).abs() < 1e-12);
        }

        #[test]
        fn a_list_beside_itself_is_all_duplicates(texts in any_texts()) {
            prop_assert!(duplicated(&[texts.clone(), texts].concat()).unwrap().flags.into_iter().all(|flag| flag));
        }
    }
}
