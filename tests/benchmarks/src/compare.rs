//! Ours against theirs: what is run against what, which figures are set against each other, and the
//! page that says so.

mod pairs;
mod ratios;
mod table;

pub use pairs::{Attempt, Case, Measured, Pair, Subject, plan, quiet};
pub use table::markdown;
