//! IMDB: the Large Movie Review Dataset (Maas et al., ACL 2011), label 1 for positive reviews.

use crate::error::DataError;
use crate::record::{Record, Split};
use crate::source::{Lookup, Names, Source, find};
use crate::table::{Columns, read};

/// Reviews and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// In the order of the file. The embedded reviews come as all negative ones, then all positive ones: shuffle them, see
    /// [`shuffled`](crate::shuffled).
    pub records: Vec<Record>,
    /// The file.
    pub source: Source,
}

const NAMES: Names = Names {
    what: "IMDB reviews",
    folder: "imdb",
    repositories: ["datasets--stanfordnlp--imdb", "datasets--imdb"],
    snapshot_folder: "plain_text",
};

/// Reads a split from the first place of `lookup` that has it: `train` or `test` with columns `text` and `label`, as Parquet,
/// CSV or JSONL, in the place itself or in its folder `imdb`.
///
/// # Errors
/// [`DataError::NotThere`] if a place that the user named does not have it, [`DataError::NotFound`] if none has, and those of
/// [`read`].
pub fn load(split: Split, lookup: &Lookup) -> Result<Dataset, DataError> {
    let source = find(NAMES, split, lookup)?;
    let records = read(&source.path, &Columns::default())?;
    tracing::info!("{} reviews from {source}", records.len());
    Ok(Dataset { records, source })
}
