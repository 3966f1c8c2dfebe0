//! An experiment from prompts to the table: for each seed every arm is made and evaluated. Every phase leaves its result in the run
//! directory, and a resumed run skips the phases that are there.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use tailguard_gpt2::Gpt2;
use tailguard_report::{Diverged, NewRunDir, Results, ResultsFile, RunDir, Traces};
use tailguard_reward::RewardModel;
use tailguard_risk::Objective;

use crate::arms::{Plan, Planned};
use crate::error::{During, ExperimentError};
use crate::inputs::{Inputs, Sources};
use crate::objectives::{ObjectiveContext, Objectives};
use crate::observer::{Event, Observer};
use crate::places::{Home, ModelDirs, locate};
use crate::protocol::{Subject, evaluate, is_evaluated};
use crate::recipe::{Made, Recipe, Recipes, Work};
use crate::run::{Beginning, Dir, Origin, Run};
use crate::settings::Settings;
use crate::summary::{self, TailSample};

/// Settings, and what a program adds to them.
pub struct Experiment {
    settings: Settings,
    recipes: Recipes,
    objectives: Objectives,
    reward: Option<Box<dyn RewardModel>>,
    origin: Origin,
}

/// The directory of a run.
pub enum Out<'a> {
    /// One that is not there, or is empty.
    New(&'a Path),
    /// The next free one of its name in this folder: `imdb-embedded-1`.
    Numbered(&'a Path),
    /// That of a run that goes on.
    Resumed(RunDir),
}

/// An experiment whose settings are sound and whose directory is reserved. Dropped, it leaves nothing behind.
pub struct Prepared {
    experiment: Experiment,
    home: Home,
    models: ModelDirs,
    device: Device,
    dir: Dir,
    begun: Instant,
}

/// An experiment that has come to its end.
#[derive(Debug)]
pub struct Finished {
    /// The figures, as `results.json` has them. An arm that diverged has none, and stands under `diverged`.
    pub results: Results,
    /// Where everything is.
    pub dir: RunDir,
    /// Prompts of the tail, the worst first, with what the arms of the first seed made of them: `evaluation.shown_samples`.
    pub samples: Vec<TailSample>,
}

impl Experiment {
    /// An experiment by these settings, with the recipes and objectives that they know by name.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (recipes, objectives) = (Recipes::default(), Objectives::default());
        Self { settings, recipes, objectives, reward: None, origin: Origin::default() }
    }

    /// Adds a recipe, which arms name by `recipe = "NAME"`.
    #[must_use]
    pub fn with_recipe(mut self, name: &str, recipe: impl Recipe + 'static) -> Self {
        self.recipes.add(name, recipe);
        self
    }

    /// Adds an objective, which arms name by `objective = "NAME"`, or `objective = { NAME = VALUE }`.
    #[must_use]
    pub fn with_objective<O: Objective + 'static>(
        mut self,
        name: &str,
        make: impl Fn(ObjectiveContext<'_>) -> Result<O, Box<dyn std::error::Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        self.objectives.add(name, move |context| Ok(Box::new(make(context)?)));
        self
    }

    /// Rewards by this model, and not by that of `reward.dir`.
    #[must_use]
    pub fn with_reward(mut self, model: impl RewardModel + 'static) -> Self {
        self.reward = Some(Box::new(model));
        self
    }

    /// Notes another program than this library in `run.json`.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Checks the settings, finds device and models, reserves the run directory. `run.threads` is for the program to obey, which owns the
    /// pool of threads.
    ///
    /// # Errors
    /// Settings that make no sense, or that are not those of the run that goes on; a device or a model that is not there; a directory
    /// that cannot be written, or that holds something already.
    pub fn prepare(self, home: &Home, out: Out<'_>) -> Result<Prepared, ExperimentError> {
        let begun = Instant::now();
        self.settings.validate()?;
        Plan::of(&self.settings, &self.recipes, &self.objectives)?;
        let device = tailguard_kernels::device(&self.settings.run.device)?;
        let models = locate(&self.settings, home, self.reward.is_some())?;
        let dir = match out {
            Out::Resumed(dir) => {
                self.settings.check_recorded(&dir.config_path(), &dir.config()?)?;
                Dir::Resumed(dir)
            }
            Out::New(path) => Dir::New(NewRunDir::reserve(path)?),
            Out::Numbered(folder) => {
                let name = format!("{}-{}", self.settings.task, self.settings.preset);
                Dir::New(NewRunDir::reserve_numbered(folder, &name)?)
            }
        };
        Ok(Prepared { experiment: self, home: home.clone(), models, device, dir, begun })
    }
}

