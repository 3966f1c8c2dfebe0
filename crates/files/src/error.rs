//! What can go wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

/// The system refused something, such as to write on a full disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
#[non_exhaustive]
pub struct FileError {
    /// What was tried: `"write"`, `"sync"`, `"replace"`, ...
    pub action: &'static str,
    /// The file or directory, by the name that the caller knows.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: an [`io::Error`] with what was tried and the file.
    pub fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}
