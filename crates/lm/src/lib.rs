#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`CausalLm`] is the model, [`Decoder`] the model ready to sample, [`Policy`] the model with a
//! critic on top. [`TokenBatch`] and [`Predictions`] are what it is fed, [`KvCache`] what makes
//! generation cheap. [`Steerable`] is a model with control tokens, which are read and never drawn.

mod cache;
mod error;
mod model;
mod policy;
mod sizes;
mod steerable;
mod tokens;

pub use burn;
pub use cache::KvCache;
pub use error::LmError;
pub use model::{CausalLm, Decoder, TokenDistribution};
pub use policy::{Policy, VALUE_HEAD_FILE, ValueHead};
pub use sizes::LmSizes;
pub use steerable::Steerable;
pub use tailguard_kernels::TokenStats;
pub use tokens::{Predictions, TokenBatch, id_tensor};
