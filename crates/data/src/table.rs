//! Parquet, CSV and JSONL through polars, lazily: only the columns asked for are read.

use std::fs;
use std::path::Path;

use polars::prelude::{Column, DataType, LazyCsvReader, LazyFileListReader, LazyFrame, LazyJsonLineReader, PlRefPath, col};

use crate::error::DataError;
use crate::record::Record;

/// The columns of a table of labelled texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text.
    pub text: String,
    /// The class: 0 or 1.
    pub label: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { text: "text".into(), label: "label".into() }
    }
}

/// Reads a table of labelled texts; the kind of table follows from the file's ending.
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row where there are any: unknown ending, damaged file, invalid
/// UTF-8, missing column, wrong type, missing text, label other than 0 or 1, no rows.
pub fn read(path: &Path, columns: &Columns) -> Result<Vec<Record>, DataError> {
    let frame = select(path, &[&columns.text, &columns.label])?;
    let texts = texts(path, &columns.text, &frame[0])?;
    let labels = labels(path, &columns.label, &frame[1])?;
    Ok(texts.into_iter().zip(labels).map(|(text, label)| Record { text, label }).collect())
}

/// Reads one column of texts; whatever else the table holds.
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path, column: &str) -> Result<Vec<String>, DataError> {
    texts(path, column, &select(path, &[column])?[0])
}

/// The columns of these names, in this order, of a table that has rows.
fn select(path: &Path, columns: &[&str]) -> Result<Vec<Column>, DataError> {
    let (frame, kind) = scan(path)?;
    let unreadable =
        |error: polars::error::PolarsError| DataError::Unreadable { path: path.into(), kind, reason: first_line(&error) };
    let schema = frame.clone().collect_schema().map_err(unreadable)?;
    for column in columns {
        if schema.get(column).is_none() {
            let found = schema.iter_names().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(DataError::MissingColumn { path: path.into(), column: (*column).to_owned(), found });
        }
    }
    let frame = frame.select(columns.iter().map(|&name| col(name)).collect::<Vec<_>>()).collect().map_err(unreadable)?;
    if frame.height() == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    columns.iter().map(|name| frame.column(name).cloned().map_err(unreadable)).collect()
}

fn scan(path: &Path) -> Result<(LazyFrame, &'static str), DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let kind = match ending.as_str() {
        "parquet" => "Parquet",
        "csv" => "CSV",
        "jsonl" | "ndjson" => "JSONL",
        _ => return Err(DataError::UnknownKind { path: path.into() }),
    };
    let unreadable = |reason: String| DataError::Unreadable { path: path.into(), kind, reason };
    let size = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let Some(name) = path.to_str() else {
        return Err(unreadable("its path is not valid UTF-8".into()));
    };
    let source = PlRefPath::new(name);
    let frame = match kind {
        "Parquet" => LazyFrame::scan_parquet(source, polars::prelude::ScanArgsParquet { glob: false, ..Default::default() }),
        "CSV" => {
            check_lines(path, kind, |_| None)?;
            LazyCsvReader::new(source).with_glob(false).with_infer_schema_length(Some(10_000)).finish()
        }
        _ => {
            check_lines(path, kind, json_object)?;
            LazyJsonLineReader::new(source).finish()
        }
    };
    Ok((frame.map_err(|error| unreadable(first_line(&error)))?, kind))
}

/// Reads a text file once, to name the line that is wrong: what polars says of it does not.
fn check_lines(path: &Path, kind: &'static str, check: impl Fn(&str) -> Option<String>) -> Result<(), DataError> {
    let bytes = fs::read(path).map_err(|error| DataError::Unreadable { path: path.into(), kind, reason: error.to_string() })?;
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(DataError::NotUtf8 { path: path.into(), line: index + 1 });
        };
        if let Some(reason) = check(line) {
            return Err(DataError::BrokenLine { path: path.into(), line: index + 1, reason });
        }
    }
    Ok(())
}

fn json_object(line: &str) -> Option<String> {
    if line.trim().is_empty() {
        return None;
    }
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).err().map(|error| error.to_string())
}

fn texts(path: &Path, name: &str, column: &Column) -> Result<Vec<String>, DataError> {
    let found = || column.dtype().to_string();
    let expected = "texts";
    let wrong = |_| DataError::ColumnType { path: path.into(), column: name.into(), found: found(), expected };
    let missing = |row: usize| DataError::Value {
        path: path.into(),
        column: name.into(),
        row: row + 1,
        found: "nothing".into(),
        expected: "a text",
    };
    let values = column.str().map_err(wrong)?;
    values.iter().enumerate().map(|(row, text)| text.map(str::to_owned).ok_or_else(|| missing(row))).collect()
}

fn labels(path: &Path, name: &str, column: &Column) -> Result<Vec<u8>, DataError> {
    let expected = "0 or 1";
    let wrong = |_| DataError::ColumnType { path: path.into(), column: name.into(), found: column.dtype().to_string(), expected };
    if !(column.dtype().is_primitive_numeric() || column.dtype().is_bool()) {
        return Err(DataError::ColumnType {
            path: path.into(),
            column: name.into(),
            found: column.dtype().to_string(),
            expected,
        });
    }
    let values = column.cast(&DataType::Float64).map_err(wrong)?;
    let values = values.f64().map_err(wrong)?;
    let label = |(row, value): (usize, Option<f64>)| match value {
        Some(0.0) => Ok(0),
        Some(1.0) => Ok(1),
        other => {
            let found = other.map_or("nothing".into(), |value| value.to_string());
            Err(DataError::Value { path: path.into(), column: name.into(), row: row + 1, found, expected })
        }
    };
    values.iter().enumerate().map(label).collect()
}

/// polars adds the whole query plan to its messages; their first line says what is wrong.
fn first_line(error: &polars::error::PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
