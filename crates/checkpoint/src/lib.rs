//! Hugging Face model directories in and out.
//!
//! [`ModelDir`] is a directory with `config.json`, `model.safetensors` and `tokenizer.json`; [`Weights`] reads its tensors one
//! by one and checks name, shape, type and finiteness; [`WeightsWriter`] and [`write_dir`] write what
//! `transformers.from_pretrained` loads, whole or not at all. Nothing here knows a model.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tailguard_checkpoint::{CheckpointError, WeightType, Weights, WeightsWriter};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("model.safetensors");
//! let device = Device::flex();
//! let mut writer = WeightsWriter::new(WeightType::F16);
//! writer.insert("wte.weight", Tensor::<2>::ones([5, 3], &device));
//! writer.write(&path)?;
//!
//! let mut weights = Weights::open(&path)?;
//! let error = weights.tensor("wte.weight", [5, 4], &device).unwrap_err();
//! assert!(error.to_string().ends_with("wte.weight has shape [5, 3], expected [5, 4]"));
//! # Ok::<(), CheckpointError>(())
//! ```

mod directory;
mod error;
mod weights;

pub use directory::{ModelDir, write_config, write_dir, write_file};
pub use error::CheckpointError;
pub use weights::{WeightType, Weights, WeightsWriter};
