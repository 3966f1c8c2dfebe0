//! Parquet, CSV and JSONL through polars, lazily: only the columns asked for are read.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use polars::error::{PolarsError, PolarsResult};
use polars::prelude::{
    ArrowDataType, Column, DataFrame, DataType, LazyCsvReader, LazyFileListReader, LazyFrame, LazyJsonLineReader, ParquetReader,
    PlRefPath, SerReader, col,
};

use crate::error::DataError;
use crate::record::Record;

/// The columns of a table of labelled texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text.
    pub text: String,
    /// The class: 0 or 1, as a number, a boolean, or a string that says so.
    pub label: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { text: "text".into(), label: "label".into() }
    }
}

/// Reads a table of labelled texts, in the order of the file; the kind of table follows from the file's ending (`.parquet`,
/// `.csv`, `.jsonl`, `.ndjson`).
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row where there are any: unknown ending, damaged file, invalid
/// UTF-8, missing column, wrong type, missing text, label other than 0 or 1, no rows.
pub fn read(path: &Path, columns: &Columns) -> Result<Vec<Record>, DataError> {
    let read = Table::open(path)?.read(&[&columns.text, &columns.label])?;
    let texts = texts(path, &columns.text, &read[0])?;
    let labels = labels(path, &columns.label, &read[1])?;
    Ok(texts.into_iter().zip(labels).map(|(text, label)| Record { text, label }).collect())
}

/// Reads one column of texts; whatever else the table holds.
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path, column: &str) -> Result<Vec<String>, DataError> {
    texts(path, column, &Table::open(path)?.read(&[column])?[0])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parquet,
    Csv,
    Jsonl,
}

/// A file that is there, is not empty and, if it is a text, is UTF-8 throughout.
struct Table<'a> {
    path: &'a Path,
    name: &'a str,
    kind: Kind,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let kind = match ending.as_str() {
            "parquet" => Kind::Parquet,
            "csv" => Kind::Csv,
            "jsonl" | "ndjson" => Kind::Jsonl,
            _ => return Err(DataError::UnknownKind { path: path.into() }),
        };
        let mut table = Self { path, name: "", kind };
        table.name = path.to_str().ok_or_else(|| table.because("its path is not valid UTF-8"))?;
        let file = fs::metadata(path).map_err(|error| table.because(error))?;
        if !file.is_file() {
            return Err(table.because("it is not a file"));
        }
        let lines = match kind {
            Kind::Parquet => None,
            Kind::Csv => Some(table.check_lines(|_| None)?),
            Kind::Jsonl => Some(table.check_lines(json_object)?),
        };
        if file.len() == 0 || lines == Some(0) { Err(DataError::Empty { path: path.into() }) } else { Ok(table) }
    }

    /// The columns of these names, in this order; they have rows.
    fn read(&self, names: &[&str]) -> Result<Vec<Column>, DataError> {
        let there = self.names()?;
        if let Some(&name) = names.iter().find(|&name| !there.iter().any(|there| there == name)) {
            return Err(DataError::MissingColumn { path: self.path.into(), column: name.to_owned(), found: there.join(", ") });
        }
        self.check_types(names)?;
        let frame = self.collect(names).map_err(|error| {
            // the message names the column that it fails for
            let alone = names.iter().find_map(|&name| self.collect(&[name]).err().map(|error| (name, error)));
            alone.map_or_else(|| self.unreadable(&error), |(name, error)| self.because(in_column(name, &error)))
        })?;
        if frame.height() == 0 {
            return Err(DataError::Empty { path: self.path.into() });
        }
        names.iter().map(|name| frame.column(name).cloned().map_err(|error| self.unreadable(&error))).collect()
    }

    /// The names of all columns.
    fn names(&self) -> Result<Vec<String>, DataError> {
        let names = match self.kind {
            Kind::Parquet => self.parquet().and_then(|mut file| Ok(file.schema()?.iter_names().cloned().collect::<Vec<_>>())),
            Kind::Csv | Kind::Jsonl => {
                self.scan().and_then(|mut lazy| Ok(lazy.collect_schema()?.iter_names().cloned().collect()))
            }
        };
        Ok(names.map_err(|error| self.unreadable(&error))?.iter().map(ToString::to_string).collect())
    }

    /// Refuses what polars would panic over, as it was not compiled for it.
    fn check_types(&self, names: &[&str]) -> Result<(), DataError> {
        use ArrowDataType as T;
        if self.kind != Kind::Parquet {
            return Ok(());
        }
        let schema = self.parquet().and_then(|mut file| file.schema()).map_err(|error| self.unreadable(&error))?;
        for field in names.iter().filter_map(|&name| schema.get(name)) {
            match field.dtype() {
                T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView | T::Boolean => {}
                T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {}
                T::Float32 | T::Float64 => {}
                other => {
                    let (column, found) = (field.name.to_string(), format!("{other:?}"));
                    let expected = "texts, numbers or booleans";
                    return Err(DataError::ColumnType { path: self.path.into(), column, found, expected });
                }
            }
        }
        Ok(())
    }

    fn collect(&self, names: &[&str]) -> PolarsResult<DataFrame> {
        match self.kind {
            // Not by a lazy scan: it panics over a column of a type that polars was not compiled for (decimals, say), be it one
            // that nobody reads. This reads the wanted columns alone, too.
            Kind::Parquet => self.parquet()?.with_columns(Some(names.iter().map(ToString::to_string).collect())).finish(),
            Kind::Csv | Kind::Jsonl => self.scan()?.select(names.iter().map(|&name| col(name)).collect::<Vec<_>>()).collect(),
        }
    }

    fn parquet(&self) -> PolarsResult<ParquetReader<File>> {
        Ok(ParquetReader::new(File::open(self.path)?))
    }

    fn scan(&self) -> PolarsResult<LazyFrame> {
        let source = PlRefPath::new(self.name);
        match self.kind {
            // All columns are strings: a value that is no label is then ours to name, with its row.
            Kind::Csv => LazyCsvReader::new(source).with_glob(false).with_infer_schema_length(Some(0)).finish(),
            _ => LazyJsonLineReader::new(source).with_infer_schema_length(None).finish(),
        }
    }

    /// Reads a text file once, to name the line that is wrong: what polars says of it does not. Gives the number of lines that
    /// are not blank.
    fn check_lines(&self, check: impl Fn(&str) -> Option<String>) -> Result<usize, DataError> {
        let mut file = BufReader::new(File::open(self.path).map_err(|error| self.because(error))?);
        let (mut line, mut number, mut filled) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line).map_err(|error| self.because(error))? == 0 {
                return Ok(filled);
            }
            number += 1;
            let Ok(text) = std::str::from_utf8(&line) else {
                return Err(DataError::NotUtf8 { path: self.path.into(), line: number });
            };
            if text.trim().is_empty() {
                continue;
            }
            filled += 1;
            if let Some(reason) = check(text) {
                return Err(DataError::BrokenLine { path: self.path.into(), line: number, reason });
            }
        }
    }

    fn unreadable(&self, error: &PolarsError) -> DataError {
        self.because(first_line(error))
    }

    fn because(&self, reason: impl ToString) -> DataError {
        let kind = match self.kind {
            Kind::Parquet => "Parquet",
            Kind::Csv => "CSV",
            Kind::Jsonl => "JSONL",
        };
        DataError::Unreadable { path: self.path.into(), kind, reason: reason.to_string() }
    }
}

