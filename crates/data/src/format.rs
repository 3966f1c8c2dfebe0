//! What a file is: by how it begins, and by its name where that says nothing.

use std::io::{BufRead, Cursor, Read};
use std::path::Path;

use crate::error::DataError;
use crate::kind::Kind;
use crate::packed::{self, Unpacked};

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const PARQUET: &[u8] = b"PAR1";

/// A file that is there and not empty, at its first byte.
pub(crate) struct Opened {
    pub(crate) kind: Kind,
    /// Its text; of a table of another kind, its bytes from the file itself.
    pub(crate) content: Unpacked,
}

/// Opens a table, which may be packed or lie in an archive.
pub(crate) fn open(path: &Path) -> Result<Opened, DataError> {
    let mut content = packed::open(path)?;
    let head = content.head()?;
    if head.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    if let Some((found, way_out)) = foreign(&head, path) {
        return Err(DataError::Unsupported { path: path.into(), found: found.into(), way_out });
    }
    let named = Kind::named(&content.name);
    if head.starts_with(PARQUET) {
        return Ok(Opened { kind: Kind::Parquet, content });
    }
    if let Some((encoding, byte)) = wide(&head) {
        return Err(DataError::NotUtf8 { path: path.into(), line: 1, byte, encoding });
    }
    if head.starts_with(BYTE_ORDER_MARK) {
        content.skip(BYTE_ORDER_MARK.len());
    }
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start();
    let kind = match (json(text), named) {
        (Some(kind), _) => kind,
        (None, Some(Kind::Parquet)) => {
            let begins = String::from_utf8_lossy(&head[..head.len().min(12)]).into_owned();
            let reason = format!("it begins with {begins:?}, expected \"PAR1\"");
            return Err(DataError::unreadable(path, Kind::Parquet.name(), reason));
        }
        (None, Some(kind)) => kind,
        (None, None) => return Err(DataError::UnknownKind { path: path.into() }),
    };
    if kind == Kind::JsonLines && is_spread(text) {
        return Err(DataError::Unsupported {
            path: path.into(),
            found: "one JSON object over several lines".into(),
            way_out: format!(
                "expected one object a line, or an array of them; of a table of pandas: python3 \
                 -c 'import pandas; pandas.read_json({path:?}).to_json(\"table.jsonl\", \
                 orient=\"records\", lines=True)'"
            ),
        });
    }
    Ok(Opened { kind, content })
}

/// JSON is known by its beginning, which is that of no other table.
fn json(text: &[u8]) -> Option<Kind> {
    let (&first, rest) = text.split_first()?;
    match (first, rest.trim_ascii_start().first()) {
        (b'{', Some(b'"' | b'}')) => Some(Kind::JsonLines),
        (b'[', Some(b'{' | b']') | None) => Some(Kind::JsonArray),
        _ => None,
    }
}

/// Whether an object goes on where its first line ends: it is whole nowhere before.
fn is_spread(text: &[u8]) -> bool {
    let mut lines = text.splitn(2, |&byte| byte == b'\n');
    let (Some(first), Some(rest)) = (lines.next(), lines.next()) else { return false };
    let is_open = first.trim_ascii_end().ends_with(b"{") || first.trim_ascii_end().ends_with(b",");
    is_open && !rest.trim_ascii_start().starts_with(b"{")
}

/// Characters of two or four bytes: which, and the first byte that says so.
fn wide(head: &[u8]) -> Option<(&'static str, u8)> {
    let mark = |mark: &[u8], name| {
        head.starts_with(mark).then_some((name, mark.first().copied().unwrap_or_default()))
    };
    let marked = mark(b"\xff\xfe\0\0", "UTF-32")
        .or_else(|| mark(b"\xff\xfe", "UTF-16"))
        .or_else(|| mark(b"\xfe\xff", "UTF-16"));
    marked.or(match head {
        [low, 0, next, 0, ..] if *low > 0 && *next > 0 => Some(("UTF-16LE", 0)),
        [0, high, 0, next, ..] if *high > 0 && *next > 0 => Some(("UTF-16BE", 0)),
        _ => None,
    })
}

