//! The JSON objects of a file: one on each line (JSONL), or the entries of one array.

use std::io::{BufRead, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::at::At;
use crate::error::DataError;
use crate::json::{add_shape, parse};
use crate::kind::Kind;
use crate::shape::Shape;

/// No line and no entry is longer: a packed file may be of one line that no memory holds.
const LONGEST: usize = 1 << 28;

/// JSON objects, read one by one.
pub(crate) struct Objects<'a> {
    path: &'a Path,
    kind: Kind,
    file: Box<dyn BufRead>,
    /// The text of the object that was read last.
    text: Vec<u8>,
    /// Lines that were begun, and entries of the array.
    line: usize,
    entries: usize,
    /// Where the array is.
    array: Array,
    /// Halves of characters that stand as U+FFFD in the texts read so far.
    pub(crate) halves: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Array {
    Unopened,
    /// An entry, or the end, must come.
    Opened,
    /// A comma, or the end, must come.
    Between,
    /// An entry must come.
    Next,
    Closed,
}

/// What a line or an entry holds.
type Object = Map<String, Value>;

impl<'a> Objects<'a> {
    pub(crate) fn new(path: &'a Path, kind: Kind, file: Box<dyn BufRead>) -> Self {
        Self {
            path,
            kind,
            file,
            text: Vec::new(),
            line: 0,
            entries: 0,
            array: Array::Unopened,
            halves: 0,
        }
    }

    /// The next object. It may hold NaN and infinities, as Python writes them.
    pub(crate) fn next(&mut self) -> Result<Option<(At, Object)>, DataError> {
        let Some(at) = self.advance()? else { return Ok(None) };
        let (value, halves) = parse(self.text(at)?).map_err(|error| self.broken(at, &error))?;
        self.halves += halves;
        match value {
            Value::Object(object) => Ok(Some((at, object))),
            other => {
                let kind = match other {
                    Value::Array(_) => "a list",
                    Value::String(_) => "a text",
                    Value::Number(_) => "a number",
                    _ => "another value",
                };
                Err(self.no_object(at, format!("found {kind}")))
            }
        }
    }

    /// Adds the paths of the next object, and says whether there was one.
    pub(crate) fn next_shape(&mut self, shape: &mut Shape) -> Result<bool, DataError> {
        let Some(at) = self.advance()? else { return Ok(false) };
        add_shape(self.text(at)?, shape).map_err(|error| self.broken(at, &error))?;
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<At>, DataError> {
        match self.kind {
            Kind::JsonArray => Ok(self.next_entry()?.then_some(At::Row(self.entries))),
            _ => Ok(self.next_line()?.then_some(At::Line(self.line))),
        }
    }

    fn text(&self, at: At) -> Result<&str, DataError> {
        std::str::from_utf8(self.text.trim_ascii_end()).map_err(|error| {
            let line = match at {
                At::Line(line) => line,
                _ => self.line,
            };
            let byte = self.text.get(error.valid_up_to()).copied().unwrap_or_default();
            DataError::NotUtf8 { path: self.path.into(), line, byte, encoding: "WINDOWS-1252" }
        })
    }

    fn broken(&self, at: At, error: &serde_json::Error) -> DataError {
        let reason = error.to_string();
        // the parser's own position counts lines within the text
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        self.no_object(at, format!("{reason} at column {}", error.column()))
    }

    fn no_object(&self, at: At, reason: String) -> DataError {
        DataError::BrokenLine { path: self.path.into(), at, reason }
    }

    fn unreadable(&self, reason: impl ToString) -> DataError {
        DataError::unreadable(self.path, self.kind.name(), reason)
    }

    /// Reads the next line that is not blank.
    fn next_line(&mut self) -> Result<bool, DataError> {
        loop {
            self.text.clear();
            let most = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 1;
            let read = (&mut self.file).take(most).read_until(b'\n', &mut self.text);
            if read.map_err(|error| self.unreadable(error))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if self.text.len() > LONGEST {
                return Err(
                    self.unreadable(format!("line {} has more than {LONGEST} bytes", self.line))
                );
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Reads the next entry of the array, up to the comma or bracket behind it.
    fn next_entry(&mut self) -> Result<bool, DataError> {
        self.text.clear();
        let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
        loop {
            let bytes = self
                .file
                .fill_buf()
                .map_err(|error| DataError::unreadable(self.path, self.kind.name(), error))?;
            let Some(&byte) = bytes.first() else {
                return match self.array {
                    Array::Closed => Ok(false),
                    _ => Err(self.unreadable(format!(
                        "the file ends within the array, behind {} whole rows",
                        self.entries
                    ))),
                };
            };
            if self.text.is_empty() {
                self.file.consume(1);
                self.line += usize::from(byte == b'\n');
                self.array = match (self.array, byte) {
                    (state, b' ' | b'\t' | b'\r' | b'\n') => state,
                    (Array::Unopened, b'[') => Array::Opened,
                    (Array::Between, b',') => Array::Next,
                    (Array::Opened | Array::Between, b']') => Array::Closed,
                    (Array::Opened | Array::Next, _) => {
                        self.text.push(byte);
                        (depth, in_text) = (usize::from(matches!(byte, b'{' | b'[')), byte == b'"');
                        Array::Next
                    }
                    _ => {
                        return Err(self.unreadable(format!(
                            "found {:?} behind row {}",
                            char::from(byte),
                            self.entries
                        )));
                    }
                };
                continue;
            }
            // what is left of the entry in the buffer, in one go
            let mut end = None;
            for (place, &byte) in bytes.iter().enumerate() {
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if in_text => is_escaped = true,
                    b'"' => in_text = !in_text,
                    _ if in_text => {}
                    b',' | b']' if depth == 0 => {
                        end = Some(place);
                        break;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    b'\n' => self.line += 1,
                    _ => {}
                }
            }
            let taken = end.unwrap_or(bytes.len());
            self.text.extend_from_slice(&bytes[..taken]);
            self.file.consume(taken);
            if self.text.len() > LONGEST {
                return Err(self.unreadable(format!(
                    "row {} has more than {LONGEST} bytes",
                    self.entries + 1
                )));
            }
            if end.is_some() {
                self.entries += 1;
                self.array = Array::Between;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &'static str, kind: Kind) -> Result<Vec<(At, String)>, String> {
        let mut objects = Objects::new(Path::new("a.json"), kind, Box::new(text.as_bytes()));
        let mut found = Vec::new();
        while let Some((at, object)) = objects.next().map_err(|error| error.to_string())? {
            found.push((at, Value::Object(object).to_string()));
        }
        Ok(found)
    }

    #[test]
    fn the_entries_of_an_array_are_found_however_it_is_laid_out() {
        let rows = Ok(vec![
            (At::Row(1), r#"{"a":"], }\\\""}"#.to_owned()),
            (At::Row(2), r#"{"b":[{}]}"#.to_owned()),
        ]);
        for text in [
            r#"[{"a":"], }\\\""},{"b":[{}]}]"#,
            "\n [\n  {\n \"a\": \"], }\\\\\\\"\"\n },\n {\"b\": [\n{}]}\n]\n",
        ] {
            assert_eq!(objects(text, Kind::JsonArray), rows, "{text}");
        }
        assert_eq!(objects(" [ ] ", Kind::JsonArray), Ok(vec![]));
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused_with_its_row() {
        for (text, part) in [
            (r#"[{"a":1},{"a":"#, "the file ends within the array, behind 1 whole rows"),
            (r#"[{"a":1},"#, "the file ends within the array, behind 1 whole rows"),
            (r#"[{"a":1} {"a":2}]"#, "row 1 is not a JSON object: trailing characters at column 9"),
            (r#"[{"a":1},,{"a":2}]"#, "row 2 is not a JSON object"),
            (r#"[{"a":1}] {"a":2}"#, "found '{' behind row 1"),
            (r#"[{"a":1}, "b"]"#, "row 2 is not a JSON object: found a text"),
            (r#"[[1], [2]]"#, "row 1 is not a JSON object: found a list"),
        ] {
            let message = objects(text, Kind::JsonArray).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
