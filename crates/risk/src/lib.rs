#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`quantile`], [`cvar`] (with two other textbook forms), [`entropic`] and [`mean`] say how bad
//!   a batch is; all of them are also a [`Measure`], that is, a set of weights over the sorted
//!   returns ([`RiskMeasure`]).
//! - [`SoftRiskSchedule`] says how many episodes to keep at each iteration: all of them at first,
//!   then fewer and fewer, down to the risk level (Eqs. 8-10 of arXiv 2501.06911).
//! - [`lowest`] picks exactly that many, ties broken by the earlier index.
//! - [`Objective`] is what training maximises: [`Mean`] is RLHF's, [`KeepLowest`] that of RA-RLHF.

mod decimal;
mod error;
mod level;
mod measures;
mod objective;
mod quantile;
mod schedule;

pub use error::RiskError;
pub use level::{RiskAversion, RiskLevel};
pub use measures::{
    Measure, RiskMeasure, cvar, cvar_conditional_mean, cvar_rockafellar_uryasev, entropic, mean,
};
pub use objective::{Batch, KeepLowest, Mean, Objective, ObjectiveError};
pub use quantile::{lowest, quantile};
pub use schedule::{ScheduleConfig, SoftRiskSchedule};
