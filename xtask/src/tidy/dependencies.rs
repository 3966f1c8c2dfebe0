//! What the crates must not depend on, however deep, and that nothing is built twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// What a crate must not have below it, however deep, but for its tests.
const NOT_BELOW: &[(&str, &[&str])] = &[
    ("tailguard-risk", &["burn", "tailguard-"]),
    ("tailguard-metrics", &["burn", "tailguard-"]),
    ("tailguard-data", &["burn", "tailguard-"]),
    ("tailguard-files", &["burn", "tailguard-"]),
    ("tailguard-settings", &["burn", "tailguard-"]),
    (
        "tailguard-front",
        &[
            "burn",
            "tailguard-checkpoint",
            "tailguard-data",
            "tailguard-files",
            "tailguard-kernels",
            "tailguard-report",
            "tailguard-reward",
            "tailguard-settings",
        ],
    ),
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
        ],
    ),
    (
        "tailguard-pretrain",
        &[
            "tailguard-report",
            "tailguard-judging",
            "tailguard-experiment",
            "tailguard-page",
            "clap",
            "indicatif",
        ],
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
    (
        "tailguard-gpt2",
        &[
            "tailguard-reward",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-data",
            "tailguard-report",
        ],
    ),
    (
        "tailguard-reward",
        &[
            "tailguard-gpt2",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-data",
            "tailguard-report",
        ],
    ),
    (
        "tailguard-lm",
        &[
            "tailguard-gpt2",
            "tailguard-reward",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-data",
            "tailguard-report",
        ],
    ),
    (
        "tailguard-rollout",
        &[
            "tailguard-gpt2",
            "tailguard-ppo",
            "tailguard-data",
            "tailguard-report",
            "tailguard-risk",
        ],
    ),
    (
        "tailguard-ppo",
        &["tailguard-gpt2", "tailguard-data", "tailguard-report", "tailguard-metrics"],
    ),
    (
        "tailguard-report",
        &[
            "burn",
            "tailguard-gpt2",
            "tailguard-reward",
            "tailguard-rollout",
            "tailguard-ppo",
            "tailguard-data",
        ],
    ),
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

/// The claims about the dependencies of all crates.
///
/// # Errors
/// Cargo does not say what they are.
pub(super) fn check_dependencies(root: &Path) -> Result<Vec<String>> {
    let mut problems = dependencies(root, NOT_BELOW)?;
    let everything = features(root, EVERYTHING)?;
    for program in ["xtask", "tailguard"] {
        let alone = features(root, &["--package", program, "--edges", "normal,build"])?;
        problems.extend(built_twice(program, &alone, &everything));
    }
    Ok(problems)
}

/// What `cargo tree` is asked for, to see what tests, lints and documentation build.
const EVERYTHING: &[&str] = &["--workspace", "--edges", "normal,build,dev"];

/// Every crate of a tree of dependencies, with the features that it is built with.
fn features(root: &Path, words: &[&str]) -> Result<BTreeSet<String>> {
    let fixed = ["tree", "--offline", "--prefix", "none", "--format", "{p} [{f}]"];
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(fixed)
        .args(words)
        .output()
        .context("cannot run cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let tree = String::from_utf8(output.stdout).context("cargo tree writes no UTF-8")?;
    // a star marks what stood in the tree before
    Ok(tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

/// The program must not ask for features of a crate that the whole workspace has otherwise: the
/// crate and all that depend on it, Burn and Polars among them, would be compiled once for the
/// program and once more for the tests.
fn built_twice(
    program: &str,
    alone: &BTreeSet<String>,
    everything: &BTreeSet<String>,
) -> Vec<String> {
    let other = |built: &String| {
        let name = built.split(" [").next().unwrap_or_default();
        let others: Vec<_> = everything
            .iter()
            .filter(|line| line.split(" [").next() == Some(name))
            .map(String::as_str)
            .collect();
        format!(
            "{built} is built twice, as the whole workspace has {}: state the features once, \
             among the dependencies of {program}",
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
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(words)
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let below: BTreeMap<_, Vec<_>> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), normal(node))).collect();
    let mut problems = Vec::new();
    for (name, forbidden) in rules {
        let Some(package) = metadata.packages.iter().find(|package| package.name == *name) else {
            problems.push(format!("{name}: no such crate"));
            continue;
        };
        for found in everything_below(&package.id, &below, &names) {
            // "burn" is also burn-core and its kind; "tailguard-" is all of ours
            let is = |word: &&&str| {
                found == **word || found.starts_with(&format!("{}-", word.trim_end_matches('-')))
            };
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
    let is_normal =
        |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::workspace;

    #[test]
    fn a_forbidden_dependency_is_found_however_deep() {
        let found = |rule| dependencies(workspace(), &[rule]).unwrap().join("\n");
        assert!(
            found(("xtask", &["tailguard-kernels"])).contains("xtask depends on tailguard-kernels")
        );
        assert!(found(("tailguard-rollout", &["burn"])).contains("burn-core"));
        assert_eq!(found(("tailguard-risk", &["proptest"])), "", "what tests need is allowed");
        assert_eq!(found(("no-such-crate", &[])), "no-such-crate: no such crate");
    }

    #[test]
    fn a_crate_with_other_features_in_the_tests_is_built_twice() {
        let lines =
            |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<BTreeSet<_>>();
        let alone = lines(&["half v2.7.1 [std]", "burn v0.22.1 [simd,std]"]);
        assert_eq!(
            built_twice(
                "xtask",
                &alone,
                &lines(&["half v2.7.1 [std]", "burn v0.22.1 [simd,std]", "criterion v0.8.2 []"])
            ),
            [""; 0]
        );
        let problems = built_twice(
            "xtask",
            &alone,
            &lines(&["half v2.7.1 [default,std]", "burn v0.22.1 [simd,std]"]),
        );
        assert!(
            problems[0].starts_with("half v2.7.1 [std] is built twice")
                && problems[0].contains("[default,std]"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn features_are_those_of_cargo() {
        let found =
            features(workspace(), &["--package", "xtask", "--edges", "normal,build"]).unwrap();
        assert!(
            found.iter().any(|line| line.starts_with("burn v") && line.contains("simd")),
            "{found:?}"
        );
    }
}
