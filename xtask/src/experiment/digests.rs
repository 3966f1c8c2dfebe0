//! Digests of what a run reads, so that it goes on with the same models and texts, wherever they are.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tailguard_checkpoint::ModelDir;
use tailguard_data::Record;

/// SHA-256 over the files of a model directory.
pub(crate) fn of_model(dir: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    for path in ModelDir::open(dir)?.files()? {
        read(&path, &mut digest).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(hex(digest))
}

/// SHA-256 of a file.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    read(path, &mut digest).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(digest))
}

fn read(path: &Path, digest: &mut Sha256) -> std::io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        digest.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
}

/// SHA-256 over texts and classes, whatever kind of file they came from.
pub(crate) fn of_texts(records: &[Record]) -> String {
    let mut digest = Sha256::new();
    for record in records {
        for part in [&record.text, &record.continuation] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.update([record.label]);
    }
    hex(digest)
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
