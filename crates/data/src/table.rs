//! Parquet, CSV and JSONL files as tables of labelled texts: only the columns asked for are kept.

use std::fs;
use std::path::Path;

use crate::cell::{Cell, Column};
use crate::error::DataError;
use crate::frames::{parquet_names, parquet_rows, parquet_slice};
use crate::layout::Layout;
use crate::lines::{Lines, json_cell, json_names};
use crate::record::Record;
use crate::rows::{csv_names, csv_rows};

/// Reads a table of labelled texts, in the order of the file; the kind of table follows from the file's ending (`.parquet`,
/// `.csv`, `.jsonl`, `.ndjson`).
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row where there are any: unknown ending, damaged file, invalid
/// UTF-8, missing column, wrong type, missing text, missing score or one that is no number from 0 to 1, no rows.
pub fn read(path: &Path, layout: &Layout) -> Result<Vec<Record>, DataError> {
    layout.check()?;
    let table = Table::open(path)?;
    let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
    table.records(layout, score, |_| false)
}

/// Reads one column of texts; whatever else the table holds.
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path, column: &str) -> Result<Vec<String>, DataError> {
    Table::open(path)?.read(&[column])?.remove(0).texts()
}

/// Rows of a Parquet file that are in memory together.
const SLICE: usize = 1 << 16;

/// The names of the columns of a table; of JSONL, those of its first line.
///
/// # Errors
/// As [`read`], as far as that can be seen without reading the rows.
pub fn columns(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(Table::open(path)?.names)
}

#[derive(Clone, Copy)]
enum Kind {
    Parquet,
    Csv,
    Jsonl,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Jsonl => "JSONL",
        }
    }
}

/// A file that is there and not empty, and the names of its columns.
pub(crate) struct Table<'a> {
    path: &'a Path,
    kind: Kind,
    /// Of JSONL, those of the first line.
    names: Vec<String>,
}

