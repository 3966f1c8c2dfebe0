//! `tailguard compare RUN_A RUN_B...`: several runs in one table and one page.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tailguard_page::{Comparison, PageError};

use crate::failure::{Failure, pretty, put_json, say};
use crate::program::Program;
use crate::report::{read, write_page};
use crate::typed;

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Run directories, two or more
    #[arg(value_name = "RUN", required = true, num_args = 2.., value_parser = typed::path())]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "compare.html", value_parser = typed::path())]
    pub(crate) out: PathBuf,
    /// Compare runs that are not on the same prompts, and say so
    #[arg(long)]
    pub(crate) allow_different_prompts: bool,
}

/// Runs the command.
///
/// # Errors
/// Runs that cannot be read or are not on the same prompts, a page that cannot be written.
pub(crate) fn run(args: &CompareArgs, program: &Program) -> Result<()> {
    let runs = args.runs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>>>()?;
    let comparison =
        Comparison::new(runs, args.allow_different_prompts).map_err(|error| match error {
            PageError::DifferentPrompts { .. } => {
                anyhow::Error::from(Failure::usage(error.to_string()).hint(
                    "--allow-different-prompts compares them all the same, and says so in the page",
                ))
            }
            other => other.into(),
        })?;
    write_page(&args.out, &comparison.page()?)?;
    if program.json() {
        let mut figures = comparison.to_json();
        figures["page"] = json!(args.out);
        put_json(&pretty(&figures))?;
        return Ok(());
    }
    say(comparison.table())?;
    say(format_args!("page: {}", args.out.display()))?;
    Ok(())
}
