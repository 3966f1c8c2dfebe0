//! The kinds of tables, and the endings of their names.

use std::path::Path;

/// Endings of the names of tables. Behind each may stand one of [`PACKED`].
pub(crate) const TABLES: [&str; 6] = [".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"];
/// Endings of the names of packed files.
pub(crate) const PACKED: [&str; 4] = [".gz", ".zst", ".zstd", ZIP];
/// Of an archive, which may hold several files.
pub(crate) const ZIP: &str = ".zip";
/// As messages list them.
pub(crate) const EXPECTED: &str =
    ".parquet, .csv, .tsv, .jsonl, .ndjson or .json, or one of these as .gz, .zst or .zip";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Parquet,
    Csv,
    Tsv,
    /// An object on each line.
    JsonLines,
    /// One array of objects.
    JsonArray,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::JsonLines => "JSONL",
            Self::JsonArray => "JSON",
        }
    }

    /// What a name says.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ending = TABLES.iter().find(|ending| name.ends_with(*ending))?;
        Some(match *ending {
            ".parquet" => Self::Parquet,
            ".csv" => Self::Csv,
            ".tsv" => Self::Tsv,
            _ => Self::JsonLines,
        })
    }
}

/// What a message calls the table of this name.
pub(crate) fn kind_of_name(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let bare = PACKED.iter().find_map(|ending| name.strip_suffix(ending));
    Kind::named(bare.unwrap_or(&name)).map_or("", Kind::name)
}
