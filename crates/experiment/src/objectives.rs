//! Objectives by their names, as arms name them.

use std::collections::BTreeMap;
use std::error::Error;

use tailguard_risk::{KeepLowest, Mean, Objective, ScheduleConfig, SoftRiskSchedule};
use toml::Value;

use crate::error::ExperimentError;
use crate::settings::{ArmSettings, Settings};

/// What an objective is made from.
#[derive(Clone, Copy)]
pub struct ObjectiveContext<'a> {
    /// What stands with its name, as the 0.4 in `objective = { keep_lowest = 0.4 }`.
    pub value: Option<&'a Value>,
    /// The settings of the arm.
    pub settings: &'a Settings,
}

/// Makes an objective; the error says what is wrong with the value.
type Maker = Box<
    dyn Fn(ObjectiveContext<'_>) -> Result<Box<dyn Objective>, Box<dyn Error + Send + Sync>>
        + Send
        + Sync,
>;

/// Objectives by their names.
pub struct Objectives(BTreeMap<String, Maker>);

impl Default for Objectives {
    /// `mean` and `keep_lowest`.
    fn default() -> Self {
        let mut objectives = Self(BTreeMap::new());
        objectives.add("mean", |context| match context.value {
            None => Ok(Box::new(Mean)),
            Some(value) => Err(format!("mean has {value}, expected its name alone").into()),
        });
        objectives.add("keep_lowest", |context| Ok(Box::new(KeepLowest(schedule(context)?))));
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

    #[test]
    fn what_is_no_objective_is_refused_with_those_there_are() {
        let refused = |objective| {
            Objectives::default().of(&arm(objective), &settings()).err().unwrap().to_string()
        };
        assert_eq!(
            refused("\"cvr\""),
            "arm \"mine\": there is no objective \"cvr\", expected one of keep_lowest, mean"
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
