//! Quark: Lu et al., "Quark: Controllable Text Generation with Reinforced Unlearning" (NeurIPS
//! 2022). Responses are sorted by reward into buckets; each bucket has a control token, and the
//! policy learns to write what is behind each. What is sampled is sampled behind the best.

mod buckets;
mod config;
mod loss;
mod pool;
mod state;
mod trainer;

pub use buckets::buckets;
pub use config::QuarkConfig;
pub use loss::{QuarkLoss, quark_loss};
pub use pool::{Pool, Sample};
pub use state::QuarkState;
pub use trainer::{Quark, RoundStats};
