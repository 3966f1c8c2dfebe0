//! A task as data: what its tables are called, which columns they have, and what makes a text good.

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

/// Where a task's texts are and what makes one good.
///
/// A column "prompt.text" is one of that name or the field `text` of an object (JSONL) or struct (Parquet) `prompt`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The task's folder in a data directory and among the embedded data.
    pub folder: String,
    /// Datasets in the cache of the Hugging Face hub, "owner/name", in the order in which they are tried.
    pub hub: Vec<String>,
    /// Column of texts.
    pub text: String,
    /// Column of what follows each text, if it is kept apart.
    pub continuation: Option<String>,
    /// Column of classes (0 or 1, false or true) or scores from 0 to 1: the first of these that a table has.
    pub score: Vec<String>,
    /// The side of `threshold` on which the good class lies.
    pub good: Good,
    /// The score that divides the classes, from 0 to 1.
    pub threshold: f64,
    /// If given, texts of the good class are left out by chance until no more than this share of a split is good.
    pub good_percent: Option<GoodPercent>,
}

impl Default for Layout {
    /// Columns `text` and `label`, where 1 is good; no folder of its own.
    fn default() -> Self {
        Self {
            folder: String::new(),
            hub: Vec::new(),
            text: "text".into(),
            continuation: None,
            score: vec!["label".into()],
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

    pub(crate) fn check(&self) -> Result<(), DataError> {
        let wrong = |name, found, expected| Err(DataError::Setting { name, found, expected });
        if !(0.0..=1.0).contains(&self.threshold) {
            return wrong("threshold", self.threshold.to_string(), "a number from 0 to 1");
        }
        if self.score.is_empty() {
            return wrong("score", "no column".into(), "at least one");
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
        let labels = |good| [0.0, 0.5, 0.500_001, 1.0].map(|score| Layout { good, ..Layout::default() }.label(score));
        assert_eq!(labels(Good::High), [0, 0, 1, 1]);
        assert_eq!(labels(Good::Low), [1, 1, 0, 0]);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |layout: Layout| layout.check().unwrap_err().to_string();
        for threshold in [f64::NAN, -0.1, 1.5] {
            let text = message(Layout { threshold, ..Layout::default() });
            assert_eq!(text, format!("threshold: found {threshold}, expected a number from 0 to 1"));
        }
        assert_eq!(message(Layout { score: vec![], ..Layout::default() }), "score: found no column, expected at least one");
        let good_percent = Some(GoodPercent { train: 70, test: 100 });
        assert_eq!(message(Layout { good_percent, ..Layout::default() }), "good_percent: found 100, expected 1 to 99");
        Layout::default().check().unwrap();
    }
}
