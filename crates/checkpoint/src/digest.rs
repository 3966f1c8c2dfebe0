//! SHA-256, of bytes and of files.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::CheckpointError;

/// A SHA-256 in the making, of everything that it is given, in order.
///
/// ```
/// let mut digest = tailguard_checkpoint::Digest::default();
/// digest.update(b"abc");
/// assert!(digest.hex().starts_with("ba7816bf8f01cfea")); // FIPS 180-4's example
/// ```
#[derive(Clone, Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds what a file holds, a piece at a time.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let mut file = File::open(path).map_err(CheckpointError::io(path, "read"))?;
        io::copy(&mut file, self).map_err(CheckpointError::io(path, "read"))?;
        Ok(())
    }

    /// The digest, as 64 hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digest of a file.
pub(crate) fn of_file(path: &Path) -> Result<String, CheckpointError> {
    let mut digest = Digest::default();
    digest.file(path)?;
    Ok(digest.hex())
}
