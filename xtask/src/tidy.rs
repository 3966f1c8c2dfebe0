//! The invariants of ARCHITECTURE.md, held over `cargo metadata` and the text of every source file.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use circles::{Exception, Source, circles};

/// Lines of a source file.
const MOST_LINES: usize = 500;
/// Bytes of any file.
const MOST_BYTES: u64 = 25 * 1024 * 1024;

/// What a crate must not have below it, however deep, but for its tests.
const NOT_BELOW: &[(&str, &[&str])] = &[
    ("tailguard-risk", &["burn", "tailguard-"]),
    ("tailguard-metrics", &["burn", "tailguard-"]),
    ("tailguard-data", &["burn", "tailguard-"]),
    ("tailguard-files", &["burn", "tailguard-"]),
    ("tailguard-settings", &["burn", "tailguard-"]),
    ("tailguard-experiment", &["tailguard-page", "clap", "indicatif"]),
    (
        "tailguard-judging",
        &[
            "tailguard-gpt2",
            "tailguard-lm",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-experiment",
            "tailguard-page",
            "clap",
            "indicatif",
            "anyhow",
        ],
    ),
    (
        "tailguard-pretrain",
        &["tailguard-report", "tailguard-judging", "tailguard-experiment", "tailguard-page", "clap", "indicatif", "anyhow"],
    ),
    ("tailguard-benchmarks", &["burn", "tailguard-"]),
    (
        "tailguard-checkpoint",
        &[
            "tailguard-risk",
            "tailguard-metrics",
            "tailguard-kernels",
            "tailguard-lm",
            "tailguard-gpt2",
            "tailguard-reward",
            "tailguard-data",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-report",
            "tailguard-page",
        ],
    ),
    ("tailguard-gpt2", &["tailguard-reward", "tailguard-rollout", "tailguard-ppo", "tailguard-data", "tailguard-report"]),
    ("tailguard-reward", &["tailguard-gpt2", "tailguard-rollout", "tailguard-ppo", "tailguard-data", "tailguard-report"]),
    (
        "tailguard-lm",
        &["tailguard-gpt2", "tailguard-reward", "tailguard-rollout", "tailguard-ppo", "tailguard-data", "tailguard-report"],
    ),
    ("tailguard-rollout", &["tailguard-gpt2", "tailguard-ppo", "tailguard-data", "tailguard-report", "tailguard-risk"]),
    ("tailguard-ppo", &["tailguard-gpt2", "tailguard-data", "tailguard-report", "tailguard-metrics"]),
    ("tailguard-report", &["burn", "tailguard-gpt2", "tailguard-reward", "tailguard-rollout", "tailguard-ppo", "tailguard-data"]),
    (
        "tailguard-page",
        &[
            "burn",
            "tailguard-risk",
            "tailguard-gpt2",
            "tailguard-reward",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-data",
            "tailguard-checkpoint",
        ],
    ),
];

/// Words that may stand in some files alone (outside tests): word, where it may stand, why nowhere else.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "std::fs",
        &[
            "crates/files/",
            "crates/data/",
            "crates/checkpoint/",
            "crates/report/",
            "crates/settings/",
            "crates/experiment/",
            "crates/ppo/src/training_state",
            "crates/cli/",
            "xtask/",
            "tests/",
        ],
        "only files, data, checkpoint, report, settings, experiment, ppo/training_state, cli and xtask open files",
    ),
    ("std::{", &["/examples/"], "one `use` for each module of std, so that these words are found"),
    // what a build script writes is made again
    ("fs::write", &["crates/files/", "crates/cli/build.rs"], "only `files` writes, so that nothing is lost"),
    ("fs::rename", &["crates/files/"], "only `files` renames, so that nothing is lost"),
    // of what is copied, both are files of a directory that `files` makes appear as a whole
    (
        "fs::copy",
        &["crates/files/", "crates/experiment/src/recipe.rs", "crates/report/src/log.rs"],
        "only `files` writes, so that nothing is lost",
    ),
    // the lock of a run directory
    ("File::options", &["crates/files/", "crates/report/src/run_dir.rs"], "only `files` writes, so that nothing is lost"),
    // a line for each measurement, on a file that must not be there
    ("OpenOptions", &["crates/files/", "xtask/src/bench/compare/"], "only `files` writes, so that nothing is lost"),
    // Burn's records are written by Burn, into a directory that `files` makes appear as a whole
    (".into_record()", &["crates/ppo/src/training_state.rs"], "only ppo/training_state writes records, whole and with digests"),
    ("optimizer.save(", &["crates/ppo/src/training_state.rs"], "only ppo/training_state writes records, whole and with digests"),
    ("File::create", &["crates/files/"], "only `files` writes, so that nothing is lost"),
    ("fs::create_dir", &["crates/files/", "crates/report/src/run_dir.rs"], "only `files` and run_dir make folders"),
    (
        "env::var",
        &["crates/data/src/source.rs", "crates/cli/", "xtask/", "tests/"],
        "only cli, xtask and data/source.rs read variables",
    ),
    ("process::exit", &["crates/cli/", "xtask/"], "only the program exits"),
    ("println!", &["crates/cli/", "xtask/", "/examples/", "/benches/"], "only the program prints"),
    ("Device::default()", &[], "it may take a device that is not there: name the device"),
    ("std::net", &["crates/data/src/hub.rs"], "only data/hub.rs knows the network"),
];

