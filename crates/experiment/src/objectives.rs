//! Objectives by their names, as arms name them.

use std::collections::BTreeMap;
use std::error::Error;

use tailguard_risk::{KeepLowest, Mean, Objective, ScheduleConfig, SoftRiskSchedule};
use toml::Value;

use crate::error::ExperimentError;
use crate::objective_context::ObjectiveContext;
use crate::risk_objectives;
use crate::settings::{ArmSettings, Settings};

/// Makes an objective; the error says what is wrong with the value.
type Maker = Box<
    dyn Fn(ObjectiveContext<'_>) -> Result<Box<dyn Objective>, Box<dyn Error + Send + Sync>>
        + Send
        + Sync,
>;

/// Objectives by their names.
pub struct Objectives(BTreeMap<String, Maker>);

impl Default for Objectives {
    /// `mean`, `keep_lowest`, `cvar`, `entropic`, `spectral`, `worst_of`, `mixture`.
    fn default() -> Self {
        let mut objectives = Self(BTreeMap::new());
        objectives.add("mean", |context| match context.value {
            None => Ok(Box::new(Mean)),
            Some(value) => Err(format!("mean has {value}, expected its name alone").into()),
        });
        objectives.add("keep_lowest", |context| Ok(Box::new(KeepLowest(schedule(context)?))));
        for name in risk_objectives::NAMES {
            objectives.add(name, move |context| risk_objectives::objective(name, context));
        }
        objectives.add("mixture", risk_objectives::mixture);
        objectives
    }
}

/// The soft-risk schedule of `[risk]`, with another alpha where one stands with the name.
fn schedule(
    context: ObjectiveContext<'_>,
) -> Result<SoftRiskSchedule, Box<dyn Error + Send + Sync>> {
    let (risk, ppo) = (&context.settings.risk, &context.settings.ppo);
    let alpha = match context.value {
        None => risk.alpha,
        Some(Value::Float(alpha)) => *alpha,
        Some(Value::Integer(1)) => 1.0,
        Some(value) => {
            return Err(format!("keep_lowest = {value}, expected a number in (0, 1]").into());
        }
    };
    let (batch, iterations) = (ppo.batch_size, ppo.iterations);
    Ok(SoftRiskSchedule::new(ScheduleConfig {
        batch,
        alpha,
        warmup: risk.warmup,
        rho: risk.rho,
        iterations,
    })?)
}

impl Objectives {
    /// Adds an objective, in the place of one of that name.
    pub fn add<F>(&mut self, name: &str, make: F)
    where
        F: Fn(ObjectiveContext<'_>) -> Result<Box<dyn Objective>, Box<dyn Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        self.0.insert(name.to_owned(), Box::new(make));
    }

    /// The objective of an arm; the mean where it names none.
    ///
    /// # Errors
    /// A name that no objective has, with those there are; a value that it cannot be made from.
    pub fn of(
        &self,
        arm: &ArmSettings,
        settings: &Settings,
    ) -> Result<Box<dyn Objective>, ExperimentError> {
        let Some((name, value)) = arm.objective()? else { return Ok(Box::new(Mean)) };
        let Some(make) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            return Err(arm
                .wrong(format!(
                    "there is no objective {name:?}, expected one of {}",
                    known.join(", ")
                ))
                .into());
        };
        make(ObjectiveContext { value, settings })
            .map_err(|error| arm.wrong(error.to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    use tailguard_risk::Batch;

    use super::*;

    fn arm(objective: &str) -> ArmSettings {
        let value =
            format!("objective = {objective}").parse::<toml::Table>().unwrap().remove("objective");
        ArmSettings { key: "mine".into(), objective: value, ..ArmSettings::default() }
    }

    fn settings() -> Settings {
        Settings::from_toml(
            "preset = \"imdb-smoke\"\n[ppo]\niterations = 10\n[risk]\nwarmup = 1\nalpha = 0.25",
        )
        .unwrap()
    }

    fn kept(objective: &str) -> usize {
        let (settings, values) = (settings(), [3.0, 1.0, 2.0, 0.0, 5.0, 4.0, 7.0, 6.0]);
        let batch = Batch {
            iteration: 10,
            values: &values[..settings.ppo.batch_size],
            prompts: &[0, 1, 2, 3, 4, 5, 6, 7],
        };
        Objectives::default().of(&arm(objective), &settings).unwrap().counted(batch).unwrap().len()
    }

    #[test]
    fn a_level_may_stand_with_the_name() {
        assert_eq!(
            ["\"mean\"", "\"keep_lowest\"", "{ keep_lowest = 0.5 }", "{ keep_lowest = 1 }"]
                .map(kept),
            [8, 2, 4, 8]
        );
    }

    /// Utilities of the scores 1 to 8, two to a prompt, at the last iteration.
    fn utilities(objective: &str) -> Vec<f64> {
        let batch = Batch {
            iteration: 10,
            values: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            prompts: &[0, 0, 1, 1, 2, 2, 3, 3],
        };
        Objectives::default().of(&arm(objective), &settings()).unwrap().utilities(batch).unwrap()
    }

    fn cap(objective: &str) -> f64 {
        utilities(objective).into_iter().fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn cvar_caps_at_the_level_that_stands_with_it() {
        // without one it is that of [risk], 0.25 of 8
        assert_eq!(cap("\"cvar\"").to_string(), "2");
        assert_eq!(cap("{ cvar = 0.5 }").to_string(), "4");
        assert_eq!(cap("{ cvar = 1 }").to_string(), "8");
        assert_eq!(cap("{ cvar = { level = 0.5, warmup = 3 } }").to_string(), "4");
        assert_eq!(
            utilities("{ cvar = { level = 0.5, over = \"prompt\" } }"),
            [1.0, 1.0, 3.0, 3.0, 5.0, 5.0, 7.0, 7.0]
        );
        // of ten iterations the last ends it, rho 1: at level 1 nothing is capped
        assert_eq!(cap("{ cvar = { level = 0.5, warmup = 9, rho = 1.0 } }").to_string(), "4");
    }

    #[test]
    fn the_other_measures_are_made_of_what_stands_with_them() {
        assert_eq!(
            utilities("{ worst_of = { k = 2, over = \"prompt\" } }"),
            [1.0, 1.0, 3.0, 3.0, 5.0, 5.0, 7.0, 7.0]
        );
        assert_eq!(utilities("{ worst_of = 1 }"), utilities("\"mean\""));
        assert_eq!(utilities("{ spectral = [1, 1.0] }"), utilities("\"mean\""));
        assert_eq!(
            utilities("{ spectral = { weights = [1, 0], over = \"batch\" } }"),
            utilities("{ cvar = 0.5 }")
        );
        assert_eq!(utilities("{ entropic = 1 }"), utilities("{ entropic = { lambda = 1.0 } }"));
        // slope 1 below the cap and 0.3 / (0.3 + 0.7 / 0.5) above it
        let above = 0.3 / 1.7;
        assert!(
            (cap("{ mixture = { mean = 0.3, of = { cvar = 0.5 } } }") - (4.0 + 4.0 * above)).abs()
                < 1e-12
        );
        assert_eq!(
            utilities("{ mixture = { mean = 1, of = { worst_of = 1 } } }"),
            utilities("\"mean\"")
        );
    }

    #[test]
    fn what_no_measure_is_made_of_is_refused() {
        let refused = |objective| {
            Objectives::default().of(&arm(objective), &settings()).err().unwrap().to_string()
        };
        let same = |objective, message: &str| {
            assert_eq!(refused(objective), format!("arm \"mine\": {message}"))
        };
        same("{ cvar = 1.5 }", "cvar = 1.5, expected a number in (0, 1]");
        same(
            "{ cvar = { levl = 0.4 } }",
            "cvar has the key `levl`, expected level, over, warmup, rho; did you mean `level`?",
        );
        same(
            "{ cvar = { warmup = 10 } }",
            "cvar.warmup is 10 and ppo.iterations 10: expected less, or the level never comes down",
        );
        same("\"entropic\"", "entropic lacks lambda, expected it as in { entropic = 0.5 }");
        same("{ entropic = -1 }", "entropic = -1, expected a number above 0");
        same("{ worst_of = 0 }", "worst_of = 0, expected a whole number of at least 1");
        same(
            "{ worst_of = { k = 2.5 } }",
            "worst_of.k = 2.5, expected a whole number of at least 1",
        );
        same(
            "{ spectral = 3 }",
            "spectral = 3, expected a list of numbers that never rise, as in [3, 2, 1]",
        );
        same(
            "{ spectral = [1, 2] }",
            "weight 1 of the spectrum, counted from 0, is 2, expected at most the weight before it",
        );
        same(
            "{ mixture = { mean = 2, of = { cvar = 0.2 } } }",
            "mixture.mean = 2, expected a number from 0 to 1",
        );
        same(
            "{ mixture = { mean = 0.3, of = { cvr = 0.2 } } }",
            "mixture.of is of \"cvr\", expected one of cvar, entropic, spectral, worst_of; did \
             you mean `cvar`?",
        );
        same(
            "{ mixture = 0.3 }",
            "mixture lacks of, expected it as in { mixture = { mean = 0.3, of = { cvar = 0.2 } } }",
        );
        assert!(
            refused("{ cvar = { over = \"all\" } }").ends_with("expected \"batch\" or \"prompt\"")
        );
    }

    #[test]
    fn all_but_keep_lowest_count_every_episode() {
        let objectives = [
            "\"mean\"",
            "{ cvar = 0.25 }",
            "{ entropic = 0.5 }",
            "{ spectral = [3, 1] }",
            "{ worst_of = 4 }",
            "{ mixture = { mean = 0.3, of = { cvar = 0.2 } } }",
        ];
        assert_eq!(objectives.map(kept), [8; 6]);
        assert_eq!(objectives.len() + 1, Objectives::default().0.len());
    }

    #[test]
    fn a_tail_over_prompts_wants_several_responses() {
        let objective = Objectives::default()
            .of(&arm("{ cvar = { over = \"prompt\" } }"), &settings())
            .unwrap();
        let shape = |responses| tailguard_risk::BatchShape { episodes: 8, responses };
        assert!(objective.check(shape(4)).is_ok());
        assert!(
            objective
                .check(shape(1))
                .unwrap_err()
                .to_string()
                .contains("expected 2 responses or more")
        );
    }

    #[test]
    fn what_is_no_objective_is_refused_with_those_there_are() {
        let refused = |objective| {
            Objectives::default().of(&arm(objective), &settings()).err().unwrap().to_string()
        };
        assert_eq!(
            refused("\"cvr\""),
            "arm \"mine\": there is no objective \"cvr\", expected one of cvar, entropic, \
             keep_lowest, mean, mixture, spectral, worst_of"
        );
        assert_eq!(
            refused("{ keep_lowest = \"x\" }"),
            "arm \"mine\": keep_lowest = \"x\", expected a number in (0, 1]"
        );
        assert!(refused("{ keep_lowest = 1.5 }").contains("alpha is 1.5"));
        assert!(refused("{ mean = 1 }").contains("expected its name alone"));
        assert!(refused("3").contains("objective = 3, expected a name"));
    }
}
