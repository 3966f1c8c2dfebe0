#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! The formulas: [`shaped_rewards`], [`gae`], [`whiten`], [`rloo`], [`policy_loss`],
//! supervised model. [`supervised`] fine-tunes one. [`Quark`] trains by sorting instead of by PPO.
//! supervised model. [`supervised`] fine-tunes one on texts, [`distilled`] on weighted samples;
//! both are [`weighted_step`]s.
//! [`value_loss`], [`KlController`]. [`Trainer`] puts them together; it is given prompts, a rollout
//! and a supervised model. [`supervised`] fine-tunes one.

mod advantages;
mod average;
mod batches;
mod checked;
mod config;
mod descent;
mod distill;
mod error;
mod gae;
mod gradients;
mod kl;
mod kl_hold;
mod loss_stats;
mod losses;
mod moments;
mod next_token;
mod optimizer;
mod quark;
mod rate;
mod rewards;
mod self_check;
mod sft;
mod stats;
mod trainer;
mod training_state;
mod update;
mod weighted;

pub use advantages::{Advantages, rloo};
pub use average::WeightAverage;
pub use burn;
pub use config::PpoConfig;
pub use descent::StepObserver;
pub use distill::{DistillConfig, distilled, prompts_of_round};
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
pub use sft::{SftConfig, supervised};
pub use stats::IterationStats;
pub use trainer::{Observer, Trainer, TrainingState};
pub use training_state::{load_progress, load_state, save_state};
pub use update::{KeptBatch, Train, UpdateStats, update};
pub use weighted::{WeightedBatch, WeightedText, weighted_loss, weighted_step};
