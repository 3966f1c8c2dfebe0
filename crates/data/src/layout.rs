//! A task as data: what its tables are called, which columns they have, and what makes a text good.

use crate::cell::Cell;
use crate::error::DataError;

/// The side of the threshold on which the good class lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    /// Good is a score above the threshold (positive reviews).
    High,
    /// Good is a score of at most the threshold (texts that are not toxic).
    Low,
}

/// Percent of the good class in each split, each from 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoodPercent {
    /// For training.
    pub train: usize,
    /// Held out.
    pub test: usize,
}

/// Classes that are written as words, in any case; also the names of folders of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Of the good class.
    pub good: Vec<String>,
    /// Of the bad one.
    pub bad: Vec<String>,
}

impl Words {
    /// 1 or 0 for a word, if it is one.
    pub(crate) fn class(&self, word: &str) -> Option<u8> {
        let word = word.trim().to_lowercase();
        let has = |words: &[String]| words.iter().any(|there| there.trim().to_lowercase() == word);
        if has(&self.good) { Some(1) } else { has(&self.bad).then_some(0) }
    }
}

/// Where a task's texts are and what makes one good.
///
/// A column "prompt.text" is one of that name or the field `text` of an object (JSON) or struct
/// (Parquet) `prompt`; where `prompt` is a list, "prompt.0.text" is that of its first entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The task's folder in a data directory and among the embedded data.
    pub folder: String,
    /// Datasets in the cache of the Hugging Face hub, "owner/name", in the order in which they are
    /// tried.
    pub hub: Vec<String>,
    /// Names of a table for all splits, without its ending.
    pub whole: Vec<String>,
    /// Column of texts.
    pub text: String,
    /// Names that it may have instead; the first of all these that a table has is read.
    pub other_text: Vec<String>,
    /// Column of what follows each text, if it is kept apart.
    pub continuation: Option<String>,
    /// Column of classes (0 or 1, false or true) or scores from 0 to 1: the first of these that a
    /// table has.
    pub score: Vec<String>,
    /// Words that a class may be written as; any other must be a number.
    pub words: Words,
    /// The side of `threshold` on which the good class lies.
    pub good: Good,
    /// The score that divides the classes, from 0 to 1.
    pub threshold: f64,
    /// If given, texts of the good class are left out by chance until no more than this share of a
    /// split is good.
    pub good_percent: Option<GoodPercent>,
}

impl Default for Layout {
    /// Columns `text` and `label`, where 1 is good; no folder of its own; `prompts` for a table for
    /// all splits.
    fn default() -> Self {
        Self {
            folder: String::new(),
            hub: Vec::new(),
            whole: vec!["prompts".into()],
            text: "text".into(),
            other_text: Vec::new(),
            continuation: None,
            score: vec!["label".into()],
            words: Words::default(),
            good: Good::High,
            threshold: 0.5,
            good_percent: None,
        }
    }
}

impl Layout {
    /// 1 if a text of this score is good.
    pub(crate) fn label(&self, score: f64) -> u8 {
        match self.good {
            Good::High => u8::from(score > self.threshold),
            Good::Low => u8::from(score <= self.threshold),
        }
    }

    /// The class of a value, if it is a word for one or a number from 0 to 1.
    pub(crate) fn class(&self, value: &Cell) -> Option<u8> {
        let score = || {
            value
                .number()
                .filter(|score| (0.0..=1.0).contains(score))
                .map(|score| self.label(score))
        };
        value.label().and_then(|word| self.words.class(&word)).or_else(score)
    }

    /// What a class may be.
    pub(crate) fn expected(&self) -> String {
        let number = "a number from 0 to 1".to_owned();
        match (&self.words.good, &self.words.bad) {
            (good, bad) if good.is_empty() && bad.is_empty() => number,
            (good, bad) => {
                format!("{number}, or one of {} (good), {} (bad)", good.join(", "), bad.join(", "))
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), DataError> {
        let wrong = |name, found, expected| Err(DataError::Setting { name, found, expected });
        if !(0.0..=1.0).contains(&self.threshold) {
            return wrong("threshold", self.threshold.to_string(), "a number from 0 to 1");
        }
        if self.score.is_empty() {
            return wrong("score", "no column".into(), "at least one");
        }
        if self.words.good.is_empty() != self.words.bad.is_empty() {
            return wrong(
                "labels",
                "words for one class".into(),
                "words for both classes, or none",
            );
        }
        if let Some(word) = self.words.bad.iter().find(|word| self.words.class(word) == Some(1)) {
            return wrong(
                "labels",
                format!("{word:?} as good and as bad"),
                "each word for one class",
            );
        }
        let percents = self.good_percent.map(|percent| [percent.train, percent.test]);
        match percents.into_iter().flatten().find(|percent| !(1..=99).contains(percent)) {
            Some(percent) => wrong("good_percent", percent.to_string(), "1 to 99"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_at_the_threshold_is_low() {
        let labels = |good| {
            [0.0, 0.5, 0.500_001, 1.0]
                .map(|score| Layout { good, ..Layout::default() }.label(score))
        };
        assert_eq!(labels(Good::High), [0, 0, 1, 1]);
        assert_eq!(labels(Good::Low), [1, 1, 0, 0]);
    }

    #[test]
    fn a_class_may_be_a_word_in_any_case() {
        let words =
            |good: &str, bad: &str| Words { good: vec![good.into()], bad: vec![bad.into()] };
        let layout = Layout { words: words("pos", "neg"), ..Layout::default() };
        let class = |value: &str| layout.class(&Cell::Text(value.into()));
        assert_eq!(
            ["pos", " Neg", "0.7", "0", "neutral", "2", ""].map(class),
            [Some(1), Some(0), Some(1), Some(0), None, None, None]
        );
        let stars = Layout { words: words("5", "1"), good: Good::Low, ..Layout::default() };
        let classes = [1, 5, 0, 3].map(|stars_given| stars.class(&Cell::Integer(stars_given)));
        assert_eq!(classes, [Some(0), Some(1), Some(1), None]);
        assert_eq!(layout.expected(), "a number from 0 to 1, or one of pos (good), neg (bad)");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |layout: Layout| layout.check().unwrap_err().to_string();
        for threshold in [f64::NAN, -0.1, 1.5] {
            let text = message(Layout { threshold, ..Layout::default() });
            assert_eq!(
                text,
                format!("threshold: found {threshold}, expected a number from 0 to 1")
            );
        }
        let words = |good: &[&str], bad: &[&str]| {
            let [good, bad] =
                [good, bad].map(|words| words.iter().map(|&word| word.to_owned()).collect());
            message(Layout { words: Words { good, bad }, ..Layout::default() })
        };
        assert_eq!(
            words(&["a"], &[]),
            "labels: found words for one class, expected words for both classes, or none"
        );
        assert_eq!(
            words(&["a"], &["b", "A "]),
            "labels: found \"A \" as good and as bad, expected each word for one class"
        );
        assert_eq!(
            message(Layout { score: vec![], ..Layout::default() }),
            "score: found no column, expected at least one"
        );
        let good_percent = Some(GoodPercent { train: 70, test: 100 });
        assert_eq!(
            message(Layout { good_percent, ..Layout::default() }),
            "good_percent: found 100, expected 1 to 99"
        );
        Layout::default().check().unwrap();
    }
}
