//! The places where data may be, and which one it was.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::kind::{EXPECTED, PACKED, TABLES, ZIP};
use crate::layout::Layout;
use crate::packed;
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
    pub fn from_environment(
        data_dir: Option<PathBuf>,
        embedded_dir: Option<PathBuf>,
        places: Vec<Place>,
    ) -> Self {
        let env_dir =
            std::env::var_os("TAILGUARD_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { data_dir, env_dir, hf_cache: hugging_face_cache(), embedded_dir, places }
    }
}

/// The cache of the Hugging Face hub, by its own rules: `HF_HUB_CACHE`, then `HF_HOME/hub`, then
/// `~/.cache/huggingface/hub`. A variable that is empty is none.
#[must_use]
pub fn hugging_face_cache() -> Option<PathBuf> {
    cache_by(|name| std::env::var_os(name))
}

fn cache_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HF_HOME").map(|home| home.join("hub"));
    let default = || {
        variable("HOME")
            .or_else(|| variable("USERPROFILE"))
            .map(|home| home.join(".cache/huggingface/hub"))
    };
    variable("HF_HUB_CACHE").or_else(home).or_else(default)
}

/// The files of a repository in the [`hugging_face_cache`], as they were when it was last fetched;
/// none where it was not.
#[must_use]
pub fn main_snapshot(repository: &Path) -> Option<PathBuf> {
    let revision = std::fs::read_to_string(repository.join("refs/main")).ok()?;
    let revision = revision.trim();
    (!revision.is_empty()).then(|| repository.join("snapshots").join(revision))
}

/// Where data came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The place.
    pub place: Place,
    /// The files, or the folders of texts, at least one.
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
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) content: Content,
    /// Whether they have all splits, and not this alone.
    pub(crate) is_whole: bool,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// One table, or the parts of one.
    Tables(Vec<PathBuf>),
    /// Folders of texts, each with the class of its texts.
    Folders(Vec<(PathBuf, u8)>),
}

