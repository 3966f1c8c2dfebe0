//! An experiment from prompts to the table: for each seed, supervised fine-tuning, RLHF, RA-RLHF, and the evaluation of all
//! four policies. Every phase leaves its result in the run directory, and a resumed run skips the phases that are there.

pub(crate) mod digests;
pub(crate) mod evaluate;
pub(crate) mod inputs;
mod phases;
mod summary;

use anyhow::Result;
use tailguard_report::{Method, ResultsFile, Style, table, warnings};

use crate::args::PresetName;
use crate::failure::{Failure, say};
use crate::report;
use crate::run::{Prepared, Run, resume_command};
use inputs::Inputs;
use phases::Stop;

/// Runs all seeds, writes the results and the report, prints tables, warnings and samples.
///
/// # Errors
/// Whatever goes wrong on the way; a run that was asked to stop says how to go on.
pub(crate) fn run(prepared: Prepared) -> Result<()> {
    // the run begins only once there is nothing left that its settings could be refused for
    let inputs = Inputs::load(&prepared.config, &prepared.models, &prepared.device)?;
    let run = &prepared.open(inputs.digests.clone(), inputs.scores())?;
    for seed in run.config.seed_list() {
        if let Err(error) = one_seed(run, &inputs, seed) {
            run.note_costs()?;
            return Err(match error.downcast::<Stop>() {
                Ok(Stop) => Failure::new("stopped").hint(resume_command(&run.config, run.dir.path())).into(),
                Err(error) => error,
            });
        }
    }
    let results = summary::collect(run, &inputs)?;
    results.write(&run.dir.results_path())?;
    summary::write_tables(run)?;
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
    summary::show_samples(run, &inputs)?;
    run.note_costs()?;
    report::tell(run.dir.path())?;
    say(format_args!("run directory: {}", run.dir.path().display()))?;
    Ok(())
}

fn one_seed(run: &Run, inputs: &Inputs, seed: u64) -> Result<()> {
    if Method::ALL.iter().all(|&method| run.dir.evaluation_path(method, seed).is_file()) {
        return Ok(());
    }
    let supervised = phases::supervised(run, inputs, seed)?;
    phases::evaluated(run, inputs, (Method::Gpt2, seed), &inputs.base, &supervised)?;
    phases::evaluated(run, inputs, (Method::Sft, seed), &supervised, &supervised)?;
    for method in [Method::Rlhf, Method::RaRlhf] {
        let policy = phases::reinforced(run, inputs, (method, seed), &supervised)?;
        phases::evaluated(run, inputs, (method, seed), &policy, &supervised)?;
    }
    Ok(())
}
