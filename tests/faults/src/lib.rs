//! What happens to a program in the wild: it is killed in the middle of a write, and is given files
//! that are damaged.
//!
//! - [`Soak`] kills a run again and again, goes on with it, and compares its files with those of a
//!   run that was left alone.
//! - [`Fuzz`] damages models, tables, settings, states and run directories, and gives each to the
//!   program in a process of its own.
//!
//! Both are given the program by its path. `cargo xtask soak` and `cargo xtask fuzz` are their
//! command lines.

mod fuzz;
mod soak;

pub use fuzz::{Counts, Fuzz, calls};
pub use soak::{OUT, PageOf, Soak, Tally};
