//! n-grams as numbers: equal n-grams have the same one, and counting the different ones without
//! some of the texts is counting numbers.

use std::collections::HashMap;

use crate::{
    Influences, MetricsError,
    error::{check_prompts, check_range, check_texts},
    words::words,
};

/// How many n-grams differ, out of how many n-grams (or words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distinct {
    /// Different n-grams.
    pub unique: usize,
    /// What they are set against: all n-grams, or for
    /// [`distinct_per_word`](crate::distinct_per_word) all words.
    pub total: usize,
}

impl Distinct {
    /// `unique / total`; 0 where there is nothing.
    pub fn ratio(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.unique as f64 / self.total as f64 }
    }
}

/// The n-grams of texts, numbered from 0; words and n-grams are those of
/// [`distinct`](crate::distinct).
///
/// The texts are looked at once, for their distinct-n and for what each prompt does to it.
///
/// ```
/// # use tailguard_metrics::NumberedNGrams;
/// let ngrams = NumberedNGrams::new(&["a good film", "a good cast", "very good"], 2)?;
/// assert_eq!((ngrams.all().unique, ngrams.all().total), (4, 5));
/// assert_eq!(ngrams.influences(&[0, 1, 2])?.value(), 0.8);
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

impl NumberedNGrams {
    /// Numbers the n-grams of texts.
    ///
    /// # Errors
    /// [`MetricsError::TooFew`] for no texts; [`MetricsError::OutOfRange`] if `n` is 0, or for more
    /// than 2^32 - 2 words.
    pub fn new<T: AsRef<str>>(texts: &[T], n: usize) -> Result<Self, MetricsError> {
        check_ngrams(texts, n)?;
        Ok(number_ngrams(texts.iter().map(|text| words(text.as_ref())), n)?.0)
    }

    /// The count over all texts: what [`distinct`](crate::distinct) gives.
    pub fn all(&self) -> Distinct {
        Distinct { unique: self.unique, total: self.numbers.len() }
    }

    /// [`Distinct::ratio`] and what each prompt does to it: the jackknife that leaves out one
    /// prompt at a time, with all of its texts. In time it costs about one count. `prompts` has the
    /// number of each text's prompt: texts of one prompt are alike.
    ///
    /// # Errors
    /// [`MetricsError::Unpaired`] unless there is a prompt for each text;
    /// [`MetricsError::OutOfRange`] for a number above 2^32 - 2.
    ///
    /// ```
    /// # use tailguard_metrics::NumberedNGrams;
    /// // two prompts
    /// let influences = NumberedNGrams::new(&["a b", "a b", "a c"], 1)?.influences(&[0, 0, 1])?;
    /// assert_eq!(influences.value(), 0.5); // a, b and c among six words
    /// # Ok::<(), tailguard_metrics::MetricsError>(())
    /// ```
    pub fn influences(&self, prompts: &[usize]) -> Result<Influences, MetricsError> {
        check_prompts(prompts, self.ends.len())?;
        // for each n-gram the prompt that alone has it
        let (none, many) = (u32::MAX, u32::MAX - 1);
        let mut owner = vec![none; self.unique];
        let mut without = vec![None; prompts.iter().max().map_or(0, |most| most + 1)];
        for (text, &prompt) in prompts.iter().enumerate() {
            let numbers = self.of(text);
            without[prompt].get_or_insert_with(|| self.all()).total -= numbers.len();
            let prompt = small(prompt)?;
            for &number in numbers {
                let owner = &mut owner[number as usize];
                *owner = if *owner == none || *owner == prompt { prompt } else { many };
            }
        }
        for prompt in owner.into_iter().filter(|&owner| owner < many) {
            if let Some(without) = &mut without[prompt as usize] {
                without.unique -= 1;
            }
        }
        let ratio = |(prompt, without): (usize, Option<Distinct>)| Some((prompt, without?.ratio()));
        Ok(Influences::of_jackknife(
            self.all().ratio(),
            without.into_iter().enumerate().filter_map(ratio).collect(),
        ))
    }

    fn of(&self, text: usize) -> &[u32] {
        let begin = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.numbers[begin..self.ends[text]]
    }
}

pub(crate) fn check_ngrams<T>(texts: &[T], n: usize) -> Result<(), MetricsError> {
    check_texts(texts)?;
    check_range("n", n, 1, usize::MAX)
}

/// n-grams that are sorted together: few enough for the cache of a core.
const PART: usize = 1 << 20;

/// Numbers the words, then each pair of an (n-1)-gram and the word behind it, and gives also the
/// number of words.
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
            return Ok((
                NumberedNGrams { numbers: Vec::new(), ends: vec![0; ends.len()], unique: 0 },
                word_count,
            ));
        }
        (numbers, unique) = longer(&numbers, &words, &ends, k, count);
    }
    // together, without the places at which no n-gram of so many words ends
    let kept: Vec<u32> = places(&ends, n).map(|last| numbers[last]).collect();
    let lengths = ends
        .iter()
        .zip([0].iter().chain(&ends))
        .map(|(end, begin)| (end - begin).saturating_sub(n - 1));
    let ends = lengths
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect();
    Ok((NumberedNGrams { numbers: kept, ends, unique }, word_count))
}

