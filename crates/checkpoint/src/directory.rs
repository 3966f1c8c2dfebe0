//! A Hugging Face model directory: where its files are.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tailguard_files::write_file;

use crate::error::CheckpointError;
use crate::weights::Weights;

/// The model's settings.
pub const CONFIG_FILE: &str = "config.json";
/// The model's weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The model's tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// A directory with `config.json`, `model.safetensors` and perhaps `tokenizer.json`.
#[derive(Debug, Clone)]
pub struct ModelDir {
    path: PathBuf,
}

impl ModelDir {
    /// A model directory that is there and holds `config.json`; the other files are looked for when they are needed.
    ///
    /// # Errors
    /// If there is no such directory, or no `config.json` in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let dir = Self { path: path.into() };
        if !dir.path.is_dir() {
            let found = if dir.path.exists() { "a file" } else { "nothing" };
            return Err(CheckpointError::NotADirectory { path: dir.path, found });
        }
        dir.file(CONFIG_FILE)?;
        Ok(dir)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is not JSON, or lacks what `T` needs.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        let path = self.file(CONFIG_FILE)?;
        let bytes = fs::read(&path).map_err(CheckpointError::io(&path, "read"))?;
        serde_json::from_slice(&bytes).map_err(|source| CheckpointError::Json { path, source })
    }

    /// Opens `model.safetensors`.
    ///
    /// # Errors
    /// A file that is missing or damaged; see [`Weights::open`].
    pub fn weights(&self) -> Result<Weights, CheckpointError> {
        Weights::open(&self.file(WEIGHTS_FILE)?)
    }

    /// Where `tokenizer.json` is.
    ///
    /// # Errors
    /// If it is missing.
    pub fn tokenizer_path(&self) -> Result<PathBuf, CheckpointError> {
        self.file(TOKENIZER_FILE)
    }

    fn file(&self, file: &'static str) -> Result<PathBuf, CheckpointError> {
        let path = self.path.join(file);
        if path.is_file() { Ok(path) } else { Err(CheckpointError::MissingFile { path: self.path.clone(), file }) }
    }
}

/// Writes a configuration as `config.json` in a directory, indented, with the keys in the order that serde gives them.
///
/// # Errors
/// What cannot be written as JSON, or what the file system says.
pub fn write_config(dir: &Path, config: &impl Serialize) -> Result<(), CheckpointError> {
    let path = dir.join(CONFIG_FILE);
    let mut text = serde_json::to_string_pretty(config).map_err(|source| CheckpointError::Json { path: path.clone(), source })?;
    text.push('\n');
    Ok(write_file(&path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_a_directory_is_named_with_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, found) in [(file, "found a file"), (home.path().join("none"), "found nothing")] {
            let error = ModelDir::open(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.ends_with(found), "{error}");
        }
    }

    #[test]
    fn each_missing_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        let missing = |error: CheckpointError| match error {
            CheckpointError::MissingFile { file, .. } => file,
            other => panic!("{other}"),
        };
        assert_eq!(missing(ModelDir::open(home.path()).unwrap_err()), CONFIG_FILE);
        write_config(home.path(), &json!({})).unwrap();
        let dir = ModelDir::open(home.path()).unwrap();
        assert_eq!(missing(dir.weights().unwrap_err()), WEIGHTS_FILE);
        assert_eq!(missing(dir.tokenizer_path().unwrap_err()), TOKENIZER_FILE);
        assert_eq!(dir.path(), home.path());
    }

    #[test]
    fn a_configuration_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        write_config(home.path(), &json!({ "n_embd": 8 })).unwrap();
        let dir = ModelDir::open(home.path()).unwrap();
        assert_eq!(dir.config::<Value>().unwrap()["n_embd"], 8);
        let error = dir.config::<Vec<u8>>().unwrap_err();
        assert!(matches!(error, CheckpointError::Json { .. }), "{error}");
        fs::write(home.path().join(CONFIG_FILE), "{").unwrap();
        assert!(dir.config::<Value>().unwrap_err().to_string().contains(CONFIG_FILE));
    }
}
