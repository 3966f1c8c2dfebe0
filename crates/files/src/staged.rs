//! Writing beside the final place, and taking it.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, Lock};
use crate::error::FileError;
use crate::names::{self, Id, Kind, openable, split};
use crate::recover::{recover, remove_all};

pub(crate) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    stream_file(disk, path, |file| file.write_all(bytes).map_err(FileError::of("write", path)))
}

pub(crate) fn stream_file<E: From<FileError>>(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let (place, name) = split(path)?;
    recover(disk, path)?;
    let (staged, file, _lock) = create(disk, &place, name).map_err(FileError::of("write", path))?;
    let written = fill_file(path, file, fill)
        .and_then(|()| Ok(disk.rename(&staged, path).map_err(FileError::of("replace", path))?));
    if written.is_err() {
        // the first error is the one to tell; what stays is removed by the next write
        let _ = disk.remove_file(&staged);
    }
    written?;
    Ok(disk.sync_dir(&place).map_err(FileError::of("sync", &place))?)
}

fn fill_file<E: From<FileError>>(
    path: &Path,
    file: Box<dyn DiskFile>,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = BufWriter::new(file);
    fill(&mut file)?;
    file.flush().map_err(FileError::of("write", path))?;
    Ok(file.get_mut().sync().map_err(FileError::of("sync", path))?)
}

pub(crate) fn write_dir<E: From<FileError>>(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (place, name) = split(path)?;
    create_dirs(disk, &place)?;
    recover(disk, path)?;
    let made = unused(&place, name, |staged| disk.create_dir(staged));
    let (id, staged, ()) = made.map_err(FileError::of("write", path))?;
    // both directories, by whatever names they have on the way
    let _locks = [disk.lock(&staged), disk.lock(path)];
    let away = place.join(names::name(name, id, Kind::Old));
    let written = fill(&staged).and_then(|()| {
        sync_all(disk, &staged).map_err(FileError::of("sync", path))?;
        // whatever an earlier write had moved away has gone for good: there is one directory that
        // may be brought back
        disk.sync_dir(&place).map_err(FileError::of("sync", &place))?;
        Ok(replace(disk, path, &staged, &away).map_err(FileError::of("replace", path))?)
    });
    if written.is_err() {
        // the first error is the one to tell; what stays is removed by the next write
        let _ = remove_all(disk, &staged);
    }
    written?;
    // not before: until then a power cut may bring the old directory's name back, and it has to
    // have its contents
    disk.sync_dir(&place).map_err(FileError::of("sync", &place))?;
    let _ = remove_all(disk, &away);
    Ok(())
}

/// Renames the old directory away and the new one into its place.
fn replace(disk: &dyn Disk, path: &Path, staged: &Path, away: &Path) -> io::Result<()> {
    let is_there = disk.is_dir(path)?.is_some();
    if is_there {
        disk.rename(path, away)?;
    }
    let Err(error) = disk.rename(staged, path) else { return Ok(()) };
    if is_there && disk.rename(away, path).is_err() {
        let message = format!("{error}; what was there is now {}", away.display());
        return Err(io::Error::new(error.kind(), message));
    }
    Err(error)
}

/// Syncs a directory with everything in it, whoever wrote it.
fn sync_all(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for name in disk.list(path)? {
        let path = path.join(name);
        match disk.is_dir(&path)? {
            Some(true) => sync_all(disk, &path)?,
            _ => disk.sync_file(&path)?,
        }
    }
    disk.sync_dir(path)
}

pub(crate) fn remove_dir(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    let (place, name) = split(path)?;
    let removed = || {
        if disk.is_dir(path)?.is_none() {
            return Ok(());
        }
        // under this name it is what a dead process did not finish, and goes however far this comes
        let (id, lock) = (Id::next(), disk.lock(path));
        let gone = place.join(names::name(name, id, Kind::New));
        disk.rename(path, &gone)?;
        disk.sync_dir(&place)?;
        remove_all(disk, &gone)?;
        drop(lock);
        Ok(())
    };
    removed().map_err(FileError::of("remove", path))
}

pub(crate) fn create_dirs(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    if disk.is_folder(path) {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    let parent = openable(parent);
    create_dirs(disk, parent)?;
    match disk.create_dir(path) {
        // another process was faster
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && disk.is_folder(path) => {
            Ok(())
        }
        outcome => outcome.map_err(FileError::of("make", path)),
    }?;
    disk.sync_dir(parent).map_err(FileError::of("sync", parent))
}

pub(crate) fn probe(disk: &dyn Disk, folder: &Path, bytes: usize) -> Result<(), FileError> {
    let probed = || {
        let (staged, mut file, _lock) = create(disk, folder, OsStr::new("probe"))?;
        let written = file.write_all(&vec![0; bytes]).and_then(|()| file.sync());
        drop(file);
        written.and(disk.remove_file(&staged))
    };
    probed().map_err(FileError::of("write", folder))
}

/// A new and locked file for the content of `name`.
fn create(
    disk: &dyn Disk,
    place: &Path,
    name: &OsStr,
) -> io::Result<(PathBuf, Box<dyn DiskFile>, Option<Lock>)> {
    let (_, staged, file) = unused(place, name, |staged| disk.create(staged))?;
    let lock = disk.lock(&staged);
    Ok((staged, file, lock))
}

/// Makes a temporary of a name that was not taken.
fn unused<T>(
    place: &Path,
    name: &OsStr,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(Id, PathBuf, T)> {
    loop {
        let id = Id::next();
        let staged = place.join(names::name(name, id, Kind::New));
        match make(&staged) {
            // left by a dead process that had the same number
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return outcome.map(|made| (id, staged, made)),
        }
    }
}
