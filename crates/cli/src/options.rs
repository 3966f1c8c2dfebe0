//! What may be said beside any command.

use std::path::PathBuf;

use clap::{Args, ColorChoice};

use crate::failure::Failure;
use crate::logging::{self, Told};
use crate::{terminal, typed};

/// What may be said before or behind the name of a command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Options {
    /// Folder of models, texts and runs
    /// [default: the variable `TAILGUARD_HOME`; the checkout that the program is started in; the
    /// platform's folder for data]
    #[arg(long, global = true, value_name = "DIR", value_parser = typed::path())]
    pub(crate) home: Option<PathBuf>,
    /// Print results as JSON and not as tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tell warnings and errors alone, and nothing of the progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Tell also where things are, and what other libraries say
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// When there are colours [default: auto, on a terminal unless the variable `NO_COLOR` is set]
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,
}

/// Which of the options a command has a use for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uses {
    /// It reads models or texts, or makes runs.
    pub home: bool,
    /// It has results.
    pub json: bool,
}

impl Options {
    /// Takes colours, and how much is told, for the rest of the process; nothing is told before.
    pub fn init(&self) {
        terminal::choose(self.color.unwrap_or_default());
        logging::init(match (self.quiet, self.verbose) {
            (true, _) => Told::Little,
            (_, true) => Told::Much,
            _ => Told::Usual,
        });
    }

    /// Refuses what would do nothing.
    ///
    /// # Errors
    /// The option.
    pub fn check(&self, uses: Uses) -> Result<(), Failure> {
        let refused =
            |option: &str, why: &str| Err(Failure::usage(format!("{option}: this command {why}")));
        if self.home.is_some() && !uses.home {
            return refused("--home", "reads no models and makes no run");
        }
        if self.quiet && self.verbose {
            return Err(Failure::usage("--quiet and --verbose contradict each other"));
        }
        if self.json && !uses.json {
            return refused("--json", "has no results that are told as JSON");
        }
        Ok(())
    }
}
