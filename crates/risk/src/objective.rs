//! What training learns from the episodes of an iteration: the mean of their scores, or their tail.

use std::error::Error;

use crate::{SoftRiskSchedule, lowest};

/// One number for each episode of an iteration, and which episodes answer the same prompt.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The iteration, counted from 1.
    pub iteration: usize,
    /// One finite number per episode, higher is better: scores of the reward model, or returns.
    pub values: &'a [f64],
    /// The prompt of each episode, by number: those of the same number answer the same prompt.
    pub prompts: &'a [usize],
}

/// How many episodes each iteration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchShape {
    /// All of them.
    pub episodes: usize,
    /// Those that answer one prompt.
    pub responses: usize,
}

impl BatchShape {
    /// So many episodes, each with a prompt of its own.
    pub fn single(episodes: usize) -> Self {
        Self { episodes, responses: 1 }
    }
}

/// What episodes that count more or less are worth to an objective.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveWorth {
    /// The utility of each episode, as [`Objective::utilities`] gives it.
    pub utilities: Vec<f64>,
    /// What the objective makes of all of them, in units of utility: beside it a KL coefficient is
    /// what it is beside the utilities. One number, or one for each prompt where each prompt's
    /// episodes are measured by themselves, in the order of their first episodes.
    pub values: Vec<f64>,
}

/// What an objective says of its own failure.
pub type ObjectiveError = Box<dyn Error + Send + Sync>;

/// What training maximises. It sees the scores of an iteration's episodes and gives each a utility,
/// which takes the place of the score; then it sees the returns - utility less the KL penalty - and
/// says which episodes count.
///
/// Both have a default: utilities are the scores, and all episodes count. That is [`Mean`], plain
/// RLHF.
///
/// # Example
/// Everything above 1 counts as 1, so that an episode which is good enough has nothing to win:
/// ```
/// use tailguard_risk::{Batch, Objective, ObjectiveError};
///
/// struct GoodEnough;
///
/// impl Objective for GoodEnough {
///     fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
///         Ok(scores.values.iter().map(|score| score.min(1.0)).collect())
///     }
/// }
///
/// let scores = Batch { iteration: 1, values: &[0.5, 3.0], prompts: &[0, 1] };
/// assert_eq!(GoodEnough.utilities(scores)?, [0.5, 1.0]);
/// assert_eq!(GoodEnough.counted(scores)?, [0, 1]);
/// # Ok::<(), ObjectiveError>(())
/// ```
pub trait Objective: Send + Sync {
    /// Checks that batches of this shape suit the objective; called before training begins.
    ///
    /// # Errors
    /// What it expects instead.
    fn check(&self, _shape: BatchShape) -> Result<(), ObjectiveError> {
        Ok(())
    }

    /// The utility of each episode, from the scores: finite numbers, as many as there are scores.
    ///
    /// # Errors
    /// What the objective cannot work with.
    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        Ok(scores.values.to_vec())
    }

    /// The same for episodes that stand for a distribution by their masses: at least 0, and not all
    /// 0; only their ratios matter. Training that weighs samples of one policy to make another one
    /// of them asks for this, and wants the utilities of the policy that is made.
    ///
    /// # Errors
    /// An objective that has no utility of weighted episodes, which is the default.
    fn weighted(
        &self,
        _scores: Batch<'_>,
        _masses: &[f64],
    ) -> Result<ObjectiveWorth, ObjectiveError> {
        Err("the objective says nothing of weighted samples: expected mean, cvar, entropic, \
             spectral, worst_of or mixture"
            .into())
    }

    /// The episodes that count, from the returns: their places, ascending, at least one.
    ///
    /// # Errors
    /// What the objective cannot work with.
    fn counted(&self, returns: Batch<'_>) -> Result<Vec<usize>, ObjectiveError> {
        Ok((0..returns.values.len()).collect())
    }
}

/// The mean: what RLHF maximises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mean;

impl Objective for Mean {
    fn weighted(
        &self,
        scores: Batch<'_>,
        masses: &[f64],
    ) -> Result<ObjectiveWorth, ObjectiveError> {
        let all: f64 = masses.iter().sum();
        let sum: f64 = scores.values.iter().zip(masses).map(|(score, mass)| score * mass).sum();
        Ok(ObjectiveWorth { utilities: scores.values.to_vec(), values: vec![sum / all] })
    }
}

/// The objective of RA-RLHF: the episodes with the lowest returns count, as many as the schedule
/// says (Algorithm 1 of arXiv 2501.06911).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeepLowest(pub SoftRiskSchedule);

impl Objective for KeepLowest {
    fn check(&self, shape: BatchShape) -> Result<(), ObjectiveError> {
        let (batch_size, of_schedule) = (shape.episodes, self.0.keep(0));
        if of_schedule == batch_size {
            return Ok(());
        }
        Err(format!(
            "the risk schedule is one for {of_schedule} episodes, expected batch_size = \
            {batch_size}"
        )
        .into())
    }

    fn weighted(
        &self,
        _scores: Batch<'_>,
        _masses: &[f64],
    ) -> Result<ObjectiveWorth, ObjectiveError> {
        Err("keep_lowest drops episodes and has no utility: expected mean, cvar, entropic, \
             spectral, worst_of or mixture; cvar at the same level is its counterpart"
            .into())
    }

    fn counted(&self, returns: Batch<'_>) -> Result<Vec<usize>, ObjectiveError> {
        Ok(lowest(returns.values, self.0.keep(returns.iteration))?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::ScheduleConfig;

    #[test]
    fn a_schedule_of_another_batch_size_is_refused() {
        let objective = KeepLowest(SoftRiskSchedule::keep_all(8).unwrap());
        assert!(objective.check(BatchShape::single(8)).is_ok());
        let message = objective.check(BatchShape::single(4)).unwrap_err().to_string();
        assert_eq!(message, "the risk schedule is one for 8 episodes, expected batch_size = 4");
        assert!(Mean.check(BatchShape::single(1)).is_ok());
    }

    proptest! {
        #[test]
        fn the_mean_takes_all_as_they_are(
            values in vec(-9.0..9.0, 1..40),
            iteration in 1_usize..99,
        ) {
            let prompts: Vec<usize> = (0..values.len()).collect();
            let batch = Batch { iteration, values: &values, prompts: &prompts };
            prop_assert_eq!(Mean.utilities(batch).unwrap(), values.clone());
            prop_assert_eq!(Mean.counted(batch).unwrap(), prompts);
        }

        #[test]
        fn the_lowest_are_those_of_the_schedule(
            values in vec(-9.0..9.0, 8),
            iteration in 1_usize..30,
        ) {
            let schedule = SoftRiskSchedule::new(ScheduleConfig {
                batch: 8,
                alpha: 0.25,
                warmup: 5,
                rho: 0.9,
                iterations: 20,
            })
            .unwrap();
            let batch = Batch { iteration, values: &values, prompts: &[0, 1, 2, 3, 4, 5, 6, 7] };
            let objective = KeepLowest(schedule);
            prop_assert_eq!(objective.utilities(batch).unwrap(), values.clone());
            prop_assert_eq!(
                objective.counted(batch).unwrap(),
                lowest(&values, schedule.keep(iteration)).unwrap()
            );
        }
    }
}
