//! Digests of what a run reads, so that it goes on with the same models and texts, wherever they
//! are.

use std::path::Path;

use tailguard_checkpoint::{CheckpointError, Digest, ModelDir};
use tailguard_data::Record;

/// SHA-256 over the files of a model directory.
///
/// # Errors
/// A directory or a file that cannot be read.
pub fn of_model(dir: &Path) -> Result<String, CheckpointError> {
    let mut digest = Digest::default();
    for path in ModelDir::open(dir)?.files()? {
        digest.file(&path)?;
    }
    Ok(digest.hex())
}

/// SHA-256 of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    let mut digest = Digest::default();
    digest.update(bytes);
    digest.hex()
}

/// SHA-256 of a file.
///
/// # Errors
/// A file that cannot be read.
pub fn of_file(path: &Path) -> Result<String, CheckpointError> {
    let mut digest = Digest::default();
    digest.file(path)?;
    Ok(digest.hex())
}

/// SHA-256 over texts and classes, whatever kind of file they came from.
pub(crate) fn of_texts(records: &[Record]) -> String {
    let mut digest = Digest::default();
    for record in records {
        for part in [&record.text, &record.continuation] {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest.update(&[record.label]);
    }
    digest.hex()
}
