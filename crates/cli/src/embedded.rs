//! The models and texts that travel inside the program: what was in `datasets/` where it was built.

use std::path::{Path, PathBuf};

use tailguard_files::{FileError, create_dirs, write_dir, write_file};

// `DIGEST` and `FILES`, by `build.rs`
include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The folder of a home that they are written into, each copy by its digest.
const FOLDER: &str = "embedded";

/// Whether there are any: a package of this crate alone was built without.
pub(crate) fn is_there() -> bool {
    !FILES.is_empty()
}

/// Their folder in a home: written there, unless that was done before.
///
/// # Errors
/// What the file system says.
pub(crate) fn unpacked(home: &Path) -> Result<PathBuf, FileError> {
    unpack(home, DIGEST, FILES)
}

/// What ends the writing of a copy.
enum End {
    /// Another process has written it meanwhile, and may read it: it must not be replaced.
    IsThere,
    Failed(FileError),
}

impl From<FileError> for End {
    fn from(error: FileError) -> Self {
        Self::Failed(error)
    }
}

fn unpack(home: &Path, digest: &str, files: &[(&str, &[u8])]) -> Result<PathBuf, FileError> {
    let place = home.join(FOLDER).join(digest);
    // it takes its name when it is whole
    if place.is_dir() {
        return Ok(place);
    }
    let megabytes = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>().div_ceil(1_000_000);
    tracing::info!(
        "the models and texts of this program, {megabytes} MB, are written into {}, once",
        place.display()
    );
    let written = write_dir(&place, |folder| {
        for (name, bytes) in files {
            let path = folder.join(name);
            create_dirs(path.parent().unwrap_or(folder))?;
            write_file(&path, bytes)?;
        }
        if place.is_dir() { Err(End::IsThere) } else { Ok(()) }
    });
    match written {
        Ok(()) | Err(End::IsThere) => Ok(place),
        Err(End::Failed(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_copy_is_written_once_and_whole() {
        let home = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 2] = [("README.md", b"about"), ("model/config.json", b"{}")];
        let place = unpack(home.path(), "abc", &files).unwrap();
        assert_eq!(place, home.path().join("embedded/abc"));
        for (name, bytes) in files {
            assert_eq!(fs::read(place.join(name)).unwrap(), bytes);
        }
        // what is there is whole, and is left alone
        fs::write(place.join("README.md"), "mine").unwrap();
        unpack(home.path(), "abc", &files).unwrap();
        assert_eq!(fs::read(place.join("README.md")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(home.path().join("embedded")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 2] = [("model", b"a file"), ("model/config.json", b"{}")];
        assert!(unpack(home.path(), "abc", &files).is_err());
        assert_eq!(fs::read_dir(home.path().join("embedded")).unwrap().count(), 0);
    }

    #[test]
    fn the_copy_has_models_texts_and_their_licences() {
        let has = |name: &str| FILES.iter().any(|(file, bytes)| *file == name && !bytes.is_empty());
        for name in [
            "gpt2-reviews/model.safetensors",
            "imdb/train.parquet",
            "imdb/LICENSE.txt",
            "jigsaw/LICENSE.txt",
        ] {
            assert!(has(name), "{name}");
        }
        assert!(
            FILES.iter().all(|(file, _)| !file.contains("checkpoint") && !file.ends_with(".py"))
        );
        assert!(is_there() && DIGEST.len() == 16);
    }
}