/// The numbers of the k-grams, at the places of their last words, from those of the (k-1)-grams;
/// and how many different ones there are.
fn longer(
    shorter: &[u32],
    words: &[u32],
    ends: &[usize],
    k: usize,
    count: usize,
) -> (Vec<u32>, usize) {
    let mut numbers = vec![0; words.len()];
    let mut next = 0_u32;
    // Part by part, so that the pairs never take much memory; equal n-grams end with the same word
    // and so are in one part.
    let parts = count.div_ceil(PART);
    let mut pairs: Vec<(u64, usize)> = Vec::new();
    for part in 0..parts {
        pairs.clear();
        let of_part = |&last: &usize| words[last] as usize % parts == part;
        pairs.extend(
            places(ends, k)
                .filter(of_part)
                .map(|last| (pair(shorter[last - 1], words[last]), last)),
        );
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
    ends.iter()
        .zip([0].into_iter().chain(ends.iter().copied()))
        .flat_map(move |(&end, begin)| begin.saturating_add(n - 1)..end)
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
    use crate::{Scale, distinct, estimate, moments::mean_of};
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn influences_are_those_of_the_plain_jackknife(
            texts in vec(("[abc ]{0,14}", 0_usize..5), 2..14),
            n in 1_usize..4,
        ) {
            let (texts, prompts): (Vec<String>, Vec<usize>) = texts.into_iter().unzip();
            let found = NumberedNGrams::new(&texts, n).unwrap().influences(&prompts).unwrap();
            let mut numbers = prompts.clone();
            numbers.sort_unstable();
            numbers.dedup();
            let without = |&prompt: &usize| {
                let kept = texts.iter().zip(&prompts).filter(|(_, other)| **other != prompt);
                distinct(&kept.map(|(text, _)| text).collect::<Vec<_>>(), n)
                    .map_or(0.0, Distinct::ratio)
            };
            let ratios: Vec<f64> = numbers.iter().map(without).collect();
            let (mean, count) = (mean_of(&ratios), ratios.len() as f64);
            let expected = numbers
                .iter()
                .zip(&ratios)
                .map(|(prompt, ratio)| (*prompt, (mean - ratio) * (count - 1.0) / count));
            for (found, expected) in found.parts().iter().zip(expected) {
                prop_assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-12);
            }
            prop_assert_eq!(found.parts().len(), numbers.len());
        }
    }

    #[test]
    fn texts_of_a_prompt_are_no_further_prompts() {
        // a hundred prompts, of which each has one response, eight times
        let texts: Vec<String> = (0..100)
            .map(|prompt| format!("a b w{} x{} {}", prompt % 7, prompt * prompt % 31, prompt))
            .collect();
        let often: Vec<&String> = texts.iter().flat_map(|text| [text; 8]).collect();
        let numbers: Vec<usize> = (0..800).collect();
        let error = |prompts: &[usize]| {
            let influences = NumberedNGrams::new(&often, 2).unwrap().influences(prompts).unwrap();
            estimate(&[influences], Scale::Share).unwrap().se.unwrap()
        };
        let (by_text, by_prompt) =
            (error(&numbers), error(&numbers.iter().map(|text| text / 8).collect::<Vec<_>>()));
        let once = NumberedNGrams::new(&texts, 2).unwrap().influences(&numbers[..100]).unwrap();
        let once = estimate(&[once], Scale::Share).unwrap().se.unwrap();
        // the share of different pairs is an eighth, and so is its error
        assert!(
            (by_prompt - once / 8.0).abs() < 1e-9 && by_text < 0.8 * by_prompt,
            "{by_text} {by_prompt} {once}"
        );
    }

    #[test]
    fn numbers_leave_room_for_two_that_mean_something_else() {
        let most = u32::MAX - 1;
        assert_eq!(small(most as usize), Ok(most));
        assert!(matches!(
            small(most as usize + 1),
            Err(MetricsError::OutOfRange { name: "words", .. })
        ));
    }

    #[test]
    fn a_text_without_a_prompt_is_refused() {
        let ngrams = NumberedNGrams::new(&["a", "b"], 1).unwrap();
        assert!(matches!(ngrams.influences(&[0]), Err(MetricsError::Unpaired { .. })));
    }

    #[test]
    fn many_parts_number_like_one() {
        // more than 2^20 pairs, of few different words
        let text = "a b c d e f g ".repeat(200_000);
        let ngrams = NumberedNGrams::new(&[text.as_str(), "g a b"], 2).unwrap();
        assert_eq!(ngrams.all(), Distinct { unique: 7, total: 7 * 200_000 - 1 + 2 });
    }
}
