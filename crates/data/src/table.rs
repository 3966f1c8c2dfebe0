//! Tables of any kind: only the columns asked for are kept.

use std::path::Path;
use std::sync::Arc;

use crate::at::At;
use crate::cell::Cell;
use crate::column::Column;
use crate::csv::{csv_names, csv_rows};
use crate::error::DataError;
use crate::format::open;
use crate::jsonl::Objects;
use crate::kind::Kind;
use crate::layout::Layout;
use crate::parquet::Parquet;
use crate::record::{Origin, Record};
use crate::shape::Shape;

/// Reads a table of labelled texts, in the order of the file.
///
/// The kind of table follows from the file's ending: `.parquet`, `.csv`, `.tsv`, `.jsonl`,
/// `.ndjson` or `.json` (an object on each line, or one array of objects), packed as `.gz`, `.zst`
/// or `.zip` or not; and from how the file begins where the ending says nothing or something else.
/// `a.zip/b.csv` is a file of an archive.
///
/// # Errors
/// A [`DataError`] that names the file, and the column and row where there are any: unknown kind,
/// damaged file, invalid UTF-8, missing column, wrong type, missing text, missing score or one that
/// is neither a word of `layout` nor a number from 0 to 1, no rows.
pub fn read(path: &Path, layout: &Layout) -> Result<Vec<Record>, DataError> {
    layout.check()?;
    let table = Table::open(path)?;
    let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
    table.records(layout, score, |_| false)
}

/// Reads one column of texts; whatever else the table holds.
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path, column: &str) -> Result<Vec<String>, DataError> {
    Table::open_for(path, &[column])?.read(&[column])?.remove(0).texts()
}

/// The names of the columns of a table: all that any row has. Fields of structs and objects are
/// columns of their own, also where a list holds them.
///
/// # Errors
/// As [`read`], as far as that can be seen without reading the values.
pub fn columns(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(Table::open(path)?.names())
}

/// A file that is there and not empty, and what its columns are.
pub(crate) struct Table<'a> {
    path: &'a Path,
    kind: Kind,
    shape: Shape,
    /// The first row of a CSV file, which may name a column twice.
    header: Vec<String>,
}

