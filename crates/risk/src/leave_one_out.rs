//! A baseline for each episode from the other responses to its prompt, for training without a value
//! head.

use crate::{Batch, Objective, ObjectiveError};

/// For each episode, the mean utility that the other responses to its prompt have in the batch
/// *without it*. Utility less this baseline has the same policy gradient in expectation, and less
/// noise (RLOO, arXiv 2402.14740).
///
/// The mean of the others' utilities in the batch *with* it is no baseline: the episode has a part
/// in their eta, and the gradient becomes another. Of two responses under the worst of two, both
/// have the lower score as their utility: nothing would be learnt. For the mean the two are one. It
/// asks the objective for the utilities of as many batches as there are episodes.
///
/// # Errors
/// A prompt with a single response; not a prompt for each score, or not a utility for each; what
/// the objective cannot work with.
///
/// # Example
/// ```
/// # use std::num::NonZeroUsize;
/// use tailguard_risk::{
///     Batch, Measure, Objective, ObjectiveError, Over, RiskAverse, leave_one_out,
/// };
///
/// # let two = NonZeroUsize::MIN.saturating_add(1);
/// let objective = RiskAverse::new(Measure::WorstOf(two), Over::Prompt);
/// let scores = Batch { iteration: 1, values: &[3.0, 1.0], prompts: &[0, 0] };
/// assert_eq!(objective.utilities(scores)?, [1.0, 1.0]);
/// // so the better one gains 0, the worse one loses 2
/// assert_eq!(leave_one_out(&objective, scores)?, [1.0, 3.0]);
/// # Ok::<(), ObjectiveError>(())
/// ```
pub fn leave_one_out(
    objective: &dyn Objective,
    scores: Batch<'_>,
) -> Result<Vec<f64>, ObjectiveError> {
    let as_many = |what: &str, found: usize, expected: usize| {
        if found == expected {
            return Ok(());
        }
        Err(format!("there are {found} {what}, expected {expected}, one per episode"))
    };
    as_many("prompt numbers", scores.prompts.len(), scores.values.len())?;
    let without = |left_out: usize| -> Result<f64, ObjectiveError> {
        let others = || (0..scores.values.len()).filter(move |place| *place != left_out);
        let values: Vec<f64> = others().map(|place| scores.values[place]).collect();
        let prompts: Vec<usize> = others().map(|place| scores.prompts[place]).collect();
        let prompt = scores.prompts[left_out];
        if !prompts.contains(&prompt) {
            return Err(format!("prompt {prompt} has 1 response, expected 2 or more").into());
        }
        let utilities =
            objective.utilities(Batch { values: &values, prompts: &prompts, ..scores })?;
        as_many("utilities of the others", utilities.len(), values.len())?;
        let same: Vec<f64> = utilities
            .iter()
            .zip(&prompts)
            .filter(|(_, other)| **other == prompt)
            .map(|(value, _)| *value)
            .collect();
        Ok(same.iter().sum::<f64>() / same.len() as f64)
    };
    (0..scores.values.len()).map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mean;

    #[test]
    fn numbers_that_are_not_as_many_are_refused() {
        let refused = |objective: &dyn Objective, values: &[f64], prompts: &[usize]| {
            leave_one_out(objective, Batch { iteration: 1, values, prompts })
                .unwrap_err()
                .to_string()
        };
        let few = "there are 2 prompt numbers, expected 3, one per episode";
        assert_eq!(refused(&Mean, &[1.0, 2.0, 3.0], &[0, 0]), few);
        assert_eq!(
            refused(&Mean, &[1.0, 2.0, 3.0], &[0, 0, 4]),
            "prompt 4 has 1 response, expected 2 or more"
        );
        struct One;
        impl Objective for One {
            fn utilities(&self, _: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
                Ok(vec![0.0])
            }
        }
        let one = "there are 1 utilities of the others, expected 2, one per episode";
        assert_eq!(refused(&One, &[1.0, 2.0, 3.0], &[0; 3]), one);
    }
}
