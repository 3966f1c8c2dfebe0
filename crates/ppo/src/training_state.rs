//! What a killed run needs to go on with the same numbers: weights, optimiser moments, KL coefficient, iteration.
//!
//! Burn keys the moments by parameter ids, which a Hugging Face directory does not carry; so Burn's own records are kept, of
//! policy and optimiser together. Randomness needs no state: it follows from the seed and the iteration.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{write_dir, write_file};

use crate::error::PpoError;
use crate::trainer::TrainingState;

const POLICY: &str = "policy.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    iteration: usize,
    kl_coef: f64,
}

impl TrainingState {
    /// Writes the state into a directory, whole or not at all; what was there is replaced.
    ///
    /// # Errors
    /// [`PpoError::State`] or [`PpoError::Checkpoint`] with the path.
    pub fn save(&self, path: &Path) -> Result<(), PpoError> {
        let failed = |reason: String| PpoError::State { action: "write", path: path.into(), reason };
        write_dir(path, |dir| {
            self.policy.clone().into_record().save(dir.join(POLICY)).map_err(|error| failed(error.to_string()))?;
            self.optimizer.save(dir.join(OPTIMIZER)).map_err(|error| failed(error.to_string()))?;
            let progress = Progress { iteration: self.iteration, kl_coef: self.kl.coef() };
            let text = serde_json::to_vec(&progress).map_err(|error| failed(error.to_string()))?;
            Ok(write_file(&dir.join(PROGRESS), &text)?)
        })
    }

    /// Reads a state that [`TrainingState::save`] wrote, into a fresh state of the same model and settings.
    ///
    /// # Errors
    /// [`PpoError::State`] if a file is missing, damaged, or of another model.
    pub fn load(self, path: &Path) -> Result<Self, PpoError> {
        let failed = |reason: String| PpoError::State { action: "read", path: path.into(), reason };
        let text = fs::read(path.join(PROGRESS)).map_err(|error| failed(format!("{PROGRESS}: {error}")))?;
        let progress: Progress = serde_json::from_slice(&text).map_err(|error| failed(format!("{PROGRESS}: {error}")))?;
        let record = ModuleRecord::load(path.join(POLICY)).map_err(|error| failed(format!("{POLICY}: {error}")))?;
        let policy = self.policy.try_load_record(record).map_err(|error| failed(format!("{POLICY}: {error}")))?;
        let optimizer = self.optimizer.load(path.join(OPTIMIZER)).map_err(|error| failed(format!("{OPTIMIZER}: {error}")))?;
        Ok(Self { policy, optimizer, kl: self.kl.with_coef(progress.kl_coef), iteration: progress.iteration })
    }
}