impl Content {
    /// The names of the files and folders, for a message.
    fn names(&self) -> String {
        let paths: Vec<&PathBuf> = match self {
            Self::Tables(paths) => paths.iter().collect(),
            Self::Folders(folders) => folders.iter().map(|(path, _)| path).collect(),
        };
        let names = paths.into_iter().filter_map(|path| path.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(", ")
    }
}

/// Folders that may hold the tables, in the order in which they are tried: datasets of the Hugging
/// Face hub have such, and the archive of IMDB's reviews has the last.
const FOLDERS: [&str; 4] = ["", "plain_text", "data", "aclImdb"];

/// The files of a split in the first place that has it.
pub(crate) fn find(
    layout: &Layout,
    split: Split,
    lookup: &Lookup,
) -> Result<(Place, Files), DataError> {
    let mut looked = String::new();
    for &place in &lookup.places {
        let found = match place {
            Place::DataDir => {
                named("the data directory", lookup.data_dir.as_deref(), layout, split)?
            }
            Place::Env => named("TAILGUARD_DATA", lookup.env_dir.as_deref(), layout, split)?,
            Place::Cache => match &lookup.hf_cache {
                Some(cache) => first(
                    layout.hub.iter().map(|name| main_revision(cache, name)),
                    layout,
                    split,
                    &mut looked,
                )?,
                None => None,
            },
            Place::Embedded => first(
                lookup.embedded_dir.iter().map(|dir| dir.join(&layout.folder)),
                layout,
                split,
                &mut looked,
            )?,
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
    Err(DataError::NotFound { folder: layout.folder.clone(), wanted: stems(layout, split), looked })
}

/// The names of the tables that have a split, without their endings.
fn stems(layout: &Layout, split: Split) -> String {
    let names = [split.stem()].into_iter().chain(layout.whole.iter().map(String::as_str));
    names.collect::<Vec<_>>().join(" or ")
}

/// A directory that the user named: if it is given, the files must be there.
fn named(
    place: &'static str,
    dir: Option<&Path>,
    layout: &Layout,
    split: Split,
) -> Result<Option<Files>, DataError> {
    let Some(dir) = dir else { return Ok(None) };
    if !dir.is_dir() {
        let found = if dir.exists() { "a file" } else { "nothing" };
        return Err(DataError::NoDirectory { place, path: dir.into(), found });
    }
    let dirs = [dir.join(&layout.folder), dir.into()];
    let files = first(dirs.clone(), layout, split, &mut String::new())?;
    if files.is_some() {
        return Ok(files);
    }
    // a table for both would not do then
    let other = split.other();
    let others =
        dirs.iter().map(|dir| in_dir(dir, other, &|folder| of_split(folder, layout, other)));
    let has_other = others.collect::<Result<Vec<_>, _>>()?.iter().any(Option::is_some);
    let names = if has_other {
        format!("{} table beside that of {}", split.stem(), other.stem())
    } else {
        stems(layout, split) + " table"
    };
    let mut wanted = format!("{names} ({EXPECTED})");
    if let (Some(good), Some(bad)) = (layout.words.good.first(), layout.words.bad.first()) {
        let stem = split.stem();
        wanted += &format!(
            ", no archive (.zip) of one, and no folders of texts ({stem}/{good}/*.txt and \
             {stem}/{bad}/*.txt)"
        );
    }
    let (path, folder, found) = (dir.into(), layout.folder.clone(), listed(dir));
    Err(DataError::NotThere { place, path, wanted, folder, found })
}

/// The names of what a directory holds, for a message.
fn listed(dir: &Path) -> String {
    const MOST: usize = 12;
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// The files in the first directory that has them; adds those that have not to `looked`. A table
/// for all splits does only as long as no directory has one for the other split alone: the two
/// would overlap.
fn first(
    dirs: impl IntoIterator<Item = PathBuf>,
    layout: &Layout,
    split: Split,
    looked: &mut String,
) -> Result<Option<Files>, DataError> {
    let mut has_other = false;
    for dir in dirs {
        if let Some(content) = in_dir(&dir, split, &|folder| of_split(folder, layout, split))? {
            return Ok(Some(Files { content, is_whole: false }));
        }
        has_other = has_other
            || in_dir(&dir, split, &|folder| of_split(folder, layout, split.other()))?.is_some();
        if !has_other && let Some(content) = in_dir(&dir, split, &|folder| of_all(folder, layout))?
        {
            return Ok(Some(Files { content, is_whole: true }));
        }
        *looked += &format!("\n  {}", dir.display());
    }
    Ok(None)
}

/// The directory of a dataset in the cache, as it was when it was last fetched.
fn main_revision(cache: &Path, name: &str) -> PathBuf {
    let repository = cache.join(format!("datasets--{}", name.replace('/', "--")));
    main_snapshot(&repository).unwrap_or(repository)
}

/// What `of` finds in the first folder of a directory, or else in an archive of them.
fn in_dir(
    dir: &Path,
    split: Split,
    of: &dyn Fn(&Path) -> Result<Vec<Content>, DataError>,
) -> Result<Option<Content>, DataError> {
    let folders = FOLDERS.map(|folder| dir.join(folder));
    let only = |folder: &Path| match of(folder)? {
        found if found.len() > 1 => Err(several(folder, split, found.iter().map(Content::names))),
        mut found => Ok(found.pop()),
    };
    for folder in &folders {
        if let Some(content) = only(folder)? {
            return Ok(Some(content));
        }
    }
    let is_archive = |path: &PathBuf| path.to_string_lossy().to_ascii_lowercase().ends_with(ZIP);
    let mut archives = Vec::new();
    for archive in folders.iter().flat_map(|folder| entries(folder)).filter(is_archive) {
        archives.extend(only(&archive)?.map(|content| (archive, content)));
    }
    if archives.len() > 1 {
        let named = archives
            .iter()
            .map(|(archive, content)| format!("{} ({})", archive.display(), content.names()));
        return Err(several(dir, split, named));
    }
    Ok(archives.pop().map(|(_, content)| content))
}

fn several(folder: &Path, split: Split, found: impl Iterator<Item = String>) -> DataError {
    let found = found.collect::<Vec<_>>().join(" and ");
    DataError::Several { folder: folder.into(), found, stem: split.stem() }
}

/// What a folder or an archive has for all splits together.
fn of_all(folder: &Path, layout: &Layout) -> Result<Vec<Content>, DataError> {
    let tables = layout
        .whole
        .iter()
        .flat_map(|name| tables(folder, name))
        .map(|table| Content::Tables(vec![table]));
    Ok(tables.chain(classes(folder, layout)?).collect())
}

/// What it has for a split alone.
fn of_split(folder: &Path, layout: &Layout, split: Split) -> Result<Vec<Content>, DataError> {
    let tables = tables(folder, split.stem()).into_iter().map(|table| vec![table]);
    let tables = tables.chain(parts(folder, split.stem())?).map(Content::Tables);
    Ok(tables.chain(classes(&folder.join(split.stem()), layout)?).collect())
}

/// The folders of texts of both classes, if there is one for any.
fn classes(folder: &Path, layout: &Layout) -> Result<Option<Content>, DataError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let class = |path: PathBuf| {
        let class = layout.words.class(path.file_name()?.to_str()?)?;
        path.is_dir().then_some((path, class))
    };
    let mut folders: Vec<(PathBuf, u8)> =
        entries.flatten().filter_map(|entry| class(entry.path())).collect();
    folders.sort();
    let content = Content::Folders(folders);
    match &content {
        Content::Folders(folders) if folders.is_empty() => Ok(None),
        Content::Folders(folders)
            if [0, 1].iter().all(|class| folders.iter().any(|(_, of)| of == class)) =>
        {
            Ok(Some(content))
        }
        _ => {
            let (good, bad) = (layout.words.good.join(", "), layout.words.bad.join(", "));
            Err(DataError::HalfOfClasses {
                folder: folder.into(),
                found: content.names(),
                good,
                bad,
            })
        }
    }
}

/// The tables of a name in a folder or an archive: of one that is there packed and not, the latter.
pub(crate) fn tables(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let ending = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()?.strip_prefix(stem)).map(str::to_owned)
    };
    let found: Vec<(PathBuf, String)> = entries(folder)
        .into_iter()
        .filter_map(|path| Some((path.clone(), ending(&path)?)))
        .collect();
    let has = |ending: &str| found.iter().any(|(_, there)| there == ending);
    let is_table = |ending: &str| TABLES.contains(&ending);
    let bare = |ending: &str| {
        PACKED.iter().find_map(|packed| ending.strip_suffix(packed)).map(str::to_owned)
    };
    let is_wanted = |ending: &str| {
        is_table(ending) || bare(ending).is_some_and(|bare| is_table(&bare) && !has(&bare))
    };
    found.iter().filter(|(_, ending)| is_wanted(ending)).map(|(path, _)| path.clone()).collect()
}

/// The files of a folder or an archive.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
        }
        Err(_) if folder.is_file() => {
            packed::names(folder).iter().map(|name| folder.join(name)).collect()
        }
        Err(_) => Vec::new(),
    };
    paths.sort();
    paths
}

