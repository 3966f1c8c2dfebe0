//! Risk in episodic reinforcement learning: how bad the worst returns are, and which episodes to learn from.
//!
//! Everything here works on plain slices of `f64`, one return per episode, **higher is better**. There is no tensor
//! library below this crate, so it fits beside any training code.
//!
//! - [`quantile`], [`cvar`] (with two other textbook forms), [`entropic`] and [`mean`] say how bad a batch is; all of
//!   them are also a [`Measure`], that is, a set of weights over the sorted returns ([`RiskMeasure`]).
//! - [`SoftRiskSchedule`] says how many episodes to keep at each iteration: all of them at first, then fewer and fewer,
//!   down to the risk level (Eqs. 8-10 of arXiv 2501.06911).
//! - [`lowest`] picks exactly that many, ties broken by the earlier index.
//! - [`Objective`] is what training maximises: [`Mean`] is RLHF's, [`KeepLowest`] that of RA-RLHF.
//!
//! Levels are read as the decimals that were written and rounded up exactly, so that 7 % of 100 episodes are 7 and not
//! 8. Empty batches, NaN, infinities and levels outside (0, 1] are errors, never silent numbers.
//!
//! # Example
//!
//! ```
//! use tailguard_risk::{RiskLevel, ScheduleConfig, SoftRiskSchedule, cvar, lowest, quantile};
//!
//! let returns = [0.3, -1.2, 2.0, -0.4, 1.1, 0.9, -2.5, 0.0];
//! let level = RiskLevel::new(0.25)?;
//! assert_eq!(quantile(&returns, level)?, -1.2);
//! assert_eq!(cvar(&returns, level)?, (-2.5 - 1.2) / 2.0);
//!
//! let schedule =
//!     SoftRiskSchedule::new(ScheduleConfig { batch: 8, alpha: 0.25, warmup: 10, rho: 0.95, iterations: 100 })?;
//! assert_eq!(schedule.keep(1), 8); // the warm-up keeps all
//! assert_eq!(schedule.keep(100), 2); // the end keeps the risk level
//! assert_eq!(lowest(&returns, schedule.keep(100))?, [1, 6]);
//! # Ok::<(), tailguard_risk::RiskError>(())
//! ```

mod decimal;
mod error;
mod level;
mod measures;
mod objective;
mod quantile;
mod schedule;

pub use error::RiskError;
pub use level::{RiskAversion, RiskLevel};
pub use measures::{Measure, RiskMeasure, cvar, cvar_conditional_mean, cvar_rockafellar_uryasev, entropic, mean};
pub use objective::{Batch, KeepLowest, Mean, Objective, ObjectiveError};
pub use quantile::{lowest, quantile};
pub use schedule::{ScheduleConfig, SoftRiskSchedule};
