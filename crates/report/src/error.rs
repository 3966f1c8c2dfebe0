//! What can go wrong with a run directory and what is in it.

use std::io;
use std::path::{Path, PathBuf};

use polars::error::PolarsError;
use tailguard_files::FileError;

/// Errors of reading and writing runs. Each names the file or directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The directory for a new run holds a run.
    #[error("{} already holds a run: choose another --out", path.display())]
    HoldsARun {
        /// The directory.
        path: PathBuf,
    },
    /// The directory for a new run holds something else.
    #[error("{} is not empty (it holds {found}): choose another --out", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// The name of something in it.
        found: String,
    },
    /// A directory to resume or to read is none, or has no `config.toml`.
    #[error("{} holds no run: expected a directory with config.toml", path.display())]
    NoRun {
        /// The path asked for.
        path: PathBuf,
    },
    /// Another process works in the directory.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be made or written: it is read-only, the disk is full, ...
    #[error("cannot write to the run directory {}", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `"read"`, `"write"`, `"sync"`, ...
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A JSON file that does not say what was expected.
    #[error("{}, line {line}: not what was expected: {detail}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A log that lacks an iteration before the one that a run goes on after.
    #[error(
        "{}: no row of iteration {iteration}, but the training goes on after iteration {done}",
        path.display()
    )]
    MissingIteration {
        /// The log.
        path: PathBuf,
        /// The first that it lacks.
        iteration: u64,
        /// The last of the checkpoint.
        done: u64,
    },
    /// A Parquet file that cannot be written or read.
    #[error("cannot {action} {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// `"read"` or `"write"`.
        action: &'static str,
        /// Its reason.
        source: PolarsError,
    },
    /// A number that JSON cannot hold.
    #[error("{what} is {found}, expected a finite number")]
    NotFinite {
        /// The method and the figure, or what else it is.
        what: String,
        /// Its value.
        found: f64,
    },
}

impl From<FileError> for ReportError {
    fn from(FileError { path, action, source, .. }: FileError) -> Self {
        Self::Io { path, action, source }
    }
}

impl ReportError {
    /// Whether the caller named the wrong directory, rather than something going wrong with the
    /// right one.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::HoldsARun { .. } | Self::NotEmpty { .. } | Self::NoRun { .. })
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }

    pub(crate) fn parquet(path: &Path, action: &'static str) -> impl FnOnce(PolarsError) -> Self {
        move |source| Self::Parquet { path: path.to_owned(), action, source }
    }
}
