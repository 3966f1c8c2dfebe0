//! Generated texts of any tool: which columns they are in, and what is read of them.

use std::path::Path;

use crate::at::At;
use crate::cell::Cell;
use crate::error::DataError;
use crate::table::{Table, halves_of_characters};
use crate::texts::{Labels, Texts};

/// The names of the columns of a table of generated texts.
///
/// As in [`Layout`](crate::Layout), "a.b" is a column of that name or the field `b` of an object or
/// struct `a`, "a.0" the first entry of a list, and "a.b" what each entry has as `b` where `a` is a
/// list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationColumns {
    /// Prompts.
    pub prompt: Option<String>,
    /// Responses, or whole texts.
    pub response: String,
    /// Scores of the responses.
    pub score: Option<String>,
    /// Scores of the prompts alone.
    pub prompt_score: Option<String>,
    /// Scores of the responses by another scorer.
    pub judge: Option<String>,
    /// What tells methods, seeds and the like apart.
    pub group: Vec<String>,
}

/// Scores of rows: `None` where there is none. NaN and infinities are kept, for the reader to
/// count.
pub type Scores = Vec<Option<f64>>;

/// Generated texts, one entry per row in every column that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generations {
    /// Prompts.
    pub prompts: Option<Texts>,
    /// Responses.
    pub responses: Texts,
    /// Scores of the responses.
    pub scores: Option<Scores>,
    /// Scores of the prompts alone.
    pub prompt_scores: Option<Scores>,
    /// Scores of the responses by another scorer.
    pub judge: Option<Scores>,
    /// One column for each name in [`GenerationColumns::group`].
    pub groups: Vec<Labels>,
    /// What must be said of how they were read, as sentences without a stop.
    pub notes: Vec<String>,
}

/// Reads generated texts from any kind of table, a few rows at a time: of a large file, no more
/// than the columns asked for is ever in memory. [`table::read`](crate::table::read) says which
/// kinds there are.
///
/// A score may be a number, true or false, or a text that says one of these; nothing, an empty
/// field, `null`, `None` and `NA` are missing scores. JSON may have `NaN`, `Infinity` and
/// `-Infinity`, as Python writes them. A text that is not there (null) is missing; an empty field
/// of a CSV file is an empty text.
///
/// A list of one is that one. Of a list of several responses, each is a row: what else the row has
/// as a list of the same length goes with them one by one, and what it has as a single value, or as
/// a list of one, goes with each. A list of objects with `role` and `content` is a conversation: a
/// text, the contents with a line end between them.
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row or line where there are any: unknown
/// kind, damaged file, invalid UTF-8, missing column, wrong type, lists that do not go together, no
/// rows.
pub fn read_generations(
    path: &Path,
    columns: &GenerationColumns,
) -> Result<Generations, DataError> {
    // one table for one set of columns
    read_generations_of_each(path, std::slice::from_ref(columns))
        .map(|mut tables| tables.pop().unwrap_or_default())
}

/// Reads what several sets of columns name, such as those of each method of a wide table, as
/// [`read_generations`] reads each of them; the rows of the file are gone through once. Gives one
/// table for each set.
///
/// # Errors
/// As [`read_generations`].
pub fn read_generations_of_each(
    path: &Path,
    sets: &[GenerationColumns],
) -> Result<Vec<Generations>, DataError> {
    let mut parts: Vec<Part<'_>> = sets.iter().map(|columns| Part::new(path, columns)).collect();
    let names: Vec<&str> = parts.iter().flat_map(|part| part.names.clone()).collect();
    let table = Table::open_for(path, &names)?;
    let halves = table.each_row(&names, |at, mut cells| {
        for part in &mut parts {
            let of_others = cells.split_off(part.names.len());
            part.add(at, cells)?;
            cells = of_others;
        }
        Ok(())
    })?;
    parts.into_iter().map(|part| part.finish(halves)).collect()
}

/// What is read of a file for one set of columns.
struct Part<'a> {
    path: &'a Path,
    /// The response first, then what else there is in the order of the fields.
    names: Vec<&'a str>,
    read: Generations,
    /// Rows that hold lists of responses, and the rows that these are read as.
    lists: usize,
    rows_of_lists: usize,
    /// How many conversations each column holds.
    conversations: Vec<usize>,
}

impl<'a> Part<'a> {
    fn new(path: &'a Path, columns: &'a GenerationColumns) -> Self {
        let optional = [&columns.prompt, &columns.score, &columns.prompt_score, &columns.judge];
        let names: Vec<&str> = std::iter::once(&columns.response)
            .chain(optional.into_iter().flatten())
            .chain(&columns.group)
            .map(String::as_str)
            .collect();
        let column = |there: &Option<String>| there.as_ref().map(|_| Scores::new());
        let read = Generations {
            prompts: columns.prompt.as_ref().map(|_| Texts::default()),
            responses: Texts::default(),
            scores: column(&columns.score),
            prompt_scores: column(&columns.prompt_score),
            judge: column(&columns.judge),
            groups: vec![Labels::default(); columns.group.len()],
            notes: Vec::new(),
        };
        let conversations = vec![0; names.len()];
        Self { path, names, read, lists: 0, rows_of_lists: 0, conversations }
    }

