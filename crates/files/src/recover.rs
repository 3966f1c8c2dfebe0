//! What dead processes left.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::FileError;
use crate::names::{self, Kind, Temporary, split};

pub(crate) fn recover(disk: &dyn Disk, path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let (place, name) = split(path)?;
    let recovered = || {
        let mut found = temporaries(disk, &place)?;
        found.retain(|(_, temporary)| temporary.of == name);
        // those that moved away first
        found.sort_by_key(|(_, temporary)| temporary.kind);
        let locked = found
            .into_iter()
            .filter_map(|(path, temporary)| Some((disk.lock(&path)?, path, temporary.kind)));
        let found: Vec<_> = locked.collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        for (_, away, _) in found.iter().filter(|(_, _, kind)| *kind == Kind::Old) {
            if disk.is_dir(path)?.is_none() {
                disk.rename(away, path)?;
            }
        }
        // not before: until then a power cut may bring the name of something back that has lost its
        // contents
        disk.sync_dir(&place)?;
        for (_, path, _) in &found {
            remove_all(disk, path)?;
        }
        Ok(found.into_iter().map(|(_, path, _)| path).collect())
    };
    recovered().map_err(FileError::of("recover", path))
}

pub(crate) fn recover_all(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = || FileError::of("recover", folder);
    let found = temporaries(disk, folder).map_err(failed())?;
    let names: BTreeSet<_> = found.into_iter().map(|(_, temporary)| temporary.of).collect();
    let mut recovered = Vec::new();
    for name in names {
        recovered.extend(recover(disk, &folder.join(name))?);
    }
    for name in list(disk, folder).map_err(failed())? {
        let path = folder.join(&name);
        // what is still called so belongs to a process that lives
        if names::parse(&name).is_none() && disk.is_dir(&path).map_err(failed())? == Some(true) {
            recovered.extend(recover_all(disk, &path)?);
        }
    }
    Ok(recovered)
}

pub(crate) fn discard(disk: &dyn Disk, path: &Path) {
    let Ok((place, name)) = split(path) else { return };
    for (staged, temporary) in temporaries(disk, &place).unwrap_or_default() {
        if temporary.of == name && temporary.id.is_ours() {
            let _ = remove_all(disk, &staged);
        }
    }
    let _ = disk.remove_file(path);
}

/// Removes a file, or a directory with everything in it; none is fine.
pub(crate) fn remove_all(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.is_dir(path)? {
        None => Ok(()),
        Some(false) => disk.remove_file(path),
        Some(true) => {
            for name in disk.list(path)? {
                remove_all(disk, &path.join(name))?;
            }
            disk.remove_dir(path)
        }
    }
}

/// The temporaries in a folder, in the order of their names.
fn temporaries(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(PathBuf, Temporary)>> {
    let mut names = list(disk, folder)?;
    names.sort();
    Ok(names
        .into_iter()
        .filter_map(|name| Some((folder.join(&name), names::parse(&name)?)))
        .collect())
}

/// The names in a folder; none if it is not there.
fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome,
    }
}
