//! A run as `reproduce` and `train` start it: settings, threads, signals, and what is said of it at
//! its end.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tailguard_experiment::settings::{Preset, Settings, Task, resolve};
use tailguard_experiment::{Experiment, ExperimentError, Finished, Out};
use tailguard_report::{ReportError, ResultsFile, RunDir, Style, one_line, table, warnings};

use crate::failure::{Failure, put_json, say};
use crate::program::Program;
use crate::progress::Told;
use crate::run_args::RunArgs;
use crate::{device, interrupt, logging, report};

/// Makes and compares the policies, prints tables, warnings and samples.
///
/// # Errors
/// Settings that make no sense, a device or a model that is not there, a directory that cannot be
/// written, that holds something already, or that holds no run to resume. Whatever goes wrong on
/// the way; a run that was asked to stop says how to go on. An arm that diverges is an error at the
/// very end: the others are made and told all the same.
pub(crate) fn run(
    task: Option<&'static Task>,
    preset: Option<Preset>,
    args: &RunArgs,
    program: &Program,
) -> Result<()> {
    logging::await_run();
    logging::note(&program.called());
    let resumed = args.out.as_ref().filter(|_| args.resume).map(|out| reopened(out)).transpose()?;
    let recorded = resumed
        .as_ref()
        .map(|dir| Ok::<_, ReportError>((dir.config_path(), dir.config()?)))
        .transpose()?;
    let recorded = recorded.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
    let settings = resolve(task, preset, &args.overrides()?, recorded)?;
    device::set_threads(settings.run.threads)?;
    // refused before a directory is reserved, with what to do
    device::select_with(&settings.run.device, settings.run.precision, program)?;
    let runs = program.runs()?;
    let out = match (resumed, &args.out) {
        (Some(dir), _) => Out::Resumed(dir),
        (None, Some(out)) => Out::New(out),
        (None, None) => Out::Numbered(&runs),
    };
    let home = program.home_for(&settings)?;
    let experiment = Experiment::new(settings).with_origin(program.origin());
    let prepared = experiment.prepare(&home, out).map_err(resumable)?;
    interrupt::listen(prepared.traces().into_iter().collect())?;
    let (settings, dir) = (prepared.settings().clone(), prepared.dir().to_owned());
    let mut told = Told::default();
    match prepared.run(&mut told) {
        Ok(finished) => tell(&settings, &finished, program),
        Err(error) if told.has_begun => {
            Err(with_way_on(error, &resume_command(&settings, &dir, program)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes the directory of a run that goes on, and says what an earlier process left unfinished.
///
/// # Errors
/// A directory that holds no run, that is in use, or that cannot be written.
pub(crate) fn reopened(dir: &Path) -> Result<RunDir, ReportError> {
    let dir = RunDir::open(dir)?;
    for path in dir.recovered() {
        tracing::info!(
            "removed {}, which was being written when the run was killed",
            path.display()
        );
    }
    Ok(dir)
}

/// Adds what to do with a directory that holds a run already.
fn resumable(error: ExperimentError) -> anyhow::Error {
    match error {
        ExperimentError::Report(error @ ReportError::HoldsARun { .. }) => {
            Failure::usage(error.to_string()).hint("or continue that run with --resume").into()
        }
        other => other.into(),
    }
}

/// Adds how the run goes on, to an error after which it can.
pub(crate) fn with_way_on(error: ExperimentError, resume: &str) -> anyhow::Error {
    match error {
        ExperimentError::Stopped => Failure::stopped().hint(resume).into(),
        error if error.is_of_disk() => {
            let hint = format!("what is done so far is kept; once there is room: {resume}");
            anyhow::Error::from(error).context(Failure::new("the run cannot go on").hint(hint))
        }
        error => error.into(),
    }
}

/// The line that continues a run.
fn resume_command(settings: &Settings, dir: &Path, program: &Program) -> String {
    // the preset of another task is known to `train` alone
    let of_task = Task::named(&settings.task).filter(|_| !settings.preset.contains('-'));
    let begun = of_task.map_or("train".to_owned(), |task| format!("reproduce {}", task.name));
    format!("{} {begun} --out {} --resume", program.name(), dir.display())
}

/// Writes the page, and prints what has come out.
fn tell(settings: &Settings, finished: &Finished, program: &Program) -> Result<()> {
    let Finished { results, dir, .. } = finished;
    // whoever reads no further than the first line has all files
    let page: Option<PathBuf> = report::leave(dir.path(), program);
    let warnings = warnings(results);
    let smoke = "The preset smoke shows that everything works; its figures mean nothing.";
    let is_smoke = settings.preset.ends_with(Preset::Smoke.name());
    let notes = is_smoke.then_some(smoke).into_iter().chain(results.notice.as_deref());
    if program.json() {
        put_json(&results.to_json()?)?;
        warnings.iter().for_each(|warning| tracing::warn!("{}", one_line(warning)));
        notes.for_each(|note| tracing::info!("{note}"));
    } else {
        say(table(results, Style::Plain))?;
        for warning in warnings {
            say(format_args!("warning: {}", one_line(&warning)))?;
        }
        notes.into_iter().try_for_each(say)?;
        show_samples(finished)?;
        report::tell(page.as_deref())?;
        say(format_args!("run directory: {}", dir.path().display()))?;
    }
    match results.diverged.as_slice() {
        [] => Ok(()),
        [first, others @ ..] => {
            let more = if others.is_empty() {
                String::new()
            } else {
                format!(", and {} more", others.len())
            };
            Err(Failure::new(format!(
                "a training diverged: {}{more}",
                one_line(&first.told(&results.arms))
            ))
            .hint("the table and report.html have what did not")
            .into())
        }
    }
}

/// Prints a few prompts of the tail, the worst first, with what the policies of the first seed made
/// of them.
fn show_samples(finished: &Finished) -> Result<()> {
    say("\nThe lowest prompts and what became of them. They may offend.")?;
    let width = finished
        .results
        .arms
        .iter()
        .map(|arm| arm.title.chars().count())
        .max()
        .unwrap_or_default()
        .max(8);
    for sample in &finished.samples {
        say(format_args!("\nprompt ({:+.2}): {}", sample.score, one_line(&sample.prompt)))?;
        for (arm, row) in &sample.responses {
            say(format_args!(
                "  {:width$} ({:+.2}): {}",
                one_line(&arm.title),
                row.reward,
                one_line(&row.response)
            ))?;
        }
    }
    say("")?;
    Ok(())
}
