//! PPO for RLHF and for risk-averse RLHF (RA-RLHF, arXiv 2501.06911), and supervised fine-tuning.
//!
//! The formulas stand alone: [`shaped_rewards`], [`gae`], [`whiten`], [`policy_loss`], [`value_loss`], [`KlController`].
//! [`Trainer`] puts them together as Algorithm 1: it is given prompts, a rollout and a supervised model, and knows no task,
//! opens no data and prints nothing. RLHF and RA-RLHF differ by one thing, the objective (`tailguard_risk::Objective`).
//!
//! ```
//! use tailguard_ppo::{episode_return, gae, shaped_rewards, whiten};
//! // two episodes: log-probabilities under policy and reference, and a score
//! let rewards = [
//!     shaped_rewards(&[-1.0, -0.5], &[-1.2, -0.5], 2.0, 0.2)?,
//!     shaped_rewards(&[-2.0], &[-2.0], -1.0, 0.2)?,
//! ];
//! assert!(episode_return(&rewards[1]) < episode_return(&rewards[0]));
//! let mut advantages = vec![gae(&rewards[0], &[0.1, 0.4], 1.0, 0.95)?.advantages, gae(&rewards[1], &[0.0], 1.0, 0.95)?.advantages];
//! whiten(&mut advantages)?;
//! assert!(advantages[1][0] < 0.0);
//! # Ok::<(), tailguard_ppo::PpoError>(())
//! ```

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
mod rewards;
mod self_check;
mod sft;
mod stats;
mod trainer;
mod training_state;
mod update;

pub use config::PpoConfig;
pub use error::PpoError;
pub use gae::{Gae, gae, whiten, whiten_keep_mean};
pub use kl::{KlController, KlEstimator, episode_kl};
pub use loss_stats::{PolicyStats, ValueStats, policy_stats, value_stats};
pub use losses::{policy_loss, value_loss};
pub use next_token::{next_token_loss, next_token_step, validation_loss};
pub use optimizer::{adam, adam_w, clip_global_norm, global_norm};
pub use rewards::{episode_return, shaped_rewards};
pub use sft::{SftConfig, SftObserver, supervised};
pub use stats::IterationStats;
pub use trainer::{Observer, Trainer, TrainingState};
pub use training_state::{load_progress, load_state, save_state};
pub use update::{KeptBatch, Train, UpdateStats, update};
