//! The command line of tailguard: `cargo xtask reproduce imdb`, `cargo xtask ci` and their siblings.
//!
//! Results go to standard output, progress and logs to standard error. Exit code 0: done; 1: failed; 2: called wrongly.

mod args;
mod bench;
mod ci;
mod compare;
mod device;
mod evaluate;
mod failure;
#[cfg(test)]
mod flags;
mod fuzz;
mod heap;
mod interrupt;
mod pretrain;
mod progress;
mod report;
mod reproduce;
mod run;
mod sample;
mod settings;
mod soak;
mod tidy;
mod train;
mod typed;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
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
    failure::leave_readers_to_their_errors();
    let outcome = cli.command.check().map_err(anyhow::Error::from).and_then(|()| execute(&cli.command));
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

fn execute(command: &Command) -> Result<()> {
    match command {
        Command::Reproduce(args) => reproduce::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Settings(args) => settings::run(args),
        Command::Report(args) => report::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Pretrain(command) => pretrain::run(command),
        Command::Bench(command) => bench::run(command),
        Command::Soak(args) => soak::run(args),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Ci(args) => ci::run(args),
    }
}
