#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`ModelDir`] finds the files, [`Weights`] reads tensors out of safetensors files one by one, and
//! [`WeightsWriter`] writes such a file.
//!
//! - Every tensor becomes f32, whether the file holds f32, f16 or bf16.
//! - What is wrong is said once and exactly: file, tensor, what was found, what was expected. That
//!   covers files that were cut short, damaged headers, missing, misshapen and left-over tensors,
//!   and weights that are not finite.
//! - Nothing half-written ever carries a final name (`tailguard-files`).
//! - [`Sums`] tell damage that no format notices.

mod digest;
mod directory;
mod error;
mod foreign;
mod header;
mod names;
mod shards;
mod sums;
mod weights;
mod writer;

pub use burn;
pub use digest::Digest;
pub use directory::{ModelDir, read_tokenizer, write_config, write_generation_config};
pub use error::CheckpointError;
pub use names::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
pub use sums::{SUMS_FILE, Sums};
pub use weights::Weights;
pub use writer::{WeightType, WeightsWriter};
