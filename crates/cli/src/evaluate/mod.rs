//! `tailguard evaluate`: judges texts that are in a file, or those of a model on a task's prompts.

mod args;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::Device;
use tailguard_experiment::settings::{Side, resolve};
use tailguard_experiment::{
    BaseModel, EvaluatedModel, about, checkpoint, evaluate_model, of_file, of_model,
};
use tailguard_judging::{Judged, Scorer, Scorers, Scoring, judge};
use tailguard_report::{About, NewRunDir, ResultsFile, Style, evaluation_table, one_line};
use tailguard_reward::{Label, ScoreSettings};

use crate::failure::{Failure, put_json, say};
use crate::program::Program;
use crate::progress::{Progress, Told};
use crate::{device, report};
pub(crate) use args::EvaluateArgs;

/// Runs the command.
///
/// # Errors
/// A file, model or directory that is not what it should be, or a call that makes no sense.
pub(crate) fn run(args: &EvaluateArgs, program: &Program) -> Result<()> {
    match (&args.generations, &args.model) {
        (Some(file), _) => run_on_file(args, file, program),
        (None, Some(model)) => run_on_model(args, model, program),
        // the command line wants one of them
        (None, None) => Ok(()),
    }
}

/// What was read, by name: its digest, and where it was.
#[derive(Default)]
struct Sources {
    digests: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
}

/// `evaluate --generations`.
fn run_on_file(args: &EvaluateArgs, file: &Path, program: &Program) -> Result<()> {
    device::set_threads(args.thread_count()?)?;
    let device_name = args.device.clone().unwrap_or_else(|| "flex".to_owned());
    let device = device::select(&device_name, program)?;
    let out = args.reserve()?;
    let scorers = scorers(args, program, &device)?;
    let mut judged = judge(file, &args.options(), &scorers, &mut progress())?;
    judged.evaluation.device = device_name;
    drop(scorers);
    // nobody asks for them otherwise
    let sources = if out.is_some() { sources(args, file, program)? } else { Sources::default() };
    tell(judged, sources, out, program)
}

/// The models of `--reward` and `--judge`.
fn scorers(args: &EvaluateArgs, program: &Program, device: &Device) -> Result<Scorers> {
    let asked = &args.judging;
    let scorer = |name: &'static str, dir: &Option<PathBuf>, label: &Option<Label>, negate| {
        let Some(dir) = dir else { return Ok(None) };
        let (label, truncation_side) =
            (label.clone().unwrap_or_default(), asked.truncation_side.unwrap_or(Side::Left).into());
        let settings = ScoreSettings { label, negate, truncation_side, ..ScoreSettings::default() };
        let dir = program.directory(&dir.display().to_string(), &format!("--{name}"))?;
        Ok::<_, anyhow::Error>(Some(Scorer::load_longest(name, &dir, settings, device)?))
    };
    Ok(Scorers {
        reward: scorer("reward", &args.reward, &asked.label, asked.negate)?,
        judge: scorer("judge", &args.judge, &asked.judge_label, asked.judge_negate)?,
    })
}

/// Shows how far scoring is.
fn progress() -> impl FnMut(Scoring) {
    let mut shown: Option<Progress> = None;
    move |Scoring { phase, done, pieces, texts }| {
        let bar = shown.get_or_insert_with(|| Progress::new(pieces, phase));
        if done > 0 {
            bar.iteration(&format!("{texts} texts"));
        }
        if done == pieces
            && let Some(bar) = shown.take()
        {
            bar.finish();
        }
    }
}

/// The file and the scorers.
fn sources(args: &EvaluateArgs, file: &Path, program: &Program) -> Result<Sources> {
    let texts = "generated texts".to_owned();
    let mut digests = BTreeMap::from([(texts.clone(), of_file(file)?)]);
    let mut places = BTreeMap::from([(texts, file.display().to_string())]);
    for (name, flag, dir) in
        [("reward model", "--reward", &args.reward), ("judge", "--judge", &args.judge)]
    {
        if let Some(dir) = dir {
            let place = dir.display().to_string();
            digests.insert(name.to_owned(), of_model(&program.directory(&place, flag)?)?);
            places.insert(name.to_owned(), place);
        }
    }
    Ok(Sources { digests, places })
}

/// `evaluate --model`.
fn run_on_model(args: &EvaluateArgs, model: &Path, program: &Program) -> Result<()> {
    // the command line wants it
    let task = args.task.task.ok_or_else(|| Failure::usage("--model needs --task"))?;
    let level = args.options().level()?;
    let model = program.directory(&checkpoint(model).display().to_string(), "--model")?;
    let settings =
        resolve(Some(task), args.task.preset, &args.run_args(Some(&model)).overrides()?, None)?;
    let preset = resolve(Some(task), args.task.preset, &args.run_args(None).overrides()?, None)?;
    device::set_threads(settings.run.threads)?;
    let device = device::select_with(&settings.run.device, settings.run.precision, program)?;
    let out = args.reserve()?;
    let home = program.home_for(&settings)?;
    let name = preset.policy.dir.as_str();
    let base = program.directory(name, "--policy").ok();
    if base.is_none() {
        tracing::info!(
            "no perplexity of the generated texts: the base model {name:?} is not there"
        );
    }
    let base = base.as_deref().map(|dir| BaseModel { name, dir });
    let EvaluatedModel { judged, digests, places } =
        evaluate_model(&settings, base, level, &home, &device, &mut Told::default())?;
    tell(judged, Sources { digests, places }, out, program)
}

/// Writes the files, and then prints the tables and what must be said with them: whoever reads no
/// further than the first line has all files.
fn tell(judged: Judged, sources: Sources, out: Option<NewRunDir>, program: &Program) -> Result<()> {
    if let Some(out) = &out {
        let (evaluation, Sources { digests, places }) = (&judged.evaluation, sources);
        let about =
            about(&program.origin(), &evaluation.device, evaluation.seeds.clone(), digests, places);
        judged.write(
            out,
            &About { negated: judged.negated.clone(), scores: judged.scores.clone(), ..about },
        )?;
    }
    // the page reads the texts from their file
    let (evaluation, notes) = judged.into_figures();
    let page = out.as_ref().and_then(|out| report::leave(out.path(), program));
    if program.json() {
        put_json(&evaluation.to_json()?)?;
        notes.iter().for_each(|note| tracing::info!("note: {}", one_line(note)));
        evaluation.notice.iter().for_each(|notice| tracing::warn!("{notice}"));
        return Ok(());
    }
    say(evaluation_table(&evaluation, Style::Plain))?;
    for note in &notes {
        say(format_args!("note: {}", one_line(note)))?;
    }
    if let Some(notice) = &evaluation.notice {
        say(notice)?;
    }
    if let Some(out) = &out {
        report::tell(page.as_deref())?;
        say(format_args!("written: {}", out.path().display()))?;
    }
    Ok(())
}
