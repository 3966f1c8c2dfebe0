//! `tailguard sweep TASK --over KEY=VALUE,VALUE`: a run for each point of a grid over settings, and
//! what each method reaches over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tailguard_experiment::settings::{Overrides, Preset, Task, resolve};
use tailguard_experiment::{
    Event, Experiment, Home, Objectives, Observer, Out, Recipes, Settings, Sweep, SweepPoint,
    check_swept,
};
use tailguard_files::{FileError, write_file};
use tailguard_page::SweptRun;
use tailguard_report::{NewRunDir, Results, ResultsFile, Traces};
use toml::{Table, Value};

use crate::failure::{Failure, pretty, put_json, say};
use crate::program::Program;
use crate::progress::{Told, duration};
use crate::run::{reopened, with_way_on};
use crate::run_args::RunArgs;
use crate::{device, interrupt, logging, report, typed};

/// What a sweep is, in its directory: a grid, and the settings beneath it.
const FILE: &str = "sweep.toml";

/// `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The experiment; without one, --config names the settings
    #[arg(value_parser = typed::task())]
    pub(crate) task: Option<&'static Task>,
    /// The settings to start from [default: embedded]
    #[arg(long, value_parser = typed::preset(), requires = "task")]
    pub(crate) preset: Option<Preset>,
    /// A key of the settings and the values that it takes, such as `ppo.kl_coef=0.05,0.1,0.2`;
    /// may be repeated, for a grid
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) over: Vec<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Refuses a call without a grid or without settings.
///
/// # Errors
/// What to pass.
pub(crate) fn check(args: &SweepArgs, program: &Program) -> Result<(), Failure> {
    let example = format!("{} sweep imdb --over ppo.kl_coef=0.05,0.1,0.2", program.name());
    if args.over.is_empty() && !args.run.resume {
        return Err(Failure::usage("sweep needs --over KEY=VALUE,...").hint(example));
    }
    if args.task.is_none() && args.run.config.is_none() && !args.run.resume {
        return Err(Failure::usage("sweep needs a task or --config FILE").hint(example));
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// A grid or settings that make no sense, a directory that holds something else; whatever goes
/// wrong in a run, which can then go on. A training that diverges is an error at the very end.
pub(crate) fn run(args: &SweepArgs, program: &Program) -> Result<()> {
    let out = args.run.out.as_deref();
    let before = out.filter(|_| args.run.resume).map(recorded).transpose()?;
    let overrides = args.run.overrides()?;
    let text = before.as_ref().map(|(path, before)| (path.as_path(), before.settings.as_str()));
    let base = resolve(args.task, args.preset, &overrides, text)?;
    let over = grid(args, before.map(|(_, before)| before.over))?;
    check_swept(&over, &set_keys(&overrides))?;
    // what is wrong at any point is found before the first is begun
    let sweep = Sweep::new(&base, &over, &Recipes::default(), &Objectives::default())?;
    device::set_threads(base.run.threads)?;
    device::select_with(&base.run.device, base.run.precision, program)?;
    let home = program.home_for(&base)?;
    let reserved = reserve(args, &base, program)?;
    let dir = match (&reserved, out) {
        (Some(new), _) => new.path().to_owned(),
        // one that goes on was named
        (None, out) => out.unwrap_or(Path::new("")).to_owned(),
    };
    let file = describe(&base, &over)?;
    let resume = resume_command(args, &dir, program);
    let running = Running { sweep: &sweep, dir: &dir, file: &file, home: &home, program };
    let diverged = running.all(reserved.as_ref(), &resume)?;
    tell(&sweep, &dir, program)?;
    match diverged.as_slice() {
        [] => Ok(()),
        runs => Err(Failure::new(format!("a training diverged in {}", runs.join(", ")))
            .hint("the table and sweep.html have what did not")
            .into()),
    }
}

/// A sweep as its directory describes it.
struct Recorded {
    over: Vec<String>,
    /// The text of the settings beneath the grid.
    settings: String,
}

/// The text of the file that describes a sweep.
fn describe(base: &Settings, over: &[String]) -> Result<String> {
    let mut table = Table::new();
    table.insert("over".into(), over.iter().cloned().map(Value::String).collect::<Vec<_>>().into());
    table.insert("settings".into(), base.to_toml()?.parse::<Table>()?.into());
    Ok(table.to_string())
}

/// Reads what [`describe`] wrote into a directory.
fn recorded(dir: &Path) -> Result<(PathBuf, Recorded)> {
    let path = dir.join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("{} holds no sweep: {FILE}: {error}", dir.display()))
    })?;
    let read = || {
        let mut table: Table = text.parse().ok()?;
        let over = table.get("over")?.as_array()?.iter();
        let over = over.map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        let settings = table.remove("settings")?.as_table()?.to_string();
        Some(Recorded { over, settings })
    };
    let damaged = || Failure::new(format!("{} is not as a sweep has written it", path.display()));
    let read = read().ok_or_else(damaged)?;
    Ok((path, read))
}

