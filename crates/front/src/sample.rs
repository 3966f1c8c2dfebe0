//! Scores of responses that were sampled from the reference.

use crate::error::FrontError;

/// The scores of K responses to each of N prompts, all sampled from the reference: higher is
/// better.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    responses: usize,
    /// `[prompts, responses]`.
    scores: Vec<f64>,
    /// Of a second scorer, in the same order.
    judge: Option<Vec<f64>>,
    /// Prompts whose own score is low.
    tail: Vec<usize>,
    /// The places of all scores, from the lowest to the highest; ties by place.
    order: Vec<usize>,
}

impl Sample {
    /// A sample of so many responses to each prompt, from their scores `[prompts, responses]`.
    ///
    /// # Errors
    /// [`FrontError::Count`] for no responses, or scores that are none or no whole number of
    /// prompts; [`FrontError::NotFinite`].
    pub fn new(responses: usize, scores: Vec<f64>) -> Result<Self, FrontError> {
        if responses == 0 {
            let expected = "at least 1 to each prompt".to_owned();
            return Err(FrontError::Count { what: "responses", found: 0, expected });
        }
        if scores.is_empty() || !scores.len().is_multiple_of(responses) {
            let expected = format!("{responses} for each of at least one prompt");
            return Err(FrontError::Count { what: "scores", found: scores.len(), expected });
        }
        check_finite("score", &scores, responses)?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&one, &other| scores[one].total_cmp(&scores[other]));
        Ok(Self { responses, scores, judge: None, tail: Vec::new(), order })
    }

    /// With the scores of a second scorer, of the same responses in the same order.
    ///
    /// # Errors
    /// [`FrontError::Count`], [`FrontError::NotFinite`].
    pub fn with_judge(self, judge: Vec<f64>) -> Result<Self, FrontError> {
        let expected = self.scores.len();
        if judge.len() != expected {
            let (what, found, expected) = ("judge's scores", judge.len(), expected.to_string());
            return Err(FrontError::Count { what, found, expected });
        }
        check_finite("judge's score", &judge, self.responses)?;
        Ok(Self { judge: Some(judge), ..self })
    }

    /// With the prompts of the tail, by their places.
    ///
    /// # Errors
    /// [`FrontError::NoPrompt`].
    pub fn with_tail(self, tail: Vec<usize>) -> Result<Self, FrontError> {
        let prompts = self.prompts();
        match tail.iter().find(|&&prompt| prompt >= prompts) {
            Some(&prompt) => Err(FrontError::NoPrompt { prompt, prompts }),
            None => Ok(Self { tail, ..self }),
        }
    }

    /// How many prompts, N.
    pub fn prompts(&self) -> usize {
        self.scores.len() / self.responses
    }

    /// How many responses to each prompt, K.
    pub fn responses(&self) -> usize {
        self.responses
    }

    /// The scores, `[prompts, responses]`.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The second scorer's, `[prompts, responses]`.
    pub fn judge(&self) -> Option<&[f64]> {
        self.judge.as_deref()
    }

    /// The prompts of the tail.
    pub fn tail(&self) -> &[usize] {
        &self.tail
    }

    /// The places of all scores, ascending by score.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }
}

fn check_finite(what: &'static str, values: &[f64], responses: usize) -> Result<(), FrontError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => {
            let (prompt, response) = (place / responses, place % responses);
            Err(FrontError::NotFinite { what, prompt, response, value: values[place] })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sample_is_refused() {
        let message = |outcome: Result<Sample, FrontError>| outcome.unwrap_err().to_string();
        assert_eq!(
            message(Sample::new(0, vec![])),
            "there are 0 responses, expected at least 1 to each prompt"
        );
        assert_eq!(
            message(Sample::new(2, vec![1.0; 3])),
            "there are 3 scores, expected 2 for each of at least one prompt"
        );
        assert_eq!(
            message(Sample::new(2, vec![1.0, 2.0, 3.0, f64::NAN])),
            "the score of response 1 to prompt 1, both counted from 0, is NaN, expected a finite \
             number"
        );
        let sample = Sample::new(2, vec![1.0; 4]).unwrap();
        assert_eq!(
            message(sample.clone().with_judge(vec![1.0])),
            "there are 1 judge's scores, expected 4"
        );
        assert_eq!(
            message(sample.with_tail(vec![0, 2])),
            "prompt 2 is in the tail, but there are 2 prompts, counted from 0"
        );
    }
}
