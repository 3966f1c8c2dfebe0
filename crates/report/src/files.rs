//! Reading files, with errors that name them.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::ReportError;

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
