//! Where advantages come from: the value head, or the other responses to the same prompt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tailguard_risk::{Batch, Mean, Objective, leave_one_out};

use crate::error::{PpoError, finite};

/// How advantages are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Advantages {
    /// Generalised advantage estimation from a value head ([`gae`](crate::gae)), whitened.
    #[default]
    Gae,
    /// Leave-one-out over the responses to a prompt ([`rloo`]).
    Rloo,
}

/// Leave-one-out advantages (RLOO, arXiv 2402.14740), one per episode: its return - utility less KL
/// penalty - minus a baseline that the other responses to its prompt give. For the mean this is
/// their mean return, as in TRL's `RLOOTrainer`. A risk-averse utility depends on the whole batch;
/// so the others' utilities are those of the batch without the episode, see
/// [`leave_one_out`](tailguard_risk::leave_one_out()). The penalties have no part in the utilities.
///
/// They are not whitened, like TRL's (`normalize_advantages = False`). To shift them by their mean
/// would be a baseline in which the episode has a part again, which is what leaving it out avoids.
/// And their scale hardly matters to Adam.
///
/// # Shapes
/// `kl_penalties` has one entry per score: `kl_coef` times the KL of the episode, in units of the
/// reward, and so has the result.
///
/// # Errors
/// [`PpoError::Objective`]: a prompt with a single response, penalties that are not as many as
/// scores, what the objective says; [`PpoError::NotFinite`].
///
/// # Example
/// ```
/// use tailguard_ppo::{PpoError, rloo};
/// use tailguard_risk::{Batch, Mean};
///
/// // three responses to one prompt; the last has paid 1 of its 5 for its KL
/// let scores = Batch { iteration: 1, values: &[1.0, 0.0, 5.0], prompts: &[0, 0, 0] };
/// let advantages = rloo(&Mean, scores, &[0.0, 0.0, 1.0])?;
/// assert_eq!(advantages, [1.0 - 2.0, 0.0 - 2.5, 4.0 - 0.5]);
/// # Ok::<(), PpoError>(())
/// ```
pub fn rloo(
    objective: &dyn Objective,
    scores: Batch<'_>,
    kl_penalties: &[f64],
) -> Result<Vec<f32>, PpoError> {
    let utilities = objective.utilities(scores).map_err(PpoError::Objective)?;
    let of_others = leave_one_out(objective, scores).map_err(PpoError::Objective)?;
    let penalties = Batch { values: kl_penalties, ..scores };
    let penalties_of_others = leave_one_out(&Mean, penalties).map_err(PpoError::Objective)?;
    let gains = utilities.iter().zip(of_others).map(|(own, others)| own - others);
    let costs = kl_penalties.iter().zip(penalties_of_others).map(|(own, others)| own - others);
    #[expect(clippy::cast_possible_truncation, reason = "the losses are single precision")]
    let advantages: Vec<f32> = gains.zip(costs).map(|(gain, cost)| (gain - cost) as f32).collect();
    finite("advantages", &advantages)?;
    Ok(advantages)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use tailguard_risk::{Measure, Over, RiskAverse, RiskAversion, RiskLevel};

    use super::*;

    /// Prompts of `responses` episodes each, with their scores and penalties.
    fn any_batch() -> impl Strategy<Value = (usize, Vec<(f64, f64)>)> {
        (2_usize..5, 1_usize..5).prop_flat_map(|(responses, prompts)| {
            let episodes = vec((-4.0..4.0, -1.0..2.0), responses * prompts);
            episodes.prop_map(move |episodes| (responses, episodes))
        })
    }

    fn objectives() -> Vec<Box<dyn Objective>> {
        let level = RiskLevel::new(0.4).unwrap();
        let measures = [
            Measure::CvarRockafellarUryasev(level),
            Measure::WorstOf(NonZeroUsize::new(2).unwrap()),
            Measure::Entropic(RiskAversion::new(0.5).unwrap()),
        ];
        let averse = measures.into_iter().flat_map(|measure| {
            [Over::Batch, Over::Prompt].map(|over| RiskAverse::new(measure, over))
        });
        let averse = averse.map(|objective| Box::new(objective) as Box<dyn Objective>);
        averse.chain([Box::new(Mean) as Box<dyn Objective>]).collect()
    }

    /// Advantages of episodes, each with the number of its prompt, its score and its penalty.
    fn advantages(objective: &dyn Objective, episodes: &[(usize, f64, f64)]) -> Vec<f32> {
        let prompts: Vec<usize> = episodes.iter().map(|episode| episode.0).collect();
        let scores: Vec<f64> = episodes.iter().map(|episode| episode.1).collect();
        let penalties: Vec<f64> = episodes.iter().map(|episode| episode.2).collect();
        let scores = Batch { iteration: 1, values: &scores, prompts: &prompts };
        rloo(objective, scores, &penalties).unwrap()
    }

    fn numbered(responses: usize, episodes: &[(f64, f64)]) -> Vec<(usize, f64, f64)> {
        let numbered = episodes.iter().enumerate();
        numbered.map(|(at, &(score, penalty))| (at / responses, score, penalty)).collect()
    }

    fn close(one: &[f32], other: &[f32]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-4)
    }

    proptest! {
        #[test]
        fn under_the_mean_those_of_a_prompt_sum_to_zero((responses, episodes) in any_batch()) {
            let found = advantages(&Mean, &numbered(responses, &episodes));
            for of_prompt in found.chunks(responses) {
                prop_assert!(of_prompt.iter().sum::<f32>().abs() < 1e-4, "{of_prompt:?}");
            }
            prop_assert!(found.iter().any(|advantage| advantage.abs() > 1e-3));
        }

        #[test]
        fn they_belong_to_their_episodes_in_whatever_order(
            (responses, episodes) in any_batch(),
            order in vec(any::<u32>(), 16),
        ) {
            let episodes = numbered(responses, &episodes);
            let mut places: Vec<usize> = (0..episodes.len()).collect();
            places.sort_by_key(|&place| order[place]);
            let shuffled: Vec<_> = places.iter().map(|&place| episodes[place]).collect();
            for objective in objectives() {
                let found = advantages(&*objective, &episodes);
                let expected: Vec<f32> = places.iter().map(|&place| found[place]).collect();
                prop_assert!(close(&advantages(&*objective, &shuffled), &expected));
            }
        }

        #[test]
        fn a_constant_in_all_scores_or_all_penalties_changes_nothing(
            (responses, episodes) in any_batch(),
            by in -3.0..3.0,
        ) {
            let moved = |score: f64, penalty: f64| {
                let moved = episodes.iter().map(|(a, b)| (a + score, b + penalty));
                numbered(responses, &moved.collect::<Vec<_>>())
            };
            for objective in objectives() {
                let found = advantages(&*objective, &moved(0.0, 0.0));
                prop_assert!(close(&advantages(&*objective, &moved(by, 0.0)), &found));
                prop_assert!(close(&advantages(&*objective, &moved(0.0, by)), &found));
            }
        }
    }

    #[test]
    fn a_lone_response_penalties_of_others_and_what_is_no_number_are_refused() {
        fn batch(prompts: &[usize]) -> Batch<'_> {
            Batch { iteration: 1, values: &[1.0, 2.0], prompts }
        }
        let refused = |prompts: &[usize], penalties: &[f64]| {
            rloo(&Mean, batch(prompts), penalties).unwrap_err()
        };
        assert!(matches!(refused(&[0, 1], &[0.0; 2]), PpoError::Objective(_)));
        assert!(matches!(refused(&[0, 0], &[0.0; 3]), PpoError::Objective(_)));
        assert!(matches!(refused(&[0, 0], &[0.0, f64::NAN]), PpoError::NotFinite { .. }));
        assert!(matches!(refused(&[0, 0], &[0.0, 1e300]), PpoError::NotFinite { .. }));
    }
}
