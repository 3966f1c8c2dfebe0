//! `cargo xtask soak`: a small run is killed again and again, and has to come to the files of a run
//! that was left alone.

use std::env;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use tailguard::failure::say;
use tailguard::{report, typed};
use tailguard_faults::{OUT, Soak, Tally};
use tailguard_page::run_page;

/// `soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How many processes to kill
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = typed::count())]
    kills: usize,
    /// Seed of the moments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// A run that cannot go on or that comes to other files than one that was left alone: its directory
/// is kept.
pub(crate) fn run(args: &SoakArgs) -> Result<()> {
    let (begun, program) = (Instant::now(), env::current_exe().context("the program has no path")?);
    // the run was called by its path from where it ran
    let page_of = |run: &Path| Ok(run_page(&report::read_as(run, OUT.to_owned())?)?);
    let tally =
        Soak { program: &program, page_of: &page_of, kills: args.kills, seed: args.seed }.run()?;
    let (Tally { kills, inside, resumes, runs, .. }, seconds) =
        (&tally, begun.elapsed().as_secs_f64());
    say(format_args!(
        "{kills} kills (seed {}), {inside} of them inside a write; {resumes} resumes; {runs} \
         runs, each with the files of the run that was left alone; {seconds:.0} s",
        args.seed
    ))?;
    say(format_args!("killed in: {}", tally.phases()))?;
    Ok(())
}
