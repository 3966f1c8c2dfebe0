//! How an arm is made: a recipe, given the arm that it is made from, makes something that answers
//! prompts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tailguard_checkpoint::{
    CONFIG_FILE, CheckpointError, ModelDir, SUMS_FILE, Sums, TOKENIZER_FILE, WEIGHTS_FILE,
};
use tailguard_files::{FileError, write_dir};
use tailguard_gpt2::Gpt2;
use tailguard_report::RunDir;
use tailguard_risk::{Objective, ObjectiveError};

use crate::equal_kl::EQUAL_KL;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::Made;
use crate::objectives::Objectives;
use crate::observer::Observer;
use crate::recipes;
use crate::settings::{ArmSettings, Settings};

/// A way to make a policy.
pub trait Recipe: Send + Sync {
    /// The sections of the settings that it reads: an arm may set their keys for itself, and no
    /// others.
    fn sections(&self) -> &[&str];

    /// Whether an arm is made from another one.
    fn needs_from(&self) -> bool {
        true
    }

    /// What it calls the further arms that it needs: an arm names each of them by its `needs`.
    fn needs(&self) -> &[&str] {
        &[]
    }

    /// Whether it has an objective.
    fn has_objective(&self) -> bool {
        false
    }

    /// Checks the settings of an arm and its objective before anything is begun, where it
    /// [has one](Self::has_objective): by default that each batch of PPO suits the objective.
    ///
    /// # Errors
    /// What is expected instead.
    fn suits(&self, settings: &Settings, objective: &dyn Objective) -> Result<(), ObjectiveError> {
        let shape = settings.ppo.batch_shape();
        objective.check(shape).map_err(|error| {
            let (episodes, responses) = (shape.episodes, shape.responses);
            format!("{error} (ppo.batch_size is {episodes}, ppo.responses {responses})").into()
        })
    }

    /// The KL at which it holds what it makes, nats per response, if it does: tables say how near
    /// it came.
    fn held_kl(&self, settings: &Settings) -> Option<f64> {
        settings.experiment.held_kl().filter(|_| self.reads(EQUAL_KL))
    }

    /// Whether rewards form what it makes, so that these may rise where nothing else becomes
    /// better: then that is watched.
    fn sees_rewards(&self) -> bool {
        true
    }

    /// Whether it makes a language model, with which other arms can begin and to which KL can be
    /// measured.
    fn makes_model(&self) -> bool {
        true
    }

    /// Whether what it is made from must be language models.
    fn needs_model(&self) -> bool {
        self.needs_from()
    }

    /// Whether texts are sampled, or scored by the reward model, to make it. Then the rows of its
    /// training log say how many, as `sampled_tokens` and `reward_calls`; what it costs is not
    /// known otherwise.
    fn samples(&self) -> bool {
        true
    }

    /// A number that the KL of what it makes, to what that is made from, does not exceed, in nats;
    /// nothing where none is known.
    fn kl_bound(&self, _settings: &Settings) -> Option<f64> {
        None
    }

    /// Refuses what it cannot be made with, once models and texts are there and before any arm is
    /// made.
    ///
    /// # Errors
    /// [`ExperimentError::Refused`] with the setting, what was found and what it may be.
    fn check(
        &self,
        _arm: &ArmSettings,
        _settings: &Settings,
        _inputs: &Inputs,
    ) -> Result<(), ExperimentError> {
        Ok(())
    }

    /// Whether it reads a setting: one of its [sections](Self::sections), or in one of them.
    fn reads(&self, key: &str) -> bool {
        let mut sections = self.sections().iter();
        sections.any(|section| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Makes the policy, or goes on making it: what an earlier process has finished is in the run
    /// directory, as is what it has begun.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] where the observer wants no more; whatever goes wrong.
    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError>;
}

/// What a recipe works with.
pub struct Work<'a> {
    /// The arm, as the settings describe it.
    pub arm: &'a ArmSettings,
    /// The settings, with those of the arm over them.
    pub settings: &'a Settings,
    /// Models, prompts and texts.
    pub inputs: &'a Inputs,
    /// The objectives by their names.
    pub objectives: &'a Objectives,
    /// What the arm is made from; none where the settings name nothing.
    pub from: Option<&'a Made>,
    /// The further arms that its recipe needs, by what they are to it.
    pub needed: BTreeMap<&'a str, &'a Made>,
    /// Decides all that is random.
    pub seed: u64,
    /// The directory of the run.
    pub dir: &'a RunDir,
    /// Where tensors live.
    pub device: &'a Device,
    /// Is told what happens.
    pub observer: &'a mut dyn Observer,
}

impl<'a> Work<'a> {
    /// The language model that the arm is made from.
    ///
    /// # Errors
    /// Where it is made from nothing, or from what is no language model.
    pub fn model_to_begin_with(&self) -> Result<&'a Gpt2, ExperimentError> {
        self.model_of("from", self.from)
    }

