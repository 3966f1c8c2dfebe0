//! n-grams as numbers: equal n-grams have the same one, and counting the different ones without some of the texts is counting
//! numbers.

use std::collections::HashMap;

use crate::{
    MetricsError, Summary,
    distinct::{Distinct, check_ngrams},
    error::check_range,
    moments::mean_of,
    words::words,
};

/// The n-grams of texts, numbered from 0; words and n-grams are those of [`distinct`](crate::distinct).
///
/// The texts are looked at once, for their distinct-n and for how far it can be trusted.
///
/// ```
/// # use tailguard_metrics::NumberedNGrams;
/// let ngrams = NumberedNGrams::new(&["a good film", "a good cast", "very good"], 2)?;
/// assert_eq!((ngrams.all().unique, ngrams.all().total), (4, 5));
/// let [low, high] = ngrams.summary()?.ci95;
/// assert!(low < 0.8 && high == 1.0); // no share is higher
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedNGrams {
    /// The number of each n-gram, text after text.
    numbers: Vec<u32>,
    /// Where the n-grams of each text end.
    ends: Vec<usize>,
    /// Different n-grams.
    unique: usize,
}

/// Groups of texts that [`NumberedNGrams::summary`] leaves out in turn, at most.
const GROUPS: usize = 100;

impl NumberedNGrams {
    /// Numbers the n-grams of texts.
    ///
    /// # Errors
    /// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0, or for more than 2^32 - 2 words.
    pub fn new<T: AsRef<str>>(texts: &[T], n: usize) -> Result<Self, MetricsError> {
        check_ngrams(texts, n)?;
        Ok(number_ngrams(texts.iter().map(|text| words(text.as_ref())), n)?.0)
    }

    /// The count over all texts: what [`distinct`](crate::distinct) gives.
    pub fn all(&self) -> Distinct {
        Distinct { unique: self.unique, total: self.numbers.len() }
    }

    /// [`Distinct::ratio`] with its [`standard_error`](Self::standard_error) over up to 100 groups of texts and the interval of
    /// the normal distribution. Resampled texts would repeat themselves, so the bootstrap has no such interval.
    ///
    /// # Errors
    /// [`MetricsError::OutOfRange`] for a single text.
    pub fn summary(&self) -> Result<Summary, MetricsError> {
        let std = self.standard_error(self.ends.len().min(GROUPS))?;
        Ok(Summary::normal(self.all().ratio(), std).of_share())
    }

    /// Standard error of [`Distinct::ratio`] over texts: the jackknife that leaves out one of `groups` groups of texts at a time. In time
    /// it costs about one count, however many groups there are. (Shao and Tu, The Jackknife and Bootstrap, 1995, chapter 2.)
    ///
    /// Text `i` is in group `i mod groups`.
    ///
    /// # Errors
    /// [`MetricsError::OutOfRange`] unless there are 2 to as many groups as texts.
    ///
    /// ```
    /// # use tailguard_metrics::NumberedNGrams;
    /// let alike = NumberedNGrams::new(&["a b c"; 10], 1)?;
    /// assert!(alike.standard_error(10)? < 0.04); // three of 27 words without any one text
    /// # Ok::<(), tailguard_metrics::MetricsError>(())
    /// ```
    pub fn standard_error(&self, groups: usize) -> Result<f64, MetricsError> {
        check_range("groups", groups, 2, self.ends.len())?;
        // for each n-gram the group that alone has it
        let (none, many) = (u32::MAX, u32::MAX - 1);
        let mut owner = vec![none; self.unique];
        let mut totals = vec![0_usize; groups];
        for text in 0..self.ends.len() {
            let numbers = self.of(text);
            totals[text % groups] += numbers.len();
            let group = small(text % groups)?;
            for &number in numbers {
                let owner = &mut owner[number as usize];
                *owner = if *owner == none || *owner == group { group } else { many };
            }
        }
        let mut alone = vec![0_usize; groups];
        owner.iter().filter(|&&owner| owner < many).for_each(|&group| alone[group as usize] += 1);
        let without =
            |group: usize| Distinct { unique: self.unique - alone[group], total: self.numbers.len() - totals[group] }.ratio();
        let ratios: Vec<f64> = (0..groups).map(without).collect();
        let mean = mean_of(&ratios);
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        Ok((squares * (groups - 1) as f64 / groups as f64).sqrt())
    }

    fn of(&self, text: usize) -> &[u32] {
        let begin = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.numbers[begin..self.ends[text]]
    }
}

/// n-grams that are sorted together: few enough for the cache of a core.
const PART: usize = 1 << 20;