/// Imports between the files of a crate that may close a circle, by the folder of the crate.
const ONE_THING: &[(&str, &[Exception])] =
    &[("crates/settings", &[("kind.rs", "schema.rs", "a kind may be a table, whose keys have kinds")])];

/// Checks everything.
///
/// # Errors
/// One line for each thing that is not as it should be.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut problems = dependencies(root, NOT_BELOW)?;
    let everything = features(root, EVERYTHING)?;
    for program in ["xtask", "tailguard"] {
        let alone = features(root, &["--package", program, "--edges", "normal,build"])?;
        problems.extend(built_twice(program, &alone, &everything));
    }
    let files = tracked(root)?;
    for file in &files {
        problems.extend(check_file(root, file)?);
    }
    problems.extend(circles_of_crates(root, &files)?);
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// What `cargo tree` is asked for, to see what tests, lints and documentation build.
const EVERYTHING: &[&str] = &["--workspace", "--edges", "normal,build,dev"];

/// Every crate of a tree of dependencies, with the features that it is built with.
fn features(root: &Path, words: &[&str]) -> Result<BTreeSet<String>> {
    let fixed = ["tree", "--offline", "--prefix", "none", "--format", "{p} [{f}]"];
    let output =
        Command::new(env!("CARGO")).current_dir(root).args(fixed).args(words).output().context("cannot run cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    let tree = String::from_utf8(output.stdout).context("cargo tree writes no UTF-8")?;
    // a star marks what stood in the tree before
    Ok(tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

/// The program must not ask for features of a crate that the whole workspace has otherwise: the crate and all that depend on it, Burn and
/// Polars among them, would be compiled once for the program and once more for the tests.
fn built_twice(program: &str, alone: &BTreeSet<String>, everything: &BTreeSet<String>) -> Vec<String> {
    let other = |built: &String| {
        let name = built.split(" [").next().unwrap_or_default();
        let others: Vec<_> = everything.iter().filter(|line| line.split(" [").next() == Some(name)).map(String::as_str).collect();
        format!(
            "{built} is built twice, as the whole workspace has {}: state the features once, among the dependencies of {program}",
            others.join(" and ")
        )
    };
    alone.difference(everything).map(other).collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

fn dependencies(root: &Path, rules: &[(&str, &[&str])]) -> Result<Vec<String>> {
    // for this platform alone: the crates of others may not be on this machine
    let host = host()?;
    let words = ["metadata", "--format-version", "1", "--offline", "--filter-platform", &host];
    let output = Command::new(env!("CARGO")).current_dir(root).args(words).output().context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let below: BTreeMap<_, Vec<_>> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), normal(node))).collect();
    let mut problems = Vec::new();
    for (name, forbidden) in rules {
        let Some(package) = metadata.packages.iter().find(|package| package.name == *name) else {
            problems.push(format!("{name}: no such crate"));
            continue;
        };
        for found in everything_below(&package.id, &below, &names) {
            // "burn" is also burn-core and its kind; "tailguard-" is all of ours
            let is = |word: &&&str| found == **word || found.starts_with(&format!("{}-", word.trim_end_matches('-')));
            if let Some(word) = forbidden.iter().find(is) {
                problems.push(format!("{name} depends on {found}: it must not know {word}"));
            }
        }
    }
    Ok(problems)
}

/// The platform that this toolchain builds for by itself.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned));
    host.context("rustc -vV names no host")
}

