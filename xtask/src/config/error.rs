//! What can be wrong with settings. All of it is a mistake in how the program was called.

use std::io;
use std::path::PathBuf;

/// Errors of reading, merging and checking settings. `origin` says which layer: a preset, a file, `--set` or another flag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{origin}: not TOML: {detail}")]
    Syntax { origin: String, detail: String },
    #[error("{origin}: unknown key `{key}`{}", did_you_mean(.nearest))]
    UnknownKey { origin: String, key: String, nearest: Vec<&'static str> },
    #[error("{origin}: `{key}` is a section, expected its keys, as in [{key}]")]
    Section { origin: String, key: String },
    #[error("--set {text}: expected KEY=VALUE, as in --set ppo.learning_rate=3e-5")]
    NotAnAssignment { text: String },
    #[error("{key} is given twice, by {before} and by {origin}: leave one of them out")]
    Twice { key: &'static str, before: String, origin: String },
    #[error("{origin}: {key} = {found}, expected {expected}")]
    Value { origin: String, key: String, found: String, expected: String },
    #[error("{origin}: {key} = {found}, but {detail}")]
    Conflict { origin: String, key: &'static str, found: usize, detail: String },
    #[error("{origin}: {key} = \"{found}\", but the command says {expected}")]
    OtherRun { origin: String, key: &'static str, found: String, expected: String },
    #[error("the settings name no task to start from: {}write preset = \"TASK-embedded\" into the file, with one of {}", unknown(found.as_deref()), tasks.join(", "))]
    NoStart { found: Option<String>, tasks: Vec<&'static str> },
    #[error("the settings lack a key: {0}; a file of settings needs all of them or a preset to start from")]
    Incomplete(String),
    #[error("{} holds a run with other settings:\n{}", path.display(), differences.join("\n"))]
    Differs { path: PathBuf, differences: Vec<String> },
}

fn did_you_mean(nearest: &[&str]) -> String {
    let quoted: Vec<_> = nearest.iter().map(|key| format!("`{key}`")).collect();
    if quoted.is_empty() { String::new() } else { format!("; did you mean {}?", quoted.join(" or ")) }
}

/// What stands in the place of a preset, and is none.
fn unknown(found: Option<&str>) -> String {
    found.map(|found| format!("there is no preset \"{found}\"; ")).unwrap_or_default()
}
