//! Hugging Face model directories in and out, with every name, shape and type checked.
//!
//! A model directory holds `config.json`, `model.safetensors` (or an index and several such files) and, where text is
//! read, `tokenizer.json`. [`ModelDir`] finds these files, [`Weights`] reads tensors out of safetensors files one by one,
//! and [`WeightsWriter`] writes such a file. The crate knows files and tensors but no model: which tensors there are, and
//! what shape they have, is what the caller asks for.
//!
//! - Every tensor becomes f32, whether the file holds f32, f16 or bf16.
//! - What is wrong is said once and exactly: file, tensor, what was found, what was expected. That covers files that
//!   were cut short, damaged headers, missing, misshapen and left-over tensors, and weights that are not finite.
//! - Nothing half-written ever carries a final name (`tailguard-files`).
//! - [`Sums`] tell damage that no format notices.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use tailguard_checkpoint::{CheckpointError, ModelDir, WeightType, WeightsWriter, write_config};
//! use tailguard_files::write_dir;
//!
//! # fn main() -> Result<(), CheckpointError> {
//! # let home = tempfile::tempdir().unwrap();
//! let (device, path) = (Device::flex(), home.path().join("model"));
//! write_dir(&path, |dir| -> Result<(), CheckpointError> {
//!     write_config(dir, &serde_json::json!({ "width": 2 }))?;
//!     let mut writer = WeightsWriter::new(WeightType::F16);
//!     writer.insert("model.bias", Tensor::<1>::from_floats([0.5, -1.0], &device));
//!     writer.write(&dir.join("model.safetensors"))
//! })?;
//!
//! let mut weights = ModelDir::open(&path)?.weights()?;
//! weights.strip_prefix("model.");
//! let bias = weights.tensor("bias", [2], &device)?;
//! weights.finish(|_| false)?; // nothing left that nobody asked for
//! assert_eq!(bias.into_data().try_to_vec::<f32>().unwrap(), [0.5, -1.0]);
//! # Ok(())
//! # }
//! ```

mod digest;
mod directory;
mod error;
mod foreign;
mod header;
mod shards;
mod sums;
mod weights;
mod writer;

pub use digest::Digest;
pub use directory::{CONFIG_FILE, ModelDir, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE, read_tokenizer, write_config};
pub use error::CheckpointError;
pub use sums::{SUMS_FILE, Sums};
pub use weights::Weights;
pub use writer::{WeightType, WeightsWriter};
