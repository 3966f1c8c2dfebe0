//! The places where data may be, and which one it was.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::layout::Layout;
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

impl Place {
    /// What results call it: `data-dir`, `env`, `cache` or `embedded`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DataDir => "data-dir",
            Self::Env => "env",
            Self::Cache => "cache",
            Self::Embedded => "embedded",
        }
    }
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
    /// Takes `TAILGUARD_DATA` and the [`hugging_face_cache`] from the environment.
    #[must_use]
    pub fn from_environment(data_dir: Option<PathBuf>, embedded_dir: Option<PathBuf>, places: Vec<Place>) -> Self {
        let env_dir = std::env::var_os("TAILGUARD_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { data_dir, env_dir, hf_cache: hugging_face_cache(), embedded_dir, places }
    }
}

/// The cache of the Hugging Face hub, by its own rules: `HF_HUB_CACHE`, then `HF_HOME/hub`, then `~/.cache/huggingface/hub`. A
/// variable that is empty is none.
#[must_use]
pub fn hugging_face_cache() -> Option<PathBuf> {
    cache_by(|name| std::env::var_os(name))
}

fn cache_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HF_HOME").map(|home| home.join("hub"));
    let default = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| home.join(".cache/huggingface/hub"));
    variable("HF_HUB_CACHE").or_else(home).or_else(default)
}

/// Where data came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The place.
    pub place: Place,
    /// The files, at least one.
    pub paths: Vec<PathBuf>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::DataDir => "from the data directory",
            Place::Env => "from TAILGUARD_DATA",
            Place::Cache => "from the Hugging Face cache",
            Place::Embedded => "embedded",
        };
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        write!(f, "{} ({place})", paths.join(", "))
    }
}

/// The files that have a split.
pub(crate) enum Files {
    /// Its own: one table, or the parts of one.
    Split(Vec<PathBuf>),
    /// A table for all splits.
    Whole(PathBuf),
}

/// Endings that a table may have, in the order in which they are tried.
const ENDINGS: [&str; 4] = ["parquet", "csv", "jsonl", "ndjson"];
/// Folders that may hold the tables, in the order in which they are tried: datasets of the Hugging Face hub have such.
const FOLDERS: [&str; 3] = ["", "plain_text", "data"];
/// The name of a table for all splits.
const WHOLE: &str = "prompts";

/// The files of a split in the first place that has it.
pub(crate) fn find(layout: &Layout, split: Split, lookup: &Lookup) -> Result<(Place, Files), DataError> {
    let mut looked = String::new();
    for &place in &lookup.places {
        let found = match place {
            Place::DataDir => named("the data directory", lookup.data_dir.as_deref(), layout, split)?,
            Place::Env => named("TAILGUARD_DATA", lookup.env_dir.as_deref(), layout, split)?,
            Place::Cache => match &lookup.hf_cache {
                Some(cache) => first(layout.hub.iter().map(|name| main_revision(cache, name)), split, &mut looked)?,
                None => None,
            },
            Place::Embedded => first(lookup.embedded_dir.iter().map(|dir| dir.join(&layout.folder)), split, &mut looked)?,
        };
        if let Some(files) = found {
            return Ok((place, files));
        }
        match place {
            Place::DataDir => looked += "\n  --data-dir (not given)",
            Place::Env => looked += "\n  TAILGUARD_DATA (not set)",
            Place::Cache | Place::Embedded => {}
        }
    }
    Err(DataError::NotFound { folder: layout.folder.clone(), stem: split.stem(), looked })
}

/// A directory that the user named: if it is given, the files must be there.
fn named(place: &'static str, dir: Option<&Path>, layout: &Layout, split: Split) -> Result<Option<Files>, DataError> {
    let Some(dir) = dir else { return Ok(None) };
    if !dir.is_dir() {
        let found = if dir.exists() { "a file" } else { "nothing" };
        return Err(DataError::NoDirectory { place, path: dir.into(), found });
    }
    let files = first([dir.join(&layout.folder), dir.into()], split, &mut String::new())?;
    let (stem, folder) = (split.stem(), layout.folder.clone());
    files.map_or_else(|| Err(DataError::NotThere { place, path: dir.into(), stem, folder }), |files| Ok(Some(files)))
}

