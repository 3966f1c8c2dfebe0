#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! On the `flex` backend Burn computes `exp`, `tanh` and `log` one value at a time on one thread,
//! and under autodiff an activation, a layer norm or a log-softmax falls apart into many passes
//! over memory.
//!
//! | function | what it saves |
//! |---|---|
//! | [`adam_step`] | a dozen passes over all parameters |
//! | [`causal_attention`] | scores and probabilities, never kept; copies to bring heads together |
//! | [`AttentionCache`] | views and copies of the cache; a step per operation for every new token |
//! | [`gelu_new`] | a scalar `tanh` per value, twice under autodiff |
//! | [`layer_norm`] | six passes forward, more backward |
//! | [`Linear`] | copies of the product, passes for bias and residual |
//! | [`PackedMatrix`] | bringing weights into the order of a product for every sampled token |
//! | [`sum_of_squares`] | a tensor of the squares |
//! | [`token_log_probs`] | the `[tokens, vocab]` matrix, which is never kept |
//!
//! [`device()`] picks a device by its name. [`side_by_side`] and [`in_order`] run the pieces of a
//! batch on cores of their own.

mod adam;
mod attention;
mod decode;
mod draw;
mod embedding;
mod exp;
mod gelu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu;
mod layer_norm;
mod linear;
mod log_probs;
mod machine;
mod packed;
mod panels;
mod precision;
mod products;
mod slices;
mod squares;
mod sums;

pub use adam::{AdamStep, adam_step};
pub use attention::causal_attention;
pub use burn;
pub use decode::AttentionCache;
pub use draw::{Drawn, Masks, draw, draw_logits, drawing_head};
pub use embedding::embedding;
pub use exp::{RowStats, exp, row_stats};
pub use gelu::{gelu_new, gelu_new_factor};
pub use layer_norm::{layer_norm, layer_norm_factor};
pub use linear::Linear;
pub use log_probs::{TokenStats, token_log_probs};
pub(crate) use machine::fused;
pub use machine::{DeviceError, device, in_order, on_flex, on_gpu, pieces, side_by_side};
pub use packed::PackedMatrix;
pub use precision::{Precision, precision, set_precision};
pub use squares::sum_of_squares;
