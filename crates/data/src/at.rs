//! Where in a file a row stands.

use std::fmt;

/// Where in a file a row stands, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// A row of Parquet, CSV without its header, or a JSON array.
    Row(usize),
    /// A line of JSON lines.
    Line(usize),
    /// The file is the row: a text of its own.
    #[default]
    File,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(row) => write!(f, "row {row}"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::File => write!(f, "the whole file"),
        }
    }
}
