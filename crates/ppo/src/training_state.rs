//! What a killed run needs to go on with the same numbers: weights, optimiser moments, KL
//! coefficient, iteration, and the mean of the weights where it is asked for.
//!
//! Burn keys the moments by parameter ids, which a Hugging Face directory does not carry; so Burn's
//! own records are kept, of policy and optimiser together. Randomness needs no state: it follows
//! from the seed and the iteration.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{SUMS_FILE, Sums};
use tailguard_files::{write_dir, write_file};
use tailguard_lm::CausalLm;

use crate::average::WeightAverage;
use crate::error::PpoError;
use crate::moments;
use crate::trainer::TrainingState;

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const AVERAGE: &str = "average.bpk";
const PROGRESS: &str = "progress.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    iteration: usize,
    kl_coef: f64,
    /// Of how many iterations `average.bpk` is the mean; without one, there is no such file.
    #[serde(default)]
    averaged: usize,
    /// Of a controller that holds the KL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kl_error: Option<f64>,
}

/// Writes a model, its optimiser's moments and what else is needed to go on into a directory, whole
/// or not at all; what was there is replaced.
///
/// # Errors
/// [`PpoError::State`] or [`PpoError::File`] with the path.
pub fn save_state<M: Module>(
    path: &Path,
    model: &M,
    optimizer: &ModuleOptimizer,
    progress: &impl Serialize,
) -> Result<(), PpoError> {
    write_dir(path, |dir| write_state(dir, model, optimizer, progress))
}

/// Writes the files of a state into a directory.
pub(crate) fn write_state<M: Module>(
    dir: &Path,
    model: &M,
    optimizer: &ModuleOptimizer,
    progress: &impl Serialize,
) -> Result<(), PpoError> {
    let failed = |reason: String| PpoError::State { action: "write", path: dir.into(), reason };
    write_module(dir, MODEL, model)?;
    optimizer.save(dir.join(OPTIMIZER)).map_err(|error| failed(format!("{OPTIMIZER}: {error}")))?;
    let text = serde_json::to_vec(progress).map_err(|error| failed(error.to_string()))?;
    write_file(&dir.join(PROGRESS), &text)?;
    Ok(Sums::seal(dir)?)
}

/// Writes a module into a file of a directory.
fn write_module<M: Module>(dir: &Path, name: &str, module: &M) -> Result<(), PpoError> {
    module.clone().into_record().save(dir.join(name)).map_err(|error| PpoError::State {
        action: "write",
        path: dir.into(),
        reason: format!("{name}: {error}"),
    })
}

/// Reads what [`write_module`] wrote, into a module of the same shape.
fn read_module<M: Module>(dir: &Path, name: &str, module: M) -> Result<M, PpoError> {
    let failed = |reason: String| PpoError::State { action: "read", path: dir.into(), reason };
    let record =
        ModuleRecord::load(dir.join(name)).map_err(|error| failed(format!("{name}: {error}")))?;
    module.try_load_record(record).map_err(|error| failed(format!("{name}: {error}")))
}

/// Reads what else than model and moments [`save_state`] wrote: what the state belongs to is found
/// out before its tensors are read.
///
/// # Errors
/// [`PpoError::State`] if a file is missing or not as it was written.
pub fn load_progress<P: DeserializeOwned>(path: &Path) -> Result<P, PpoError> {
    let failed = |reason: String| PpoError::State { action: "read", path: path.into(), reason };
    Sums::check(&path.join(SUMS_FILE), &[MODEL, OPTIMIZER, PROGRESS])
        .map_err(|error| failed(error.to_string()))?;
    let text =
        fs::read(path.join(PROGRESS)).map_err(|error| failed(format!("{PROGRESS}: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| failed(format!("{PROGRESS}: {error}")))
}

/// Reads what [`save_state`] wrote, into a model of the same shape and an optimiser of the same
/// settings.
///
/// # Errors
/// [`PpoError::State`] if a file is missing, not as it was written, or of another model.
pub fn load_state<M: Module, P: DeserializeOwned>(
    path: &Path,
    model: M,
    optimizer: ModuleOptimizer,
) -> Result<(M, ModuleOptimizer, P), PpoError> {
    let failed = |reason: String| PpoError::State { action: "read", path: path.into(), reason };
    let progress = load_progress(path)?;
    let model = read_module(path, MODEL, model)?;
    let optimizer = optimizer
        .load(path.join(OPTIMIZER))
        .map_err(|error| failed(format!("{OPTIMIZER}: {error}")))?;
    moments::check(&path.join(OPTIMIZER), &model)
        .map_err(|reason| failed(format!("{OPTIMIZER}: {reason}")))?;
    Ok((model, optimizer, progress))
}

impl<M: CausalLm> TrainingState<M> {
    /// [`save_state`] of a PPO run.
    ///
    /// # Errors
    /// As [`save_state`].
    pub fn save(&self, path: &Path) -> Result<(), PpoError> {
        write_dir(path, |dir| self.write_into(dir))
    }

    /// Writes the files of [`save`](Self::save) into a directory that the caller makes appear as a
    /// whole, with files of its own.
    ///
    /// # Errors
    /// As [`save_state`].
    pub fn write_into(&self, dir: &Path) -> Result<(), PpoError> {
        let averaged = self.average.as_ref().map_or(0, WeightAverage::count);
        let progress = Progress {
            iteration: self.iteration,
            kl_coef: self.kl.coef(),
            kl_error: self.kl.error(),
            averaged,
        };
        if let Some(average) = &self.average {
            write_module(dir, AVERAGE, average.mean())?;
        }
        // what is there by then gets its digest
        write_state(dir, &self.policy, &self.optimizer, &progress)
    }

    /// Reads a state that [`TrainingState::save`] wrote, into a fresh state of the same model and
    /// settings.
    ///
    /// # Errors
    /// As [`load_state`].
    pub fn load(self, path: &Path) -> Result<Self, PpoError> {
        let (policy, optimizer, Progress { iteration, kl_coef, kl_error, averaged }) =
            load_state(path, self.policy, self.optimizer)?;
        let kl = self.kl.resumed(kl_coef, kl_error);
        let kl = kl.map_err(|error| PpoError::State {
            action: "read",
            path: path.into(),
            reason: format!("{PROGRESS}: {error}"),
        })?;
        let average = match averaged {
            0 => None,
            count => Some(WeightAverage::of(read_module(path, AVERAGE, policy.valid())?, count)),
        };
        Ok(Self { policy, optimizer, kl, iteration, average })
    }
}
