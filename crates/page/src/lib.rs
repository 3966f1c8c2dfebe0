#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`run_page`]: the page of one [`Run`], which is made of [`RunFiles`].
//! - [`front_page`], [`front_csv`]: those of a [`Front`](tailguard_report::Front).
//! - [`Comparison`]: several of them, refused if they are not on the same prompts.
//! - [`Sweep`]: the runs of a grid over settings, a row and a point for each of their policies.

mod charts;
mod clean;
mod compare;
mod compare_page;
mod curves;
mod error;
mod figures;
#[cfg(test)]
mod fixtures;
mod front;
mod gains;
mod making;
mod page;
mod policies;
mod prompts;
mod run;
mod settings;
mod summary;
mod sweep;
mod sweep_page;
mod table;
mod tail_against_kl;
mod tails;
mod texts;
mod worst_prompts;

pub use compare::Comparison;
pub use error::PageError;
pub use front::{front_csv, front_page};
pub use page::{GENERATOR, run_page};
pub use run::{Run, RunFiles};
pub use sweep::{Sweep, SweptRun};
