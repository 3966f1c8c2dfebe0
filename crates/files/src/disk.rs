//! What this crate asks of the file system: a trait, so that tests can make each of it fail, or be
//! the last thing that happens.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// A file that is being written.
pub(crate) trait DiskFile: Write + Send {
    /// Returns when everything written so far would survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

/// A lock on something temporary, held until it is dropped; empty where there are no locks.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] Option<File>);

impl Lock {
    /// Where there are no locks.
    pub(crate) const NONE: Self = Self(None);
}

/// A file system. Renames stay within a folder and replace a file that is there.
pub(crate) trait Disk {
    /// Makes a file that is not there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there, to write at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a file, or empties the one that is there, in its place.
    fn truncate(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// [`DiskFile::sync`] of a file that somebody else has written.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a folder would survive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Whether something is a directory; nothing if it is not there. A link is no directory.
    fn is_dir(&self, path: &Path) -> io::Result<Option<bool>>;
    /// Whether a folder is there, or a link to one.
    fn is_folder(&self, path: &Path) -> bool;
    /// Locks something temporary; nothing if somebody who lives has done so.
    fn lock(&self, path: &Path) -> Option<Lock>;
}

/// The system's own.
pub(crate) struct System;

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Disk for System {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().write(true).create_new(true).open(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().append(true).open(path)?))
    }

    fn truncate(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        // Windows wants the right to write for this
        File::options().read(true).write(cfg!(windows)).open(path)?.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if cfg!(windows) {
            return Ok(());
        }
        match File::open(path)?.sync_all() {
            // a file system that has no such thing
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn is_dir(&self, path: &Path) -> io::Result<Option<bool>> {
        match path.symlink_metadata() {
            Ok(found) => Ok(Some(found.is_dir())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn lock(&self, path: &Path) -> Option<Lock> {
        let Ok(file) = File::open(path) else { return Some(Lock::NONE) };
        match file.try_lock() {
            Ok(()) => Some(Lock(Some(file))),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(Lock::NONE),
        }
    }
}
