//! The command line of tailguard: `cargo xtask reproduce imdb`, `cargo xtask ci` and their siblings.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1: failed; 2: called wrongly.

mod args;
mod bench;
mod ci;
mod compare;
mod config;
mod device;
mod evaluate;
mod experiment;
mod failure;
mod heap;
mod interrupt;
mod models;
mod pretrain;
mod progress;
mod report;
mod reproduce;
mod run;
mod sample;
mod scorers;
mod task;
mod tidy;
mod train;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(), // prints help (0) or the mistake (2)
    };
    // other commands have nothing to gain, and `ci` starts cargo and a browser, which keep to their own ways
    if matches!(cli.command, Command::Reproduce(_) | Command::Train(_) | Command::Pretrain(_) | Command::Bench(_)) {
        heap::keep_freed_memory();
    }
    progress::init_logging();
    let outcome = match &cli.command {
        Command::Reproduce(args) => reproduce::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Report(args) => report::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Pretrain(command) => pretrain::run(command),
        Command::Bench(command) => bench::run(command),
        Command::Ci(args) => ci::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // nowhere is left to complain if standard error is gone too
            let _ = write!(std::io::stderr().lock(), "{}", failure::message(&error));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
