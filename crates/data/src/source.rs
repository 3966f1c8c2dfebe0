//! The places where data may be, and which one it was.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::record::Split;

/// A place to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The directory that the user named.
    DataDir,
    /// The directory that the environment variable `TAILGUARD_DATA` names.
    Env,
    /// The cache of the Hugging Face hub.
    Cache,
    /// The data that come with the program.
    Embedded,
}

/// Where to look, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// For [`Place::DataDir`].
    pub data_dir: Option<PathBuf>,
    /// For [`Place::Env`].
    pub env_dir: Option<PathBuf>,
    /// For [`Place::Cache`]: the directory that holds `datasets--owner--name`.
    pub hf_cache: Option<PathBuf>,
    /// For [`Place::Embedded`]: the directory that holds a folder per task.
    pub embedded_dir: Option<PathBuf>,
    /// The order.
    pub places: Vec<Place>,
}

impl Lookup {
    /// Takes `TAILGUARD_DATA` and the Hugging Face cache from the environment, by that cache's own rules (`HF_HUB_CACHE`, then
    /// `HF_HOME/hub`, then `~/.cache/huggingface/hub`).
    #[must_use]
    pub fn from_environment(data_dir: Option<PathBuf>, embedded_dir: Option<PathBuf>, places: Vec<Place>) -> Self {
        let lookup = Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
        Self { data_dir, embedded_dir, places, ..lookup }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = || variable("HF_HOME").map(|home| home.join("hub"));
        let user = || variable("HOME").or_else(|| variable("USERPROFILE"));
        let default = || user().map(|home| home.join(".cache/huggingface/hub"));
        let hf_cache = variable("HF_HUB_CACHE").or_else(home).or_else(default);
        Self { env_dir: variable("TAILGUARD_DATA"), hf_cache, ..Self::default() }
    }
}

/// Where data came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The place.
    pub place: Place,
    /// The file.
    pub path: PathBuf,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::DataDir => "from the data directory",
            Place::Env => "from TAILGUARD_DATA",
            Place::Cache => "from the Hugging Face cache",
            Place::Embedded => "embedded",
        };
        write!(f, "{} ({place})", self.path.display())
    }
}

/// The names that a task's data have in each place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// What a message calls them.
    pub(crate) what: &'static str,
    /// The task's folder under a data directory.
    pub(crate) folder: &'static str,
    /// The repository's folder in the Hugging Face cache, and the one that it had before repositories had owners.
    pub(crate) repositories: [&'static str; 2],
    /// The files' folder within a snapshot.
    pub(crate) snapshot_folder: &'static str,
}

/// Endings that a table may have, in the order in which they are tried.
const ENDINGS: [&str; 4] = ["parquet", "csv", "jsonl", "ndjson"];

/// The file of a split in the first place that has it.
pub(crate) fn find(names: Names, split: Split, lookup: &Lookup) -> Result<Source, DataError> {
    let stem = match split {
        Split::Train => "train",
        Split::Test => "test",
    };
    let mut looked = String::new();
    for &place in &lookup.places {
        let found = match place {
            Place::DataDir => named("--data-dir", lookup.data_dir.as_deref(), names, stem)?,
            Place::Env => named("TAILGUARD_DATA", lookup.env_dir.as_deref(), names, stem)?,
            Place::Cache => lookup.hf_cache.as_deref().and_then(|cache| in_cache(cache, names, stem, &mut looked)),
            Place::Embedded => lookup.embedded_dir.as_deref().and_then(|dir| {
                let found = in_dir(&dir.join(names.folder), stem);
                if found.is_none() {
                    looked += &format!("\n  {}", dir.join(names.folder).display());
                }
                found
            }),
        };
        if let Some(path) = found {
            return Ok(Source { place, path });
        }
        if matches!(place, Place::DataDir | Place::Env) {
            looked += match place {
                Place::DataDir => "\n  --data-dir (not given)",
                _ => "\n  TAILGUARD_DATA (not set)",
            };
        }
    }
    Err(DataError::NotFound { what: names.what, looked })
}

/// A directory that the user named: if it is given, the file must be there.
fn named(place: &'static str, dir: Option<&Path>, names: Names, stem: &str) -> Result<Option<PathBuf>, DataError> {
    let Some(dir) = dir else { return Ok(None) };
    match in_dir(&dir.join(names.folder), stem).or_else(|| in_dir(dir, stem)) {
        Some(path) => Ok(Some(path)),
        None => Err(DataError::NotThere { place, path: dir.into(), file: format!("{stem}.parquet"), folder: names.folder }),
    }
}

fn in_dir(dir: &Path, stem: &str) -> Option<PathBuf> {
    ENDINGS.iter().map(|ending| dir.join(format!("{stem}.{ending}"))).find(|path| path.is_file())
}

fn in_cache(cache: &Path, names: Names, stem: &str, looked: &mut String) -> Option<PathBuf> {
    for repository in names.repositories.map(|folder| cache.join(folder)) {
        let revision = std::fs::read_to_string(repository.join("refs/main")).unwrap_or_default();
        let folder = repository.join("snapshots").join(revision.trim()).join(names.snapshot_folder);
        let path = folder.join(format!("{stem}-00000-of-00001.parquet"));
        if !revision.trim().is_empty() && path.is_file() {
            return Some(path);
        }
        *looked += &format!("\n  {}", repository.display());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &'static [(&str, &str)]) -> Lookup {
        Lookup::from_variables(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_cache_follows_its_variables_in_their_order() {
        let cache = |set| from(set).hf_cache;
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("HOME", "/u")]), Some("/c".into()));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HOME", "/u")]), Some("/h/hub".into()));
        assert_eq!(cache(&[("HOME", "/u")]), Some("/u/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[("USERPROFILE", "/w")]), Some("/w/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[]), None);
    }

    #[test]
    fn the_variable_of_ours_names_a_data_directory() {
        assert_eq!(from(&[("TAILGUARD_DATA", "/d")]).env_dir, Some("/d".into()));
        assert_eq!(from(&[]).env_dir, None);
    }
}