/// The grid that is asked for, or that of the sweep that goes on, which must be the same.
fn grid(args: &SweepArgs, before: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
    match before {
        None => Ok(args.over.clone()),
        Some(before) if args.over.is_empty() || args.over == before => Ok(before),
        Some(before) => Err(Failure::usage(format!(
            "the sweep was begun with --over {}: expected the same, or no --over",
            before.join(" --over ")
        ))),
    }
}

/// The flags that set keys, with these.
fn set_keys(overrides: &Overrides) -> Vec<(&str, &str)> {
    let assigned = overrides.assignments.iter().filter_map(|text| text.split_once('='));
    let flags = overrides.flags.iter().map(|(flag, key, _)| (*flag, *key));
    assigned.map(|(key, _)| ("--set", key.trim())).chain(flags).collect()
}

/// The directory of a new sweep; none for one that goes on.
fn reserve(args: &SweepArgs, base: &Settings, program: &Program) -> Result<Option<NewRunDir>> {
    match &args.run.out {
        Some(_) if args.run.resume => Ok(None),
        Some(out) if out.join(FILE).exists() => {
            let message = format!("{} holds a sweep already", out.display());
            Err(Failure::usage(message).hint("or continue that sweep with --resume").into())
        }
        Some(out) => Ok(Some(NewRunDir::reserve(out)?)),
        None => {
            let name = format!("{}-{}-sweep", base.task, base.preset);
            Ok(Some(NewRunDir::reserve_numbered(&program.runs()?, &name)?))
        }
    }
}

/// The line that continues a sweep.
fn resume_command(args: &SweepArgs, dir: &Path, program: &Program) -> String {
    let task = args.task.map(|task| format!(" {}", task.name)).unwrap_or_default();
    format!("{} sweep{task} --out {} --resume", program.name(), dir.display())
}

/// What all runs of a sweep have in common.
struct Running<'a> {
    sweep: &'a Sweep,
    dir: &'a Path,
    /// What [`FILE`] says.
    file: &'a str,
    home: &'a Home,
    program: &'a Program,
}

impl Running<'_> {
    /// Makes the runs that are not there yet, and names those in which a training diverged.
    fn all(&self, reserved: Option<&NewRunDir>, resume: &str) -> Result<Vec<String>> {
        let points = self.sweep.points();
        let (mut earlier, mut diverged) = (Vec::new(), Vec::new());
        let mut is_told = false;
        tracing::info!("a sweep of {} in {}", count(points.len()), self.dir.display());
        for (place, point) in points.iter().enumerate() {
            let dir = self.dir.join(&point.name);
            // last of all: what has results is whole
            if !dir.join("results.json").is_file() {
                if interrupt::requested() {
                    return Err(Failure::stopped().hint(resume).into());
                }
                let begun = Instant::now();
                let number = place + 1;
                tracing::info!("run {number} of {}: {}", points.len(), named(point));
                let traces = reserved.map(NewRunDir::traces);
                self.one(point, &dir, &earlier, traces, resume)?;
                report::leave(&dir, self.program);
                if !is_told && number < points.len() {
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!("{}", self.forecast(place, seconds));
                    is_told = true;
                }
            }
            if !Results::read(&dir.join("results.json"))?.diverged.is_empty() {
                diverged.push(point.name.clone());
            }
            earlier.push(dir);
        }
        Ok(diverged)
    }

    /// Makes a run, or goes on with it.
    fn one(
        &self,
        point: &SweepPoint,
        dir: &Path,
        earlier: &[PathBuf],
        traces: Option<Traces>,
        resume: &str,
    ) -> Result<()> {
        logging::await_run();
        logging::note(&self.program.called());
        let out = if dir.join("config.toml").is_file() {
            Out::Resumed(reopened(dir)?)
        } else {
            Out::New(dir)
        };
        let experiment = Experiment::new(point.settings.clone())
            .with_origin(self.program.origin())
            .sharing_with(earlier.to_vec());
        let prepared = experiment.prepare(self.home, out)?;
        interrupt::listen(prepared.traces().into_iter().chain(traces).collect())?;
        let file = (self.dir.join(FILE), self.file);
        let mut told = Telling { told: Told::default(), file, failed: None };
        let outcome = prepared.run(&mut told);
        if let Some(error) = told.failed {
            return Err(error.into());
        }
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if told.told.has_begun => Err(with_way_on(error, resume)),
            Err(error) => Err(error.into()),
        }
    }

    /// How long the runs behind one take, by the policies that are made for them alone.
    fn forecast(&self, place: usize, seconds: f64) -> String {
        let points = self.sweep.points();
        let mut seen = Vec::new();
        let made: Vec<usize> =
            points.iter().map(|point| new_policies(self.sweep, point, &mut seen)).collect();
        let left: usize = made[place + 1..].iter().sum();
        let estimate = seconds * left as f64 / made[place].max(1) as f64;
        format!(
            "run {} of {} took {}; {} more will take about {}",
            place + 1,
            points.len(),
            duration(seconds),
            count(points.len() - place - 1),
            duration(estimate)
        )
    }
}