/// Numbers the words, then each pair of an (n-1)-gram and the word behind it, and gives also the number of words.
///
/// No n-gram is ever joined to a string or hashed, and there is no chance of a collision.
pub(crate) fn number_ngrams<'text, W: Iterator<Item = &'text str>>(
    texts: impl Iterator<Item = W>,
    n: usize,
) -> Result<(NumberedNGrams, usize), MetricsError> {
    let mut vocabulary: HashMap<&str, u32> = HashMap::new();
    let (mut words, mut ends): (Vec<u32>, Vec<usize>) = (Vec::new(), Vec::new());
    for text in texts {
        for word in text {
            // there are at most as many different words as words
            let next = small(vocabulary.len())?;
            words.push(*vocabulary.entry(word).or_insert(next));
        }
        ends.push(words.len());
    }
    small(words.len())?;
    let mut unique = vocabulary.len();
    drop(vocabulary);
    let word_count = words.len();
    let mut numbers = words.clone();
    for k in 2..=n {
        let count = places(&ends, k).count();
        if count == 0 {
            return Ok((NumberedNGrams { numbers: Vec::new(), ends: vec![0; ends.len()], unique: 0 }, word_count));
        }
        (numbers, unique) = longer(&numbers, &words, &ends, k, count);
    }
    // together, without the places at which no n-gram of so many words ends
    let kept: Vec<u32> = places(&ends, n).map(|last| numbers[last]).collect();
    let lengths = ends.iter().zip([0].iter().chain(&ends)).map(|(end, begin)| (end - begin).saturating_sub(n - 1));
    let ends = lengths
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect();
    Ok((NumberedNGrams { numbers: kept, ends, unique }, word_count))
}

/// The numbers of the k-grams, at the places of their last words, from those of the (k-1)-grams; and how many different ones there are.
fn longer(shorter: &[u32], words: &[u32], ends: &[usize], k: usize, count: usize) -> (Vec<u32>, usize) {
    let mut numbers = vec![0; words.len()];
    let mut next = 0_u32;
    // Part by part, so that the pairs never take much memory; equal n-grams end with the same word and so are in one part.
    let parts = count.div_ceil(PART);
    let mut pairs: Vec<(u64, usize)> = Vec::new();
    for part in 0..parts {
        pairs.clear();
        let of_part = |&last: &usize| words[last] as usize % parts == part;
        pairs.extend(places(ends, k).filter(of_part).map(|last| (pair(shorter[last - 1], words[last]), last)));
        pairs.sort_unstable();
        for same in pairs.chunk_by(|a, b| a.0 == b.0) {
            for &(_, last) in same {
                numbers[last] = next;
            }
            next += 1;
        }
    }
    (numbers, next as usize)
}

fn pair(ngram: u32, word: u32) -> u64 {
    u64::from(ngram) << 32 | u64::from(word)
}

/// Places of the words that end an n-gram within their text; `ends` has the end of each text.
fn places(ends: &[usize], n: usize) -> impl Iterator<Item = usize> {
    ends.iter().zip([0].into_iter().chain(ends.iter().copied())).flat_map(move |(&end, begin)| begin.saturating_add(n - 1)..end)
}

/// A number that may be counted in 32 bits, with room for one more.
fn small(number: usize) -> Result<u32, MetricsError> {
    let most = u32::MAX - 1;
    check_range("words", number, 0, most as usize)?;
    Ok(u32::try_from(number).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{distinct, std_population};
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn the_standard_error_is_that_of_the_jackknife(texts in vec("[abc ]{0,14}", 2..12), n in 1_usize..4) {
            let ngrams = NumberedNGrams::new(&texts, n).unwrap();
            for groups in [2, texts.len()] {
                let without = |group: usize| {
                    let others: Vec<&String> = texts.iter().enumerate().filter(|(text, _)| text % groups != group).map(|(_, text)| text).collect();
                    distinct(&others, n).unwrap().ratio()
                };
                let ratios: Vec<f64> = (0..groups).map(without).collect();
                let expected = std_population(&ratios).unwrap() * ((groups - 1) as f64).sqrt();
                prop_assert!((ngrams.standard_error(groups).unwrap() - expected).abs() < 1e-12);
            }
            prop_assert!(ngrams.standard_error(1).is_err() && ngrams.standard_error(texts.len() + 1).is_err());
        }
    }

    #[test]
    fn many_parts_number_like_one() {
        // more than 2^20 pairs, of few different words
        let text = "a b c d e f g ".repeat(200_000);
        let ngrams = NumberedNGrams::new(&[text.as_str(), "g a b"], 2).unwrap();
        assert_eq!(ngrams.all(), Distinct { unique: 7, total: 7 * 200_000 - 1 + 2 });
    }
}
