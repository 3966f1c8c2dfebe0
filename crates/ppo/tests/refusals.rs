//! What a training cannot begin with is refused by name, before anything is sampled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod kit;
mod training;

use std::ops::ControlFlow;

use burn::module::Module;
use tailguard_gpt2::Gpt2;
use tailguard_lm::LmError;
use tailguard_ppo::{
    Advantages, KeptBatch, PpoConfig, PpoError, SftConfig, TrainingState, supervised,
    validation_loss,
};
use tailguard_risk::{Batch, KeepLowest, Mean, Objective, ObjectiveError, SoftRiskSchedule};
use tailguard_rollout::Episode;

use kit::{Bits, config, episodes, model};
use training::{Reward, train};

/// What a training of the small model comes to if all texts have this score.
fn trained(
    config: &PpoConfig,
    reward: f32,
    objective: &dyn Objective,
) -> Result<TrainingState<Gpt2>, PpoError> {
    let state = TrainingState::new(&model(), config)?;
    train(config, &Reward(|_: &str| reward), objective, state, |_, _| true)
}

#[test]
fn a_schedule_of_another_batch_size_is_refused() {
    let objective = KeepLowest(SoftRiskSchedule::keep_all(3).unwrap());
    assert_eq!(
        refused_by(&objective),
        "the risk schedule is one for 3 episodes, expected batch_size = 4"
    );
}

/// What is wrong with an objective.
fn refused_by(objective: &dyn Objective) -> String {
    let error = trained(&config(), 1.0, objective).err().unwrap();
    assert_eq!(error.to_string(), "the objective cannot be used");
    std::error::Error::source(&error).unwrap().to_string()
}

/// An objective that gives these, whatever it is asked.
struct Gives(Vec<f64>, Vec<usize>);

impl Objective for Gives {
    fn utilities(&self, _: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        Ok(self.0.clone())
    }

    fn counted(&self, _: Batch<'_>) -> Result<Vec<usize>, ObjectiveError> {
        Ok(self.1.clone())
    }
}

#[test]
fn an_objective_gives_a_number_for_each_episode_and_places_that_there_are() {
    assert!(trained(&config(), 1.0, &Gives(vec![0.5; 4], vec![1, 3])).is_ok());
    let few = refused_by(&Gives(vec![0.5; 3], vec![0]));
    assert_eq!(few, "it gives 3 utilities, expected one for each of 4 episodes");
    for utility in [f64::NAN, f64::INFINITY, -1e16] {
        let message = refused_by(&Gives(vec![utility; 4], vec![0]));
        assert_eq!(
            message,
            format!(
                "it gives the utility {utility:e}, expected numbers of at most 1e15 in size, as \
                 scores are"
            )
        );
    }
    for counted in [vec![], vec![4], vec![1, 1], vec![2, 1]] {
        let expected =
            format!("it counts {counted:?}, expected ascending places of 4 episodes, at least one");
        assert_eq!(refused_by(&Gives(vec![0.5; 4], counted)), expected);
    }
}

#[test]
fn what_an_objective_makes_of_the_scores_is_what_training_sees() {
    let policy = |objective: &dyn Objective, reward| {
        let mut bits = Bits::default();
        trained(&config(), reward, objective).unwrap().policy.visit(&mut bits);
        bits.0
    };
    // scores of 1 that count half, and scores of a half
    assert_eq!(policy(&Gives(vec![0.5; 4], (0..4).collect()), 1.0), policy(&Mean, 0.5));
    assert_ne!(policy(&Mean, 1.0), policy(&Mean, 0.5));
}

