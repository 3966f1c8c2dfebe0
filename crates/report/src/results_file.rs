//! `results.json`: how it is written and read, be it that of a run or of an evaluation.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ReportError;
use crate::files;

/// The content of a `results.json`: of a run ([`Results`](crate::Results)) or of an evaluation ([`Evaluation`](crate::Evaluation)).
pub trait ResultsFile: Serialize + DeserializeOwned {
    /// Every number of the file that could be none, with what to call it.
    fn numbers(&self) -> Vec<(String, f64)>;

    /// The text of the file.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`]: JSON has no infinity and no NaN.
    fn to_json(&self) -> Result<String, ReportError> {
        if let Some((what, found)) = self.numbers().into_iter().find(|(_, number)| !number.is_finite()) {
            return Err(ReportError::NotFinite { what, found });
        }
        // strings, finite numbers and string keys always serialise
        Ok(serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }

    /// Writes the file, as a whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`], or what the file system says.
    fn write(&self, path: &Path) -> Result<(), ReportError> {
        files::write(path, self.to_json()?.as_bytes())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`write`](Self::write) writes.
    fn read(path: &Path) -> Result<Self, ReportError> {
        files::read_json(path)
    }
}
