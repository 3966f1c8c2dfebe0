//! `cargo xtask ci`: every check that a change has to pass, cheapest first.
//!
//! All steps use `--release`. What builds has one feature set, which `tidy` holds, and what only
//! checks has another, with GPUs: Burn and Polars compile once for each.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tailguard::failure::{Failure, say};
use tailguard_experiment::settings::{TASKS, Task};
use tailguard_report::{Figure, Results, ResultsFile};

use crate::checkout::workspace;
use crate::fuzz::{self, FuzzArgs};
use crate::tidy;

/// `ci`.
#[derive(Debug, Default, Args)]
pub(crate) struct CiArgs {
    /// Run these steps alone; `--only help` lists them
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Fail where a tool is missing, as is done where the variable CI is set
    #[arg(long)]
    pub(crate) require_tools: bool,
}

/// What a step came to.
enum Outcome {
    Passed,
    /// A tool is not installed, and how it would be.
    Skipped(&'static str),
}

/// The name that lists the steps.
const HELP: &str = "help";

type Step = (&'static str, &'static str, fn() -> Result<Outcome>);

const STEPS: &[Step] = &[
    ("fmt", "rustfmt would change nothing", || cargo(&["fmt", "--all", "--", "--check"], &[])),
    ("tidy", "the invariants of ARCHITECTURE.md hold", || {
        tidy::check(workspace()).map(|()| Outcome::Passed)
    }),
    ("deny", "licences, bans and sources of all dependencies", deny),
    ("clippy", "no warning, with wgpu and cuda", || {
        with_gpus(&["clippy", "--all-targets"], &["--", "--deny", "warnings"], &[])
    }),
    ("docs", "cargo doc without warnings", || {
        with_gpus(&["doc", "--no-deps"], &[], &[("RUSTDOCFLAGS", "--deny warnings")])
    }),
    ("tests", "unit, property, golden and end-to-end tests", tests),
    ("doctests", "examples in the documentation", || {
        cargo(&["test", "--release", "--workspace", "--doc", "--quiet"], &[])
    }),
    ("examples", "every example comes to its end", examples),
    ("package", "every crate can be packed", package),
    ("install", "the program, installed, runs in an empty folder", install),
    ("smoke", "a tiny reproduction of every task, and what it leaves behind", smoke),
    ("soak", "a run that is killed ten times comes to the same files", soak),
    ("fuzz", "damaged files end in a message", damaged_files),
];

/// Runs the command.
///
/// # Errors
/// The first step that fails; a name that is no step.
pub(crate) fn run(args: &CiArgs) -> Result<()> {
    if args.only.iter().any(|name| name == HELP) {
        for (name, what, _) in STEPS {
            say(format_args!("{name:10} {what}"))?;
        }
        return Ok(());
    }
    let required =
        args.require_tools || env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    let mut lines = Vec::new();
    for (name, what, check) in STEPS.iter().filter(|(name, _, _)| is_chosen(args, name)) {
        tracing::info!("ci: {name}: {what}");
        let begun = Instant::now();
        let outcome = check().and_then(|outcome| allowed(outcome, required));
        let seconds = begun.elapsed().as_secs_f64();
        match outcome.with_context(|| format!("ci: {name} failed ({what})"))? {
            Outcome::Passed => lines.push(format!("{name:10} passed  {seconds:7.1} s")),
            Outcome::Skipped(reason) => lines.push(format!("{name:10} skipped: {reason}")),
        }
    }
    say(lines.join("\n"))?;
    Ok(())
}

/// A step that was skipped has checked nothing: where tools are required, it fails.
fn allowed(outcome: Outcome, required: bool) -> Result<Outcome> {
    match outcome {
        Outcome::Skipped(reason) if required => bail!("{reason}"),
        other => Ok(other),
    }
}

/// Runs cargo over the workspace with the features that ask for GPUs, so that they are
/// type-checked. Whatever checks and builds nothing does so, or it would check Burn and Polars once
/// with and once without.
fn with_gpus(words: &[&str], rest: &[&str], variables: &[(&str, &str)]) -> Result<Outcome> {
    let words = [words, &["--release", "--workspace", "--features", "xtask/wgpu,xtask/cuda"], rest]
        .concat();
    // the build script of the CUDA runtime leaves its download out when it believes that
    // documentation is built
    cargo(&words, &[variables, &[("DOCS_RS", "1")]].concat())
}

/// Refuses names that are no steps, and steps that are left with nothing to run.
///
/// # Errors
/// The names that there are.
pub(crate) fn check(args: &CiArgs) -> Result<(), Failure> {
    for name in args.only.iter().filter(|name| *name != HELP).chain(&args.skip) {
        if !STEPS.iter().any(|(step, _, _)| step == name) {
            let steps: Vec<_> = STEPS.iter().map(|(step, _, _)| *step).collect();
            return Err(Failure::usage(format!(
                "no step `{name}`: expected one of {}",
                steps.join(", ")
            )));
        }
    }
    let asks_for_help = args.only.iter().any(|name| name == HELP);
    if !asks_for_help && !STEPS.iter().any(|(name, _, _)| is_chosen(args, name)) {
        return Err(Failure::usage("--skip leaves nothing of --only: no step is left to run"));
    }
    Ok(())
}

fn is_chosen(args: &CiArgs, name: &str) -> bool {
    (args.only.is_empty() || args.only.iter().any(|only| only == name))
        && !args.skip.iter().any(|skip| skip == name)
}

/// Runs cargo at the root of the workspace.
fn cargo(words: &[&str], variables: &[(&str, &str)]) -> Result<Outcome> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(workspace()).args(words).envs(variables.iter().copied());
    // the embedded data are what is checked
    command.env_remove("TAILGUARD_DATA").env_remove("TAILGUARD_HOME");
    let status =
        command.status().with_context(|| format!("cannot run cargo {}", words.join(" ")))?;
    ensure!(status.success(), "cargo {}: {status}", words.join(" "));
    Ok(Outcome::Passed)
}

