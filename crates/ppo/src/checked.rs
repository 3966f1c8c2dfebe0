//! An objective whose answers are looked at before training takes them.

use tailguard_risk::{Batch, BatchShape, Objective, ObjectiveError};
use tailguard_rollout::LARGEST_SCORE;

/// Refuses utilities and places that training cannot work with.
pub(crate) struct Checked<'a>(pub(crate) &'a dyn Objective);

impl Objective for Checked<'_> {
    fn check(&self, shape: BatchShape) -> Result<(), ObjectiveError> {
        self.0.check(shape)
    }

    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        let utilities = self.0.utilities(scores)?;
        let (found, episodes) = (utilities.len(), scores.values.len());
        if found != episodes {
            let message =
                format!("it gives {found} utilities, expected one for each of {episodes} episodes");
            return Err(message.into());
        }
        let limit = f64::from(LARGEST_SCORE);
        match utilities.iter().find(|utility| !utility.is_finite() || utility.abs() > limit) {
            Some(utility) => Err(format!(
                "it gives the utility {utility:e}, expected numbers of at most {LARGEST_SCORE:e} \
                 in size, as scores are"
            )
            .into()),
            None => Ok(utilities),
        }
    }

    fn counted(&self, returns: Batch<'_>) -> Result<Vec<usize>, ObjectiveError> {
        let (keep, episodes) = (self.0.counted(returns)?, returns.values.len());
        let is_ascending = keep.is_sorted_by(|one, next| one < next);
        if keep.is_empty() || !is_ascending || keep.last().is_some_and(|last| *last >= episodes) {
            let message = format!(
                "it counts {keep:?}, expected ascending places of {episodes} episodes, at least one"
            );
            return Err(message.into());
        }
        Ok(keep)
    }
}
