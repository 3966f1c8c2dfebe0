//! How long a run took and what memory it needed, process by process: a run that was resumed had
//! several.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tailguard_files::write_file;

use crate::error::ReportError;
use crate::files;

/// One process that worked on a run; an entry of `processes.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// When it began: seconds since 1970, UTC.
    pub begun: Option<u64>,
    /// Seconds from its begin to its end; nothing while it works, or if it was killed.
    pub wall_s: Option<f64>,
    /// The most memory that it had, MiB; nothing where the system does not say.
    pub peak_mib: Option<f64>,
    /// The processor's name; nothing where the system does not say.
    pub cpu: Option<String>,
    /// Threads that did its arithmetic.
    pub threads: Option<usize>,
}

/// Puts a process in its place of the list, or at the end of it, and gives the place.
pub(crate) fn note(
    path: &Path,
    nth: Option<usize>,
    process: &Process,
) -> Result<usize, ReportError> {
    let mut all = match files::read_if_there(path)? {
        None => Vec::new(),
        Some(text) => {
            serde_json::from_str::<Vec<Process>>(&text).map_err(|error| ReportError::Json {
                path: path.to_owned(),
                line: error.line(),
                detail: error.to_string(),
            })?
        }
    };
    let place = nth.filter(|&nth| nth < all.len()).unwrap_or(all.len());
    match all.get_mut(place) {
        Some(noted) => *noted = process.clone(),
        None => all.push(process.clone()),
    }
    // numbers that are not finite would become null, as if unknown
    let text = serde_json::to_string_pretty(&all).unwrap_or_default() + "\n";
    write_file(path, text.as_bytes())?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_noted_when_it_begins_and_again_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("processes.json");
        let process = |wall_s| Process { begun: Some(1_800_000_000), wall_s, ..Process::default() };
        assert_eq!(note(&path, None, &process(None)).unwrap(), 0);
        // it was killed; the next one comes to its end
        assert_eq!(note(&path, None, &process(None)).unwrap(), 1);
        assert_eq!(note(&path, Some(1), &process(Some(2.5))).unwrap(), 1);
        let all: Vec<Process> = serde_json::from_str(&files::read(&path).unwrap()).unwrap();
        assert_eq!(all, [process(None), process(Some(2.5))]);
    }

    #[test]
    fn a_damaged_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("processes.json");
        std::fs::write(&path, "[\n{\"begun\": \"yesterday\"}]").unwrap();
        let message = note(&path, None, &Process::default()).unwrap_err().to_string();
        assert!(message.contains("processes.json, line 2"), "{message}");
    }
}
