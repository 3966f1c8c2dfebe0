//! `tailguard report RUN...`: a run directory as one page of HTML. Runs and evaluations write
//! theirs at their end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tailguard_files::write_file;
use tailguard_page::{GENERATOR, Run, RunFiles, run_page};
use tailguard_report::{TAIL_PROMPTS, read_metrics, read_tail_prompts, read_texts};

use crate::failure::{Failure, pretty, put_json, say};
use crate::program::Program;
use crate::typed;

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true, value_parser = typed::path())]
    pub(crate) runs: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A directory without results, a file that is damaged, a page that cannot be written.
pub(crate) fn run(args: &ReportArgs, program: &Program) -> Result<()> {
    let pages = args.runs.iter().map(|dir| write(dir)).collect::<Result<Vec<_>>>()?;
    if program.json() {
        let written =
            args.runs.iter().zip(&pages).map(|(run, page)| json!({ "run": run, "page": page }));
        put_json(&pretty(&written.collect()))?;
        return Ok(());
    }
    for page in pages {
        say(page.display())?;
    }
    Ok(())
}

/// Writes `report.html` into a run directory and gives its path.
///
/// # Errors
/// As those of [`run`].
pub(crate) fn write(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("report.html");
    write_page(&path, &run_page(&read(dir)?)?)?;
    Ok(path)
}

/// Writes the page and gives its path. A page that cannot be made is a warning: the figures are
/// there, and it can be made again.
pub(crate) fn leave(dir: &Path, program: &Program) -> Option<PathBuf> {
    let warn = |error: &anyhow::Error| {
        tracing::warn!(
            "no report.html: {error:#}; {} report {} tries again",
            program.name(),
            dir.display()
        );
    };
    write(dir).inspect_err(warn).ok()
}

/// Says where the page is.
///
/// # Errors
/// When nothing can be said.
pub(crate) fn tell(page: Option<&Path>) -> Result<()> {
    if let Some(page) = page {
        say(format_args!("report: {}", page.display()))?;
    }
    Ok(())
}

/// Reads a run, or what else has results: all files but `results.json` may be missing.
///
/// # Errors
/// A directory without results, or a file that is damaged.
pub(crate) fn read(dir: &Path) -> Result<Run> {
    read_as(dir, dir.display().to_string())
}

/// Reads a finished run that is called otherwise than its directory.
///
/// # Errors
/// A directory that holds no finished run, or a file of it that cannot be read.
pub fn read_as(dir: &Path, name: String) -> Result<Run> {
    let text = |name: &str| text(&dir.join(name));
    let results = text("results.json")?.ok_or_else(|| {
        Failure::usage(format!("{} holds no results.json", dir.display()))
            .hint("name the directory of a run that has come to its end")
    })?;
    let (texts, metrics) = (dir.join("generations.parquet"), dir.join("metrics.parquet"));
    let files = RunFiles {
        name,
        results,
        about: text("run.json")?,
        config: text("config.toml")?,
        processes: text("processes.json")?,
        texts: texts.is_file().then(|| read_texts(&texts)).transpose()?,
        metrics: if metrics.is_file() { read_metrics(&metrics)? } else { Vec::new() },
        tail_prompts: read_tail_prompts(&dir.join(TAIL_PROMPTS))?,
    };
    Ok(Run::new(files)?)
}

/// Writes a page, over an earlier one but over nothing else.
///
/// # Errors
/// A file that is there and is not ours, or cannot be written.
pub(crate) fn write_page(path: &Path, page: &str) -> Result<()> {
    // what cannot be read as text is not ours either
    let is_ours = match fs::read_to_string(path) {
        Ok(text) => text.contains(GENERATOR),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !is_ours {
        return Err(Failure::usage(format!(
            "{} is there and is no page of tailguard's",
            path.display()
        ))
        .hint("choose another --out")
        .into());
    }
    Ok(write_file(path, page.as_bytes())?)
}

fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
