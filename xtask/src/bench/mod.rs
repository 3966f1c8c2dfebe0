//! `cargo xtask bench`: how fast PPO iterations are, what they are made of, how that
//! compares with PyTorch and TRL, and how it grows.
//!
//! Models are randomly initialised and prompts are random ids: nothing is downloaded, and speed
//! does not depend on what the weights are. Standard output gets one line of JSON (`compare` and
//! `scaling`: tables), progress goes to standard error.

pub(crate) mod args;
mod child;
mod compare;
mod flops;
mod gpt2;
mod head;
mod iteration;
pub(crate) mod machine;
mod products;
mod scaling;
pub(crate) mod sizes;

use anyhow::Result;
use tailguard::Program;

use args::BenchCommand;

/// Runs the command.
///
/// # Errors
/// Those of each benchmark.
pub(crate) fn run(command: &BenchCommand, program: &Program) -> Result<()> {
    match command {
        BenchCommand::Iteration(args) => iteration::run(args, program),
        BenchCommand::Gpt2(args) => gpt2::run(args, program),
        BenchCommand::Compare(args) => compare::run(args),
        BenchCommand::Scaling(args) => scaling::run(args),
    }
}