fn has(subcommand: &str) -> bool {
    let mut command = Command::new(env!("CARGO"));
    let quiet = command.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn deny() -> Result<Outcome> {
    if !has("deny") {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed: cargo install cargo-deny --locked",
        ));
    }
    // not the advisories, which need a network: the workflows of .github check them
    cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"], &[])
}

fn tests() -> Result<Outcome> {
    if has("nextest") {
        return cargo(&["nextest", "run", "--release", "--workspace"], &[]);
    }
    cargo(
        &[
            "test",
            "--release",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
            "--quiet",
        ],
        &[],
    )
}

/// Runs the examples of all crates, as they are without arguments.
fn examples() -> Result<Outcome> {
    cargo(&["build", "--release", "--workspace", "--examples"], &[])?;
    let program = env::current_exe().context("cannot find this program")?;
    let built = program.parent().unwrap_or(&program).join("examples");
    let sources = fs::read_dir(workspace().join("crates"))?
        .flatten()
        .filter_map(|one| fs::read_dir(one.path().join("examples")).ok());
    let mut names: Vec<_> = sources
        .flatten()
        .flatten()
        .map(|file| file.path())
        // beside them are settings that they, and readers, can use
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|file| Some(file.file_stem()?.to_owned()))
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "there are no examples");
    for name in names {
        let output = Command::new(built.join(&name)).current_dir(workspace()).output();
        let output =
            output.with_context(|| format!("cannot run the example {}", name.display()))?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "the example {}: {}\n{told}",
            name.display(),
            output.status
        );
        tracing::info!(
            "{}: {} lines",
            name.display(),
            String::from_utf8_lossy(&output.stdout).lines().count()
        );
    }
    Ok(Outcome::Passed)
}

/// Packs the crates that others may use. Nothing is published; without `--exclude-lockfile` cargo
/// would look for them in a registry.
fn package() -> Result<Outcome> {
    let packed = [
        "package",
        "--quiet",
        "--workspace",
        "--no-verify",
        "--allow-dirty",
        "--offline",
        "--exclude-lockfile",
    ];
    let of_ours = INTERNAL.iter().flat_map(|name| ["--exclude", name]);
    cargo(&packed.into_iter().chain(of_ours).collect::<Vec<_>>(), &[])
}

/// Packages of which nobody else has a use.
const INTERNAL: &[&str] = &[
    "xtask",
    "tailguard-tests",
    "tailguard-tests-outside",
    "tailguard-benchmarks",
    "tailguard-faults",
    "tailguard-flags",
];

/// Installs the program, and runs it as a user does who has nothing else: no checkout around it, no
/// home.
fn install() -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    let (root, work) = (folder.path().join("root"), folder.path().join("work"));
    let shown = root.display().to_string();
    cargo(
        &[
            "install",
            "--quiet",
            "--path",
            "crates/cli",
            "--locked",
            "--offline",
            "--no-track",
            "--root",
            &shown,
        ],
        &[],
    )?;
    tailguard_files::create_dirs(&work)?;
    let mut command = Command::new(root.join("bin").join("tailguard"));
    command.args(["reproduce", "imdb", "--preset", "smoke", "--quiet"]).current_dir(&work);
    command
        .env_remove("TAILGUARD_DATA")
        .env_remove("TAILGUARD_HOME")
        .env_remove("XDG_DATA_HOME")
        .env("HOME", folder.path());
    let output = command.output().context("cannot start the installed program")?;
    ensure!(
        output.status.success(),
        "tailguard: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8_lossy(&output.stdout);
    let run = told
        .lines()
        .find_map(|line| line.strip_prefix("run directory: "))
        .context("it names no run directory")?;
    check_smoke(&TASKS[0], &work.join(run))?;
    Ok(Outcome::Passed)
}

