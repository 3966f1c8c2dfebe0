//! What can be wrong with a data file. Every message names the file, and the column and row where
//! there are any.

use std::path::{Path, PathBuf};

use crate::at::At;
use crate::kind::EXPECTED;

/// Errors of finding and reading texts. Rows are counted from 1 as they stand in their file, the
/// header of a CSV file not included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A layout that makes no sense.
    #[error("{name}: found {found}, expected {expected}")]
    Setting {
        /// The part of the layout.
        name: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The task's files are nowhere.
    #[error("found no {folder} data ({wanted}); looked in{looked}")]
    NotFound {
        /// The task's own folder.
        folder: String,
        /// The names of the files that would do, without their endings.
        wanted: String,
        /// The places, one a line.
        looked: String,
    },
    /// A place that was named by the user is not there.
    #[error(
        "{place} is {path}, expected a directory, found {found}; a path that does not begin with \
         / is seen from where the command runs"
    )]
    NoDirectory {
        /// Who named it.
        place: &'static str,
        /// The directory.
        path: PathBuf,
        /// `"nothing"` or `"a file"`.
        found: &'static str,
    },
    /// A place that was named by the user does not hold the file: never passed over in silence.
    #[error(
        "{place} is {path}, which has no {wanted}, nor has its folder {folder:?}; it holds {found}"
    )]
    NotThere {
        /// Who named it.
        place: &'static str,
        /// The directory.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// The task's own folder.
        folder: String,
        /// What is there instead.
        found: String,
    },
    /// A split is there more than once.
    #[error(
        "{folder} has {found}, each of which could be {stem}: expected one of them; move the \
         others elsewhere"
    )]
    Several {
        /// Where they are.
        folder: PathBuf,
        /// Their names.
        found: String,
        /// The split.
        stem: &'static str,
    },
    /// Texts of one class in a folder, and none for the other.
    #[error(
        "{folder} has {found}, expected a folder for each class: one of {good} for good texts, \
         one of {bad} for bad ones"
    )]
    HalfOfClasses {
        /// The folder of the split.
        folder: PathBuf,
        /// The folders of classes in it.
        found: String,
        /// Names of folders of good texts.
        good: String,
        /// Likewise of bad texts.
        bad: String,
    },
    /// A table in parts is not whole.
    #[error("{folder} has {found} files of {stem} in {total} parts, expected each part once")]
    Parts {
        /// The parts' folder.
        folder: PathBuf,
        /// The table.
        stem: &'static str,
        /// Files found.
        found: usize,
        /// Parts, by the name of the first.
        total: usize,
    },
    /// The name does not say what kind of table it is.
    #[error("{path}: unknown kind of table, expected a name that ends in {EXPECTED}")]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// A file of a kind that is known and not read here.
    #[error("{path} is {found}; {way_out}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// How it becomes readable.
        way_out: String,
    },
    /// The file cannot be read as the table that its name says.
    #[error(
        "{path}: cannot read the {kind}{}table: {reason}",
        if kind.is_empty() { "" } else { " " }
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Parquet, CSV, TSV, JSONL or JSON; empty if it is not known.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A byte sequence that is no text.
    #[error(
        "{path}: line {line} is not valid UTF-8: found the byte 0x{byte:02X}; if the file is \
         {encoding}, this converts it: iconv -f {encoding} -t UTF-8 {path:?} > converted.{}",
        path.extension().unwrap_or_default().display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: usize,
        /// The first byte that is part of no character.
        byte: u8,
        /// What the file may be instead, as `iconv` calls it.
        encoding: &'static str,
    },
    /// A line, or an entry of an array, that is no JSON object.
    #[error("{path}: {at} is not a JSON object: {reason}")]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// The line, or the row of an array.
        at: At,
        /// What the parser says.
        reason: String,
    },
    /// A column is not there.
    #[error("{path} has no column {column}; its columns are {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for, quoted, or several that would do.
        column: String,
        /// Those there.
        found: String,
    },
    /// A column that was asked for is there more than once.
    #[error(
        "{path} has {found} columns {column:?}, expected one: rename the others in its first line"
    )]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// How often it is there.
        found: usize,
    },
    /// Texts without scores.
    #[error(
        "{path} has no column of scores ({columns}), its columns are {found}; and there is no \
         {labels} with them beside it"
    )]
    NoScore {
        /// The file.
        path: PathBuf,
        /// The columns that would do.
        columns: String,
        /// Those there.
        found: String,
        /// The file that could hold the scores.
        labels: String,
    },
    /// A text that the file of scores does not know.
    #[error("{path}: {at} has the id {id:?}, which {labels} has not")]
    NoScoreForId {
        /// The file of texts.
        path: PathBuf,
        /// The row.
        at: At,
        /// The text's id.
        id: String,
        /// The file of scores.
        labels: PathBuf,
    },
    /// No share of the good class can be made of one class.
    #[error(
        "{files}: all texts are of one class, expected good and bad ones; check score, threshold \
         and good side"
    )]
    OneClass {
        /// Which they are, and where.
        files: String,
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
    #[error("{path}: column {column:?}, {at}: found {found}, expected {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row.
        at: At,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Lists of one row that do not go together.
    #[error(
        "{path}: {at}: {columns}: expected lists of one length, or a single value; NAME.0 is the \
         first of a list"
    )]
    Lists {
        /// The file.
        path: PathBuf,
        /// The row.
        at: At,
        /// What each column holds.
        columns: String,
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

impl DataError {
    pub(crate) fn unreadable(path: &Path, kind: &'static str, reason: impl ToString) -> Self {
        Self::Unreadable { path: path.into(), kind, reason: reason.to_string() }
    }
}
