//! The command line as it is typed: the commands of the program, and those of this repository.

use anyhow::Result;
use clap::{Parser, Subcommand};
use tailguard::failure::Failure;
use tailguard::{Options, Program, Uses};

use crate::bench::args::BenchCommand;
use crate::bench::sizes::Sizes;
use crate::ci::{self, CiArgs};
use crate::fuzz::{self, FuzzArgs};
use crate::pretrain::args::PretrainCommand;
use crate::soak::{self, SoakArgs};
use crate::{bench, pretrain};

/// Fine-tunes language models so that their worst outputs get better, not only their average.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Program(tailguard::Command),
    /// Train the models that are embedded in datasets/
    #[command(subcommand)]
    Pretrain(PretrainCommand),
    /// Time PPO iterations and their parts, and compare with PyTorch and TRL
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Kill a small run at random moments, go on with it, and compare with one that was left alone
    Soak(SoakArgs),
    /// Give the program damaged files: it must end with a message
    Fuzz(FuzzArgs),
    /// Run every check that a change has to pass
    Ci(CiArgs),
}

impl Command {
    /// Refuses what clap cannot know to be wrong, before anything is read or written.
    ///
    /// # Errors
    /// The flags, and what is wrong with them.
    pub(crate) fn check(&self, program: &Program) -> Result<(), Failure> {
        let uses_home = matches!(
            self,
            Self::Pretrain(command) if !matches!(command, PretrainCommand::Prompts(_))
        );
        if !matches!(self, Self::Program(_)) {
            program.options().check(Uses { home: uses_home, ..Uses::default() })?;
        }
        match self {
            Self::Program(command) => command.check(program),
            Self::Pretrain(PretrainCommand::Prompts(args)) => args.check(),
            Self::Pretrain(PretrainCommand::Judge(args)) => args.check(),
            Self::Bench(BenchCommand::Iteration(args)) => Sizes::resolve(args).map(drop),
            Self::Bench(BenchCommand::Gpt2(args)) => Sizes::resolve(&args.size).map(drop),
            Self::Ci(args) => ci::check(args),
            Self::Pretrain(_) | Self::Bench(_) | Self::Soak(_) | Self::Fuzz(_) => Ok(()),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of each command.
    pub(crate) fn run(&self, program: &Program) -> Result<()> {
        match self {
            Self::Program(command) => command.run(program),
            Self::Pretrain(command) => pretrain::run(command, program),
            Self::Bench(command) => bench::run(command, program),
            Self::Soak(args) => soak::run(args),
            Self::Fuzz(args) => fuzz::run(args),
            Self::Ci(args) => ci::run(args),
        }
    }

    /// Whether it trains, which needs memory over and over. Other commands have nothing to gain,
    /// and `ci` starts cargo and a browser, which keep to their own ways.
    pub(crate) fn trains(&self) -> bool {
        match self {
            Self::Program(command) => command.trains(),
            Self::Pretrain(_) | Self::Bench(_) => true,
            Self::Soak(_) | Self::Fuzz(_) | Self::Ci(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_program_is_called_by_this_name_and_what_it_is_for() {
        let command = Cli::command();
        assert_eq!(
            (command.get_name(), command.get_bin_name()),
            ("cargo xtask", Some("cargo xtask"))
        );
        assert!(
            command
                .get_about()
                .is_some_and(|about| about.to_string().starts_with("Fine-tunes language models"))
        );
    }
}
