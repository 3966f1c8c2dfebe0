//! Rows of a CSV file one by one, for files that are too large to be held whole.

use std::path::Path;

use csv::{Error, ErrorKind, Reader, ReaderBuilder, StringRecord};

use crate::cell::Cell;
use crate::error::DataError;
use crate::lines::Lines;

/// The names of all columns, or nothing for a file without a line.
///
/// The whole file is looked at for what its rows would not tell: a line that is no text, and a field in quotes that has no end
/// and so takes in all rows behind it.
pub(crate) fn csv_names(path: &Path, kind: &'static str) -> Result<Option<Vec<String>>, DataError> {
    let mut lines = Lines::open(path, kind)?;
    let (mut at, mut opened, mut is_empty) = (At::Begin, 0, true);
    while let Some((number, line)) = lines.next()? {
        is_empty = false;
        if at == At::Begin && !line.contains('"') {
            continue;
        }
        // commas, quotes and line ends are no part of any other character
        for &byte in line.as_bytes() {
            let before = at;
            at = at.after(byte);
            if at == At::Quoted && before == At::Begin {
                opened = number;
            }
        }
    }
    if is_empty {
        return Ok(None);
    }
    if at == At::Quoted {
        let reason = format!("the file ends within the quotes that open at line {opened}");
        return Err(DataError::unreadable(path, kind, reason));
    }
    let (_, head) = open(path, kind)?;
    Ok(Some(head.iter().map(str::to_owned).collect()))
}

/// Where in a field one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Begin,
    Plain,
    Quoted,
    /// A quote that ends the field, or is the first of two that stand for one.
    Quote,
}

impl At {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Begin | Self::Quote, b'"') => Self::Quoted,
            (_, b',' | b'\r' | b'\n') => Self::Begin,
            _ => Self::Plain,
        }
    }
}

/// Goes through the rows, counted from 0, with the fields of these columns in this order. Fields in quotes may hold line ends.
pub(crate) fn csv_rows(
    path: &Path,
    kind: &'static str,
    names: &[&str],
    mut each: impl FnMut(usize, Vec<Cell>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (mut file, head) = open(path, kind)?;
    let found = || head.iter().collect::<Vec<_>>().join(", ");
    let place = |name: &&str| {
        let missing = || DataError::MissingColumn { path: path.into(), column: format!("{name:?}"), found: found() };
        head.iter().position(|there| there == *name).ok_or_else(missing)
    };
    let places = names.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let (mut record, mut row) = (StringRecord::new(), 0);
    while file.read_record(&mut record).map_err(wrong(path, kind))? {
        let cell = |&place: &usize| record.get(place).map_or(Cell::Missing, |text| Cell::Text(text.to_owned()));
        each(row, places.iter().map(cell).collect())?;
        row += 1;
    }
    Ok(())
}

fn open(path: &Path, kind: &'static str) -> Result<(Reader<std::fs::File>, StringRecord), DataError> {
    let mut file = ReaderBuilder::new().from_path(path).map_err(wrong(path, kind))?;
    let head = file.headers().map_err(wrong(path, kind))?.clone();
    Ok((file, head))
}

/// What is wrong, with the line.
fn wrong(path: &Path, kind: &'static str) -> impl Fn(Error) -> DataError {
    move |error| {
        let reason = match error.kind() {
            ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let at = pos.as_ref().map_or(String::new(), |pos| format!("the row at line {}: ", pos.line()));
                format!("{at}found {len} fields, expected {expected_len}")
            }
            ErrorKind::Utf8 { pos: Some(pos), .. } => format!("the row at line {} is not valid UTF-8", pos.line()),
            _ => error.to_string(),
        };
        DataError::unreadable(path, kind, reason)
    }
}
