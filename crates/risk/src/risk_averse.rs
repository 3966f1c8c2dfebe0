//! The objectives that maximise a risk measure by its utility: nothing is dropped, and all episodes
//! pay their KL.

use std::sync::Arc;

use crate::{
    Batch, BatchShape, Measure, Objective, ObjectiveError, ObjectiveWorth, Over, RiskMeasure,
    SoftRiskSchedule, Weighted,
};

/// A measure that threads may share.
type Shared = Arc<dyn RiskMeasure + Send + Sync>;

/// Maximises a risk measure of the scores, of the batch or of each prompt's episodes: a score
/// counts with its [`Utility`](crate::Utility), and all episodes count.
///
/// Each iteration's utility comes from its own scores and from nothing else, so there is nothing to
/// save for a resumed run. That an eta of one batch is noisy costs little: the measure is at its
/// maximum in eta, so an error of eta matters by its square alone, and the gradient is unbiased for
/// the measure of a batch whatever eta came out.
///
/// # Example
/// ```
/// use tailguard_risk::{Batch, Measure, Objective, ObjectiveError, Over, RiskAverse, RiskLevel};
///
/// let half = RiskLevel::new(0.5)?;
/// let objective = RiskAverse::new(Measure::CvarRockafellarUryasev(half), Over::Batch);
/// let scores = Batch { iteration: 1, values: &[3.0, -1.0, 2.0, 0.0], prompts: &[0, 0, 1, 1] };
/// assert_eq!(objective.utilities(scores)?, [0.0, -1.0, 0.0, 0.0]); // min(score, 0)
/// assert_eq!(objective.counted(scores)?, [0, 1, 2, 3]);
///
/// let objective = RiskAverse::new(Measure::CvarRockafellarUryasev(half), Over::Prompt);
/// assert_eq!(objective.utilities(scores)?, [-1.0, -1.0, 0.0, 0.0]);
/// # Ok::<(), ObjectiveError>(())
/// ```
pub struct RiskAverse {
    measure: Box<dyn Fn(usize) -> Shared + Send + Sync>,
    over: Over,
}

impl RiskAverse {
    /// Maximises one measure throughout.
    pub fn new(measure: impl RiskMeasure + Send + Sync + 'static, over: Over) -> Self {
        let measure: Shared = Arc::new(measure);
        Self { measure: Box::new(move |_| Arc::clone(&measure)), over }
    }

    /// Maximises another measure at each iteration, counted from 1.
    pub fn scheduled<M>(measure: impl Fn(usize) -> M + Send + Sync + 'static, over: Over) -> Self
    where
        M: RiskMeasure + Send + Sync + 'static,
    {
        Self { measure: Box::new(move |iteration| Arc::new(measure(iteration))), over }
    }

    /// Maximises `CVaR` at the level of each iteration, with exactly that share of the mass. Eta
    /// lies between two scores where level times n does, so neither a level that comes down
    /// steadily nor a score that does makes it jump.
    pub fn cvar(schedule: SoftRiskSchedule, over: Over) -> Self {
        Self::scheduled(
            move |iteration| Measure::CvarRockafellarUryasev(schedule.level(iteration)),
            over,
        )
    }
}

impl Objective for RiskAverse {
    fn check(&self, shape: BatchShape) -> Result<(), ObjectiveError> {
        let (size, needed) = (self.over.size(shape)?, (self.measure)(1).fewest());
        if size >= needed {
            return Ok(());
        }
        let of = match self.over {
            Over::Batch => "episodes of an iteration",
            Over::Prompt => "responses to each prompt",
        };
        Err(format!("the objective is over {size} {of}, expected at least {needed}").into())
    }

    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        let measure = (self.measure)(scores.iteration);
        let mut utilities = scores.values.to_vec();
        for group in self.over.groups(scores) {
            let values: Vec<f64> = group.iter().map(|&place| scores.values[place]).collect();
            for (&place, utility) in group.iter().zip(measure.utility(&values)?.values) {
                utilities[place] = utility;
            }
        }
        Ok(utilities)
    }

    fn weighted(
        &self,
        scores: Batch<'_>,
        masses: &[f64],
    ) -> Result<ObjectiveWorth, ObjectiveError> {
        let measure = (self.measure)(scores.iteration);
        let (mut utilities, mut measured) = (scores.values.to_vec(), Vec::new());
        for mut group in self.over.groups(scores) {
            group.sort_by(|&left, &right| scores.values[left].total_cmp(&scores.values[right]));
            let mass: f64 = group.iter().map(|&place| masses[place]).sum();
            let values: Vec<f64> = group.iter().map(|&place| scores.values[place]).collect();
            let own: Vec<f64> = group.iter().map(|&place| masses[place] / mass).collect();
            let worth = measure.worth(Weighted::new(&values, &own)?)?;
            for (&place, utility) in group.iter().zip(worth.utility.values) {
                utilities[place] = utility;
            }
            measured.push(worth.value / worth.utility.scale);
        }
        Ok(ObjectiveWorth { utilities, values: measured })
    }
}