impl<'a> Table<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, DataError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let kind = match ending.as_str() {
            "parquet" => Kind::Parquet,
            "csv" => Kind::Csv,
            "jsonl" | "ndjson" => Kind::Jsonl,
            _ => return Err(DataError::UnknownKind { path: path.into() }),
        };
        let file = fs::metadata(path).map_err(|error| DataError::unreadable(path, kind.name(), error))?;
        if !file.is_file() {
            return Err(DataError::unreadable(path, kind.name(), "it is not a file"));
        }
        let empty = || DataError::Empty { path: path.into() };
        if file.len() == 0 {
            return Err(empty());
        }
        let names = match kind {
            Kind::Parquet => parquet_names(path)?,
            Kind::Csv => csv_names(path, kind.name())?.ok_or_else(empty)?,
            Kind::Jsonl => json_names(&Lines::open(path, kind.name())?.next_object()?.ok_or_else(empty)?),
        };
        Ok(Self { path, kind, names })
    }

    /// The column of scores, if the table has one.
    pub(crate) fn score<'l>(&self, layout: &'l Layout) -> Option<&'l str> {
        layout.score.iter().find(|name| self.names.contains(name)).map(String::as_str)
    }

    /// Whether there is a column of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|there| there == name)
    }

    /// Says that none of these columns is there.
    pub(crate) fn missing(&self, columns: &[impl AsRef<str>]) -> DataError {
        let quoted: Vec<String> = columns.iter().map(|name| format!("{:?}", name.as_ref())).collect();
        DataError::MissingColumn { path: self.path.into(), column: quoted.join(" or "), found: self.listed() }
    }

    /// The names of all columns, for a message.
    pub(crate) fn listed(&self) -> String {
        let names = self.names.join(", ");
        let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")];
        let other = separators.iter().find(|(separator, _)| self.names.len() == 1 && names.contains(*separator));
        match (self.kind, other) {
            (Kind::Jsonl, _) => format!("{names} (by its first line)"),
            (Kind::Csv, Some((_, separator))) => {
                format!("{names:?} alone: is the file separated by {separator}? Commas are expected")
            }
            _ => names,
        }
    }

    /// Labelled texts, without the rows whose score is `unscored`; how many those are is logged.
    pub(crate) fn records(
        &self,
        layout: &Layout,
        score: &str,
        unscored: impl Fn(&Cell) -> bool,
    ) -> Result<Vec<Record>, DataError> {
        let (texts, scores) = self.texts_and(layout, score)?;
        Ok(self.labelled(texts, scores.scores(unscored)?, layout))
    }

    /// Texts with their continuations, and one column more.
    pub(crate) fn texts_and(&self, layout: &Layout, column: &str) -> Result<(Vec<(String, String)>, Column<'a>), DataError> {
        let names = [layout.text.as_str(), column].into_iter().chain(layout.continuation.as_deref());
        let mut columns = self.read(&names.collect::<Vec<_>>())?;
        let (texts, column) = (columns.remove(0).texts()?, columns.remove(0));
        let continuations = match columns.pop() {
            Some(continuations) => continuations.texts_or_none()?,
            None => vec![String::new(); texts.len()],
        };
        Ok((texts.into_iter().zip(continuations).collect(), column))
    }

    /// The texts that have a score; how many have none is logged.
    pub(crate) fn labelled(&self, texts: Vec<(String, String)>, scores: Vec<Option<f64>>, layout: &Layout) -> Vec<Record> {
        let rows = texts.len();
        let record = |((text, continuation), score): ((String, String), Option<f64>)| {
            score.map(|score| Record { text, continuation, label: layout.label(score) })
        };
        let records: Vec<Record> = texts.into_iter().zip(scores).filter_map(record).collect();
        if records.len() < rows {
            tracing::info!("{}: {} of {rows} rows have no score and are left out", self.path.display(), rows - records.len());
        }
        records
    }

    /// Goes through the rows one by one, counted from 0, with the cells of these columns in this order. Nothing but a few of them
    /// is in memory; an empty field of a CSV file is an empty text.
    pub(crate) fn each_row(
        &self,
        names: &[&str],
        mut each: impl FnMut(usize, Vec<Cell>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        if let Some(name) = names.iter().find(|name| !self.has(name)) {
            return Err(self.missing(&[name]));
        }
        // elsewhere "a.b" may be a column and the field of another: it is the column
        for name in names.iter().filter(|_| matches!(self.kind, Kind::Csv)) {
            let found = self.names.iter().filter(|there| there == name).count();
            if found > 1 {
                return Err(DataError::RepeatedColumn { path: self.path.into(), column: (*name).to_owned(), found });
            }
        }
        match self.kind {
            Kind::Parquet => {
                let rows = parquet_rows(self.path)?;
                for begin in (0..rows).step_by(SLICE) {
                    let count = SLICE.min(rows - begin);
                    let columns = parquet_slice(self.path, names, (begin, count))?;
                    let mut cells: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
                    for row in begin..begin + count {
                        each(row, cells.iter_mut().filter_map(Iterator::next).collect())?;
                    }
                }
                Ok(())
            }
            Kind::Csv => csv_rows(self.path, self.kind.name(), names, each),
            Kind::Jsonl => {
                let mut lines = Lines::open(self.path, self.kind.name())?;
                let mut row = 0;
                while let Some(object) = lines.next_object()? {
                    each(row, names.iter().map(|name| json_cell(&object, name)).collect())?;
                    row += 1;
                }
                Ok(())
            }
        }
    }

    /// The columns of these names, in this order; they have rows. An empty field of a CSV file is nothing.
    pub(crate) fn read(&self, names: &[&str]) -> Result<Vec<Column<'a>>, DataError> {
        let column = |&name: &&str| Column { path: self.path, name: name.to_owned(), cells: Vec::new() };
        let mut columns: Vec<_> = names.iter().map(column).collect();
        let is_nothing = |cell: &Cell| matches!((self.kind, cell), (Kind::Csv, Cell::Text(text)) if text.is_empty());
        self.each_row(names, |_, cells| {
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.cells.push(if is_nothing(&cell) { Cell::Null } else { cell });
            }
            Ok(())
        })?;
        if columns.iter().any(|column| column.cells.is_empty()) {
            return Err(DataError::Empty { path: self.path.into() });
        }
        Ok(columns)
    }
}
