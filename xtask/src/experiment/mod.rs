//! An experiment from prompts to the table: for each seed, supervised fine-tuning, RLHF, RA-RLHF, and the evaluation of all
//! four policies. Every phase leaves its result in the run directory, and a resumed run skips the phases that are there.

pub(crate) mod digests;
pub(crate) mod evaluate;
mod figures;
pub(crate) mod inputs;
mod phases;
mod record;
mod summary;

use std::io;

use anyhow::{Context, Result};
use tailguard_ppo::PpoError;
use tailguard_report::{Diverged, Method, ResultsFile, Style, table, warnings};

use crate::args::PresetName;
use crate::failure::{Failure, say};
use crate::report;
use crate::run::{Prepared, Run, resume_command};
use inputs::Inputs;
use phases::Stop;

/// Runs all seeds, writes the results and the report, prints tables, warnings and samples.
///
/// # Errors
/// Whatever goes wrong on the way; a run that was asked to stop says how to go on. A method that diverges is an error at the very end: the
/// others are trained and told all the same.
pub(crate) fn run(prepared: Prepared) -> Result<()> {
    // the run begins only once there is nothing left that its settings could be refused for
    let inputs = Inputs::load(&prepared.config, &prepared.models, &prepared.device)?;
    let run = &prepared.open(inputs.digests.clone(), inputs.scores())?;
    let mut diverged = Vec::new();
    for seed in run.config.seed_list() {
        if let Err(error) = one_seed(run, &inputs, seed, &mut diverged) {
            // the first error is the one to tell: on a full disk this fails, too
            let noted = run.note_costs();
            let resume = resume_command(&run.config, run.dir.path());
            return Err(match error.downcast::<Stop>() {
                Ok(Stop) => noted.err().unwrap_or_else(|| Failure::new("stopped").hint(resume).into()),
                Err(error) if is_of_files(&error) => {
                    let hint = format!("what is done so far is kept; once there is room: {resume}");
                    error.context(Failure::new("the run cannot go on").hint(hint))
                }
                Err(error) => error,
            });
        }
    }
    let results = summary::collect(run, &inputs, diverged)?;
    results.write(&run.dir.results_path())?;
    summary::write_tables(run, &results)?;
    run.note_costs()?;
    // whoever reads no further than the first line has all files
    let page = report::leave(run.dir.path());
    say(table(&results, Style::Plain))?;
    for warning in warnings(&results) {
        say(format_args!("warning: {warning}"))?;
    }
    if run.config.preset.ends_with(PresetName::Smoke.name()) {
        say("The preset smoke shows that everything works; its figures mean nothing.")?;
    }
    if let Some(notice) = &results.notice {
        say(notice)?;
    }
    summary::show_samples(run, &inputs, &results)?;
    report::tell(page.as_deref())?;
    say(format_args!("run directory: {}", run.dir.path().display()))?;
    match results.diverged.as_slice() {
        [] => Ok(()),
        [first, others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
            Err(Failure::new(format!("a training diverged: {first}{more}"))
                .hint("the table and report.html have what did not")
                .into())
        }
    }
}

/// Whether the system refused to write.
fn is_of_files(error: &anyhow::Error) -> bool {
    let is_of_state = |error: &PpoError| matches!(error, PpoError::State { action: "write", .. });
    let is_of_disk = |error: &io::Error| {
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, WriteZero};
        matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem | PermissionDenied | WriteZero)
    };
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_of_disk) || cause.downcast_ref().is_some_and(is_of_state))
}

/// Trains and evaluates the methods with one seed. RLHF or RA-RLHF may diverge, which is added to `diverged`.
fn one_seed(run: &Run, inputs: &Inputs, seed: u64, diverged: &mut Vec<Diverged>) -> Result<()> {
    let evaluated = Method::ALL.map(|method| evaluate::is_evaluated(&run.dir, method, seed));
    if evaluated.into_iter().collect::<Result<Vec<_>>>()?.iter().all(|&is_there| is_there) {
        return Ok(());
    }
    let supervised =
        phases::supervised(run, inputs, seed).with_context(|| format!("SFT, seed {seed}, from which the others begin"))?;
    phases::evaluated(run, inputs, (Method::Gpt2, seed), &inputs.base, &supervised)?;
    phases::evaluated(run, inputs, (Method::Sft, seed), &supervised, &supervised)?;
    for method in [Method::Rlhf, Method::RaRlhf] {
        let trained = phases::reinforced(run, inputs, (method, seed), &supervised);
        let done = trained.and_then(|policy| phases::evaluated(run, inputs, (method, seed), &policy, &supervised));
        match done {
            Err(error) if phases::is_divergence(&error) => {
                let lost = Diverged { method, seed, reason: format!("{error:#}") };
                tracing::warn!("{lost}");
                diverged.push(lost);
            }
            other => other?,
        }
    }
    Ok(())
}
