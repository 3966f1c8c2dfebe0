//! A Hugging Face model directory, and writing one so that it is there whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CheckpointError;
use crate::weights::Weights;

/// A directory with `config.json`, `model.safetensors` and `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
}

impl ModelDir {
    /// A directory that exists and has a `config.json`.
    ///
    /// # Errors
    /// [`CheckpointError::NotADirectory`] or [`CheckpointError::MissingFile`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = path.into();
        if !path.is_dir() {
            return Err(CheckpointError::NotADirectory { path });
        }
        let dir = Self { path };
        dir.file("config.json", "the model's settings")?;
        Ok(dir)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json` as the model's own type.
    ///
    /// # Errors
    /// [`CheckpointError::Json`] names the key that is missing or of the wrong type.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        let path = self.file("config.json", "the model's settings")?;
        let text = fs::read(&path).map_err(CheckpointError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| CheckpointError::Json { path, source })
    }

    /// `model.safetensors`, its header read and checked.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn weights(&self) -> Result<Weights, CheckpointError> {
        Weights::open(&self.file("model.safetensors", "the model's weights")?)
    }

    /// Path of `tokenizer.json`.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`].
    pub fn tokenizer_path(&self) -> Result<PathBuf, CheckpointError> {
        self.file("tokenizer.json", "the model's tokenizer")
    }

    fn file(&self, name: &str, expected: &'static str) -> Result<PathBuf, CheckpointError> {
        let path = self.path.join(name);
        if path.is_file() { Ok(path) } else { Err(CheckpointError::MissingFile { path, expected }) }
    }
}

/// Writes `config.json`.
///
/// # Errors
/// [`CheckpointError::Io`] names the file.
pub fn write_config(dir: &Path, config: &impl Serialize) -> Result<(), CheckpointError> {
    let path = dir.join("config.json");
    let mut text = serde_json::to_string_pretty(config).map_err(|source| CheckpointError::Json { path: path.clone(), source })?;
    text.push('\n');
    write_file(&path, text.as_bytes())
}

/// Writes a file so that a reader sees the old one or the whole new one: into a temporary file beside it, then renamed.
///
/// # Errors
/// [`CheckpointError::Io`] names the file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let failed = || CheckpointError::io("write", path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed())?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed())?;
    // temporary files are private; what is written here is as readable as any other file
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed())?;
    }
    file.persist(path).map_err(|error| failed()(error.error))?;
    Ok(())
}

/// Fills a directory so that it is there whole or not at all: `fill` writes into a temporary sibling, which then takes the
/// place of `path`. A directory that was there before is removed only when the new one is whole.
///
/// # Errors
/// What `fill` returns, or [`CheckpointError::Io`] if the directory cannot be made or renamed.
pub fn write_dir<E: From<CheckpointError>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let failed = || CheckpointError::io("write", path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed())?;
    let staged = tempfile::Builder::new().prefix(".staged-").tempdir_in(parent).map_err(failed())?;
    let fresh = staged.path().join("new");
    fs::create_dir(&fresh).map_err(failed())?;
    fill(&fresh)?;
    if path.exists() {
        fs::rename(path, staged.path().join("old")).map_err(failed())?;
    }
    fs::rename(&fresh, path).map_err(failed())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_config_and_tokenizer_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let absent = ModelDir::open(dir.path().join("no")).unwrap_err().to_string();
        assert!(absent.contains("no is not a directory"), "{absent}");
        let empty = ModelDir::open(dir.path()).unwrap_err().to_string();
        assert!(empty.contains("config.json is missing"), "{empty}");
        fs::write(dir.path().join("config.json"), "{\"width\": \"wide\"}").unwrap();
        let dir = ModelDir::open(dir.path()).unwrap();
        #[derive(Debug, serde::Deserialize)]
        struct Config {
            #[serde(rename = "width")]
            _width: usize,
        }
        let wrong = dir.config::<Config>().unwrap_err().to_string();
        assert!(wrong.contains("config.json") && wrong.contains("line 1"), "{wrong}");
        assert!(dir.tokenizer_path().unwrap_err().to_string().contains("tokenizer.json is missing"));
        assert!(dir.weights().unwrap_err().to_string().contains("model.safetensors is missing"));
    }

    #[test]
    fn a_directory_is_replaced_only_when_the_new_one_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("model");
        let put = |text: &'static str| write_dir(&path, |dir| write_file(&dir.join("a"), text.as_bytes()));
        put("old").unwrap();
        let failed = write_dir(&path, |dir| {
            write_file(&dir.join("a"), b"half")?;
            Err(CheckpointError::NotADirectory { path: "x".into() })
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "old");
        put("new").unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "new");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing staged is left behind");
    }
}
