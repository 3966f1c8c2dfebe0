#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`quantile`], [`cvar`] (with two other textbook forms), [`entropic`] and [`mean`] say how bad
//!   a batch is; all of them are also a [`Measure`], that is, a set of weights over the sorted
//!   returns ([`RiskMeasure`]). [`Spectrum`] and [`Mixture`] are further ones, and
//!   [`RiskMeasure::utility`] says what training for a measure makes of each return, and
//!   [`RiskMeasure::worth`] what a reweighted sample ([`Weighted`]) is worth to it.
//! - [`SoftRiskSchedule`] says how many episodes to keep at each iteration: all of them at first,
//!   then fewer and fewer, down to the risk level (Eqs. 8-10 of arXiv 2501.06911).
//! - [`lowest`] picks exactly that many, ties broken by the earlier index.
//! - [`Objective`] is what training maximises: [`Mean`] is RLHF's, [`KeepLowest`] that of RA-RLHF,
//!   and [`RiskAverse`] any risk measure's, of the batch or of each prompt's episodes ([`Over`]).
//!   [`leave_one_out()`] is a baseline for their utilities.
//! - [`Pool`] weighs samples of one policy so that they are those of the optimal policy of an
//!   objective, at a KL coefficient or at a KL.

mod decimal;
mod error;
mod leave_one_out;
mod level;
mod measures;
mod mixture;
mod objective;
mod over;
mod quantile;
mod risk_averse;
mod schedule;
mod spectrum;
mod tilt;
mod utility;
mod weighted;

pub use error::RiskError;
pub use leave_one_out::leave_one_out;
pub use level::{MeanShare, RiskAversion, RiskLevel};
pub use measures::{
    Measure, RiskMeasure, cvar, cvar_conditional_mean, cvar_rockafellar_uryasev, entropic, mean,
};
pub use mixture::Mixture;
pub use objective::{
    Batch, BatchShape, KeepLowest, Mean, Objective, ObjectiveError, ObjectiveWorth,
};
pub use over::Over;
pub use quantile::{lowest, quantile};
pub use risk_averse::RiskAverse;
pub use schedule::{ScheduleConfig, SoftRiskSchedule};
pub use spectrum::Spectrum;
pub use tilt::{Pool, Tilted};
pub use utility::Utility;
pub use weighted::{Weighted, Worth};