    /// Adds a row, whose cells are in the order of the names.
    fn add(&mut self, at: At, cells: Vec<Cell>) -> Result<(), DataError> {
        for (count, cell) in self.conversations.iter_mut().zip(&cells) {
            *count += usize::from(matches!(cell, Cell::Conversation(_)));
        }
        if !cells.iter().any(|cell| matches!(cell, Cell::List(_))) {
            return push(self.path, &self.names, &mut self.read, at, &cells);
        }
        let (path, names) = (self.path, &self.names);
        let rows = exploded(cells, |lengths| {
            let columns = names.iter().zip(lengths).filter_map(|(name, length)| {
                Some(format!("{name} holds a list of {}", (*length)?))
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            DataError::Lists { path: path.into(), at, columns }
        })?;
        if rows.len() > 1 {
            (self.lists, self.rows_of_lists) = (self.lists + 1, self.rows_of_lists + rows.len());
        }
        rows.into_iter().try_for_each(|cells| push(path, names, &mut self.read, at, &cells))
    }

    /// The table, with what must be said of it; `halves` of characters are those of the whole file.
    fn finish(self, halves: usize) -> Result<Generations, DataError> {
        let Self { path, names, mut read, lists, rows_of_lists, conversations } = self;
        if read.responses.is_empty() {
            return Err(DataError::Empty { path: path.into() });
        }
        read.notes.extend(halves_of_characters(halves));
        if lists > 0 {
            read.notes.push(format!(
                "{lists} rows hold lists of responses, of which each is read as a row: \
                 {rows_of_lists} of {}",
                read.responses.len()
            ));
        }
        let said = names.iter().zip(conversations).filter(|(_, count)| *count > 0);
        read.notes.extend(said.map(|(name, count)| {
            format!(
                "{count} rows hold a conversation as {name}: its contents are read in order, \
                without roles, with a line end between them"
            )
        }));
        Ok(read)
    }
}

/// The rows that a row with a list of responses stands for; the first cell is the response. A list
/// of one is that one, whatever stands beside it. `unlike` says what is wrong, by the length of
/// each list of several.
fn exploded(
    cells: Vec<Cell>,
    unlike: impl Fn(&[Option<usize>]) -> DataError,
) -> Result<Vec<Vec<Cell>>, DataError> {
    let cells: Vec<Cell> = cells.into_iter().map(Cell::single).collect();
    let lengths: Vec<Option<usize>> = cells
        .iter()
        .map(|cell| if let Cell::List(list) = cell { Some(list.len()) } else { None })
        .collect();
    // a list beside one response is refused as what it is
    let Some(&Some(count)) = lengths.first() else { return Ok(vec![cells]) };
    if lengths.iter().flatten().any(|length| *length != count) {
        return Err(unlike(&lengths));
    }
    let mut rows: Vec<Vec<Cell>> = (0..count).map(|_| Vec::with_capacity(cells.len())).collect();
    for cell in cells {
        match cell {
            Cell::List(list) => rows.iter_mut().zip(list).for_each(|(row, cell)| row.push(cell)),
            single => rows.iter_mut().for_each(|row| row.push(single.clone())),
        }
    }
    Ok(rows)
}

/// Adds a row; the cells are in the order of the names.
fn push(
    path: &Path,
    names: &[&str],
    read: &mut Generations,
    at: At,
    cells: &[Cell],
) -> Result<(), DataError> {
    let mut cells = cells.iter().zip(names);
    let mut next = || cells.next().unwrap_or((&Cell::Missing, &""));
    let wrong = |name: &str, cell: &Cell, expected| cell.refused(path, name, at, expected);
    let text = |(cell, name): (&Cell, &&str), texts: &mut Texts| {
        texts.push(cell.optional_text().map_err(|()| wrong(name, cell, "a text"))?);
        Ok::<_, DataError>(())
    };
    text(next(), &mut read.responses)?;
    if let Some(prompts) = &mut read.prompts {
        text(next(), prompts)?;
    }
    for scores in [&mut read.scores, &mut read.prompt_scores, &mut read.judge].into_iter().flatten()
    {
        let (cell, name) = next();
        scores.push(cell.optional_number().map_err(|()| wrong(name, cell, "a number"))?);
    }
    for labels in &mut read.groups {
        let (cell, name) = next();
        labels.push(&cell.label().ok_or_else(|| wrong(name, cell, "a name"))?);
    }
    Ok(())
}
