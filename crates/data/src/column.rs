//! A column of a table, as the texts, ids or classes that it should hold.

use std::path::Path;

use crate::at::At;
use crate::cell::Cell;
use crate::error::DataError;
use crate::layout::Layout;

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
    pub(crate) fn classes(
        self,
        layout: &Layout,
        unscored: impl Fn(&Cell) -> bool,
    ) -> Result<Vec<Option<u8>>, DataError> {
        self.each(&layout.expected(), |cell| match layout.class(&cell) {
            _ if unscored(&cell) => Ok(None),
            Some(class) => Ok(Some(class)),
            None => Err(cell),
        })
    }

    /// The value of each cell; `value` gives back a cell that has none.
    fn each<T>(
        self,
        expected: &str,
        value: impl Fn(Cell) -> Result<T, Cell>,
    ) -> Result<Vec<T>, DataError> {
        let Self { path, name, cells } = self;
        let wrong = |at: At, cell: &Cell| cell.refused(path, &name, at, expected);
        cells.into_iter().map(|(at, cell)| value(cell).map_err(|cell| wrong(at, &cell))).collect()
    }
}
