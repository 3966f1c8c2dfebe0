#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! The formulas: [`shaped_rewards`], [`gae`], [`whiten`], [`policy_loss`], [`value_loss`],
//! [`KlController`]. [`Trainer`] puts them together; it is given prompts, a rollout and a
//! supervised model. [`supervised`] fine-tunes one. [`Quark`] trains by sorting instead of by PPO.

mod batches;
mod config;
mod error;
mod gae;
mod gradients;
mod kl;
mod loss_stats;
mod losses;
mod moments;
mod next_token;
mod optimizer;
mod quark;
mod rewards;
mod self_check;
mod sft;
mod stats;
mod trainer;
mod training_state;
mod update;

pub use burn;
pub use config::PpoConfig;
pub use error::PpoError;
pub use gae::{Gae, gae, whiten, whiten_keep_mean};
pub use kl::{KlController, KlEstimator, episode_kl};
pub use loss_stats::{PolicyStats, ValueStats, policy_stats, value_stats};
pub use losses::{policy_loss, value_loss};
pub use next_token::{next_token_loss, next_token_step, validation_loss};
pub use optimizer::{adam, adam_w, clip_global_norm, global_norm};
pub use quark::{
    Pool, Quark, QuarkConfig, QuarkLoss, QuarkState, RoundStats, Sample, buckets, quark_loss,
};
pub use rewards::{episode_return, shaped_rewards};
pub use sft::{SftConfig, SftObserver, supervised};
pub use stats::IterationStats;
pub use trainer::{Observer, Trainer, TrainingState};
pub use training_state::{load_progress, load_state, save_state};
pub use update::{KeptBatch, Train, UpdateStats, update};