#[test]
fn scores_that_training_cannot_hold_are_named_and_not_the_learning_rate() {
    assert!(trained(&config(), -1e15, &Mean).is_ok());
    for score in [1e37f32, -1e16] {
        let error = trained(&config(), score, &Mean).err().unwrap();
        assert!(
            error.is_divergence()
                && matches!(error, PpoError::Score { iteration: 1, episode: 0, .. }),
            "{error}"
        );
        let expected = format!(
            "scored episode 0 of iteration 1 with {score:e}, expected at most 1e15 in size: scale \
             its scores"
        );
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn a_training_whose_weights_are_lost_names_the_iteration_and_the_learning_rate() {
    let config = PpoConfig { learning_rate: 1e25, value_warmup: 0, ..config() };
    let error = trained(&config, 1.0, &Mean).err().unwrap();
    let message = error.to_string();
    assert!(
        error.is_divergence() && message.starts_with("training diverged in iteration "),
        "{message}"
    );
    assert!(message.contains("learning_rate = 10000000000000000000000000 "), "{message}");
}

#[test]
fn a_horizon_that_would_turn_the_coefficient_negative_is_refused() {
    for (kl_horizon, valid) in
        [(0.0, true), (0.9, true), (0.8, false), (-1.0, false), (f64::NAN, false)]
    {
        let found = PpoConfig { kl_horizon, ..config() }.validate();
        assert_eq!(found.is_ok(), valid, "{kl_horizon}");
        assert!(
            valid || matches!(found, Err(PpoError::Setting { key, .. }) if key == "kl_horizon"),
            "{kl_horizon}"
        );
    }
}

#[test]
fn settings_that_do_not_suit_each_other_are_refused_with_the_one_to_change() {
    let refused = |change: fn(&mut PpoConfig)| {
        let mut config = PpoConfig { value_warmup: 0, responses: 2, ..config() };
        config.advantages = Advantages::Rloo;
        assert!(config.validate().is_ok());
        change(&mut config);
        config.validate().err().map(|error| error.to_string()).unwrap()
    };
    assert_eq!(
        refused(|config| config.responses = 3),
        "training setting responses is 3, expected a divisor of batch_size, which is 4"
    );
    assert_eq!(
        refused(|config| config.responses = 1),
        "training setting responses is 1, expected 2 or more next to advantages = \"rloo\""
    );
    assert!(refused(|config| config.value_warmup = 1).contains("value_warmup is 1, expected 0"));
    assert!(refused(|config| config.gamma = 0.5).contains("gamma is 0.5, expected 1 next to"));
    assert!(
        refused(|config| config.rate_warmup = 6).contains("rate_warmup is 6, expected less than")
    );
    for rate_end in [0.0, 1.5, f64::NAN] {
        assert!(PpoConfig { rate_end, ..config() }.validate().is_err(), "{rate_end}");
    }
    for average in [-0.1, 1.5, f64::NAN] {
        assert!(PpoConfig { average, ..config() }.validate().is_err(), "{average}");
    }
}

#[test]
fn fewer_prompts_than_an_iteration_takes_are_refused() {
    let few = |responses| {
        let config = PpoConfig { batch_size: 8, responses, ..config() };
        trained(&config, 1.0, &Mean).err().map(|error| error.to_string())
    };
    assert_eq!(few(2), None);
    assert_eq!(
        few(1).unwrap(),
        "there are 4 training prompts, expected at least batch_size / responses = 8"
    );
}

#[test]
fn the_loss_of_no_rows_and_of_an_empty_row_is_an_error() {
    assert!(matches!(validation_loss(&model(), &[], 2), Err(LmError::Empty { row: 0, rows: 0 })));
    assert!(matches!(
        validation_loss(&model(), &[vec![1, 2], Vec::new()], 2),
        Err(LmError::Empty { row: 1, rows: 2 })
    ));
}

#[test]
fn a_learning_rate_that_single_precision_cannot_hold_is_refused() {
    for (rate, valid) in [
        (1e-5, true),
        (1e30, true),
        (1e39, false),
        (0.0, false),
        (f64::NAN, false),
        (f64::INFINITY, false),
    ] {
        assert_eq!(
            PpoConfig { learning_rate: rate, ..config() }.validate().is_ok(),
            valid,
            "{rate}"
        );
        assert_eq!(
            PpoConfig { value_learning_rate: rate, ..config() }.validate().is_ok(),
            valid,
            "{rate}"
        );
        let sft = SftConfig { steps: 0, batch_size: 1, learning_rate: rate, weight_decay: 0.0 };
        assert_eq!(sft.validate().is_ok(), valid, "{rate}");
    }
}

#[test]
fn a_text_beyond_the_context_or_the_vocabulary_is_refused() {
    let sft = SftConfig { steps: 1, batch_size: 1, learning_rate: 1e-3, weight_decay: 0.0 };
    let refused = |text: Vec<u32>| {
        supervised(&model(), &[text], &sft, 1, &mut |_, _| ControlFlow::Continue(())).err().unwrap()
    };
    assert!(matches!(
        refused(vec![1; 13]),
        PpoError::Lm(LmError::TooLong { found: 13, limit: 12 })
    ));
    assert!(matches!(refused(vec![1, 11]), PpoError::Lm(LmError::UnknownToken { id: 11, .. })));
    // no step, no change
    let none = SftConfig { steps: 0, ..sft };
    let same = supervised(&model(), &[vec![1, 2]], &none, 1, &mut |_, _| ControlFlow::Continue(()))
        .unwrap()
        .unwrap();
    let mut bits = [Bits::default(), Bits::default()];
    model().visit(&mut bits[0]);
    same.visit(&mut bits[1]);
    assert_eq!(bits[0].0, bits[1].0);
}

#[test]
fn episodes_whose_numbers_do_not_fit_together_are_refused() {
    let rewards: Vec<Vec<f32>> =
        episodes(2, 1, 3).into_iter().map(|episode| episode.values).collect();
    let batch = |change: fn(&mut Episode), keep: &[usize]| {
        let mut episodes = episodes(2, 1, 3);
        change(&mut episodes[1]);
        KeptBatch::new(&episodes, &rewards, keep, &config()).err()
    };
    assert!(batch(|_| (), &[0, 1]).is_none());
    assert!(matches!(batch(|_| (), &[]), Some(PpoError::Length { found: 0, .. })));
    assert!(matches!(batch(|_| (), &[0, 2]), Some(PpoError::Keep { index: 2, episodes: 2 })));
    let longer: [fn(&mut Episode); 3] = [
        |episode| episode.response_ids.push(1),
        |episode| episode.values.push(0.0),
        |episode| episode.log_probs.push(-1.0),
    ];
    for change in longer {
        assert!(matches!(batch(change, &[0, 1]), Some(PpoError::Length { .. })));
        assert!(batch(change, &[0]).is_none(), "what is dropped is not looked at");
    }
    assert!(matches!(
        batch(|episode| episode.log_probs[0] = f32::NAN, &[1]),
        Some(PpoError::NotFinite { .. })
    ));
}
