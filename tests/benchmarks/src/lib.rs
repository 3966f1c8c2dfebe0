//! What the lines of benchmarks come to: medians and ranges, ratios to other programs, tables and a
//! plot.
//!
//! A benchmark prints one line of JSON ([`json_line`]). [`compare`] sets ours against those of
//! other programs, pair by pair, and [`scaling`] shows how time grows with size. The programs
//! themselves are run by `cargo xtask bench`; nothing here knows a tensor.

pub mod compare;
pub mod json_line;
pub mod scaling;
mod spread;

pub use spread::{Spread, median};