/// The same damage every time, to files that are the same but for times, and for where the run that
/// goes on was stopped: that is done by a signal. `cargo xtask fuzz` has other cases.
fn damaged_files() -> Result<Outcome> {
    fuzz::run(&FuzzArgs {
        cases: 200,
        seed: 1,
        case: None,
        only: Vec::new(),
        jobs: 0,
        keep: None,
    })?;
    Ok(Outcome::Passed)
}

/// Runs the smoke preset of every task and looks at what it wrote.
fn smoke() -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    for task in TASKS {
        let out = folder.path().join(task.name);
        let shown = out.display().to_string();
        let program = ["run", "--quiet", "--release", "--package", "xtask", "--"];
        cargo(
            &[&program[..], &["reproduce", task.name, "--preset", "smoke", "--out", &shown]]
                .concat(),
            &[],
        )?;
        check_smoke(task, &out)?;
    }
    Ok(Outcome::Passed)
}

/// Kills and resumes a small run, always at the same moments.
fn soak() -> Result<Outcome> {
    let words = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "xtask",
        "--",
        "soak",
        "--kills",
        "10",
        "--seed",
        "7",
    ];
    cargo(&words, &[])
}

fn check_smoke(task: &Task, out: &Path) -> Result<()> {
    let files = [
        "config.toml",
        "run.json",
        "results.json",
        "metrics.parquet",
        "metrics.jsonl",
        "generations.parquet",
    ];
    for file in files.into_iter().chain(["processes.json", "report.html"]) {
        ensure!(
            out.join(file).metadata().is_ok_and(|metadata| metadata.len() > 0),
            "{file} is missing or empty"
        );
    }
    let results = Results::read(&out.join("results.json"))?;
    ensure!(
        results.task == task.name && results.preset == "smoke" && results.seeds == [1, 2],
        "results.json is of another run: {results:?}"
    );
    ensure!(results.tail.prompts > 0, "results.json has no tail: {:?}", results.tail);
    ensure!(results.arms.len() == 4, "results.json lacks arms: {:?}", results.arms);
    ensure!(
        results.comparisons.len() == 3,
        "results.json lacks comparisons: {:?}",
        results.comparisons
    );
    for method in results.arms.iter().map(|arm| &arm.key) {
        let figures =
            results.methods.get(method).with_context(|| format!("results.json lacks {method}"))?;
        for (key, figure) in figures.figures() {
            let (least, most) = match key {
                "reward" | "tail" | "judge" | "judge_tail" | "kl" => {
                    (f64::NEG_INFINITY, f64::INFINITY)
                }
                "perplexity_human" | "perplexity_generated" | "length" | "answer_tokens" => {
                    (1.0, f64::INFINITY)
                }
                // counted, and no estimates
                "making_tokens" | "making_rewards" => continue,
                _ => (0.0, 1.0),
            };
            let Figure { mean, ci95: Some([low, high]), se: Some(_), seeds_std: Some(_) } = figure
            else {
                bail!("{method}: {key} of two seeds is {figure:?}");
            };
            let in_range = (least..=most).contains(&mean) && low <= mean && mean <= high;
            ensure!(in_range, "{method}: {key} is {figure:?}, expected {least} to {most}");
        }
        ensure!(
            figures.kl.is_some() && figures.perplexity_human.is_some(),
            "{method} is no language model: {figures:?}"
        );
        for tail in &figures.other_tails {
            ensure!(tail.reward.is_some() == (tail.prompts > 0), "{method}: {tail:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests_of_ci {
    use super::*;

    #[test]
    fn an_unknown_step_is_answered_with_the_steps() {
        let error =
            check(&CiArgs { only: vec!["lint".to_owned()], ..CiArgs::default() }).unwrap_err();
        assert!(error.to_string().contains("fmt, tidy"), "{error}");
    }

    #[test]
    fn where_tools_are_required_a_missing_one_fails() {
        assert!(
            allowed(Outcome::Skipped("no cargo-deny"), true)
                .is_err_and(|error| error.to_string() == "no cargo-deny")
        );
        assert!(matches!(
            allowed(Outcome::Skipped("no cargo-deny"), false),
            Ok(Outcome::Skipped(_))
        ));
        assert!(matches!(allowed(Outcome::Passed, true), Ok(Outcome::Passed)));
    }

    #[test]
    fn checks_of_which_none_is_left_are_no_success() {
        let words =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let nothing =
            check(&CiArgs { only: words(&["fmt"]), skip: words(&["fmt"]), ..CiArgs::default() })
                .unwrap_err();
        assert!(nothing.to_string().contains("no step is left"), "{nothing}");
        assert!(
            check(&CiArgs {
                only: words(&["fmt", "tidy"]),
                skip: words(&["fmt"]),
                ..CiArgs::default()
            })
            .is_ok()
        );
        assert!(
            check(&CiArgs { only: Vec::new(), skip: words(&["help"]), ..CiArgs::default() })
                .is_err(),
            "help is no step"
        );
    }
}