/// How many policies a point has that no earlier one has.
fn new_policies<'a>(
    sweep: &'a Sweep,
    point: &'a SweepPoint,
    seen: &mut Vec<(&'a str, Vec<&'a str>)>,
) -> usize {
    let mut count = 0;
    for (arm, keys) in sweep.concerned() {
        let values = point.values.iter().filter(|(key, _)| keys.contains(key));
        let policy = (arm.as_str(), values.map(|(_, value)| value.as_str()).collect());
        if !seen.contains(&policy) {
            seen.push(policy);
            count += 1;
        }
    }
    count
}

/// `ppo.kl_coef = 0.1, risk.alpha = 0.4`.
fn named(point: &SweepPoint) -> String {
    let values = point.values.iter().map(|(key, value)| format!("{key} = {value}"));
    values.collect::<Vec<_>>().join(", ")
}

fn count(runs: usize) -> String {
    if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") }
}

/// Tells of a run, and describes the sweep once the first has begun: from there on it can go on.
struct Telling<'a> {
    told: Told,
    file: (PathBuf, &'a str),
    failed: Option<FileError>,
}

impl Observer for Telling<'_> {
    fn tell(&mut self, event: Event<'_>) {
        self.told.tell(event);
        let (path, text) = &self.file;
        if matches!(event, Event::Begins) && !path.exists() {
            self.failed = write_file(path, text.as_bytes()).err();
        }
    }

    fn goes_on(&mut self) -> bool {
        self.failed.is_none() && self.told.goes_on()
    }
}

/// Writes page and tables, and prints what has come out.
fn tell(sweep: &Sweep, dir: &Path, program: &Program) -> Result<()> {
    let read = |point: &SweepPoint| {
        let run = report::read_as(&dir.join(&point.name), point.name.clone())?;
        Ok(SweptRun { run, values: point.values.clone() })
    };
    let runs = sweep.points().iter().map(read).collect::<Result<Vec<_>>>()?;
    let keys = sweep.over().iter().map(|over| over.key.clone()).collect();
    let concerned = |arm: &str| {
        let found = sweep.concerned().iter().find(|(key, _)| key == arm);
        found.map(|(_, keys)| keys.clone()).unwrap_or_default()
    };
    let table = tailguard_page::Sweep::new(keys, runs, concerned)?;
    let page = dir.join("sweep.html");
    report::write_page(&page, &table.page()?)?;
    write_file(&dir.join("sweep.csv"), table.csv().as_bytes())?;
    let mut figures = table.to_json();
    write_file(&dir.join("sweep.json"), pretty(&figures).as_bytes())?;
    if program.json() {
        figures["page"] = json!(page);
        put_json(&pretty(&figures))?;
        return Ok(());
    }
    say(table.table())?;
    say(format_args!("page: {}", page.display()))?;
    say(format_args!("sweep directory: {}", dir.display()))?;
    Ok(())
}
