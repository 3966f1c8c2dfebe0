//! Digests of files, which tell damage that no format notices: a bit of a weight, a digit of a
//! figure.

use std::fs;
use std::path::Path;

use tailguard_files::write_file;

use crate::digest::{Digest, of_file};
use crate::error::CheckpointError;

/// The list of a directory whose files are all in it.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// Digests of files by their names, in the form of `sha256sum`: `sha256sum --check LIST` in the
/// folder of the list reads it as well.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    lines: String,
}

impl Sums {
    /// Adds a file that is there, by its name as seen from the folder of the list.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file(&mut self, folder: &Path, name: &str) -> Result<(), CheckpointError> {
        let digest = of_file(&folder.join(name))?;
        self.add(&digest, name);
        Ok(())
    }

    /// Adds a file that is about to be written.
    pub fn bytes(&mut self, bytes: &[u8], name: &str) {
        let mut digest = Digest::default();
        digest.update(bytes);
        self.add(&digest.hex(), name);
    }

    /// Adds all files of a directory, and writes the list into it as [`SUMS_FILE`].
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn seal(dir: &Path) -> Result<(), CheckpointError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(CheckpointError::io(dir, "read"))? {
            names.push(
                entry
                    .map_err(CheckpointError::io(dir, "read"))?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        let mut sums = Self::default();
        names.iter().try_for_each(|name| sums.file(dir, name))?;
        sums.write(&dir.join(SUMS_FILE))
    }

    /// Writes the list.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, list: &Path) -> Result<(), CheckpointError> {
        Ok(write_file(list, self.lines.as_bytes())?)
    }

    /// Compares every file of a list with its digest. All of `wanted` must be in the list.
    ///
    /// # Errors
    /// [`CheckpointError::Altered`] with the file that is not as it was; [`CheckpointError::Sums`]
    /// where a line is none or a wanted file is not in the list; a list or a file that cannot be
    /// read.
    pub fn check(list: &Path, wanted: &[&str]) -> Result<(), CheckpointError> {
        let unusable = |detail: String| CheckpointError::Sums { path: list.to_owned(), detail };
        let bytes = fs::read(list).map_err(CheckpointError::io(list, "read"))?;
        let text = String::from_utf8(bytes).map_err(|_| unusable("it is not text".to_owned()))?;
        let folder = list.parent().unwrap_or(Path::new(""));
        let mut wanted = wanted.to_vec();
        for (index, line) in text.lines().enumerate() {
            let (digest, name) = line
                .split_once("  ")
                .ok_or_else(|| unusable(format!("line {} names no file", index + 1)))?;
            let path = folder.join(name);
            if of_file(&path)? != digest {
                return Err(CheckpointError::Altered { path, list: list.to_owned() });
            }
            wanted.retain(|wanted| *wanted != name);
        }
        if wanted.is_empty() {
            Ok(())
        } else {
            Err(unusable(format!("it lacks {}", wanted.join(", "))))
        }
    }

    fn add(&mut self, digest: &str, name: &str) {
        self.lines += &format!("{digest}  {name}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_sha256sum() {
        let mut sums = Sums::default();
        sums.bytes(b"abc", "abc.txt");
        assert_eq!(
            sums.lines,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc.txt\n"
        );
    }

    #[test]
    fn one_bit_of_a_sealed_directory_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let (a, list) = (home.path().join("a"), home.path().join(SUMS_FILE));
        fs::write(&a, b"some bytes").unwrap();
        fs::write(home.path().join("b"), b"").unwrap();
        Sums::seal(home.path()).unwrap();
        Sums::check(&list, &["a", "b"]).unwrap();
        fs::write(&a, b"some bytez").unwrap();
        let error = Sums::check(&list, &["a"]).unwrap_err();
        assert!(matches!(&error, CheckpointError::Altered { path, .. } if *path == a), "{error}");
        fs::remove_file(&a).unwrap();
        assert!(matches!(Sums::check(&list, &["a"]).unwrap_err(), CheckpointError::Io { .. }));
    }

    #[test]
    fn a_list_that_is_none_vouches_for_nothing() {
        let home = tempfile::tempdir().unwrap();
        let list = home.path().join("a.sha256");
        assert!(matches!(Sums::check(&list, &["a"]).unwrap_err(), CheckpointError::Io { .. }));
        fs::write(home.path().join("b"), b"").unwrap();
        let of_another = format!("{}  b\n", Digest::default().hex());
        for text in [&b""[..], b"abc\n", b"\xff", of_another.as_bytes()] {
            fs::write(&list, text).unwrap();
            assert!(
                matches!(Sums::check(&list, &["a"]).unwrap_err(), CheckpointError::Sums { .. }),
                "{text:?}"
            );
        }
    }
}
