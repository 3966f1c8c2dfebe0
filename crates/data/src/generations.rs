//! Generated texts of any tool: which columns they are in, and what is read of them.

use std::path::Path;

use crate::cell::Cell;
use crate::error::DataError;
use crate::table::Table;
use crate::texts::{Labels, Texts};

/// The names of the columns of a table of generated texts.
///
/// As in [`Layout`](crate::Layout), "a.b" is a column of that name or the field `b` of an object or struct `a`.
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

/// Scores of rows: `None` where there is none. NaN and infinities are kept, for the reader to count.
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
}

/// Reads generated texts from Parquet, CSV or JSONL, a few rows at a time: of a large file, no more than the columns asked for is
/// ever in memory.
///
/// A score may be a number, true or false, or a text that says one of these; nothing, an empty field, `null`, `None` and `NA`
/// are missing scores. JSONL may have `NaN`, `Infinity` and `-Infinity`, as Python writes them. A text that is not there (null)
/// is missing; an empty field of a CSV file is an empty text.
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row or line where there are any: unknown ending, damaged file, invalid
/// UTF-8, missing column, wrong type, no rows.
pub fn read_generations(path: &Path, columns: &GenerationColumns) -> Result<Generations, DataError> {
    let table = Table::open(path)?;
    let optional = [&columns.prompt, &columns.score, &columns.prompt_score, &columns.judge];
    let names: Vec<&str> = std::iter::once(&columns.response)
        .chain(optional.into_iter().flatten())
        .chain(&columns.group)
        .map(String::as_str)
        .collect();
    let column = |there: &Option<String>| there.as_ref().map(|_| Scores::new());
    let mut read = Generations {
        prompts: columns.prompt.as_ref().map(|_| Texts::default()),
        responses: Texts::default(),
        scores: column(&columns.score),
        prompt_scores: column(&columns.prompt_score),
        judge: column(&columns.judge),
        groups: vec![Labels::default(); columns.group.len()],
    };
    table.each_row(&names, |row, cells| {
        // in the order of `names`
        let mut cells = cells.iter().zip(&names);
        let mut next = || cells.next().unwrap_or((&Cell::Missing, &""));
        let wrong = |name: &str, cell: &Cell, expected| cell.refused(path, name, row, expected);
        let text = |(cell, name): (&Cell, &&str), texts: &mut Texts| {
            texts.push(cell.optional_text().map_err(|()| wrong(name, cell, "a text"))?);
            Ok::<_, DataError>(())
        };
        text(next(), &mut read.responses)?;
        if let Some(prompts) = &mut read.prompts {
            text(next(), prompts)?;
        }
        for scores in [&mut read.scores, &mut read.prompt_scores, &mut read.judge].into_iter().flatten() {
            let (cell, name) = next();
            scores.push(cell.optional_number().map_err(|()| wrong(name, cell, "a number"))?);
        }
        for labels in &mut read.groups {
            let (cell, name) = next();
            labels.push(&cell.label().ok_or_else(|| wrong(name, cell, "a name"))?);
        }
        Ok(())
    })?;
    if read.responses.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    Ok(read)
}
