//! Lines of a text file, numbered, and JSON objects on them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::cell::Cell;
use crate::error::DataError;

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

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, DataError> {
        loop {
            self.line.clear();
            let read = self.file.read_until(b'\n', &mut self.line);
            if read.map_err(|error| DataError::unreadable(self.path, self.kind, error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.line.trim_ascii().is_empty() {
                let wrong = |_| DataError::NotUtf8 { path: self.path.into(), line: self.number };
                return std::str::from_utf8(&self.line).map(Some).map_err(wrong);
            }
        }
    }

    /// The object on the next line that is not blank.
    pub(crate) fn next_object(&mut self) -> Result<Option<Map<String, Value>>, DataError> {
        let object = self.next()?.map(serde_json::from_str).transpose();
        object.map_err(|error| DataError::BrokenLine { path: self.path.into(), line: self.number, reason: error.to_string() })
    }
}

/// The value of a column of an object, or, for "prompt.text", of the object in it.
pub(crate) fn json_cell(object: &Map<String, Value>, column: &str) -> Cell {
    match field(object, column) {
        None => Cell::Missing,
        Some(Value::Null) => Cell::Null,
        Some(Value::Bool(value)) => Cell::Number(f64::from(u8::from(*value))),
        Some(Value::String(text)) => Cell::Text(text.clone()),
        Some(other) => other.as_f64().map_or_else(|| Cell::Other(other.to_string()), Cell::Number),
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
