//! The risk-averse objectives: over the batch, over prompts, by a schedule.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its measures has failed")]

use std::num::NonZeroUsize;

use proptest::{collection::vec, prelude::*};
use tailguard_risk::{
    Batch, BatchShape, MeanShare, Measure, Mixture, Objective, ObjectiveError, Over, RiskAverse,
    RiskAversion, RiskLevel, RiskMeasure, ScheduleConfig, SoftRiskSchedule, Spectrum,
    leave_one_out,
};

fn schedule() -> SoftRiskSchedule {
    SoftRiskSchedule::new(ScheduleConfig {
        batch: 8,
        alpha: 0.25,
        warmup: 2,
        rho: 1.0,
        iterations: 8,
    })
    .unwrap()
}

fn objectives(over: Over) -> Vec<RiskAverse> {
    let share = MeanShare::new(0.3).unwrap();
    vec![
        RiskAverse::cvar(schedule(), over),
        RiskAverse::new(Measure::Entropic(RiskAversion::new(0.5).unwrap()), over),
        RiskAverse::new(Spectrum::new(&[3.0, 2.0, 1.0]).unwrap(), over),
        RiskAverse::new(Measure::WorstOf(NonZeroUsize::new(2).unwrap()), over),
        RiskAverse::scheduled(
            move |iteration| Mixture::new(share, Measure::Cvar(schedule().level(iteration))),
            over,
        ),
    ]
}

#[test]
fn cvar_begins_as_the_mean_and_comes_down() {
    let objective = RiskAverse::cvar(schedule(), Over::Batch);
    let values = [7.0, 0.0, 6.0, 1.0, 5.0, 2.0, 4.0, 3.0];
    let prompts: Vec<usize> = (0..8).collect();
    let cap = |iteration: usize| {
        let utilities =
            objective.utilities(Batch { iteration, values: &values, prompts: &prompts }).unwrap();
        utilities.into_iter().fold(f64::NEG_INFINITY, f64::max)
    };
    // the level falls by an eighth: one episode each time, so the cap falls by one
    assert_eq!((1..10).map(cap).collect::<Vec<_>>(), [7.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]);
}

#[test]
fn too_few_episodes_are_refused_before_training() {
    let worst = |over| RiskAverse::new(Measure::WorstOf(NonZeroUsize::new(4).unwrap()), over);
    let shape = |episodes, responses| BatchShape { episodes, responses };
    assert!(worst(Over::Batch).check(shape(4, 1)).is_ok());
    assert!(worst(Over::Prompt).check(shape(8, 4)).is_ok());
    let refused = |objective: RiskAverse, shape| objective.check(shape).unwrap_err().to_string();
    assert_eq!(
        refused(worst(Over::Batch), shape(3, 1)),
        "the objective is over 3 episodes of an iteration, expected at least 4"
    );
    assert_eq!(
        refused(worst(Over::Prompt), shape(8, 2)),
        "the objective is over 2 responses to each prompt, expected at least 4"
    );
    for objective in objectives(Over::Prompt) {
        assert!(objective.check(shape(8, 2)).is_ok());
        let message = objective.check(BatchShape::single(8)).unwrap_err().to_string();
        assert_eq!(
            message,
            "over = \"prompt\" and 1 response to each prompt: expected 2 responses or more, or \
             over = \"batch\""
        );
    }
}

#[test]
fn what_is_no_score_is_refused() {
    let scores = Batch { iteration: 1, values: &[0.0, f64::NAN], prompts: &[0, 0] };
    for objective in objectives(Over::Batch) {
        assert_eq!(
            objective.utilities(scores).unwrap_err().to_string(),
            "return 1 is NaN, expected a finite number"
        );
    }
}

/// An objective that gives one utility too few.
struct Short;

impl Objective for Short {
    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        Ok(scores.values[1..].to_vec())
    }
}

#[test]
fn a_baseline_needs_another_response_and_one_utility_for_each() {
    let refused = |objective: &dyn Objective, prompts: &[usize]| {
        let scores = Batch { iteration: 1, values: &[0.0, 1.0, 2.0], prompts };
        leave_one_out(objective, scores).unwrap_err().to_string()
    };
    let mean = RiskAverse::new(Measure::Mean, Over::Batch);
    assert_eq!(refused(&mean, &[4, 4, 7]), "prompt 7 has 1 response, expected 2 or more");
    assert_eq!(refused(&mean, &[4, 4]), "there are 2 prompt numbers, expected 3, one per episode");
    assert_eq!(
        refused(&Short, &[4; 3]),
        "there are 1 utilities of the others, expected 2, one per episode"
    );
}

proptest! {
    #[test]
    fn all_episodes_count_and_the_utilities_are_the_measures(
        values in vec(-9.0..9.0, 1..40), iteration in 1_usize..12,
    ) {
        let prompts: Vec<usize> = (0..values.len()).collect();
        let batch = Batch { iteration, values: &values, prompts: &prompts };
        for objective in objectives(Over::Batch) {
            prop_assert_eq!(objective.counted(batch).unwrap(), prompts.clone());
        }
        let measure = Measure::CvarRockafellarUryasev(schedule().level(iteration));
        let found = RiskAverse::cvar(schedule(), Over::Batch).utilities(batch).unwrap();
        prop_assert_eq!(found, measure.utility(&values).unwrap().values);
    }

    #[test]
    fn over_prompts_is_over_each_prompt_by_itself(
        episodes in vec((-9.0..9.0, 0_usize..5), 1..40), iteration in 1_usize..12,
    ) {
        let (values, prompts): (Vec<f64>, Vec<usize>) = episodes.into_iter().unzip();
        let batch = Batch { iteration, values: &values, prompts: &prompts };
        for (of_prompts, of_batch) in objectives(Over::Prompt).iter().zip(objectives(Over::Batch)) {
            let utilities = of_prompts.utilities(batch).unwrap();
            for prompt in 0..5 {
                let places: Vec<usize> =
                    (0..values.len()).filter(|&place| prompts[place] == prompt).collect();
                let own: Vec<f64> = places.iter().map(|&place| values[place]).collect();
                if own.is_empty() {
                    continue;
                }
                let alone = of_batch
                    .utilities(Batch { iteration, values: &own, prompts: &vec![prompt; own.len()] })
                    .unwrap();
                prop_assert_eq!(
                    places.iter().map(|&place| utilities[place]).collect::<Vec<_>>(),
                    alone
                );
            }
        }
    }

    #[test]
    fn eta_does_not_jump_as_the_level_comes_down(
        values in vec(-9.0..9.0, 2..40),
        alpha in 0.02..0.999,
    ) {
        let cap = |alpha: f64| {
            let utilities = Measure::CvarRockafellarUryasev(RiskLevel::new(alpha).unwrap())
                .utility(&values)
                .unwrap()
                .values;
            utilities.into_iter().fold(f64::NEG_INFINITY, f64::max)
        };
        // at most the widest gap, 18, times the ranks that a step crosses
        prop_assert!(
            (cap(alpha + 1e-6) - cap(alpha)).abs() <= 18.0 * 1e-6 * values.len() as f64 + 1e-9
        );
    }
}
