//! Where the models of a configuration are: embedded, in a directory, or in the Hugging Face cache.

use std::fs;
use std::path::{Path, PathBuf};

use tailguard_data::{hugging_face_cache, main_snapshot};

use crate::error::ExperimentError;
use crate::settings::Settings;

/// What `policy.dir`, `reward.dir` and `judge.dir` may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPlace {
    /// `"embedded:name"`: a model that comes with the program.
    Embedded(String),
    /// `"hub:owner/name"`: a model of the Hugging Face hub that is in its cache on this machine.
    Cache(String),
    /// Anything else: a Hugging Face directory.
    Directory(PathBuf),
}

impl ModelPlace {
    /// Reads the value of a key.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("embedded", name)) => Self::Embedded(name.to_owned()),
            Some(("hub", repository)) => Self::Cache(repository.to_owned()),
            _ => Self::Directory(PathBuf::from(text)),
        }
    }
}

/// The directories of the models of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDirs {
    /// The language model to start from.
    pub policy: PathBuf,
    /// The model that rewards; none where a program brings its own.
    pub reward: Option<PathBuf>,
    /// None where the settings name none.
    pub judge: Option<PathBuf>,
}

/// Where the models and texts are that come with the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    datasets: PathBuf,
}

impl Home {
    /// The home whose models and texts are in this directory.
    pub fn at(datasets: impl Into<PathBuf>) -> Self {
        Self { datasets: datasets.into() }
    }

    /// The directory of models and texts.
    #[must_use]
    pub fn datasets(&self) -> &Path {
        &self.datasets
    }
}

/// Finds the models of a configuration; with a reward model that a program brings, none is looked
/// for.
///
/// # Errors
/// One message for all that is missing: what, where it was looked for, how to get it.
pub fn locate(
    settings: &Settings,
    home: &Home,
    brings_reward: bool,
) -> Result<ModelDirs, ExperimentError> {
    let cache = hugging_face_cache();
    let mut missing = String::new();
    let mut found =
        |what: &str, flag: &str, setting: &str| match find(setting, home, cache.as_deref()) {
            Ok(path) => Some(path),
            Err(error) => {
                missing += &error.lines(what, flag);
                None
            }
        };
    let policy = found("policy", "--policy", &settings.policy.dir);
    let reward =
        if brings_reward { None } else { found("reward model", "--reward", &settings.reward.dir) };
    let has_judge = !settings.judge.dir.is_empty();
    let judge = if has_judge { found("judge", "--judge", &settings.judge.dir) } else { None };
    match policy {
        Some(policy) if missing.is_empty() => Ok(ModelDirs { policy, reward, judge }),
        _ => {
            let flags = "pass --policy DIR, --reward DIR, --judge DIR: directories with \
                config.json, model.safetensors and tokenizer.json; --set judge.dir= does without a \
                judge";
            Err(ExperimentError::failed(format!("a model is missing{missing}")).with_hint(flags))
        }
    }
}

/// The model of a run's checkpoint, where its folder was named and not the model in it; anything
/// else as it is.
#[must_use]
pub fn checkpoint(path: &Path) -> PathBuf {
    let inner = path.join("model");
    let is_checkpoint = !path.join("config.json").is_file() && inner.join("config.json").is_file();
    if is_checkpoint { inner } else { path.to_owned() }
}

/// The directory of one model, named as in a setting; `flag` says who named it.
///
/// # Errors
/// A model that is not there: where it was looked for, how to get it.
pub fn directory(setting: &str, flag: &str, home: &Home) -> Result<PathBuf, ExperimentError> {
    find(setting, home, hugging_face_cache().as_deref()).map_err(|missing| {
        ExperimentError::failed(format!("a model is missing{}", missing.lines("model", flag)))
    })
}

/// A model that was not found, and the places looked at.
struct Missing {
    wanted: String,
    looked: Vec<PathBuf>,
    download: Option<String>,
    /// Models of the run whose directory was named.
    checkpoints: Vec<PathBuf>,
}

impl Missing {
    fn lines(&self, what: &str, flag: &str) -> String {
        let mut text = format!("\n  {what} {} ({flag})", self.wanted);
        for place in &self.looked {
            text += &format!("\n    not in {}", place.display());
        }
        if let Some(repository) = &self.download {
            text += &format!("\n    to get it, where there is a network: hf download {repository}");
        }
        if !self.checkpoints.is_empty() {
            text += "\n    it is the directory of a run, whose models are";
            self.checkpoints
                .iter()
                .for_each(|checkpoint| text += &format!("\n      {}", checkpoint.display()));
        }
        text
    }
}