impl Prepared {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.experiment.settings
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        match &self.dir {
            Dir::New(dir) => dir.path(),
            Dir::Resumed(dir) => dir.path(),
        }
    }

    /// What is left of a directory that was reserved, until the run begins: to be removed where the process ends before that.
    #[must_use]
    pub fn traces(&self) -> Option<Traces> {
        match &self.dir {
            Dir::New(dir) => Some(dir.traces()),
            Dir::Resumed(_) => None,
        }
    }

    /// Runs all seeds and writes the results. An arm that diverges costs no other one its figures, unless that begins with it or is
    /// measured to it.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] where the observer wants no more, and whatever goes wrong on the way. What is done so far is kept.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Finished, ExperimentError> {
        let Self { experiment, home, models, device, dir, begun } = self;
        let Experiment { settings, recipes, objectives, reward, origin } = experiment;
        // the run begins only once there is nothing left that its settings could be refused for
        let inputs = Inputs::read(&settings, Sources { home: &home, models: &models, reward, device: &device }, observer)?;
        let beginning =
            Beginning { settings: &settings, origin: &origin, inputs: inputs.digests.clone(), scores: inputs.scores() };
        let run = Run::open(dir, beginning, begun, observer)?;
        let plan = Plan::of(&settings, &recipes, &objectives)?;
        for note in plan.left_out() {
            observer.tell(Event::Info(&note));
        }
        let phases = Phases {
            settings: &settings,
            recipes: &recipes,
            objectives: &objectives,
            inputs: &inputs,
            device: &device,
            run: &run,
            plan: &plan,
        };
        let mut diverged = Vec::new();
        for seed in settings.seed_list() {
            if let Err(error) = phases.seed(seed, &mut diverged, observer) {
                // the first error is the one to tell: on a full disk this fails, too
                let noted = run.note_costs();
                return Err(match (error, noted) {
                    (ExperimentError::Stopped, Err(noted)) => noted,
                    (error, _) => error,
                });
            }
        }
        let results = summary::collect(&phases, &home, diverged)?;
        results.write(&run.dir.results_path())?;
        summary::write_tables(&phases, &results)?;
        run.note_costs()?;
        let samples = summary::tail_samples(&phases, &results)?;
        Ok(Finished { results, dir: run.dir, samples })
    }
}

/// What the phases of all seeds have in common.
pub(crate) struct Phases<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) recipes: &'a Recipes,
    objectives: &'a Objectives,
    pub(crate) inputs: &'a Inputs,
    device: &'a Device,
    pub(crate) run: &'a Run,
    pub(crate) plan: &'a Plan<'a>,
}

impl Phases<'_> {
    /// Makes and evaluates the arms with one seed. What diverges is added to `diverged`.
    fn seed(&self, seed: u64, diverged: &mut Vec<Diverged>, observer: &mut dyn Observer) -> Result<(), ExperimentError> {
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
            let from = arm.from.as_deref();
            if let Some(from) = from.filter(|from| !made.contains_key(from)) {
                let reason = format!("it begins with the arm {from:?}, which diverged");
                note(diverged, Diverged { method: arm.key.clone(), seed, reason }, planned, observer);
                continue;
            }
            match self.make(planned, from.and_then(|from| made.get(from)), seed, observer) {
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
                    return Err(error).during(|| format!("{title}, seed {seed}, to which all others are measured"));
                }
                Err(error) => return Err(error),
            }
            self.evaluate_those_that_can_be(&made, &mut waiting, seed, diverged, observer)?;
            let waits = |key: &str| waiting.iter().any(|planned| planned.arm.key == key);
            made.retain(|key, _| waits(key) || self.plan.is_needed_behind(place, key));
        }
        Ok(())
    }

    fn make(
        &self,
        planned: &Planned<'_>,
        from: Option<&Made>,
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
            from,
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
            let message = format!("evaluation.reference is {:?}, which was made into no language model", self.plan.reference);
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
            let is_of_ppo = self.recipes.get(&planned.arm.recipe).is_some_and(|recipe| recipe.sections().contains(&"ppo"));
            let rate = planned.settings.ppo.learning_rate;
            let cause = if is_of_ppo { format!(" (learning_rate = {rate})") } else { String::new() };
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
fn note(diverged: &mut Vec<Diverged>, lost: Diverged, planned: &Planned<'_>, observer: &mut dyn Observer) {
    observer.tell(Event::Warning(&lost.told(&[planned.arm.arm()])));
    diverged.push(lost);
}
