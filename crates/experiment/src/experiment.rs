//! An experiment from settings to the table.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use tailguard_report::{NewRunDir, Results, ResultsFile, RunDir, Traces};
use tailguard_reward::RewardModel;
use tailguard_risk::Objective;

use crate::arms::Plan;
use crate::error::ExperimentError;
use crate::inputs::{BROUGHT, Brought, Inputs, Sources};
use crate::objective_context::ObjectiveContext;
use crate::objectives::Objectives;
use crate::observer::{Event, Observer};
use crate::phases::Phases;
use crate::places::{Home, ModelDirs, locate};
use crate::recipe::{Recipe, Recipes};
use crate::run::{Beginning, Dir, Origin, Run};
use crate::settings::Settings;
use crate::shared::take_over;
use crate::summary::{self, TailSample};

/// Settings, and what a program adds to them.
pub struct Experiment {
    settings: Settings,
    recipes: Recipes,
    objectives: Objectives,
    reward: Option<Brought>,
    /// Kinds and names of what the program has added.
    added: Vec<(&'static str, String)>,
    /// Runs whose arms may be taken over.
    earlier: Vec<PathBuf>,
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

/// An experiment whose settings are sound and whose directory is reserved. Dropped, it leaves
/// nothing behind.
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
    /// The figures, as `results.json` has them. An arm that diverged has none, and stands under
    /// `diverged`.
    pub results: Results,
    /// Where everything is.
    pub dir: RunDir,
    /// Prompts of the tail, the worst first, with what the arms of the first seed made of them:
    /// `evaluation.shown_samples`.
    pub samples: Vec<TailSample>,
}

impl Experiment {
    /// An experiment by these settings, with the recipes and objectives that they know by name.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (recipes, objectives) = (Recipes::default(), Objectives::default());
        Self {
            settings,
            recipes,
            objectives,
            reward: None,
            added: Vec::new(),
            earlier: Vec::new(),
            origin: Origin::default(),
        }
    }

    /// Adds a recipe, which arms name by `recipe = "NAME"`. A run goes on only where the program
    /// has it, too.
    #[must_use]
    pub fn with_recipe(mut self, name: &str, recipe: impl Recipe + 'static) -> Self {
        self.recipes.add(name, recipe);
        self.added.push(("recipe", name.to_owned()));
        self
    }

    /// Adds an objective, which arms name by `objective = "NAME"`, or
    /// `objective = { NAME = VALUE }`. A run goes on only where the program has it, too.
    #[must_use]
    pub fn with_objective<O: Objective + 'static>(
        mut self,
        name: &str,
        make: impl Fn(ObjectiveContext<'_>) -> Result<O, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.objectives.add(name, move |context| Ok(Box::new(make(context)?)));
        self.added.push(("objective", name.to_owned()));
        self
    }

    /// Rewards by this model, and not by that of `reward.dir`. Its name stands in `run.json` and on
    /// the page, and a run goes on only under the same: change it whenever the scores change.
    #[must_use]
    pub fn with_reward(mut self, name: &str, model: impl RewardModel + 'static) -> Self {
        self.reward = Some(Brought { name: name.to_owned(), model: Box::new(model) });
        self
    }

    /// Takes arms over from finished runs of the same program, where they were made by the same
    /// settings, with their logs, texts and figures; the first that has one gives it.
    #[must_use]
    pub fn sharing_with(self, earlier: Vec<PathBuf>) -> Self {
        Self { earlier, ..self }
    }

    /// Notes another program than this library in `run.json`.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Checks the settings, finds device and models, reserves the run directory; `run.precision`
    /// holds for the whole process from here on. `run.threads` is for the program to obey, which
    /// owns the pool of threads.
    ///
    /// # Errors
    /// Settings that make no sense, or that are not those of the run that goes on; a device or a
    /// model that is not there; a directory that cannot be written, or that holds something
    /// already.
    pub fn prepare(self, home: &Home, out: Out<'_>) -> Result<Prepared, ExperimentError> {
        let begun = Instant::now();
        self.settings.validate()?;
        Plan::of(&self.settings, &self.recipes, &self.objectives)?;
        let device = tailguard_kernels::device(&self.settings.run.device)?;
        tailguard_kernels::set_precision(self.settings.run.precision.into(), &device)?;
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

    /// What is left of a directory that was reserved, until the run begins: to be removed where the
    /// process ends before that.
    #[must_use]
    pub fn traces(&self) -> Option<Traces> {
        match &self.dir {
            Dir::New(dir) => Some(dir.traces()),
            Dir::Resumed(_) => None,
        }
    }

    /// Runs all seeds and writes the results. An arm that diverges costs no other one its figures,
    /// unless that begins with it or is measured to it.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] where the observer wants no more, and whatever goes wrong on
    /// the way. What is done so far is kept.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Finished, ExperimentError> {
        let Self { experiment, home, models, device, dir, begun } = self;
        let Experiment { settings, recipes, objectives, reward, added, earlier, origin } =
            experiment;
        let places =
            reward.iter().map(|brought| ("reward model".to_owned(), brought.told())).collect();
        // the run begins only once there is nothing left that its settings could be refused for
        let inputs = Inputs::read(
            &settings,
            Sources { home: &home, models: &models, reward, device: &device },
            observer,
        )?;
        let plan = Plan::of(&settings, &recipes, &objectives)?;
        plan.check(&recipes, &inputs)?;
        let mut digests = inputs.digests.clone();
        // what a program adds has no digest; that it was added does not go unnoticed
        let is_used =
            |(kind, name): &&(&str, String)| settings.arm.iter().any(|arm| arm.names(kind, name));
        digests.extend(
            added
                .iter()
                .filter(is_used)
                .map(|(kind, name)| (format!("{kind} {name}"), BROUGHT.to_owned())),
        );
        let beginning = Beginning {
            settings: &settings,
            origin: &origin,
            inputs: digests,
            scores: inputs.scores(),
            places,
        };
        let run = Run::open(dir, beginning, begun, observer)?;
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
        take_over(&phases, &earlier, observer)?;
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
        summary::write_tables(&phases, &results)?;
        // last of all: what has results is whole
        results.write(&run.dir.results_path())?;
        run.note_costs()?;
        let samples = summary::tail_samples(&phases, &results)?;
        Ok(Finished { results, dir: run.dir, samples })
    }
}
