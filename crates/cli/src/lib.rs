#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! The program: the commands of `tailguard`, which `cargo xtask` has, too.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1:
//! failed; 2: called wrongly; 130: stopped by Ctrl-C, and likewise for other signals.

pub mod args;
mod compare;
pub mod device;
mod embedded;
mod evaluate;
pub mod failure;
mod front;
pub mod heap;
mod home;
mod interrupt;
mod logging;
mod options;
mod program;
mod progress;
pub mod report;
mod reproduce;
mod run;
mod run_args;
mod sample;
mod settings;
mod shell;
mod sweep;
mod terminal;
mod train;
pub mod typed;

pub use args::{Command, parse};
pub use options::{Options, Uses};
pub use program::Program;
