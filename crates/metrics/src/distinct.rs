//! Distinct-n: how many of the n-grams differ. Three definitions are in use, and all three are
//! here.

use crate::{
    MetricsError,
    moments::mean_of,
    ngrams::{Distinct, NumberedNGrams, check_ngrams, number_ngrams},
    words::words,
};

/// The share of different n-grams inside each text.
#[derive(Debug, Clone, PartialEq)]
pub struct PerText {
    /// One ratio per text; `None` for a text shorter than n words.
    pub ratios: Vec<Option<f64>>,
}

impl PerText {
    /// The mean over the texts that have an n-gram; 0 if none has.
    pub fn mean_skipping_empty(&self) -> f64 {
        let ratios: Vec<f64> = self.ratios.iter().copied().flatten().collect();
        if ratios.is_empty() { 0.0 } else { mean_of(&ratios) }
    }

    /// The mean over all texts, those without an n-gram counted as 0.
    pub fn mean_empty_as_zero(&self) -> f64 {
        mean_of(&self.ratios.iter().map(|ratio| ratio.unwrap_or(0.0)).collect::<Vec<_>>())
    }
}

/// Distinct-n of a corpus: different n-grams over all n-grams of all texts.
///
/// Words are what white space parts, with case and punctuation kept; n-grams never cross from one
/// text to the next.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0.
///
/// # Example
/// ```
/// # use tailguard_metrics::distinct;
/// let distinct = distinct(&["so very very good", "very good"], 2)?;
/// assert_eq!((distinct.unique, distinct.total), (3, 4)); // "very good" is in both
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn distinct<T: AsRef<str>>(texts: &[T], n: usize) -> Result<Distinct, MetricsError> {
    Ok(NumberedNGrams::new(texts, n)?.all())
}

/// Distinct-n inside each text by itself.
///
/// Words and n-grams are those of [`distinct`].
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0.
pub fn distinct_per_text<T: AsRef<str>>(texts: &[T], n: usize) -> Result<PerText, MetricsError> {
    check_ngrams(texts, n)?;
    let ratio = |text: &T| {
        let words: Vec<&str> = words(text.as_ref()).collect();
        let mut ngrams: Vec<&[&str]> = words.windows(n).collect();
        let total = ngrams.len();
        ngrams.sort_unstable();
        ngrams.dedup();
        (total > 0).then(|| ngrams.len() as f64 / total as f64)
    };
    Ok(PerText { ratios: texts.iter().map(ratio).collect() })
}

/// Distinct-n as `DExperts` and Quark report it: different n-grams over the number of *words*, for
/// one prompt's texts.
///
/// Words are what single spaces part, as there: two spaces in a row have an empty word between
/// them. The figure of a method is the mean over prompts. (Liu et al., arXiv 2105.03023; Lu et al.,
/// arXiv 2205.13636.)
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0.
///
/// ```
/// # use tailguard_metrics::distinct_per_word;
/// let distinct = distinct_per_word(&["a good film", "a good cast"], 2)?;
/// assert_eq!((distinct.unique, distinct.total), (3, 6));
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn distinct_per_word<T: AsRef<str>>(texts: &[T], n: usize) -> Result<Distinct, MetricsError> {
    check_ngrams(texts, n)?;
    let (ngrams, words) = number_ngrams(texts.iter().map(|text| text.as_ref().split(' ')), n)?;
    Ok(Distinct { unique: ngrams.all().unique, total: words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::HashSet;

    /// The plain way: n-grams joined to strings, in a set.
    fn by_joining(texts: &[String], n: usize) -> Distinct {
        let ngrams: Vec<String> = texts
            .iter()
            .flat_map(|text| {
                text.split_whitespace()
                    .collect::<Vec<_>>()
                    .windows(n)
                    .map(|ngram| ngram.join(" "))
                    .collect::<Vec<_>>()
            })
            .collect();
        Distinct { unique: ngrams.iter().collect::<HashSet<_>>().len(), total: ngrams.len() }
    }

    #[test]
    fn ngrams_never_cross_texts() {
        assert_eq!(distinct(&["a b", "c"], 2), Ok(Distinct { unique: 1, total: 1 }));
    }

    #[test]
    fn no_ngram_gives_zero_or_none() {
        assert_eq!(distinct(&["", "one"], 2).map(Distinct::ratio), Ok(0.0));
        let per_text = distinct_per_text(&["", "one"], 2).unwrap();
        assert_eq!(per_text.ratios, [None, None]);
        assert!(per_text.mean_skipping_empty().abs() < f64::MIN_POSITIVE);
        assert_eq!(distinct(&["a b c"], usize::MAX), Ok(Distinct { unique: 0, total: 0 }));
    }

    #[test]
    fn empty_words_between_spaces_count_per_word() {
        assert_eq!(distinct_per_word(&["a  b"], 1), Ok(Distinct { unique: 3, total: 3 }));
    }

    #[test]
    fn no_texts_and_n_of_zero_are_refused() {
        let none: [&str; 0] = [];
        assert_eq!(
            distinct(&none, 1).unwrap_err().to_string(),
            "texts: found 0, expected at least 1"
        );
        assert!(matches!(distinct(&["a"], 0), Err(MetricsError::OutOfRange { name: "n", .. })));
        assert!(distinct_per_text(&none, 1).is_err() && distinct_per_text(&["a"], 0).is_err());
        assert!(distinct_per_word(&none, 1).is_err() && distinct_per_word(&["a"], 0).is_err());
    }

    #[test]
    fn ngrams_too_long_for_one_number_are_still_exact() {
        // Words in base 51 overflow 128 bits at 23; the two texts differ in their first word only.
        let words: Vec<String> = (0..50).map(|word| word.to_string()).collect();
        let (one, other) = (words.join(" "), ["x", &words[1..].join(" ")].join(" "));
        for n in [22, 23, 24, 45, 46, 50] {
            let expected = by_joining(&[one.clone(), other.clone()], n);
            assert_eq!(expected, Distinct { unique: 51 - n + 1, total: 2 * (50 - n + 1) });
            assert_eq!(distinct(&[&one, &other], n), Ok(expected), "n = {n}");
        }
    }

    proptest! {
        #[test]
        fn counts_agree_with_joined_strings(texts in vec("[abc ]{0,30}", 1..12), n in 1_usize..6) {
            prop_assert_eq!(distinct(&texts, n).unwrap(), by_joining(&texts, n));
        }

        #[test]
        fn per_text_is_the_corpus_figure_of_each_text_alone(
            texts in vec("[abc ]{0,30}", 1..12),
            n in 1_usize..5,
        ) {
            let alone = texts.iter().map(|text| {
                let alone = distinct(&[text], n).unwrap();
                (alone.total > 0).then(|| alone.ratio())
            });
            prop_assert_eq!(
                distinct_per_text(&texts, n).unwrap().ratios,
                alone.collect::<Vec<_>>()
            );
        }

        #[test]
        fn a_repeated_corpus_is_half_as_distinct(
            texts in vec("[a-z ]{0,30}", 1..12),
            n in 1_usize..5,
        ) {
            let twice: Vec<String> = [texts.clone(), texts.clone()].concat();
            let (once, twice) = (distinct(&texts, n).unwrap(), distinct(&twice, n).unwrap());
            prop_assert_eq!((once.unique, 2 * once.total), (twice.unique, twice.total));
        }
    }
}
