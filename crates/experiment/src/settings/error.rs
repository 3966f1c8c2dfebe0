//! What can be wrong with settings. All of it is a mistake in how the program was called.

use std::path::PathBuf;

use tailguard_settings::SettingsError;

/// Errors of reading, merging and checking settings. `origin` says which layer: a preset, a file,
/// `--set` or another flag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConfigError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{origin}: {key} = {found}, but {detail}")]
    Conflict { origin: String, key: &'static str, found: usize, detail: String },
    #[error("{origin}: {key} = \"{found}\", but the command says {expected}")]
    OtherRun { origin: String, key: &'static str, found: String, expected: String },
    #[error(
        "the settings name no task to start from: {}write preset = \"TASK-embedded\" into the \
         file, with one of {}",
        unknown(found.as_deref()), tasks.join(", ")
    )]
    NoStart { found: Option<String>, tasks: Vec<&'static str> },
    #[error("{} holds a run with other settings:\n{}", path.display(), differences.join("\n"))]
    Differs { path: PathBuf, differences: Vec<String> },
    #[error("arm {key:?}: {detail}")]
    Arm { key: String, detail: String },
    #[error("the settings have no [[arm]], expected at least one policy to make")]
    NoArms,
    #[error("{origin}: {setting} names {found:?}, expected one of the arms {arms}")]
    UnknownArm { origin: String, setting: &'static str, found: String, arms: String },
    #[error("the settings cannot be written: {0}")]
    Unwritable(String),
}

/// What stands in the place of a preset, and is none.
fn unknown(found: Option<&str>) -> String {
    found.map(|found| format!("there is no preset \"{found}\"; ")).unwrap_or_default()
}
