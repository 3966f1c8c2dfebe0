#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! - [`write_file`], [`stream_file`] and [`write_dir`] replace a file or a directory. What is read
//!   afterwards is the old content or the new, never a part and never neither.
//! - [`AppendFile`] is a log: what it held when it was last [synced](AppendFile::sync) stays.
//! - [`recover_all`] puts right what dead processes left below a folder. Every write does the same
//!   for its own path.
//!
//! ## How
//! A directory cannot be renamed over another, so the old one is renamed away first. If the process
//! ends between the two, the old one is renamed back by whoever comes next.
//!
//! A temporary is called `.NAME.ID.tailguard-new`, or `-old`, where the ID is 16 hexadecimal
//! digits; it belongs to `NAME` alone. It is locked while its process lives, where the file system
//! has locks: only temporaries of dead processes are ever touched.
//!
//! On a system or file system that cannot sync a folder (Windows, some network drives), a power cut
//! may bring the old content back; it is whole.

mod append;
mod disk;
mod error;
mod names;
mod recover;
mod staged;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use append::AppendFile;
pub use error::FileError;

use disk::System;

/// Replaces a file by one that holds `bytes`, or makes it.
///
/// # Errors
/// What the file system says. Then the file is as it was; only if the very last step failed, the
/// sync of its folder, it is the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    stream_file(path, |file| file.write_all(bytes).map_err(FileError::of("write", path)))
}

/// [`write_file`] for contents that are made on the way.
///
/// # Errors
/// What `fill` returns, or as [`write_file`].
pub fn stream_file<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    staged::stream_file(&System, path, fill)
}

/// Replaces a directory by one that `fill` writes at the path that it is given, or makes it, and
/// the folders above it.
///
/// # Errors
/// What `fill` returns, or what the file system says. Then the directory is as it was; only if the
/// very last step failed, the sync of its folder, it is the new one. If it was moved away and
/// cannot be moved back, the error says where it is, and the next [`recover`] brings it back.
pub fn write_dir<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    staged::write_dir(&System, path, fill)
}

/// Removes a directory with all that is in it, at once for whoever looks for its name. None is
/// fine.
///
/// # Errors
/// What the file system says.
pub fn remove_dir(path: &Path) -> Result<(), FileError> {
    staged::remove_dir(&System, path)
}

/// Makes a folder and those above it, as far as they are not there.
///
/// # Errors
/// What the file system says.
pub fn create_dirs(path: &Path) -> Result<(), FileError> {
    staged::create_dirs(&System, path)
}

/// Writes and removes a temporary of some bytes in a folder: whether it can be written is found out
/// before hours of work, not after.
///
/// # Errors
/// What the file system says.
pub fn probe(folder: &Path, bytes: usize) -> Result<(), FileError> {
    staged::probe(&System, folder, bytes)
}

/// Removes a file and what this process has written so far to replace it: for a process that is
/// about to end. What is not there, or cannot be removed, is passed over.
pub fn discard(path: &Path) {
    recover::discard(&System, path);
}

/// Puts right what dead processes left of writing `path`: a directory that was moved away comes
/// back if its successor had not taken its place, and temporaries go. Gives the temporaries.
///
/// # Errors
/// What the file system says.
pub fn recover(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    recover::recover(&System, path)
}

/// [`recover`] for everything in a folder and the folders below it. Links are not followed.
///
/// # Errors
/// What the file system says.
pub fn recover_all(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    recover::recover_all(&System, folder)
}

/// Whether a name is that of a temporary, as this crate alone gives it.
#[must_use]
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    names::parse(name).is_some()
}
