//! `cargo xtask fuzz`: damaged files, each given to the program in a process of its own, which must
//! end with a message.

use std::env;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use tailguard::failure::{Failure, say};
use tailguard::typed;
use tailguard_faults::{Counts, Fuzz, calls};

use crate::checkout::workspace;

/// `fuzz`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Damaged files
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) cases: u64,
    /// Decides the damage
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// This case alone
    #[arg(long, value_name = "N", conflicts_with = "cases")]
    pub(crate) case: Option<u64>,
    /// These kinds of input alone; `--only help` lists them
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Processes side by side; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Directory to keep failing inputs in [default: target/fuzz]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) keep: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Any case that ends as none should; a kind that is none; a sound input that does not pass.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    let names = || calls().map(|(name, _)| name);
    if args.only.iter().any(|name| name == "help") {
        return names().try_for_each(|name| Ok(say(name)?));
    }
    if let Some(unknown) = args.only.iter().find(|only| !names().any(|name| name == *only)) {
        let known: Vec<_> = names().collect();
        return Err(Failure::usage(format!(
            "no kind `{unknown}`: expected one of {}",
            known.join(", ")
        ))
        .into());
    }
    let fuzz = Fuzz {
        program: env::current_exe().context("cannot find this program")?,
        seed: args.seed,
        cases: args.case.map_or(0..args.cases, |case| case..case.saturating_add(1)),
        only: args.only.clone(),
        jobs: if args.jobs > 0 {
            args.jobs
        } else {
            thread::available_parallelism().map_or(1, usize::from)
        },
        keep: args.keep.clone().unwrap_or_else(|| workspace().join("target/fuzz")),
    };
    let counts = fuzz.run()?;
    for (name, Counts { codes: [done, failed, refused], longer, faults }) in &counts {
        say(format_args!(
            "{name:12} {done:6} done {failed:6} failed {refused:6} refused {longer:4} longer \
             {faults:4} faults"
        ))?;
    }
    match counts.values().map(|counts| counts.faults).sum() {
        0 => Ok(()),
        faults => Err(Failure::new(format!("{faults} cases ended as none should"))
            .hint(format!(
                "they are in {}, each with the command that repeats it",
                fuzz.keep.display()
            ))
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_kind_that_is_none_is_answered_with_those_that_are() {
        let args = FuzzArgs {
            cases: 1,
            seed: 1,
            case: None,
            only: vec!["yaml".to_owned()],
            jobs: 1,
            keep: None,
        };
        let error = run(&args).unwrap_err();
        assert!(error.to_string().contains("gpt2, distilbert"), "{error}");
    }

    #[test]
    fn every_call_is_one() {
        for (name, words) in calls() {
            Cli::try_parse_from(["xtask".to_owned()].into_iter().chain(words))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
