//! Values as they stand in a table.

use std::fmt::Write;
use std::path::Path;

use crate::at::At;
use crate::error::DataError;

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
        let is_missing = |text: &str| {
            ["", "null", "none", "na", "n/a"].contains(&text.trim().to_ascii_lowercase().as_str())
        };
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
            Self::Null | Self::Missing | Self::Conversation(_) | Self::List(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// Says that this is not what was expected there.
    pub(crate) fn refused(&self, path: &Path, column: &str, at: At, expected: &str) -> DataError {
        let way_out = match self {
            Self::List(_) => format!("; {column}.0 is the first of them"),
            _ => String::new(),
        };
        let (column, found, expected) =
            (column.to_owned(), self.shown(), format!("{expected}{way_out}"));
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
