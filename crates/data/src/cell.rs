//! Values as they stand in a table, and what texts, scores and ids are made of.

use std::fmt::{self, Write};
use std::path::Path;

use crate::error::DataError;
use crate::layout::Layout;

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

/// A value, as far as texts and scores go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// The row has no such field.
    Missing,
    /// The field says that there is none.
    Null,
    Text(String),
    /// The contents of what several have said, in order.
    Conversation(String),
    /// Also 0 and 1 for false and true.
    Number(f64),
    /// Kept whole: seeds and ids may have more digits than a double.
    Integer(i128),
    /// What the entries of a list have, at least one.
    List(Vec<Cell>),
    /// Something else, as a message shows it.
    Other(String),
}

impl Cell {
    /// The entry of a list that has one alone.
    pub(crate) fn single(self) -> Self {
        match self {
            Self::List(mut entries) if entries.len() == 1 => entries.remove(0),
            other => other,
        }
    }

    /// The number that it is or that its text says.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Integer(number) => Some(*number as f64),
            Self::Text(text) => match text.trim() {
                "true" | "True" => Some(1.0),
                "false" | "False" => Some(0.0),
                number => number.parse().ok(),
            },
            _ => None,
        }
    }

    /// The text, or nothing where there is none; an error for anything else.
    pub(crate) fn optional_text(&self) -> Result<Option<&str>, ()> {
        match self {
            Self::Text(text) | Self::Conversation(text) => Ok(Some(text)),
            Self::Null | Self::Missing => Ok(None),
            Self::Number(_) | Self::Integer(_) | Self::List(_) | Self::Other(_) => Err(()),
        }
    }

    /// The number, or nothing where there is none; an error for anything else.
    pub(crate) fn optional_number(&self) -> Result<Option<f64>, ()> {
        let is_missing = |text: &str| ["", "null", "none", "na", "n/a"].contains(&text.trim().to_ascii_lowercase().as_str());
        match self {
            Self::Null | Self::Missing => Ok(None),
            Self::Text(text) if is_missing(text) => Ok(None),
            cell => cell.number().map(Some).ok_or(()),
        }
    }

    /// What a row is called by.
    pub(crate) fn label(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Null | Self::Missing | Self::Conversation(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    /// Says that this is not what was expected there.
    pub(crate) fn refused(&self, path: &Path, column: &str, at: At, expected: &str) -> DataError {
        let way_out = match self {
            Self::List(_) => format!("; {column}.0 is the first of them"),
            _ => String::new(),
        };
        let (column, found, expected) = (column.to_owned(), self.shown(), format!("{expected}{way_out}"));
        DataError::Value { path: path.into(), column, at, found, expected }
    }

    /// Texts are quoted; no longer than a line.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Missing | Self::Null => "nothing".into(),
            Self::Number(number) => number.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) | Self::Conversation(text) => {
                let short = shortened(text, 40);
                if short.len() < text.len() { format!("{short:?}...") } else { format!("{text:?}") }
            }
            Self::List(entries) => {
                let shown: Vec<String> = entries.iter().take(3).map(Self::shown).collect();
                let dots = if shown.len() < entries.len() { ", ..." } else { "" };
                format!("a list of {} ({}{dots})", entries.len(), shown.join(", "))
            }
            Self::Other(text) => {
                let mut short = shortened(text, 40).to_owned();
                if short.len() < text.len() {
                    let _ = write!(short, "...");
                }
                short
            }
        }
    }
}

/// No more than the first characters.
fn shortened(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// A column of a table, with what a message needs to name one of its values.
pub(crate) struct Column<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: String,
    pub(crate) cells: Vec<(At, Cell)>,
}

impl Column<'_> {
    /// Where each value stands.
    pub(crate) fn places(&self) -> Vec<At> {
        self.cells.iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn texts(self) -> Result<Vec<String>, DataError> {
        self.each("a text", |cell| match cell {
            Cell::Text(text) | Cell::Conversation(text) => Ok(text),
            other => Err(other),
        })
    }

    /// Texts, empty where there is none.
    pub(crate) fn texts_or_none(self) -> Result<Vec<String>, DataError> {
        self.each("a text", |cell| match cell {
            Cell::Text(text) | Cell::Conversation(text) => Ok(text),
            Cell::Null => Ok(String::new()),
            other => Err(other),
        })
    }

    /// Texts or numbers that name a row.
    pub(crate) fn ids(self) -> Result<Vec<String>, DataError> {
        self.each("an id", |cell| cell.label().ok_or(cell))
    }

    /// Classes: 1 for good, 0 for bad, `None` for a value that is `unscored`.
    pub(crate) fn classes(self, layout: &Layout, unscored: impl Fn(&Cell) -> bool) -> Result<Vec<Option<u8>>, DataError> {
        self.each(&layout.expected(), |cell| match layout.class(&cell) {
            _ if unscored(&cell) => Ok(None),
            Some(class) => Ok(Some(class)),
            None => Err(cell),
        })
    }

    /// The value of each cell; `value` gives back a cell that has none.
    fn each<T>(self, expected: &str, value: impl Fn(Cell) -> Result<T, Cell>) -> Result<Vec<T>, DataError> {
        let Self { path, name, cells } = self;
        let wrong = |at: At, cell: &Cell| cell.refused(path, &name, at, expected);
        cells.into_iter().map(|(at, cell)| value(cell).map_err(|cell| wrong(at, &cell))).collect()
    }
}
