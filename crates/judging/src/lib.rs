#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! [`judge`] reads a file and gives a [`Judged`]: the figures, what must be said with them, and the
//! rows. [`judge_texts`] does the same for texts in memory. [`Scorer`] is a model that scores what
//! has no scores. [`tail_report`], [`tail_gains`] and [`worst_prompts`] are about the worst texts,
//! and take rewards of a run as well.

mod comparisons;
mod error;
mod figures;
mod file;
mod groups;
mod judged;
mod notes;
mod options;
mod reading;
mod rows;
mod scorer;
mod scoring;
mod sentences;
mod tail;
mod tails;
mod wide;

pub use burn;
pub use error::JudgingError;
pub use figures::Wanted;
pub use file::{Scorers, judge};
pub use groups::Group;
pub use judged::{Judged, judge_texts};
pub use options::{Columns, Options};
pub use scorer::Scorer;
pub use scoring::Scoring;
pub use tails::{TailText, tail_gains, tail_report, worst_prompts};
pub use wide::MethodColumns;