/// Dependencies that are not for tests or build scripts.
fn normal(node: &Node) -> Vec<&str> {
    let is_normal = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
    node.deps.iter().filter(is_normal).map(|dependency| dependency.pkg.as_str()).collect()
}

fn everything_below<'a>(
    start: &str,
    below: &BTreeMap<&'a str, Vec<&'a str>>,
    names: &BTreeMap<&'a str, &'a str>,
) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), below.get(start).cloned().unwrap_or_default());
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(below.get(id).into_iter().flatten());
        }
    }
    seen.into_iter().filter_map(|id| names.get(id).copied()).collect()
}

/// The files of the repository: what git tracks, or, without git, what is not hidden or built.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let git = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    if let Some(output) = git.ok().filter(|output| output.status.success()) {
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        return Ok(files.filter(|file| root.join(file).is_file()).collect());
    }
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "runs" {
                folders.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Imports in a circle among the files of each crate.
fn circles_of_crates(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut crates: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let Some((folder, below)) = file.to_str().and_then(|path| path.split_once("/src/")) else { continue };
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        crates.entry(folder).or_default().push(Source { file: below.to_owned(), text });
    }
    let mut problems = Vec::new();
    for (folder, sources) in crates {
        let exceptions = ONE_THING.iter().find(|(of, _)| *of == folder).map_or(&[][..], |(_, exceptions)| exceptions);
        let found = circles(&sources, exceptions).map_err(|error| anyhow!("{folder}: {error}"))?;
        problems.extend(found.into_iter().map(|circle| format!("{folder}: files import each other: {circle}")));
    }
    Ok(problems)
}

fn check_file(root: &Path, file: &Path) -> Result<Vec<String>> {
    let (path, shown) = (root.join(file), file.display().to_string());
    let bytes = path.metadata().with_context(|| format!("cannot read {shown}"))?.len();
    let mut problems = Vec::new();
    if bytes > MOST_BYTES {
        problems.push(format!("{shown}: {bytes} bytes, at most {MOST_BYTES}"));
    }
    if file.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
        problems.extend(check_source(&shown, &text));
    }
    Ok(problems)
}

