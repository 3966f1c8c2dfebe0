//! Values as they stand in a table, and what texts, scores and ids are made of.

use std::path::Path;

use crate::error::DataError;

/// A value, as far as texts and scores go.
pub(crate) enum Cell {
    /// The row has no such field.
    Missing,
    /// The field says that there is none.
    Null,
    Text(String),
    /// Also 0 and 1 for false and true.
    Number(f64),
    /// Kept whole: seeds and ids may have more digits than a double.
    Integer(i128),
    /// Something else, as a message shows it.
    Other(String),
}

impl Cell {
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
            Self::Text(text) => Ok(Some(text)),
            Self::Null | Self::Missing => Ok(None),
            Self::Number(_) | Self::Integer(_) | Self::Other(_) => Err(()),
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
            Self::Null | Self::Missing | Self::Other(_) => None,
        }
    }

    /// Says that this is not what was expected in a row, counted from 0.
    pub(crate) fn refused(&self, path: &Path, column: &str, row: usize, expected: &'static str) -> DataError {
        DataError::Value { path: path.into(), column: column.to_owned(), row: row + 1, found: self.shown(), expected }
    }

    /// Quoted if it is a text, and no longer than a line.
    fn shown(&self) -> String {
        let (most, dots) = (40, "...");
        match self {
            Self::Missing | Self::Null => "nothing".into(),
            Self::Number(number) => number.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => match text.char_indices().nth(most) {
                Some((end, _)) => format!("{:?}{dots}", &text[..end]),
                None => format!("{text:?}"),
            },
            Self::Other(text) => match text.char_indices().nth(most) {
                Some((end, _)) => format!("{}{dots}", &text[..end]),
                None => text.clone(),
            },
        }
    }
}

/// A column of a table, with what a message needs to name one of its values.
pub(crate) struct Column<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
}

impl Column<'_> {
    pub(crate) fn texts(self) -> Result<Vec<String>, DataError> {
        self.each("a text", |cell| match cell {
            Cell::Text(text) => Ok(text),
            other => Err(other),
        })
    }

    /// Texts, empty where there is none.
    pub(crate) fn texts_or_none(self) -> Result<Vec<String>, DataError> {
        self.each("a text", |cell| match cell {
            Cell::Text(text) => Ok(text),
            Cell::Null => Ok(String::new()),
            other => Err(other),
        })
    }

    /// Texts or numbers that name a row.
    pub(crate) fn ids(self) -> Result<Vec<String>, DataError> {
        self.each("an id", |cell| cell.label().ok_or(cell))
    }

    /// Scores, `None` for a value that is `unscored`.
    pub(crate) fn scores(self, unscored: impl Fn(&Cell) -> bool) -> Result<Vec<Option<f64>>, DataError> {
        self.each("a number from 0 to 1", |cell| match cell.number() {
            _ if unscored(&cell) => Ok(None),
            Some(score) if (0.0..=1.0).contains(&score) => Ok(Some(score)),
            _ => Err(cell),
        })
    }

    /// The value of each cell; `value` gives back a cell that has none.
    fn each<T>(self, expected: &'static str, value: impl Fn(Cell) -> Result<T, Cell>) -> Result<Vec<T>, DataError> {
        let Self { path, name, cells } = self;
        let wrong = |row: usize, cell: &Cell| cell.refused(path, &name, row, expected);
        cells.into_iter().enumerate().map(|(row, cell)| value(cell).map_err(|cell| wrong(row, &cell))).collect()
    }
}