impl<'a> Table<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, DataError> {
        Self::opened(path, |_| false)
    }

    /// Looks at no more of a table of JSON objects than is needed to find these columns.
    pub(crate) fn open_for(path: &'a Path, names: &[&str]) -> Result<Self, DataError> {
        Self::opened(path, |shape| names.iter().all(|name| shape.has(name)))
    }

    fn opened(path: &'a Path, is_enough: impl Fn(&Shape) -> bool) -> Result<Self, DataError> {
        let (opened, empty) = (open(path)?, || DataError::Empty { path: path.into() });
        let kind = opened.kind;
        let (mut shape, mut header) = (Shape::default(), Vec::new());
        match kind {
            Kind::Parquet => shape = Parquet::open(path, opened.content.into_bytes()?)?.shape(),
            Kind::Csv | Kind::Tsv => {
                header = csv_names(path, kind, opened.content.read)?.ok_or_else(empty)?;
                shape = Shape::of(header.iter().map(|name| (name.clone(), Shape::value())));
            }
            Kind::JsonLines | Kind::JsonArray => {
                let mut objects = Objects::new(path, kind, opened.content.read);
                if !objects.next_shape(&mut shape)? {
                    return Err(empty());
                }
                while !is_enough(&shape) && objects.next_shape(&mut shape)? {}
            }
        }
        Ok(Self { path, kind, shape, header })
    }

    fn names(&self) -> Vec<String> {
        if self.header.is_empty() { self.shape.paths() } else { self.header.clone() }
    }

    /// The column of scores, if the table has one.
    pub(crate) fn score<'l>(&self, layout: &'l Layout) -> Option<&'l str> {
        layout.score.iter().find(|name| self.has(name)).map(String::as_str)
    }

    /// The column of texts.
    fn text<'l>(&self, layout: &'l Layout) -> Result<&'l str, DataError> {
        let names = || std::iter::once(&layout.text).chain(&layout.other_text);
        let missing = || self.missing(&names().collect::<Vec<_>>());
        names().find(|name| self.has(name)).map(String::as_str).ok_or_else(missing)
    }

    /// Whether there is a column of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.shape.has(name)
    }

    /// Says that none of these columns is there.
    pub(crate) fn missing(&self, columns: &[impl AsRef<str>]) -> DataError {
        let quoted: Vec<String> =
            columns.iter().map(|name| format!("{:?}", name.as_ref())).collect();
        DataError::MissingColumn {
            path: self.path.into(),
            column: quoted.join(" or "),
            found: self.listed(),
        }
    }

    /// The names of all columns, for a message.
    pub(crate) fn listed(&self) -> String {
        const MOST: usize = 60;
        let names = self.names();
        if let ([only], Some(hint)) = (names.as_slice(), self.other_separator()) {
            return format!("{only:?} alone: {hint}");
        }
        // white space and nothing would not be seen
        let shown = |name: &String| {
            if name.trim() == name && !name.is_empty() { name.clone() } else { format!("{name:?}") }
        };
        let more = if names.len() > MOST {
            format!(" and {} more", names.len() - MOST)
        } else {
            String::new()
        };
        names.iter().take(MOST).map(shown).collect::<Vec<_>>().join(", ") + &more
    }

    /// What to do about the only column of a file that is parted by something else.
    fn other_separator(&self) -> Option<String> {
        let [only] = self.header.as_slice() else { return None };
        let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars"), (',', "commas")];
        let (separator, name) =
            separators.into_iter().find(|(separator, _)| only.contains(*separator))?;
        let (asked, path) = (if self.kind == Kind::Tsv { "Tabs" } else { "Commas" }, self.path);
        let way_out = match separator {
            '\t' => "rename the file to .tsv".to_owned(),
            ',' => "rename the file to .csv".to_owned(),
            _ => format!(
                "python3 -c 'import pandas; pandas.read_csv({path:?}, \
                 sep=\"{separator}\").to_csv(\"table.csv\", index=False)'"
            ),
        };
        Some(format!("is the file separated by {name}? {asked} are expected: {way_out}"))
    }

    /// Labelled texts, without the rows whose score is `unscored`; how many those are is logged.
    pub(crate) fn records(
        &self,
        layout: &Layout,
        score: &str,
        unscored: impl Fn(&Cell) -> bool,
    ) -> Result<Vec<Record>, DataError> {
        let (texts, scores) = self.texts_and(layout, score)?;
        Ok(self.labelled(texts, scores.classes(layout, unscored)?))
    }

    /// Texts with their continuations and places, without classes, and one column more.
    pub(crate) fn texts_and(
        &self,
        layout: &Layout,
        column: &str,
    ) -> Result<(Vec<Record>, Column<'a>), DataError> {
        let names = [self.text(layout)?, column].into_iter().chain(layout.continuation.as_deref());
        let mut columns = self.read(&names.collect::<Vec<_>>())?;
        let (texts, column) = (columns.remove(0), columns.remove(0));
        let (places, texts) = (texts.places(), texts.texts()?);
        let continuations = match columns.pop() {
            Some(continuations) => continuations.texts_or_none()?,
            None => vec![String::new(); texts.len()],
        };
        let path: Arc<Path> = self.path.into();
        let record = |((text, continuation), at)| Record {
            text,
            continuation,
            label: 0,
            origin: Origin { path: path.clone(), at },
        };
        Ok((texts.into_iter().zip(continuations).zip(places).map(record).collect(), column))
    }

    /// The texts that have a class; how many have none is logged.
    pub(crate) fn labelled(&self, texts: Vec<Record>, classes: Vec<Option<u8>>) -> Vec<Record> {
        let rows = texts.len();
        let record =
            |(record, class): (Record, Option<u8>)| class.map(|label| Record { label, ..record });
        let records: Vec<Record> = texts.into_iter().zip(classes).filter_map(record).collect();
        if records.len() < rows {
            tracing::info!(
                "{}: {} of {rows} rows have no score and are left out",
                self.path.display(),
                rows - records.len()
            );
        }
        records
    }

    /// Goes through the rows one by one, with the cells of these columns in this order. Nothing but
    /// a few of them is in memory; an empty field of a CSV file is an empty text. Gives the number
    /// of halves of characters, which JSON may hold, that were read as U+FFFD.
    pub(crate) fn each_row(
        &self,
        names: &[&str],
        mut each: impl FnMut(At, Vec<Cell>) -> Result<(), DataError>,
    ) -> Result<usize, DataError> {
        if let Some(name) = names.iter().find(|name| !self.has(name)) {
            return Err(self.missing(&[name]));
        }
        for name in names {
            let found = self.header.iter().filter(|there| there == name).count();
            if found > 1 {
                return Err(DataError::RepeatedColumn {
                    path: self.path.into(),
                    column: (*name).to_owned(),
                    found,
                });
            }
        }
        match self.kind {
            Kind::Parquet => {
                let file = open(self.path)?.content.into_bytes()?;
                Parquet::open(self.path, file)?.each_row(names, each).map(|()| 0)
            }
            Kind::Csv | Kind::Tsv => csv_rows(self.path, self.kind, names, each).map(|()| 0),
            Kind::JsonLines | Kind::JsonArray => {
                let mut objects = Objects::new(self.path, self.kind, open(self.path)?.content.read);
                while let Some((at, object)) = objects.next()? {
                    each(at, names.iter().map(|name| crate::json::cell(&object, name)).collect())?;
                }
                Ok(objects.halves)
            }
        }
    }

    /// The columns of these names, in this order; they have rows. An empty field of a CSV file is
    /// nothing, and a list of one is that one.
    pub(crate) fn read(&self, names: &[&str]) -> Result<Vec<Column<'a>>, DataError> {
        let column =
            |&name: &&str| Column { path: self.path, name: name.to_owned(), cells: Vec::new() };
        let mut columns: Vec<_> = names.iter().map(column).collect();
        let is_csv = !self.header.is_empty();
        let is_nothing =
            |cell: &Cell| matches!(cell, Cell::Text(text) if is_csv && text.is_empty());
        let halves = self.each_row(names, |at, cells| {
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.cells.push((at, if is_nothing(&cell) { Cell::Null } else { cell.single() }));
            }
            Ok(())
        })?;
        if columns.iter().any(|column| column.cells.is_empty()) {
            return Err(DataError::Empty { path: self.path.into() });
        }
        if let Some(note) = halves_of_characters(halves) {
            tracing::warn!("{}: {note}", self.path.display());
        }
        Ok(columns)
    }
}

/// Says that texts were cut within a character.
pub(crate) fn halves_of_characters(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} halves of a character, as Python's json.dumps writes a text that was cut \
             within an emoji, are read as U+FFFD (\u{fffd})"
        )
    })
}
