//! Files that appear under their name only when they are whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::ReportError;

/// Writes a file beside its final place and renames it when it is complete. The run directory's lock sees to it that no other
/// process does the same.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    stream(path, |file| file.write_all(bytes).map_err(ReportError::io(path, "write")))
}

/// [`write`] for contents that are made on the way.
pub(crate) fn stream(path: &Path, fill: impl FnOnce(&mut File) -> Result<(), ReportError>) -> Result<(), ReportError> {
    let staged = staged(path);
    let outcome = File::create(&staged).map_err(ReportError::io(path, "write")).and_then(|mut file| {
        fill(&mut file)?;
        file.sync_all().map_err(ReportError::io(path, "write"))
    });
    let outcome = outcome.and_then(|()| fs::rename(&staged, path).map_err(ReportError::io(path, "write")));
    if outcome.is_err() {
        // the first error is the one to tell
        let _ = fs::remove_file(&staged);
    }
    outcome
}

/// Reads a file that is text.
pub(crate) fn read(path: &Path) -> Result<String, ReportError> {
    fs::read_to_string(path).map_err(ReportError::io(path, "read"))
}

/// Reads a JSON file whose text is changed first.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    change: impl FnOnce(String) -> String,
) -> Result<T, ReportError> {
    let json = |error: serde_json::Error| {
        let (path, line) = (path.to_owned(), error.line());
        ReportError::Json { path, line, detail: error.to_string() }
    };
    serde_json::from_str(&change(read(path)?)).map_err(json)
}

/// [`read`], or nothing where there is no file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, ReportError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReportError::io(path, "read")(error)),
    }
}

/// Where a file is until it is whole.
pub(crate) fn staged(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        let refused = stream(&path, |file| {
            file.write_all(b"new, but").unwrap();
            Err(ReportError::NoRun { path: path.clone() })
        });
        assert!(refused.is_err());
        assert_eq!(read(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
