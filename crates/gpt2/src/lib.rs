#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`Gpt2`] is the model, [`Gpt2Decoder`] the model ready to sample; both are what `tailguard_lm`'s
//! traits ask for.

mod causal_lm;
mod config;
mod decoder;
mod error;
mod model;
mod weights;

pub use burn;
pub use config::Gpt2Config;
pub use decoder::Gpt2Decoder;
pub use error::Gpt2Error;
pub use model::Gpt2;
