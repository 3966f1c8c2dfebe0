//! tailguard-ppo

mod gradients;
mod next_token;
mod optimizer;

pub use next_token::{next_token_loss, next_token_step, validation_loss};
pub use optimizer::{adam, adam_w, clip_global_norm};
