//! Rows of a CSV file one by one, for files that are too large to be held whole.
//!
//! Fields are parted by commas, or by tabs in a TSV file; one that holds a comma, a quote or a line
//! end stands in quotes, and a quote within it is doubled. What other dialects write instead would
//! be read with other texts, and is refused.

use std::io::BufRead;
use std::path::Path;

use csv::{Error, ErrorKind, Reader, ReaderBuilder, StringRecord};

use crate::at::At;
use crate::cell::Cell;
use crate::error::DataError;
use crate::format::open;
use crate::kind::Kind;

/// No field is longer: a packed file may be of one field that no memory holds.
const LONGEST: usize = 1 << 28;

/// What parts the fields.
fn separator(kind: Kind) -> u8 {
    if kind == Kind::Tsv { b'\t' } else { b',' }
}

/// The names of all columns, or nothing for a file without a line.
///
/// The whole file is looked at for what its rows would not tell: bytes that are no text, and quotes
/// of another dialect.
pub(crate) fn csv_names(
    path: &Path,
    kind: Kind,
    mut file: Box<dyn BufRead>,
) -> Result<Option<Vec<String>>, DataError> {
    let mut check = Check::new(path, kind);
    // behind the last whole character
    let mut rest = Vec::new();
    loop {
        let bytes =
            file.fill_buf().map_err(|error| DataError::unreadable(path, kind.name(), error))?;
        let (count, is_end) = (bytes.len(), bytes.is_empty());
        rest.extend_from_slice(bytes);
        file.consume(count);
        let whole = match std::str::from_utf8(&rest) {
            Ok(_) => rest.len(),
            Err(error) if error.error_len().is_none() && !is_end => error.valid_up_to(),
            Err(error) => {
                let (text, wrong) = rest.split_at(error.valid_up_to());
                let line = check.line + text.iter().filter(|&&byte| byte == b'\n').count();
                let byte = wrong.first().copied().unwrap_or_default();
                return Err(DataError::NotUtf8 {
                    path: path.into(),
                    line,
                    byte,
                    encoding: "WINDOWS-1252",
                });
            }
        };
        check.go_on(&rest[..whole])?;
        rest.drain(..whole);
        if is_end {
            break;
        }
    }
    if !check.finish()? {
        return Ok(None);
    }
    let (_, head) = reader(path, kind)?;
    Ok(Some(head.iter().map(str::to_owned).collect()))
}

/// What the file is looked at for, byte by byte: separators, quotes and line ends are no part of
/// any other character.
struct Check<'a> {
    path: &'a Path,
    kind: Kind,
    place: Place,
    /// The line that is read, from 1.
    line: usize,
    /// Rows that have ended, the header's included.
    rows: usize,
    /// Whether the row has anything.
    is_blank: bool,
    /// Where the last quotes opened.
    opened: usize,
    /// Bytes of the field.
    length: usize,
    before: u8,
}

/// Where in a field one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Plain,
    Quoted,
    /// A quote that ends the field, or is the first of two that stand for one.
    Quote,
}

impl<'a> Check<'a> {
    fn new(path: &'a Path, kind: Kind) -> Self {
        Self {
            path,
            kind,
            place: Place::Begin,
            line: 1,
            rows: 0,
            is_blank: true,
            opened: 0,
            length: 0,
            before: 0,
        }
    }

    fn go_on(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let at_begin = self.place == Place::Begin && self.before != b'\r';
            let plain = line
                .strip_suffix(b"\r\n")
                .or_else(|| line.strip_suffix(b"\n"))
                .filter(|_| at_begin);
            // most lines have nothing to look at
            match plain.filter(|plain| ![b'"', b'\r', 0].iter().any(|byte| plain.contains(byte))) {
                Some(plain) => {
                    self.rows += usize::from(!self.is_blank || !plain.is_empty());
                    (self.line, self.length, self.is_blank, self.before) =
                        (self.line + 1, 0, true, b'\n');
                }
                None => self.bytes(line)?,
            }
        }
        Ok(())
    }

    /// Looks at each byte.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        let separator = separator(self.kind);
        for &byte in bytes {
            let is_line_end = matches!(byte, b'\r' | b'\n');
            self.length += 1;
            self.place = match (self.place, byte) {
                (_, 0) => {
                    return Err(self.wrong(format!(
                        "line {} holds a byte 0: it is damaged, or no text",
                        self.line
                    )));
                }
                (Place::Quoted, b'"') => Place::Quote,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Begin, b'"') => {
                    self.opened = self.line;
                    Place::Quoted
                }
                (Place::Quote, b'"') => Place::Quoted,
                (_, _) if byte == separator || is_line_end => {
                    self.length = 0;
                    Place::Begin
                }
                (Place::Quote, _) => return Err(self.dialect(byte)),
                (Place::Begin | Place::Plain, _) => Place::Plain,
            };
            if is_line_end && self.place == Place::Begin {
                self.rows += usize::from(!self.is_blank);
                self.is_blank = true;
            } else {
                self.is_blank = false;
            }
            // "\r\n" is one line end
            self.line += usize::from(byte == b'\r' || (byte == b'\n' && self.before != b'\r'));
            self.before = byte;
            if self.length > LONGEST {
                return Err(
                    self.wrong(format!("{} has a field of more than {LONGEST} bytes", self.row()))
                );
            }
        }
        Ok(())
    }

    /// Whether there was any row.
    fn finish(self) -> Result<bool, DataError> {
        if self.place == Place::Quoted {
            return Err(self.wrong(format!(
                "the file ends within the quotes that open at line {}",
                self.opened
            )));
        }
        Ok(self.rows > 0 || !self.is_blank)
    }

    /// Quotes that end before their field does.
    fn dialect(&self, byte: u8) -> DataError {
        let (found, row, opened) = (char::from(byte).escape_default(), self.row(), self.opened);
        let (part, path) = (if self.kind == Kind::Tsv { "tab" } else { "comma" }, self.path);
        self.wrong(format!(
            "{row}: behind the quotes that open at line {opened} stands '{found}', expected a \
             {part} or the end of the row; a quote within quotes is doubled (\"\"), not written \
             \\\" as Spark does. In Spark, .option(\"escape\", \"\\\"\") doubles it; here, python3 \
             -c 'import pandas; pandas.read_csv({path:?}, \
             escapechar=\"\\\\\").to_csv(\"table.csv\", index=False)'"
        ))
    }

    fn row(&self) -> String {
        if self.rows == 0 { "the header".to_owned() } else { At::Row(self.rows).to_string() }
    }

    fn wrong(&self, reason: String) -> DataError {
        DataError::unreadable(self.path, self.kind.name(), reason)
    }
}

