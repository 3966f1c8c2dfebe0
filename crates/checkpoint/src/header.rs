//! The header of a safetensors file: eight bytes of length, then JSON that places each tensor in
//! the data behind it.
//!
//! Format: <https://huggingface.co/docs/safetensors>. It is parsed here, and not by the
//! `safetensors` crate, because that crate wants the whole file in memory and its errors carry no
//! numbers. The tests hold both against each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::CheckpointError;
use crate::foreign;

/// Bytes before the JSON text.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// The limit of the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Key of the free-form text entries.
const METADATA: &str = "__metadata__";

/// What the header says about one tensor.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// `"F32"`, `"F16"`, `"BF16"`, `"I64"`, ...
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// Begin and end in bytes, counted from the end of the header.
    pub(crate) data_offsets: [u64; 2],
}

/// Reads and checks the header; gives the entries and the position of the first data byte.
pub(crate) fn read(
    file: &mut File,
    path: &Path,
) -> Result<(BTreeMap<String, Entry>, u64), CheckpointError> {
    let found = file.metadata().map_err(CheckpointError::io(path, "read"))?.len();
    let file_size = |expected| CheckpointError::FileSize { path: path.to_owned(), found, expected };
    if found < LENGTH_BYTES {
        return Err(file_size(LENGTH_BYTES));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(CheckpointError::io(path, "read"))?;
    if foreign::is_lfs_pointer(&length) {
        return Err(CheckpointError::LfsPointer { path: path.to_owned() });
    }
    let length = u64::from_le_bytes(length);
    let too_large = || CheckpointError::HeaderSize {
        path: path.to_owned(),
        found: length,
        limit: MAX_HEADER_BYTES,
    };
    if length > MAX_HEADER_BYTES {
        return Err(too_large());
    }
    let data = LENGTH_BYTES + length;
    if data > found {
        return Err(file_size(data));
    }
    let mut text = vec![0; usize::try_from(length).map_err(|_| too_large())?];
    file.read_exact(&mut text).map_err(CheckpointError::io(path, "read"))?;
    let entries = parse(&text, path)?;
    let end = check(&entries, path)?;
    let expected = data.saturating_add(end);
    if expected == found { Ok((entries, data)) } else { Err(file_size(expected)) }
}

fn parse(text: &[u8], path: &Path) -> Result<BTreeMap<String, Entry>, CheckpointError> {
    let text = std::str::from_utf8(text)
        .map_err(|source| CheckpointError::HeaderText { path: path.to_owned(), source })?;
    let json = |source| CheckpointError::Json { path: path.to_owned(), source };
    let mut entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(json)?;
    entries.remove(METADATA);
    entries
        .into_iter()
        .map(|(name, entry)| Ok((name, serde_json::from_value(entry).map_err(json)?)))
        .collect()
}

/// Holds the tensors against the rule that they lie end to end, without overlap or hole; gives the
/// last end.
fn check(entries: &BTreeMap<String, Entry>, path: &Path) -> Result<u64, CheckpointError> {
    let mut in_order: Vec<(&String, &Entry)> = entries.iter().collect();
    in_order.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    for (name, entry) in in_order {
        // Where the type is unknown its size is too: then only the order can be checked. Such a
        // tensor is never read.
        let size = match bytes_per_element(&entry.dtype) {
            Some(bytes) => entry
                .shape
                .iter()
                .try_fold(bytes, |size, &extent| size.checked_mul(u64::try_from(extent).ok()?)),
            None => Some(entry.data_offsets[1].saturating_sub(entry.data_offsets[0])),
        };
        let Some(next) = size.and_then(|size| size.checked_add(end)) else {
            return Err(CheckpointError::TooLarge {
                path: path.to_owned(),
                name: name.clone(),
                shape: entry.shape.clone(),
            });
        };
        if entry.data_offsets != [end, next] {
            let (found, expected) = (entry.data_offsets, [end, next]);
            return Err(CheckpointError::Offsets {
                path: path.to_owned(),
                name: name.clone(),
                found,
                expected,
            });
        }
        end = next;
    }
    Ok(end)
}

fn bytes_per_element(dtype: &str) -> Option<u64> {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" => Some(1),
        "U16" | "I16" | "F16" | "BF16" => Some(2),
        "U32" | "I32" | "F32" => Some(4),
        "U64" | "I64" | "F64" => Some(8),
        _ => None,
    }
}

/// The eight bytes of length and the JSON text, padded with spaces so that the data begin at a
/// multiple of eight.
///
/// `format` goes into the metadata: `transformers` opens a file only if it says `pt`.
pub(crate) fn write(entries: &[(&str, Entry)], format: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut header = serde_json::Map::new();
    header.insert(METADATA.to_owned(), serde_json::json!({ "format": format }));
    for (name, entry) in entries {
        header.insert((*name).to_owned(), serde_json::to_value(entry)?);
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}
