//! `tailguard compare RUN_A RUN_B...`: several runs in one table and one page.

use anyhow::Result;
use serde_json::json;
use tailguard_page::{Comparison, PageError};

use crate::args::CompareArgs;
use crate::failure::{Failure, pretty, put_json, say};
use crate::program::Program;
use crate::report::{read, write_page};

/// Runs the command.
///
/// # Errors
/// Runs that cannot be read or are not on the same prompts, a page that cannot be written.
pub(crate) fn run(args: &CompareArgs, program: &Program) -> Result<()> {
    let runs = args.runs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>>>()?;
    let comparison = Comparison::new(runs, args.allow_different_prompts).map_err(|error| match error {
        PageError::DifferentPrompts { .. } => anyhow::Error::from(
            Failure::usage(error.to_string())
                .hint("--allow-different-prompts compares them all the same, and says so in the page"),
        ),
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
