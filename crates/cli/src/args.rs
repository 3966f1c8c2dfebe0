//! The command line: which commands there are, which options each has a use for.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::compare::{self, CompareArgs};
use crate::evaluate::{self, EvaluateArgs};
use crate::failure::Failure;
use crate::front::{self, FrontArgs};
use crate::options::{Options, Uses};
use crate::program::Program;
use crate::report::{self, ReportArgs};
use crate::reproduce::{self, ReproduceArgs};
use crate::sample::{self, SampleArgs};
use crate::settings::{self, SettingsArgs};
use crate::shell::{self, CompletionsArgs, ManArgs};
use crate::sweep::{self, SweepArgs};
use crate::terminal;
use crate::train::{self, TrainArgs};

/// Fine-tunes language models so that their worst outputs get better, not only their average.
#[derive(Debug, Parser)]
#[command(name = "tailguard", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is said beside it.
    #[command(flatten)]
    pub options: Options,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train SFT, RLHF and RA-RLHF policies for a task of the paper and print its table
    Reproduce(ReproduceArgs),
    /// Train with the settings of one TOML file
    Train(TrainArgs),
    /// Train at each point of a grid over settings, and draw what each method reaches over it
    Sweep(Box<SweepArgs>),
    /// Judge generated texts of any tool, or a model on a task's prompts
    Evaluate(Box<EvaluateArgs>),
    /// Say what the best policy could reach at each KL to a reference, before any training
    Front(Box<FrontArgs>),
    /// Continue a prompt in the terminal
    Sample(SampleArgs),
    /// Say what every setting means, what it may be, and what a preset sets it to
    Settings(SettingsArgs),
    /// Write the page of each run, report.html, anew
    Report(ReportArgs),
    /// Put several runs side by side: a table, and a page
    Compare(CompareArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    /// Print the page of the program for `man`, or write one for each command
    Man(ManArgs),
}

impl Command {
    /// Refuses what clap cannot know to be wrong, before anything is read or written.
    ///
    /// # Errors
    /// The flags, and what is wrong with them.
    pub fn check(&self, program: &Program) -> Result<(), Failure> {
        program.options().check(self.uses())?;
        match self {
            Self::Train(args) => train::check(args, program),
            Self::Sweep(args) => sweep::check(args, program),
            Self::Evaluate(args) => args.check(),
            Self::Sample(args) => sample::check(args),
            Self::Report(ReportArgs { runs }) | Self::Compare(CompareArgs { runs, .. }) => {
                named_once(runs)
            }
            Self::Settings(args) => settings::check(args, program),
            Self::Reproduce(_) | Self::Front(_) | Self::Completions(_) | Self::Man(_) => Ok(()),
        }
    }

    /// The options that it has a use for.
    fn uses(&self) -> Uses {
        match self {
            Self::Reproduce(_)
            | Self::Train(_)
            | Self::Sweep(_)
            | Self::Evaluate(_)
            | Self::Front(_)
            | Self::Sample(_) => Uses { home: true, json: true },
            Self::Settings(_) | Self::Report(_) | Self::Compare(_) => {
                Uses { home: false, json: true }
            }
            Self::Completions(_) | Self::Man(_) => Uses::default(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of each command.
    pub fn run(&self, program: &Program) -> Result<()> {
        match self {
            Self::Reproduce(args) => reproduce::run(args, program),
            Self::Train(args) => train::run(args, program),
            Self::Sweep(args) => sweep::run(args, program),
            Self::Evaluate(args) => evaluate::run(args, program),
            Self::Front(args) => front::run(args, program),
            Self::Sample(args) => sample::run(args, program),
            Self::Settings(args) => settings::run(args, program),
            Self::Report(args) => report::run(args, program),
            Self::Compare(args) => compare::run(args, program),
            Self::Completions(args) => shell::completions(args, Cli::command()),
            Self::Man(args) => shell::man(args, Cli::command()),
        }
    }

    /// Whether it trains or samples much, which needs memory over and over.
    #[must_use]
    pub fn trains(&self) -> bool {
        matches!(self, Self::Reproduce(_) | Self::Train(_) | Self::Sweep(_) | Self::Front(_))
    }
}

/// The command line that the program was called with. What is none, and what asks for help, is
/// answered in the colours that it asks for, and is the end of the program.
#[must_use]
pub fn parse<C: Parser>() -> C {
    let words: Vec<OsString> = env::args_os().collect();
    let mut command = C::command().color(terminal::choice_in(&words));
    // prints help (0) or the mistake (2)
    let matches = command.try_get_matches_from_mut(words).unwrap_or_else(|error| error.exit());
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Refuses a run that is named twice.
fn named_once(runs: &[PathBuf]) -> Result<(), Failure> {
    match runs.iter().enumerate().find(|(place, run)| runs[..*place].contains(run)) {
        Some((_, run)) => Err(Failure::usage(format!("{} is named twice", run.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program::tailguard(Options::default())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn resume_needs_the_directory_to_resume() {
        assert!(Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--resume"]).is_err());
        assert!(
            Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--resume", "--out", "runs/1"])
                .is_ok()
        );
    }

    #[test]
    fn a_run_is_named_once() {
        for command in ["report", "compare"] {
            let check = |runs: [&str; 3]| {
                Cli::try_parse_from([&["tailguard", command], &runs[..]].concat())
                    .unwrap()
                    .command
                    .check(&program())
            };
            assert!(check(["a", "b", "c"]).is_ok());
            assert_eq!(check(["a", "b", "a/"]).unwrap_err().to_string(), "a/ is named twice");
        }
    }

    #[test]
    fn an_unknown_flag_is_answered_with_the_nearest_one() {
        let error =
            Cli::try_parse_from(["tailguard", "reproduce", "imdb", "--sead", "1"]).unwrap_err();
        assert!(error.to_string().contains("'--seed'"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