/// What is no table that can be read here, and the way to one.
fn foreign(head: &[u8], path: &Path) -> Option<(&'static str, String)> {
    let pandas = |read: &str| {
        format!(
            "this makes it readable: python3 -c 'import pandas; \
             pandas.{read}({path:?}).to_parquet(\"table.parquet\")'"
        )
    };
    let starts =
        |beginnings: &[&[u8]]| beginnings.iter().any(|beginning| head.starts_with(beginning));
    let text =
        head.trim_ascii_start().get(..32).unwrap_or(head.trim_ascii_start()).to_ascii_lowercase();
    let unpack = |command: &str| format!("this unpacks it: {command} {path:?}");
    Some(match () {
        () if starts(&[b"version https://git-lfs"]) => (
            "a pointer of Git LFS, not the table itself",
            "this fetches it: git lfs pull, in its repository".into(),
        ),
        () if text.starts_with(b"<!doctype")
            || text.starts_with(b"<html")
            || text.starts_with(b"<?xml") =>
        {
            (
                "a page of the web, not a table",
                "what was downloaded is a page about it, or says what went wrong".into(),
            )
        }
        () if starts(&[b"PARE"]) => {
            ("an encrypted Parquet table", "write it without encryption".into())
        }
        () if starts(&[b"ARROW1", b"FEA1"]) => {
            ("a Feather (Arrow IPC) table", pandas("read_feather"))
        }
        () if starts(&[b"\xff\xff\xff\xff"]) => (
            "an Arrow stream, as the datasets library keeps it",
            format!(
                "this makes it readable: python3 -c 'import datasets; \
                 datasets.Dataset.from_file({path:?}).to_parquet(\"table.parquet\")'"
            ),
        ),
        () if starts(&[b"ORC"]) => ("an ORC table", pandas("read_orc")),
        () if starts(&[b"Obj\x01"]) => {
            ("an Avro table", "convert it to Parquet or JSON lines".into())
        }
        () if starts(&[b"\x89HDF"]) => ("an HDF5 file", pandas("read_hdf")),
        () if starts(&[b"SQLite format 3"]) => {
            ("an SQLite database", "write the table as CSV: sqlite3 -header -csv".into())
        }
        () if starts(&[b"\x93NUMPY"]) => {
            ("a NumPy array", "write it as a column of a table, with its texts".into())
        }
        () if starts(&[b"\xd0\xcf\x11\xe0"]) => ("an old Excel file", pandas("read_excel")),
        () if head.first() == Some(&0x80)
            && head.get(1).is_some_and(|version| (2..=5).contains(version)) =>
        {
            ("a pickle of Python", pandas("read_pickle"))
        }
        () if starts(&[b"\xfd7zXZ"]) => ("packed by xz", unpack("xz -dk")),
        () if starts(&[b"BZh"]) => ("packed by bzip2", unpack("bzip2 -dk")),
        () if starts(&[b"7z\xbc\xaf"]) => ("a 7z archive", unpack("7z x")),
        () if starts(&[b"Rar!"]) => ("a RAR archive", unpack("unrar x")),
        () if starts(&[b"\x04\x22\x4d\x18"]) => ("packed by lz4", unpack("lz4 -dk")),
        () if head.get(257..262) == Some(b"ustar") => ("a tar archive", unpack("tar -xf")),
        () => return None,
    })
}

impl Unpacked {
    /// The first bytes, as many as there are of a few thousand; they stay to be read.
    fn head(&mut self) -> Result<Vec<u8>, DataError> {
        const HEAD: u64 = 4_096;
        let mut head = Vec::new();
        let read = (&mut self.read).take(HEAD).read_to_end(&mut head);
        read.map_err(|error| self.unreadable(&error))?;
        let rest = std::mem::replace(&mut self.read, Box::new(std::io::empty()));
        self.read = Box::new(Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }

    /// Passes over bytes that [`head`](Self::head) has shown.
    fn skip(&mut self, count: usize) {
        self.read.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_beginning() {
        let kinds = ["{\"a\":1}", "{}", "[{\"a\":1}]", "[", "[ ]", "{a", "[1]", "a,b", ""]
            .map(|text| json(text.as_bytes()));
        let (lines, array) = (Some(Kind::JsonLines), Some(Kind::JsonArray));
        assert_eq!(kinds, [lines, lines, array, array, array, None, None, None, None]);
        assert!(is_spread(b"{\n  \"a\": 1\n}") && is_spread(b"{\"a\": [],\n \"b\": 1}"));
        assert!(
            !is_spread(b"{\"a\": 1}\n{\"a\": 2}")
                && !is_spread(b"{\"a\":")
                && !is_spread(b"{\"a\":1,\n{\"a\":2}")
        );
    }

    #[test]
    fn wide_characters_are_known_with_and_without_a_mark() {
        let found = |head: &[u8]| wide(head).map(|(name, _)| name);
        assert_eq!(found(b"t\0e\0x\0"), Some("UTF-16LE"));
        assert_eq!(found(b"\0t\0e"), Some("UTF-16BE"));
        assert_eq!(found(b"\xff\xfet\0"), Some("UTF-16"));
        assert_eq!(found(b"text"), None);
    }
}
