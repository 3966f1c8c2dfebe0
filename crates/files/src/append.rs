//! A file that grows.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, System};
use crate::error::FileError;
use crate::names::split;
use crate::staged;

/// A file that is written at its end. A kill takes nothing of what was [appended](Self::append); a
/// power cut may take what came after the last [`sync`](Self::sync), and whoever reads the file
/// again must be ready to find a part of that, or bytes that nobody wrote.
pub struct AppendFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl fmt::Debug for AppendFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl AppendFile {
    /// Replaces the file by one that begins with `bytes`, as [`write_file`](crate::write_file)
    /// does.
    ///
    /// # Errors
    /// As [`write_file`](crate::write_file).
    pub fn begin(path: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        Self::begin_on(&System, path, bytes)
    }

    pub(crate) fn begin_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        staged::write_file(disk, path, bytes)?;
        let file = disk.append(path).map_err(FileError::of("write", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Goes on at the end of a file, or makes an empty one: for a log that nobody trusts, which may
    /// end in the middle of a line.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_on(&System, path)
    }

    pub(crate) fn open_on(disk: &dyn Disk, path: &Path) -> Result<Self, FileError> {
        let file = match disk.append(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.truncate(path),
            outcome => outcome,
        };
        Ok(Self { path: path.to_owned(), file: file.map_err(FileError::of("write", path))? })
    }

    /// Makes the file begin with `bytes` in its place, for readers that follow it while it grows.
    /// If this does not come to its end, neither the old content nor the new may be there: only for
    /// what can be made again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin_in_place(path: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        Self::begin_in_place_on(&System, path, bytes)
    }

    pub(crate) fn begin_in_place_on(
        disk: &dyn Disk,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Self, FileError> {
        let (place, _) = split(path)?;
        let file = disk.truncate(path).map_err(FileError::of("write", path))?;
        let mut begun = Self { path: path.to_owned(), file };
        begun.append(bytes)?;
        begun.sync()?;
        disk.sync_dir(&place).map_err(FileError::of("sync", &place))?;
        Ok(begun)
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// What the file system says, such as that it is full. A part of the bytes may be there then.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(FileError::of("write", &self.path))
    }

    /// Returns when everything appended so far would survive a power cut.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.file.sync().map_err(FileError::of("sync", &self.path))
    }
}
