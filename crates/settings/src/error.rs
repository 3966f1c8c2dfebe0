//! What can be wrong with settings.

use std::io;
use std::path::PathBuf;

/// Errors of reading and merging settings. `origin` says which layer: a preset, a file, `--set` or
/// another flag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SettingsError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{origin}: not TOML: {detail}")]
    Syntax { origin: String, detail: String },
    #[error("{origin}: unknown key `{key}`{}", did_you_mean(.nearest))]
    UnknownKey { origin: String, key: String, nearest: Vec<String> },
    #[error("{origin}: `{key}` is a section, expected its keys, as in [{key}]")]
    Section { origin: String, key: String },
    #[error("--set {text}: expected KEY=VALUE, as in --set ppo.learning_rate=3e-5")]
    NotAnAssignment { text: String },
    #[error("{key} is given twice, by {before} and by {origin}: leave one of them out")]
    Twice { key: String, before: String, origin: String },
    #[error("{origin}: {key} = {found}, expected {expected}")]
    Value { origin: String, key: String, found: String, expected: String },
    #[error(
        "the settings lack a key: {0}; a file of settings needs all of them or a preset to start \
         from"
    )]
    Incomplete(String),
}

fn did_you_mean(nearest: &[String]) -> String {
    let quoted: Vec<_> = nearest.iter().map(|key| format!("`{key}`")).collect();
    if quoted.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", quoted.join(" or "))
    }
}
