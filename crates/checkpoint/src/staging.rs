//! Files and directories that appear under their name only when they are whole.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::CheckpointError;

/// Writes a file beside its final place and renames it when it is complete; a file of that name is replaced.
///
/// # Errors
/// What the file system says. Then nothing has changed at `path`.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    stream_file(path, |file| file.write_all(bytes).map_err(CheckpointError::io(path, "write")))
}

/// [`write_file`] for contents that are made on the way.
pub(crate) fn stream_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let write = || CheckpointError::io(path, "write");
    let mut builder = tempfile::Builder::new();
    let prefix = hidden(path);
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file: readable by all whom the umask lets. Temporary files are private otherwise.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut staged = builder.tempfile_in(parent(path)).map_err(write())?;
    let mut buffered = BufWriter::new(staged.as_file_mut());
    fill(&mut buffered)?;
    buffered.flush().map_err(write())?;
    drop(buffered);
    staged.as_file().sync_all().map_err(write())?;
    staged.persist(path).map_err(|error| write()(error.error))?;
    Ok(())
}

/// Lets `fill` write a directory in a temporary place beside `path`, and renames it into place when it is complete.
///
/// A directory that is already there is moved aside only then, and removed after the rename.
///
/// # Errors
/// What `fill` returns, or what the file system says. Then what was at `path` is still there.
pub fn write_dir<E: From<CheckpointError>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let write = || CheckpointError::io(path, "write");
    fs::create_dir_all(parent(path)).map_err(write())?;
    let staged = temp_dir(path).map_err(write())?;
    fill(staged.path())?;
    Ok(replace(staged, path).map_err(write())?)
}

fn replace(staged: TempDir, path: &Path) -> std::io::Result<()> {
    let mut aside = None;
    if path.symlink_metadata().is_ok() {
        let holder = temp_dir(path)?;
        fs::rename(path, holder.path().join("old"))?;
        aside = Some(holder);
    }
    let renamed = fs::rename(staged.path(), path);
    if renamed.is_ok() {
        // The directory has its final name now: there is nothing left to remove at the temporary one.
        let _moved = staged.keep();
    } else if let Some(holder) = &aside {
        fs::rename(holder.path().join("old"), path)?;
    }
    renamed
}

/// Puts right what a process left that was killed within [`write_dir`]: the old directory comes back if its successor had not
/// taken its place yet, and temporary ones are removed. Only for a path that no other process writes.
///
/// # Errors
/// What the file system says.
pub fn recover_dir(path: &Path) -> Result<(), CheckpointError> {
    let failed = || CheckpointError::io(path, "recover");
    let parent = parent(path);
    if !parent.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&parent).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (name, prefix) = (entry.file_name(), hidden(path));
        let (name, prefix) = (name.as_encoded_bytes(), prefix.as_encoded_bytes());
        if !(name.starts_with(prefix) && name.ends_with(b".tmp") && entry.path().is_dir()) {
            continue;
        }
        let old = entry.path().join("old");
        if path.symlink_metadata().is_err() && old.is_dir() {
            fs::rename(&old, path).map_err(failed())?;
        }
        fs::remove_dir_all(entry.path()).map_err(failed())?;
    }
    Ok(())
}

fn temp_dir(path: &Path) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix(&hidden(path)).suffix(".tmp").tempdir_in(parent(path))
}

/// `.name.`, the beginning of the temporary names.
fn hidden(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("checkpoint")));
    name.push(".");
    name
}

/// The directory that holds `path`, in a form that can be opened.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(path: &Path) -> Result<(), CheckpointError> {
        Err(CheckpointError::MissingFile { path: path.to_owned(), file: "nothing" })
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let result = stream_file(&path, |file| {
            file.write_all(b"new").unwrap();
            refuse(&path)
        });
        assert!(result.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_whole_directory_replaces_the_old_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/model");
        for name in ["first", "second"] {
            let fill = |dir: &Path| -> Result<(), CheckpointError> {
                fs::write(dir.join(name), name).unwrap();
                Ok(())
            };
            write_dir(&path, fill).unwrap();
            assert_eq!(names(&path), [name]);
        }
        assert_eq!(names(&home.path().join("deep")), ["model"], "nothing temporary is left");
    }

    #[test]
    fn a_failed_directory_leaves_the_old_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("model");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), "").unwrap();
        let result = write_dir(&path, |dir| {
            fs::write(dir.join("half"), "").unwrap();
            refuse(dir)
        });
        assert!(result.is_err());
        assert_eq!(names(&path), ["kept"]);
        assert_eq!(names(home.path()), ["model"]);
    }

    #[test]
    fn a_kill_between_the_renames_loses_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        let kill = |kept: &Path| {
            fs::create_dir_all(home.path().join(".state.1.tmp")).unwrap(); // the successor, on its way
            fs::create_dir_all(kept).unwrap();
            fs::write(kept.join("weights"), "old").unwrap();
            recover_dir(&path).unwrap();
            assert_eq!(fs::read_to_string(path.join("weights")).unwrap(), "old");
            assert_eq!(names(home.path()), ["state"]);
        };
        kill(&home.path().join(".state.2.tmp/old"));
        kill(&path);
        recover_dir(&home.path().join("not/there")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn files_are_as_readable_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        write_file(&dir.path().join("ours"), b"").unwrap();
        fs::write(dir.path().join("plain"), "").unwrap();
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("plain"));
    }
}