    /// The language model of an arm that the recipe [needs](Recipe::needs).
    ///
    /// # Errors
    /// Where the arm names none, or what is no language model.
    pub fn model_needed(&self, what: &str) -> Result<&'a Gpt2, ExperimentError> {
        self.model_of(what, self.needed.get(what).copied())
    }

    fn model_of(&self, what: &str, made: Option<&'a Made>) -> Result<&'a Gpt2, ExperimentError> {
        made.and_then(Made::model).ok_or_else(|| {
            let key = &self.arm.key;
            ExperimentError::refused(format!("arm {key:?}: {what} is no language model"))
        })
    }

    /// Where the arm's finished model is, or will be.
    #[must_use]
    pub fn model_path(&self) -> PathBuf {
        self.dir.checkpoint_path(&self.arm.key, self.seed).join("model")
    }

    /// The model that an earlier process has finished, if one has.
    ///
    /// # Errors
    /// A directory that is not as it was written.
    pub fn finished(&self) -> Result<Option<Gpt2>, ExperimentError> {
        self.read_model(&self.model_path())
    }

    /// The model that [`write_model`](Self::write_model) wrote, if there is one.
    ///
    /// # Errors
    /// A directory that is not as it was written.
    pub(crate) fn read_model(&self, path: &Path) -> Result<Option<Gpt2>, ExperimentError> {
        if !path.is_dir() {
            return Ok(None);
        }
        Sums::check(&path.join(SUMS_FILE), &[CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE])?;
        Ok(Some(Gpt2::load(&ModelDir::open(path)?, self.device)?))
    }

    /// Writes a finished model as a Hugging Face directory with the policy's tokenizer, whole or
    /// not at all; `save` writes all else.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(
        &self,
        save: impl FnOnce(&Path) -> Result<(), CheckpointError>,
    ) -> Result<(), ExperimentError> {
        self.write_model(&self.model_path(), save)
    }

    /// The same into another directory, perhaps with files beside those of the model.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_model<E>(
        &self,
        path: &Path,
        save: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), ExperimentError>
    where
        ExperimentError: From<E>,
    {
        write_dir(path, |dir| {
            save(dir)?;
            let to = dir.join(TOKENIZER_FILE);
            std::fs::copy(&self.inputs.tokenizer_path, &to).map_err(FileError::of("write", &to))?;
            Ok::<_, ExperimentError>(Sums::seal(dir)?)
        })
    }
}

/// Recipes by their names.
pub struct Recipes(BTreeMap<String, Box<dyn Recipe>>);

impl Default for Recipes {
    /// Those of the paper, `base`, `sft` and `ppo`, and what they are compared with.
    fn default() -> Self {
        let mut recipes = Self(BTreeMap::new());
        recipes.add("base", recipes::Base);
        recipes.add("sft", recipes::Sft);
        recipes.add("ppo", recipes::Ppo);
        recipes.add("best_of_n", recipes::BestOfN);
        recipes.add("prompted", recipes::Prompted);
        recipes.add("dexperts", recipes::Dexperts);
        recipes.add("distill", recipes::Distill);
        recipes.add("quark", recipes::Quark);
        recipes.add("interpolate", recipes::Interpolate);
        recipes
    }
}

impl Recipes {
    /// Adds a recipe, in the place of one of that name.
    pub fn add(&mut self, name: &str, recipe: impl Recipe + 'static) {
        self.0.insert(name.to_owned(), Box::new(recipe));
    }

    /// The recipe of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Recipe> {
        self.0.get(name).map(|recipe| &**recipe)
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
