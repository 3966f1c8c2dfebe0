//! What can be wrong with a data file. Every message names the file, and the column and row where there are any.

use std::path::PathBuf;

/// Errors of finding and reading texts. Rows are counted from 1, the header of a CSV file not included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The task's files are nowhere.
    #[error("found no {what}; looked in{looked}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// The places, one a line.
        looked: String,
    },
    /// A place that was named by the user does not hold the file: never passed over in silence.
    #[error("{place} is {path}, which has no {file} (nor {folder}/{file})")]
    NotThere {
        /// Who named it.
        place: &'static str,
        /// The directory.
        path: PathBuf,
        /// The file looked for.
        file: String,
        /// The task's own folder.
        folder: &'static str,
    },
    /// The name does not say what kind of table it is.
    #[error("{path}: unknown kind of table, expected .parquet, .csv, .jsonl or .ndjson")]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read as the table that its name says.
    #[error("{path}: cannot read the {kind} table: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Parquet, CSV or JSONL.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A byte sequence that is no text.
    #[error("{path}: line {line} is not valid UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: usize,
    },
    /// A line that is no JSON object.
    #[error("{path}: line {line} is not a JSON object: {reason}")]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A column is not there.
    #[error("{path} has no column {column:?}; its columns are {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Those there.
        found: String,
    },
    /// A column holds something else.
    #[error("{path}: column {column:?} holds {found}, expected {expected}")]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// One value is missing or out of range.
    #[error("{path}: column {column:?}, row {row}: found {found}, expected {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row, from 1.
        row: usize,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table without rows.
    #[error("{path} has no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Fewer rows than are needed.
    #[error("{what}: {found} rows, expected at least {needed}")]
    TooFewRows {
        /// What they are for.
        what: String,
        /// Rows found.
        found: usize,
        /// Rows needed.
        needed: usize,
    },
}
