//! Degenerate text: what a policy writes once it has learned to please a reward model and no
//! reader.
//!
//! Each function flags the texts one by one, so that the share of flagged texts can be given an
//! interval over texts.

use std::collections::HashMap;

use crate::{
    Influences, MetricsError, distinct_per_text,
    error::{check_prompts, check_texts},
    words::is_space,
};

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
    Ok(Flagged {
        flags: ratios.into_iter().map(|ratio| ratio.is_some_and(|ratio| ratio < 1.0)).collect(),
    })
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

/// Flags the texts that another text of the list equals, white space at both ends aside: of two
/// that are alike, both.
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
    let copies = numbered(texts);
    Ok(Flagged { flags: copies.of.iter().map(|&text| copies.counts[text] > 1).collect() })
}

/// The share of texts that [`duplicated`] flags, and what each prompt does to it: whether a text
/// has a copy depends on the others, so that one prompt at a time is left out with all of its
/// texts. `prompts` has the number of each text's prompt.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::Unpaired`] unless there is a prompt for
/// each text.
///
/// ```
/// # use tailguard_metrics::duplicates;
/// assert_eq!(duplicates(&["a", "b", "a", "c"], &[0, 0, 1, 1])?.value(), 0.5);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn duplicates<T: AsRef<str>>(
    texts: &[T],
    prompts: &[usize],
) -> Result<Influences, MetricsError> {
    check_texts(texts)?;
    check_prompts(prompts, texts.len())?;
    let copies = numbered(texts);
    let flagged = |count: usize| if count > 1 { count } else { 0 };
    let all: usize = copies.counts.iter().map(|&count| flagged(count)).sum();
    let mut pairs: Vec<(usize, usize)> = prompts.iter().copied().zip(copies.of).collect();
    pairs.sort_unstable();
    let share =
        |flagged: usize, texts: usize| if texts == 0 { 0.0 } else { flagged as f64 / texts as f64 };
    let without = |pairs: &[(usize, usize)]| {
        let same = pairs
            .chunk_by(|one, other| one == other)
            .map(|same| (copies.counts[same[0].1], same.len()));
        let lost: usize = same.map(|(count, own)| flagged(count) - flagged(count - own)).sum();
        (pairs[0].0, share(all - lost, texts.len() - pairs.len()))
    };
    let without = pairs.chunk_by(|(one, _), (other, _)| one == other).map(without).collect();
    Ok(Influences::of_jackknife(share(all, texts.len()), without))
}

/// Texts by numbers that are the same for equal texts.
struct Copies {
    /// The number of each text.
    of: Vec<usize>,
    /// How often a text of that number comes.
    counts: Vec<usize>,
}

fn numbered<T: AsRef<str>>(texts: &[T]) -> Copies {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut copies = Copies { of: Vec::with_capacity(texts.len()), counts: Vec::new() };
    for text in texts {
        let number = *numbers.entry(trimmed(text)).or_insert(copies.counts.len());
        if number == copies.counts.len() {
            copies.counts.push(0);
        }
        copies.counts[number] += 1;
        copies.of.push(number);
    }
    copies
}

fn trimmed<T: AsRef<str>>(text: &T) -> &str {
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
        let texts =
            ["so so so so so", "so so so so", "so", "", "a b c d a b c", "a b c d\na  b c d"];
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
        assert_eq!(
            duplicated(&texts).unwrap().flags,
            [true, true, false, false],
            "only white space at the ends is set aside"
        );
    }

    proptest! {
        #[test]
        fn flags_agree_with_the_plain_definitions(texts in any_texts(), n in 1_usize..5) {
            let repeats = |text: &String| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let runs: Vec<&[&str]> = words.windows(n).collect();
                (0..runs.len()).any(|run| runs[..run].contains(&runs[run]))
            };
            let again = |place: usize| {
                (0..texts.len())
                    .any(|other| other != place && texts[other].trim() == texts[place].trim())
            };
            prop_assert_eq!(
                repeating(&texts, n).unwrap().flags,
                texts.iter().map(repeats).collect::<Vec<_>>()
            );
            prop_assert_eq!(
                empty(&texts).unwrap().flags,
                texts.iter().map(|text| text.trim().is_empty()).collect::<Vec<_>>()
            );
            prop_assert_eq!(
                duplicated(&texts).unwrap().flags,
                (0..texts.len()).map(again).collect::<Vec<_>>()
            );
        }

        #[test]
        fn duplicates_are_left_out_prompt_by_prompt(
            texts in vec(("[ab]{0,2}", 0_usize..5), 1..14),
        ) {
            let (texts, prompts): (Vec<String>, Vec<usize>) = texts.into_iter().unzip();
            let found = duplicates(&texts, &prompts).unwrap();
            prop_assert!((found.value() - duplicated(&texts).unwrap().share()).abs() < 1e-12);
            let without = |prompt: usize| {
                let kept = texts.iter().zip(&prompts).filter(|(_, other)| **other != prompt);
                duplicated(&kept.map(|(text, _)| text).collect::<Vec<_>>())
                    .map_or(0.0, |flagged| flagged.share())
            };
            let shares: Vec<f64> =
                found.parts().iter().map(|(prompt, _)| without(*prompt)).collect();
            let (mean, count) =
                (shares.iter().sum::<f64>() / shares.len() as f64, shares.len() as f64);
            for (part, share) in found.parts().iter().zip(shares) {
                prop_assert!((part.1 - (mean - share) * (count - 1.0) / count).abs() < 1e-12);
            }
        }

        #[test]
        fn the_share_is_the_mean_of_the_values(flags in vec(any::<bool>(), 1..40)) {
            let flagged = Flagged { flags };
            prop_assert!((flagged.share() - mean(&flagged.values()).unwrap()).abs() < 1e-12);
        }

        #[test]
        fn a_list_beside_itself_is_all_duplicates(texts in any_texts()) {
            prop_assert!(
                duplicated(&[texts.clone(), texts].concat())
                    .unwrap()
                    .flags
                    .into_iter()
                    .all(|flag| flag)
            );
        }
    }
}