/// Goes through the rows with the fields of these columns in this order. Fields in quotes may hold
/// line ends.
pub(crate) fn csv_rows(
    path: &Path,
    kind: Kind,
    names: &[&str],
    mut each: impl FnMut(At, Vec<Cell>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (mut file, head) = reader(path, kind)?;
    let found = || head.iter().collect::<Vec<_>>().join(", ");
    let place = |name: &&str| {
        let missing = || DataError::MissingColumn {
            path: path.into(),
            column: format!("{name:?}"),
            found: found(),
        };
        head.iter().position(|there| there == *name).ok_or_else(missing)
    };
    let places = names.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let (mut record, mut row) = (StringRecord::new(), 0);
    while file.read_record(&mut record).map_err(wrong(path, kind))? {
        row += 1;
        if head.len() > 1 && record == head {
            let reason =
                format!("row {row} is the header again: files were joined; take the line out");
            return Err(DataError::unreadable(path, kind.name(), reason));
        }
        let cell = |&place: &usize| {
            record.get(place).map_or(Cell::Missing, |text| Cell::Text(text.to_owned()))
        };
        each(At::Row(row), places.iter().map(cell).collect())?;
    }
    Ok(())
}

fn reader(path: &Path, kind: Kind) -> Result<(Reader<Box<dyn BufRead>>, StringRecord), DataError> {
    let mut file =
        ReaderBuilder::new().delimiter(separator(kind)).from_reader(open(path)?.content.read);
    let head = file.headers().map_err(wrong(path, kind))?.clone();
    Ok((file, head))
}

/// What is wrong, with the line.
fn wrong(path: &Path, kind: Kind) -> impl Fn(Error) -> DataError {
    move |error| {
        let reason = match error.kind() {
            ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let at = pos
                    .as_ref()
                    .map_or(String::new(), |pos| format!("the row at line {}: ", pos.line()));
                format!("{at}found {len} fields, expected {expected_len}")
            }
            ErrorKind::Utf8 { pos: Some(pos), .. } => {
                format!("the row at line {} is not valid UTF-8", pos.line())
            }
            _ => error.to_string(),
        };
        DataError::unreadable(path, kind.name(), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a CSV file of these bytes is refused for, in pieces of one byte and whole.
    fn refused(text: &str) -> Option<String> {
        let check = |pieces: &[&[u8]]| {
            let mut check = Check::new(Path::new("a.csv"), Kind::Csv);
            pieces.iter().try_for_each(|piece| check.go_on(piece)).and_then(|()| check.finish())
        };
        let [whole, pieces] = [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()]
            .map(|pieces| check(&pieces));
        let [whole, pieces] =
            [whole, pieces].map(|found| found.err().map(|error| error.to_string()));
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn quotes_of_another_dialect_are_refused_with_their_row() {
        for text in [
            "a,b\n\"x \"\"y\"\"\",1\n\"\",\"\"\n",
            "a\r\"x\r\"\ry\r",
            "a,b\n6\" by 4\", \"1\n",
            "\n\n",
            "\"a\"",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
        let spark = refused("a,b\n\n\"x\ny\",1\n\"he said \\\"hi\\\"\",1\n").unwrap();
        assert!(
            spark.contains(
                "row 2: behind the quotes that open at line 5 stands 'h', expected a comma or the \
                 end"
            ),
            "{spark}"
        );
        assert!(spark.contains("Spark"));
        let crlf = refused("a,b\r\n\r\nx,1\r\n\"y\"z,1\r\n").unwrap();
        assert!(crlf.contains("row 2: behind the quotes that open at line 4 stands 'z'"), "{crlf}");
        assert!(
            refused("\"a\"b,c\n")
                .unwrap()
                .contains("the header: behind the quotes that open at line 1 stands 'b'")
        );
        assert!(
            refused("a\r\"x\ry")
                .unwrap()
                .ends_with("the file ends within the quotes that open at line 2")
        );
        assert!(refused("a\nx\0y\n").unwrap().contains("line 2 holds a byte 0"));
    }
}