/// The parts of a table in their order, if it is there in parts.
fn parts(folder: &Path, stem: &'static str) -> Result<Option<Vec<PathBuf>>, DataError> {
    let numbered = |path: PathBuf| {
        part(path.file_name()?.to_str()?, stem).map(|(index, total)| (index, total, path))
    };
    let mut parts: Vec<_> = entries(folder).into_iter().filter_map(numbered).collect();
    parts.sort();
    let Some(&(_, total, _)) = parts.first() else { return Ok(None) };
    if !parts.iter().map(|&(index, of, _)| (index, of)).eq((0..total).map(|index| (index, total))) {
        return Err(DataError::Parts { folder: folder.into(), stem, found: parts.len(), total });
    }
    Ok(Some(parts.into_iter().map(|(_, _, path)| path).collect()))
}

/// Number and total of a part: (0, 2) for "train-00000-of-00002.parquet", a hash after the total or
/// none.
fn part(name: &str, stem: &str) -> Option<(usize, usize)> {
    let mut words =
        name.strip_suffix(".parquet")?.strip_prefix(stem)?.strip_prefix('-')?.split('-');
    let index = words.next()?.parse().ok()?;
    let total = (words.next()? == "of").then(|| words.next()?.parse().ok()).flatten()?;
    Some((index, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_its_variables_in_their_order() {
        let cache = |set: &[(&str, &str)]| {
            cache_by(|name| Some(set.iter().find(|(key, _)| *key == name)?.1.into()))
        };
        assert_eq!(
            cache(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("HOME", "/u")]),
            Some("/c".into())
        );
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HOME", "/u")]), Some("/h/hub".into()));
        assert_eq!(cache(&[("HOME", "/u")]), Some("/u/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[("USERPROFILE", "/w")]), Some("/w/.cache/huggingface/hub".into()));
        assert_eq!(
            cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", ""), ("HOME", "/u")]),
            Some("/u/.cache/huggingface/hub".into())
        );
        assert_eq!(cache(&[]), None);
    }

    #[test]
    fn parts_are_known_by_their_names() {
        assert_eq!(part("train-00001-of-00003.parquet", "train"), Some((1, 3)));
        assert_eq!(part("test-00000-of-00001-a09b74b3ef9c3b56.parquet", "test"), Some((0, 1)));
        let others = [
            "train.parquet",
            "train-1.parquet",
            "train-x-of-2.parquet",
            "training-00000-of-00001.parquet",
            "train-0-of-1.csv",
        ];
        assert_eq!(others.map(|name| part(name, "train")), [None; 5]);
    }
}
