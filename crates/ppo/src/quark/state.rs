//! What changes while Quark trains, and therefore what a resumed training needs.

use std::path::Path;

use burn::optim::ModuleOptimizer;
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use tailguard_files::write_dir;
use tailguard_lm::Steerable;

use crate::batches::streams;
use crate::error::PpoError;
use crate::optimizer::adam_with;
use crate::quark::config::QuarkConfig;
use crate::quark::pool::Pool;
use crate::training_state::{load_state, write_state};

/// Policy, optimiser and pool between two rounds.
pub struct QuarkState<M> {
    /// On the autodiff device, with a control token for each bucket; none stands in front.
    pub policy: M,
    /// Adam's moments.
    pub optimizer: ModuleOptimizer,
    /// All that was sampled.
    pub pool: Pool,
    /// Rounds done.
    pub round: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    round: usize,
    pool: Pool,
}

impl<M: Steerable> QuarkState<M> {
    /// The state before the first round: the reference with a fresh control token for each bucket,
    /// whose rows are normal with the mean and the deviation of each column of the embedding. They
    /// depend on the seed alone.
    ///
    /// # Errors
    /// [`PpoError::Setting`] for a setting out of range, and for a reference that has control
    /// tokens already: what it was without them, nobody knows.
    pub fn new(reference: &M, config: &QuarkConfig, seed: u64) -> Result<Self, PpoError> {
        config.validate()?;
        if reference.control_tokens() > 0 {
            let (found, expected) = (reference.control_tokens(), "a reference without them");
            return Err(PpoError::setting("control tokens", &found, expected));
        }
        let rows = fresh_rows(reference, config.buckets, seed);
        #[expect(clippy::cast_possible_truncation, reason = "Adam works in single precision")]
        let epsilon = config.epsilon as f32;
        Ok(Self {
            policy: reference.clone().with_control_tokens(rows).train(),
            optimizer: adam_with(epsilon),
            pool: Pool::default(),
            round: 0,
        })
    }

    /// Writes the state into a directory, whole or not at all.
    ///
    /// # Errors
    /// As [`save_state`](crate::save_state).
    pub fn save(&self, path: &Path) -> Result<(), PpoError> {
        write_dir(path, |dir| self.write_into(dir))
    }

    /// Writes the files of [`save`](Self::save) into a directory that the caller makes appear as a
    /// whole, with files of its own.
    ///
    /// # Errors
    /// As [`save_state`](crate::save_state).
    pub fn write_into(&self, dir: &Path) -> Result<(), PpoError> {
        let progress = Progress { round: self.round, pool: self.pool.clone() };
        write_state(dir, &self.policy, &self.optimizer, &progress)
    }

    /// Reads a state that [`QuarkState::save`] wrote, into a fresh state of the same model and
    /// settings.
    ///
    /// # Errors
    /// As [`load_state`].
    pub fn load(self, path: &Path) -> Result<Self, PpoError> {
        let (policy, optimizer, Progress { round, pool }) =
            load_state(path, self.policy, self.optimizer)?;
        Ok(Self { policy, optimizer, pool, round })
    }
}

/// New rows of the embedding.
fn fresh_rows<M: Steerable>(model: &M, count: usize, seed: u64) -> Tensor<2> {
    let table = model.embedding().inner();
    let [vocab, width] = table.dims();
    let device = table.device();
    let values: Vec<f64> = table.into_data().iter::<f64>().collect();
    #[expect(clippy::cast_precision_loss, reason = "vocabularies are far below 2^52")]
    let size = vocab as f64;
    let column = |at: usize| values.iter().skip(at).step_by(width);
    let moments: Vec<(f64, f64)> = (0..width)
        .map(|at| {
            let mean = column(at).sum::<f64>() / size;
            let variance = column(at).map(|value| (value - mean).powi(2)).sum::<f64>() / size;
            (mean, variance.sqrt())
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(streams::CONTROL_TOKENS);
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    let rows: Vec<f32> = (0..count)
        .flat_map(|_| &moments)
        .map(|(mean, deviation)| {
            let normal: f64 = StandardNormal.sample(&mut rng);
            (mean + deviation * normal) as f32
        })
        .collect();
    Tensor::from_data(TensorData::new(rows, [count, width]), &device)
}
