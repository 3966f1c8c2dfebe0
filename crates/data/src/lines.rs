//! Lines of a text file, numbered, and JSON objects on them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::cell::Cell;
use crate::error::DataError;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// What begins a file in which each character has two bytes.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// Begins the texts that stand for numbers that JSON has not.
const NOT_FINITE: char = '\0';

/// The lines that are not blank, read one by one.
pub(crate) struct Lines<'a> {
    path: &'a Path,
    kind: &'static str,
    file: BufReader<File>,
    line: Vec<u8>,
    number: usize,
}

impl<'a> Lines<'a> {
    /// `kind` is what a message calls the table.
    pub(crate) fn open(path: &'a Path, kind: &'static str) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|error| DataError::unreadable(path, kind, error))?;
        Ok(Self { path, kind, file: BufReader::new(file), line: Vec::new(), number: 0 })
    }

    /// The next line that is not blank, with its number from 1.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        loop {
            self.line.clear();
            let read = self.file.read_until(b'\n', &mut self.line);
            if read.map_err(|error| DataError::unreadable(self.path, self.kind, error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.line.trim_ascii().is_empty() {
                let wrong = |error: std::str::Utf8Error| {
                    let is_utf_16 = self.number == 1 && UTF_16.iter().any(|mark| self.line.starts_with(mark));
                    let encoding = if is_utf_16 { "UTF-16" } else { "WINDOWS-1252" };
                    let byte = self.line.get(error.valid_up_to()).copied().unwrap_or_default();
                    DataError::NotUtf8 { path: self.path.into(), line: self.number, byte, encoding }
                };
                return std::str::from_utf8(&self.line).map(|line| Some((self.number, line))).map_err(wrong);
            }
        }
    }

    /// The object on the next line that is not blank. It may hold NaN and infinities, as Python writes them.
    pub(crate) fn next_object(&mut self) -> Result<Option<Map<String, Value>>, DataError> {
        let object = |(_, line): (usize, &str)| {
            let line = line.trim_end();
            serde_json::from_str(line).or_else(|error| serde_json::from_str(&marked(line)).map_err(|_| error))
        };
        let object = self.next()?.map(object).transpose();
        object.map_err(|error| {
            let reason = error.to_string();
            // the parser's own position counts lines within the line
            let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
            let reason = format!("{reason} at column {}", error.column());
            DataError::BrokenLine { path: self.path.into(), line: self.number, reason }
        })
    }
}

/// The line with NaN and infinities as texts that [`json_cell`] knows.
fn marked(line: &str) -> String {
    let mut is_escaped = false;
    let is_quote = |character: char| {
        let is_quote = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_quote
    };
    let words = [("-Infinity", "-inf"), ("Infinity", "inf"), ("NaN", "nan")];
    let mark = |piece: &str| {
        words.iter().fold(piece.to_owned(), |piece, (word, number)| piece.replace(word, &format!("\"\\u0000{number}\"")))
    };
    // between quotes: every other piece is a text
    let pieces = line.split(is_quote).enumerate();
    pieces.map(|(place, piece)| if place % 2 == 0 { mark(piece) } else { piece.to_owned() }).collect::<Vec<_>>().join("\"")
}

/// The value of a column of an object, or, for "prompt.text", of the object in it.
pub(crate) fn json_cell(object: &Map<String, Value>, column: &str) -> Cell {
    match field(object, column) {
        None => Cell::Missing,
        Some(Value::Null) => Cell::Null,
        Some(Value::Bool(value)) => Cell::Number(f64::from(u8::from(*value))),
        Some(Value::String(text)) => match text.strip_prefix(NOT_FINITE).and_then(|number| number.parse::<f64>().ok()) {
            Some(number) if !number.is_finite() => Cell::Number(number),
            _ => Cell::Text(text.clone()),
        },
        Some(Value::Number(number)) => {
            let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).map(Cell::Integer);
            integer.or_else(|| number.as_f64().map(Cell::Number)).unwrap_or_else(|| Cell::Other(number.to_string()))
        }
        Some(other) => Cell::Other(other.to_string()),
    }
}

fn field<'a>(object: &'a Map<String, Value>, column: &str) -> Option<&'a Value> {
    object.get(column).or_else(|| {
        let (outer, inner) = column.split_once('.')?;
        field(object.get(outer)?.as_object()?, inner)
    })
}

/// The names of all columns, those of objects in it included.
pub(crate) fn json_names(object: &Map<String, Value>) -> Vec<String> {
    let names = |(name, value): (&String, &Value)| match value {
        Value::Object(inner) => json_names(inner).into_iter().map(|inner| format!("{name}.{inner}")).collect(),
        _ => vec![name.clone()],
    };
    object.iter().flat_map(names).collect()
}