fn find(setting: &str, home: &Home, cache: Option<&Path>) -> Result<PathBuf, Missing> {
    // what is nearly a model is answered by the one who reads it, who knows what it is
    let is_model = |path: &Path| {
        ["config.json", "adapter_config.json"].iter().any(|name| path.join(name).is_file())
    };
    match ModelPlace::parse(setting) {
        ModelPlace::Embedded(name) => {
            found_at(home.datasets.join(name), is_model, &format!("{setting:?}"))
        }
        ModelPlace::Directory(path) => found_at(path, is_model, &format!("{setting:?}")),
        ModelPlace::Cache(repository) => {
            let mut looked = Vec::new();
            for model in cache
                .iter()
                .flat_map(|cache| cache_names(&repository).into_iter().map(|name| cache.join(name)))
            {
                if let Some(current) = main_snapshot(&model).filter(|current| is_model(current)) {
                    return Ok(current);
                }
                looked.push(model.join("snapshots"));
            }
            let wanted = format!("\"hub:{repository}\"");
            Err(Missing { wanted, looked, download: Some(repository), checkpoints: Vec::new() })
        }
    }
}

fn found_at(
    path: PathBuf,
    is_model: impl Fn(&Path) -> bool,
    wanted: &str,
) -> Result<PathBuf, Missing> {
    if is_model(&path) {
        return Ok(path);
    }
    let checkpoints = checkpoints(&path);
    Err(Missing { wanted: wanted.to_owned(), looked: vec![path], download: None, checkpoints })
}

/// The models that a run has left in its directory; none for any other directory.
fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join("checkpoints")) else { return Vec::new() };
    let mut models: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path().join("model")).collect();
    models.retain(|model| model.join("config.json").is_file());
    models.sort();
    models
}

/// Folder names of a repository in the cache: with its owner, and without, as older downloads of
/// `gpt2` have it.
fn cache_names(repository: &str) -> Vec<String> {
    let mut names = vec![format!("models--{}", repository.replace('/', "--"))];
    names.extend(repository.rsplit_once('/').map(|(_, name)| format!("models--{name}")));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        assert_eq!(
            ModelPlace::parse("embedded:gpt2-reviews"),
            ModelPlace::Embedded("gpt2-reviews".into())
        );
        assert_eq!(
            ModelPlace::parse("hub:openai-community/gpt2"),
            ModelPlace::Cache("openai-community/gpt2".into())
        );
        assert_eq!(ModelPlace::parse("models/mine"), ModelPlace::Directory("models/mine".into()));
    }

    #[test]
    fn the_cache_is_read_at_its_main_revision() {
        let cache = tempfile::tempdir().unwrap();
        let model = cache.path().join("models--gpt2");
        fs::create_dir_all(model.join("snapshots/abc")).unwrap();
        fs::create_dir_all(model.join("refs")).unwrap();
        fs::write(model.join("refs/main"), "abc").unwrap();
        fs::write(model.join("snapshots/abc/config.json"), "{}").unwrap();
        let found =
            find("hub:openai-community/gpt2", &Home::at("nowhere"), Some(cache.path())).ok();
        assert_eq!(found, Some(model.join("snapshots/abc")));
    }

    #[test]
    fn the_directory_of_a_run_is_answered_with_its_models() {
        let run = tempfile::tempdir().unwrap();
        for name in ["seed-1-sft", "seed-1-rlhf", "seed-1-ra-rlhf"] {
            fs::create_dir_all(run.path().join("checkpoints").join(name).join("model")).unwrap();
        }
        let finished = run.path().join("checkpoints/seed-1-sft/model");
        fs::write(finished.join("config.json"), "{}").unwrap();
        let message = directory(&run.path().display().to_string(), "--model", &Home::at("nowhere"))
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with(&format!(
                "the directory of a run, whose models are\n      {}",
                finished.display()
            )),
            "{message}"
        );
    }

    #[test]
    fn a_missing_model_names_the_places_and_the_way_to_get_it() {
        let missing = find("hub:a/b", &Home::at("nowhere"), Some(Path::new("/nowhere")))
            .err()
            .unwrap()
            .lines("policy", "--policy");
        assert!(
            missing.contains("/nowhere/models--a--b") && missing.contains("hf download a/b"),
            "{missing}"
        );
    }
}
