#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`Gpt2`] is the model, [`Policy`] the model with a critic on top, [`TokenBatch`] what it is fed, [`Decoder`] and
//! [`KvCache`] what makes generation cheap.

mod cache;
mod config;
mod decoder;
mod error;
mod model;
mod policy;
mod tokens;
mod weights;

pub use burn;
pub use cache::KvCache;
pub use config::Gpt2Config;
pub use decoder::Decoder;
pub use error::Gpt2Error;
pub use model::{Gpt2, TokenDistribution};
pub use policy::{Policy, ValueHead};
pub use tailguard_kernels::TokenStats;
pub use tokens::{Predictions, TokenBatch, id_tensor};
pub use weights::VALUE_HEAD_FILE;
