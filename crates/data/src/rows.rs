//! Rows of a CSV file one by one, for files that are too large to be held whole.

use std::path::Path;

use csv::{Error, ErrorKind, ReaderBuilder, StringRecord};

use crate::cell::Cell;
use crate::error::DataError;

/// Goes through the rows, counted from 0, with the fields of these columns in this order. Fields in quotes may hold line ends.
pub(crate) fn csv_rows(
    path: &Path,
    kind: &'static str,
    names: &[&str],
    mut each: impl FnMut(usize, &[Cell]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let wrong = |error: Error| DataError::unreadable(path, kind, reason(&error));
    let mut file = ReaderBuilder::new().from_path(path).map_err(wrong)?;
    let head = file.headers().map_err(wrong)?.clone();
    let found = || head.iter().collect::<Vec<_>>().join(", ");
    let place = |name: &&str| {
        let missing = || DataError::MissingColumn { path: path.into(), column: format!("{name:?}"), found: found() };
        head.iter().position(|there| there == *name).ok_or_else(missing)
    };
    let places = names.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let (mut record, mut row) = (StringRecord::new(), 0);
    while file.read_record(&mut record).map_err(wrong)? {
        let cell = |&place: &usize| record.get(place).map_or(Cell::Missing, |text| Cell::Text(text.to_owned()));
        each(row, &places.iter().map(cell).collect::<Vec<_>>())?;
        row += 1;
    }
    Ok(())
}

/// What is wrong, with the line.
fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let at = pos.as_ref().map_or(String::new(), |pos| format!("the row at line {}: ", pos.line()));
            format!("{at}found {len} fields, expected {expected_len}")
        }
        ErrorKind::Utf8 { pos, .. } => {
            pos.as_ref().map_or_else(|| error.to_string(), |pos| format!("the row at line {} is not valid UTF-8", pos.line()))
        }
        _ => error.to_string(),
    }
}
