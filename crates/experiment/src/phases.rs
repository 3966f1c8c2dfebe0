//! The phases of an experiment: for each seed every arm is made and evaluated. Every phase leaves
//! its result in the run directory, and a resumed run skips the phases that are there.

use std::collections::HashMap;

use burn::tensor::Device;
use tailguard_gpt2::Gpt2;
use tailguard_report::Diverged;

use crate::arms::{Plan, Planned};
use crate::error::{During, ExperimentError};
use crate::inputs::Inputs;
use crate::made::Made;
use crate::objectives::Objectives;
use crate::observer::{Event, Observer};
use crate::protocol::{Subject, evaluate, is_evaluated};
use crate::recipe::{Recipes, Work};
use crate::run::Run;
use crate::settings::Settings;

/// What the phases of all seeds have in common.
pub(crate) struct Phases<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) recipes: &'a Recipes,
    pub(crate) objectives: &'a Objectives,
    pub(crate) inputs: &'a Inputs,
    pub(crate) device: &'a Device,
    pub(crate) run: &'a Run,
    pub(crate) plan: &'a Plan<'a>,
}

impl Phases<'_> {
    /// Makes and evaluates the arms with one seed. What diverges is added to `diverged`.
    pub(crate) fn seed(
        &self,
        seed: u64,
        diverged: &mut Vec<Diverged>,
        observer: &mut dyn Observer,
    ) -> Result<(), ExperimentError> {
        let evaluated = |planned: &Planned<'_>| is_evaluated(&self.run.dir, &planned.arm.key, seed);
        let all = self.plan.compared().map(evaluated).collect::<Result<Vec<_>, _>>()?;
        if all.iter().all(|&is_there| is_there) {
            return Ok(());
        }
        let mut made: HashMap<&str, Made> = HashMap::new();
        let mut waiting = Vec::new();
        for (place, planned) in self.plan.made.iter().enumerate() {
            let arm = planned.arm;
            let is_done = planned.is_compared && is_evaluated(&self.run.dir, &arm.key, seed)?;
            if is_done && !self.plan.is_needed_behind(place, &arm.key) {
                continue;
            }
            if let Some(lost) = arm.made_from().find(|key| !made.contains_key(key)) {
                let reason = format!("it is made from the arm {lost:?}, which diverged");
                note(
                    diverged,
                    Diverged { method: arm.key.clone(), seed, reason },
                    planned,
                    observer,
                );
                continue;
            }
            match self.make(planned, &made, seed, observer) {
                Ok(policy) => {
                    made.insert(&arm.key, policy);
                    waiting.push(planned);
                }
                Err(ExperimentError::Stopped) => return Err(ExperimentError::Stopped),
                Err(error) if error.is_divergence() && arm.key != self.plan.reference => {
                    note(diverged, lost(planned, seed, &error), planned, observer);
                }
                Err(error) if arm.key == self.plan.reference => {
                    let title = arm.arm().title;
                    return Err(error).during(|| {
                        format!("{title}, seed {seed}, to which all others are measured")
                    });
                }
                Err(error) => return Err(error),
            }
            self.evaluate_those_that_can_be(&made, &mut waiting, seed, diverged, observer)?;
            let waits = |key: &str| waiting.iter().any(|planned| planned.arm.key == key);
            made.retain(|key, _| waits(key) || self.plan.is_needed_behind(place, key));
        }
        Ok(())
    }

    /// Makes an arm, from what it is made from.
    pub(crate) fn make(
        &self,
        planned: &Planned<'_>,
        made: &HashMap<&str, Made>,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<Made, ExperimentError> {
        let Planned { arm, settings, .. } = planned;
        let Some(recipe) = self.recipes.get(&arm.recipe) else {
            return Err(arm.wrong(format!("there is no recipe {:?}", arm.recipe)).into());
        };
        recipe.make(&mut Work {
            arm,
            settings,
            inputs: self.inputs,
            objectives: self.objectives,
            from: arm.from.as_deref().and_then(|from| made.get(from)),
            needed: arm
                .needs
                .iter()
                .filter_map(|(what, key)| Some((what.as_str(), made.get(key.as_str())?)))
                .collect(),
            seed,
            dir: &self.run.dir,
            device: self.device,
            observer,
        })
    }

    /// Evaluates the arms that wait for it, once the reference is there.
    fn evaluate_those_that_can_be(
        &self,
        made: &HashMap<&str, Made>,
        waiting: &mut Vec<&Planned<'_>>,
        seed: u64,
        diverged: &mut Vec<Diverged>,
        observer: &mut dyn Observer,
    ) -> Result<(), ExperimentError> {
        let Some(reference) = made.get(self.plan.reference) else { return Ok(()) };
        let Some(reference) = reference.model() else {
            let message = format!(
                "evaluation.reference is {:?}, which was made into no language model",
                self.plan.reference
            );
            return Err(ExperimentError::refused(message));
        };
        for planned in waiting.drain(..).filter(|planned| planned.is_compared) {
            let Some(policy) = made.get(planned.arm.key.as_str()) else { continue };
            match self.evaluate(planned, policy, reference, seed, observer) {
                // what came as it is, or what all others are measured to, was not lost in training
                Err(error) if error.is_divergence() && planned.is_trained(self.plan) => {
                    note(diverged, lost(planned, seed, &error), planned, observer);
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Evaluates an arm unless its figures are there.
    fn evaluate(
        &self,
        planned: &Planned<'_>,
        made: &Made,
        reference: &Gpt2,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), ExperimentError> {
        let arm = planned.arm.arm();
        if is_evaluated(&self.run.dir, &arm.key, seed)? {
            return Ok(());
        }
        if !observer.goes_on() {
            return Err(ExperimentError::Stopped);
        }
        observer.tell(Event::Info(&format!("evaluating {}, seed {seed}", arm.title)));
        let subject = Subject { arm: &arm.key, seed, made, reference };
        evaluate(self.inputs, self.settings, &self.run.dir, &subject, observer).map_err(|error| {
            // the training came to its end, and left a policy that is of no use
            let is_of_ppo = self
                .recipes
                .get(&planned.arm.recipe)
                .is_some_and(|recipe| recipe.sections().contains(&"ppo"));
            let rate = planned.settings.ppo.learning_rate;
            let cause =
                if is_of_ppo { format!(" (learning_rate = {rate})") } else { String::new() };
            let doing = if error.is_divergence() && planned.is_trained(self.plan) {
                format!("the policy after its training cannot be evaluated{cause}")
            } else {
                format!("evaluating {}, seed {seed}", arm.title)
            };
            ExperimentError::during_this(doing, error)
        })
    }
}

/// An arm that diverged.
fn lost(planned: &Planned<'_>, seed: u64, error: &ExperimentError) -> Diverged {
    let reason = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    Diverged { method: planned.arm.key.clone(), seed, reason }
}

/// Notes an arm that diverged.
fn note(
    diverged: &mut Vec<Diverged>,
    lost: Diverged,
    planned: &Planned<'_>,
    observer: &mut dyn Observer,
) {
    observer.tell(Event::Warning(&lost.told(&[planned.arm.arm()])));
    diverged.push(lost);
}