/// The files in the first directory that has them; adds those that have not to `looked`.
fn first(dirs: impl IntoIterator<Item = PathBuf>, split: Split, looked: &mut String) -> Result<Option<Files>, DataError> {
    for dir in dirs {
        if let Some(files) = in_dir(&dir, split)? {
            return Ok(Some(files));
        }
        *looked += &format!("\n  {}", dir.display());
    }
    Ok(None)
}

/// The directory of a dataset in the cache, as it was when it was last fetched.
fn main_revision(cache: &Path, name: &str) -> PathBuf {
    let repository = cache.join(format!("datasets--{}", name.replace('/', "--")));
    match std::fs::read_to_string(repository.join("refs/main")) {
        Ok(revision) => repository.join("snapshots").join(revision.trim()),
        Err(_) => repository,
    }
}

fn in_dir(dir: &Path, split: Split) -> Result<Option<Files>, DataError> {
    let folders = FOLDERS.map(|folder| dir.join(folder));
    for folder in &folders {
        if let Some(path) = table(folder, split.stem()) {
            return Ok(Some(Files::Split(vec![path])));
        }
        if let Some(paths) = parts(folder, split.stem())? {
            return Ok(Some(Files::Split(paths)));
        }
    }
    Ok(folders.iter().find_map(|folder| table(folder, WHOLE)).map(Files::Whole))
}

fn table(folder: &Path, stem: &str) -> Option<PathBuf> {
    ENDINGS.iter().map(|ending| folder.join(format!("{stem}.{ending}"))).find(|path| path.is_file())
}

/// The parts of a table in their order, if it is there in parts.
fn parts(folder: &Path, stem: &'static str) -> Result<Option<Vec<PathBuf>>, DataError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let numbered = |path: PathBuf| part(path.file_name()?.to_str()?, stem).map(|(index, total)| (index, total, path));
    let mut parts: Vec<_> = entries.flatten().filter_map(|entry| numbered(entry.path())).collect();
    parts.sort();
    let Some(&(_, total, _)) = parts.first() else { return Ok(None) };
    if !parts.iter().map(|&(index, of, _)| (index, of)).eq((0..total).map(|index| (index, total))) {
        return Err(DataError::Parts { folder: folder.into(), stem, found: parts.len(), total });
    }
    Ok(Some(parts.into_iter().map(|(_, _, path)| path).collect()))
}

/// Number and total of a part: (0, 2) for "train-00000-of-00002.parquet", a hash after the total or none.
fn part(name: &str, stem: &str) -> Option<(usize, usize)> {
    let mut words = name.strip_suffix(".parquet")?.strip_prefix(stem)?.strip_prefix('-')?.split('-');
    let index = words.next()?.parse().ok()?;
    let total = (words.next()? == "of").then(|| words.next()?.parse().ok()).flatten()?;
    Some((index, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_its_variables_in_their_order() {
        let cache = |set: &[(&str, &str)]| cache_by(|name| Some(set.iter().find(|(key, _)| *key == name)?.1.into()));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("HOME", "/u")]), Some("/c".into()));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HOME", "/u")]), Some("/h/hub".into()));
        assert_eq!(cache(&[("HOME", "/u")]), Some("/u/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[("USERPROFILE", "/w")]), Some("/w/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", ""), ("HOME", "/u")]), Some("/u/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[]), None);
    }

    #[test]
    fn parts_are_known_by_their_names() {
        assert_eq!(part("train-00001-of-00003.parquet", "train"), Some((1, 3)));
        assert_eq!(part("test-00000-of-00001-a09b74b3ef9c3b56.parquet", "test"), Some((0, 1)));
        let others =
            ["train.parquet", "train-1.parquet", "train-x-of-2.parquet", "training-00000-of-00001.parquet", "train-0-of-1.csv"];
        assert_eq!(others.map(|name| part(name, "train")), [None; 5]);
    }
}