/// The claims about one source file.
fn check_source(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") && !text.starts_with("#![doc") {
        problems.push(format!("{file}: opens without a `//!` line that says what it is"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        problems.push(format!("{file}: {lines} lines, at most {MOST_LINES}"));
    }
    let is_test =
        file.contains("/tests/") || file.ends_with("tests.rs") || file.starts_with("tests/") || file.ends_with("tidy.rs");
    let code = program(text);
    for (word, places, why) in ONLY_IN.iter().filter(|_| !is_test) {
        let allowed = places.iter().any(|place| file.starts_with(place) || (place.starts_with('/') && file.contains(place)));
        if let Some((index, _)) = code.iter().find(|(_, line)| !allowed && line.contains(word)) {
            problems.push(format!("{file}:{}: `{word}`: {why}", index + 1));
        }
    }
    problems
}

/// The lines of a file that are neither comments nor for tests alone, each with its index.
///
/// Where an item ends is seen from how rustfmt sets it: at a `;` if it has opened no bracket, or where its last bracket closes, as far to
/// the left as it begins.
fn program(text: &str) -> Vec<(usize, &str)> {
    let (mut code, mut lines) = (Vec::new(), text.lines().enumerate());
    while let Some((index, line)) = lines.next() {
        let words = line.trim_start();
        let is_for_tests = words.starts_with("#[cfg(test)]") || words.starts_with("#[cfg(all(test,");
        if is_for_tests {
            pass_item(lines.by_ref().map(|(_, line)| line), line.len() - words.len());
        } else if !words.starts_with("//") {
            code.push((index, line));
        }
    }
    code
}

/// Passes over the lines of an item that begins so many spaces from the left, and over what stands between it and its attribute.
fn pass_item<'a>(lines: impl Iterator<Item = &'a str>, indent: usize) {
    let mut is_open = false;
    for line in lines {
        let words = line.trim_start();
        if words.starts_with("//") || words.starts_with("#[") {
            continue;
        }
        let is_outermost = !words.is_empty() && line.len() - words.len() == indent;
        if (is_outermost || !is_open) && words.ends_with(';') || is_outermost && words.ends_with(['}', ',']) {
            break;
        }
        is_open |= is_outermost && words.ends_with(['{', '(', '[']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::workspace;

    #[test]
    fn the_repository_is_tidy() {
        check(workspace()).unwrap();
    }

    #[test]
    fn a_forbidden_dependency_is_found_however_deep() {
        let found = |rule| dependencies(workspace(), &[rule]).unwrap().join("\n");
        assert!(found(("xtask", &["tailguard-kernels"])).contains("xtask depends on tailguard-kernels"));
        assert!(found(("tailguard-rollout", &["burn"])).contains("burn-core"));
        assert_eq!(found(("tailguard-risk", &["proptest"])), "", "what tests need is allowed");
        assert_eq!(found(("no-such-crate", &[])), "no-such-crate: no such crate");
    }

    #[test]
    fn a_crate_with_other_features_in_the_tests_is_built_twice() {
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<BTreeSet<_>>();
        let alone = lines(&["half v2.7.1 [std]", "burn v0.22.1 [simd,std]"]);
        assert_eq!(
            built_twice("xtask", &alone, &lines(&["half v2.7.1 [std]", "burn v0.22.1 [simd,std]", "criterion v0.8.2 []"])),
            [""; 0]
        );
        let problems = built_twice("xtask", &alone, &lines(&["half v2.7.1 [default,std]", "burn v0.22.1 [simd,std]"]));
        assert!(
            problems[0].starts_with("half v2.7.1 [std] is built twice") && problems[0].contains("[default,std]"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn features_are_those_of_cargo() {
        let found = features(workspace(), &["--package", "xtask", "--edges", "normal,build"]).unwrap();
        assert!(found.iter().any(|line| line.starts_with("burn v") && line.contains("simd")), "{found:?}");
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(check_source("crates/risk/src/a.rs", "//! About.\n"), Vec::<String>::new());
        assert!(check_source("crates/risk/src/a.rs", "fn f() {}\n")[0].contains("opens without"));
    }

    #[test]
    fn words_are_found_in_code_but_not_in_comments_or_tests() {
        let bad = "//! About.\nuse std::fs;\n";
        assert_eq!(check_source("crates/risk/src/a.rs", bad).len(), 1);
        assert_eq!(check_source("crates/report/src/a.rs", bad).len(), 0);
        let fine = "//! About.\n// std::fs\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(check_source("crates/risk/src/a.rs", fine).len(), 0);
    }

    #[test]
    fn what_stands_behind_an_item_for_tests_is_read() {
        let found = |item: &str| {
            let text = format!("//! About.\n#[cfg(test)]\n{item}\nuse std::fs;\n");
            check_source("crates/risk/src/a.rs", &text)
        };
        for item in [
            "mod tests;",
            "mod fixtures;\n\nmod next;",
            "mod tests {\n    use std::fs;\n\n    fn f() {\n        let a = [\n            1,\n        ];\n    }\n}",
            "/// Small.\n#[derive(Debug)]\nstruct Tiny {\n    a: u8,\n}",
            "const A: &str =\n    \"std::fs\";",
            "use a::{\n    b,\n    c,\n};",
            "fn f(\n    a: u8,\n) -> u8 {\n    std::fs::f(a);\n}",
            "impl Thing {}",
        ] {
            let line = 3 + item.lines().count();
            let problems = found(item);
            assert_eq!(problems.len(), 1, "{item}: {problems:?}");
            assert!(problems[0].starts_with(&format!("crates/risk/src/a.rs:{line}: `std::fs`")), "{item}: {problems:?}");
        }
        let field = "//! About.\nstruct A {\n    #[cfg(all(test, unix))]\n    a: std::fs::File,\n    b: std::fs::File,\n}\n";
        assert!(check_source("crates/risk/src/a.rs", field)[0].starts_with("crates/risk/src/a.rs:5:"));
    }

    #[test]
    fn files_are_written_by_no_other_way() {
        for line in ["fs::copy(a, b)?;", "File::options();", "OpenOptions::new();", "model.into_record().save(path)?;"] {
            let text = format!("//! About.\n{line}\n");
            assert_eq!(check_source("crates/report/src/a.rs", &text).len(), 1, "{line}");
        }
        let text = "//! About.\nmodel.into_record();\noptimizer.save(path)?;\n";
        assert_eq!(check_source("crates/ppo/src/training_state.rs", text), [""; 0]);
    }

    #[test]
    fn long_files_are_found() {
        let text = "//! Long.\n".repeat(MOST_LINES + 1);
        assert!(check_source("crates/risk/src/a.rs", &text)[0].contains("501 lines"));
    }
}
