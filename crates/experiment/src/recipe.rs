//! How an arm is made: a recipe, given the arm that it is made from, makes something that answers
//! prompts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use tailguard_checkpoint::{
    CONFIG_FILE, CheckpointError, ModelDir, SUMS_FILE, Sums, TOKENIZER_FILE, WEIGHTS_FILE,
};
use tailguard_files::{FileError, write_dir};
use tailguard_gpt2::Gpt2;
use tailguard_report::RunDir;
use tailguard_rollout::{DrawSeed, Generation};

use crate::error::ExperimentError;
use crate::inputs::Inputs;
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

    /// Whether it has an objective.
    fn has_objective(&self) -> bool {
        false
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

    /// Whether what it begins with must be a language model.
    fn needs_model(&self) -> bool {
        self.needs_from()
    }

    /// Makes the policy, or goes on making it: what an earlier process has finished is in the run
    /// directory, as is what it has begun.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] where the observer wants no more; whatever goes wrong.
    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError>;
}

/// What an arm was made into.
pub enum Made {
    /// A language model: its KL to the reference and its perplexity are measured.
    Model(Box<Gpt2>),
    /// Something else that answers prompts.
    Answers(Box<dyn Answers>),
}

/// Something that answers prompts and is no language model of its own, such as the best of several
/// responses.
pub trait Answers {
    /// One response to each of `inputs.prompts`, in their order. All that is random comes from
    /// `draws`, so that arms can be compared.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn answer(&self, inputs: &Inputs, draws: DrawSeed) -> Result<Vec<Generation>, ExperimentError>;
}

impl From<Gpt2> for Made {
    fn from(model: Gpt2) -> Self {
        Self::Model(Box::new(model))
    }
}

impl Made {
    /// The language model, if it is one.
    #[must_use]
    pub fn model(&self) -> Option<&Gpt2> {
        match self {
            Self::Model(model) => Some(model),
            Self::Answers(_) => None,
        }
    }
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
        let model = self.from.and_then(Made::model);
        model.ok_or_else(|| {
            ExperimentError::refused(format!(
                "arm {:?} is not made from a language model",
                self.arm.key
            ))
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
        let path = self.model_path();
        if !path.is_dir() {
            return Ok(None);
        }
        Sums::check(&path.join(SUMS_FILE), &[CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE])?;
        Ok(Some(Gpt2::load(&ModelDir::open(&path)?, self.device)?))
    }

    /// Writes a finished model as a Hugging Face directory with the policy's tokenizer, whole or
    /// not at all; `save` writes all else.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(
        &self,
        save: impl FnOnce(&std::path::Path) -> Result<(), CheckpointError>,
    ) -> Result<(), ExperimentError> {
        write_dir(&self.model_path(), |dir| {
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
    /// `base`, `sft`, `ppo` and `quark`.
    fn default() -> Self {
        let mut recipes = Self(BTreeMap::new());
        recipes.add("base", recipes::Base);
        recipes.add("sft", recipes::Sft);
        recipes.add("ppo", recipes::Ppo);
        recipes.add("quark", recipes::Quark);
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
