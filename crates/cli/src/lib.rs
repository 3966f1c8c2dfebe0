//! The program: the commands of `tailguard`, which `cargo xtask` has, too.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1: failed; 2: called wrongly.

pub mod args;
mod compare;
pub mod device;
mod embedded;
mod evaluate;
pub mod failure;
pub mod heap;
mod home;
mod interrupt;
mod options;
mod program;
mod progress;
pub mod report;
mod reproduce;
mod run;
mod sample;
mod settings;
mod train;
pub mod typed;

pub use args::Command;
pub use options::{Options, Uses};
pub use program::Program;
pub use progress::init_logging;