fn json_object(line: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).err().map(|error| error.to_string())
}

fn texts(path: &Path, name: &str, column: &Column) -> Result<Vec<String>, DataError> {
    let values = column.str().map_err(|_| wrong_type(path, name, column, "texts"))?;
    let text =
        |(row, text): (usize, Option<&str>)| text.map(str::to_owned).ok_or_else(|| wrong_value(path, name, row, None, "a text"));
    values.iter().enumerate().map(text).collect()
}

fn labels(path: &Path, name: &str, column: &Column) -> Result<Vec<u8>, DataError> {
    let expected = "0 or 1";
    let wrong = |_| wrong_type(path, name, column, expected);
    if let Ok(values) = column.str() {
        let label = |(row, text): (usize, Option<&str>)| {
            let number = text.and_then(|text| match text.trim() {
                "true" | "True" => Some(1.0),
                "false" | "False" => Some(0.0),
                number => number.parse().ok(),
            });
            class(number).ok_or_else(|| wrong_value(path, name, row, text.map(shortened), expected))
        };
        return values.iter().enumerate().map(label).collect();
    }
    if !(column.dtype().is_primitive_numeric() || column.dtype().is_bool()) {
        return Err(wrong_type(path, name, column, expected));
    }
    let values = column.cast(&DataType::Float64).map_err(wrong)?;
    let label = |(row, number): (usize, Option<f64>)| {
        class(number).ok_or_else(|| wrong_value(path, name, row, number.map(|number| number.to_string()), expected))
    };
    values.f64().map_err(wrong)?.iter().enumerate().map(label).collect()
}

fn class(number: Option<f64>) -> Option<u8> {
    match number {
        Some(0.0) => Some(0),
        Some(1.0) => Some(1),
        _ => None,
    }
}

fn wrong_type(path: &Path, name: &str, column: &Column, expected: &'static str) -> DataError {
    DataError::ColumnType { path: path.into(), column: name.into(), found: column.dtype().to_string(), expected }
}

/// `row` counts from 0 here, from 1 in the message.
fn wrong_value(path: &Path, name: &str, row: usize, found: Option<String>, expected: &'static str) -> DataError {
    let found = found.unwrap_or_else(|| "nothing".into());
    DataError::Value { path: path.into(), column: name.into(), row: row + 1, found, expected }
}

/// A value as a message shows it: quoted, and no longer than a line.
fn shortened(text: &str) -> String {
    let (most, dots) = (40, "...");
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{:?}{dots}", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn in_column(name: &str, error: &PolarsError) -> String {
    format!("column {name:?}: {}", first_line(error))
}

/// polars adds the whole query plan to its messages; their first line says what is wrong.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
