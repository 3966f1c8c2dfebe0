//! What a training did, one row per iteration: a JSON line at once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tailguard_files::AppendFile;

use crate::error::ReportError;
use crate::files;

/// One iteration of one training.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The key of the arm that is trained.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// Counts from 1.
    pub iteration: u64,
    /// Named numbers, such as `reward` and `kl`; one that is not finite becomes a missing value.
    pub values: BTreeMap<String, f64>,
}

/// The log of one training, a file of JSON lines. Every row is in the file when
/// [`append`](Self::append) returns, so a killed process loses none; after [`sync`](Self::sync) no
/// power cut takes it.
#[derive(Debug)]
pub struct TrainingLog {
    path: PathBuf,
    file: AppendFile,
}

/// How a log was brought to the state that a training goes on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Lines that were cut off: rows of later iterations, which come again, and what a power cut
    /// made of the end.
    pub cut: usize,
    /// Rows that the log had lost and that came from the state's copy.
    pub restored: usize,
}

impl TrainingLog {
    /// Opens a log to go on after iteration `done` (0 begins anew). What comes after that row is
    /// cut off: rows that a killed process wrote after its last state, a line that it did not
    /// finish, and whatever a power cut left there. Rows that the log lacks are taken from `copy`,
    /// which was [made](Self::copy) with the state.
    ///
    /// # Errors
    /// When a file cannot be read or written; [`ReportError::MissingIteration`] unless the log or
    /// its copy has each of the iterations up to `done` in turn, and then nothing has changed.
    pub fn resume(path: &Path, done: u64, copy: &Path) -> Result<(Self, Resumed), ReportError> {
        let (mut rows, cut) = first_rows(path, done)?;
        let found = rows.len();
        if (found as u64) < done {
            rows = first_rows(copy, done)?.0;
        }
        if (rows.len() as u64) < done {
            let iteration = rows.len().max(found) as u64 + 1;
            return Err(ReportError::MissingIteration { path: path.to_owned(), iteration, done });
        }
        let file = AppendFile::begin(path, &rows.concat())?;
        Ok((Self { path: path.to_owned(), file }, Resumed { cut, restored: rows.len() - found }))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, row: &LogRow) -> Result<(), ReportError> {
        Ok(self.file.append(line(row).as_bytes())?)
    }

    /// Returns when all rows would survive a power cut: to be called before a state is written that
    /// demands them.
    ///
    /// # Errors
    /// When the system cannot say so.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        Ok(self.file.sync()?)
    }

    /// Copies the rows so far to another file, which is not synced.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy(&self, to: &Path) -> Result<(), ReportError> {
        fs::copy(&self.path, to).map(|_| ()).map_err(ReportError::io(to, "write"))
    }
}

/// The lines of iterations 1, 2, ... that a file begins with, `done` of them at most, and the
/// number of lines that come after them. No file has none.
fn first_rows(path: &Path, done: u64) -> Result<(Vec<Vec<u8>>, usize), ReportError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        outcome => outcome.map_err(ReportError::io(path, "read"))?,
    };
    let iteration = |line: &[u8]| {
        let text = str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        row(text).ok().map(|row| row.iteration)
    };
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let is_next =
        |&(expected, line): &(u64, &[u8])| expected <= done && iteration(line) == Some(expected);
    let rows: Vec<_> =
        (1..).zip(lines.clone()).take_while(is_next).map(|(_, line)| line.to_vec()).collect();
    let rest = lines.count() - rows.len();
    Ok((rows, rest))
}

/// Reads a log. A last line without its end is left out: the process was killed while it wrote.
///
/// # Errors
/// When the file cannot be read, or a whole line is not what [`TrainingLog::append`] writes; the
/// line is named.
pub fn read_log(path: &Path) -> Result<Vec<LogRow>, ReportError> {
    parse(path, &files::read(path)?)
}

fn line(row: &LogRow) -> String {
    let mut object = Map::new();
    object.insert("method".to_owned(), row.method.as_str().into());
    object.insert("seed".to_owned(), row.seed.into());
    object.insert("iteration".to_owned(), row.iteration.into());
    // a number that is not finite becomes null
    object.extend(row.values.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
    Value::Object(object).to_string() + "\n"
}

fn parse(path: &Path, text: &str) -> Result<Vec<LogRow>, ReportError> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let named = |(index, text): (usize, &str)| {
        row(text).map_err(|detail| ReportError::Json {
            path: path.to_owned(),
            line: index + 1,
            detail,
        })
    };
    whole.lines().enumerate().map(named).collect()
}

/// Reads a line; the error says what is wrong with it.
fn row(text: &str) -> Result<LogRow, String> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let count = |key: &str| {
        object.get(key).and_then(Value::as_u64).ok_or_else(|| format!("no count `{key}`"))
    };
    let method = object.get("method").and_then(Value::as_str).ok_or("no `method`")?.to_owned();
    let numbers =
        object.iter().filter(|(key, _)| !["method", "seed", "iteration"].contains(&key.as_str()));
    let values =
        numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    Ok(LogRow { method, seed: count("seed")?, iteration: count("iteration")?, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(iteration: u64, values: &[(&str, f64)]) -> LogRow {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        LogRow { method: "rlhf".into(), seed: 1, iteration, values }
    }

    /// A log of some rows, and the path of its copy.
    fn log_of(folder: &Path, iterations: impl IntoIterator<Item = u64>) -> (PathBuf, PathBuf) {
        let [path, copy] = ["log.jsonl", "copy.jsonl"].map(|name| folder.join(name));
        let (mut log, _) = TrainingLog::resume(&path, 0, &copy).unwrap();
        iterations.into_iter().for_each(|iteration| log.append(&noted(iteration)).unwrap());
        log.sync().unwrap();
        (path, copy)
    }

    fn noted(iteration: u64) -> LogRow {
        row(iteration, &[("kl", 0.1 * iteration as f64)])
    }

    #[test]
    fn a_resumed_log_has_each_iteration_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = log_of(folder.path(), 1..=3);
        let (whole, rows) = (fs::read(&path).unwrap(), read_log(&path).unwrap());
        assert_eq!(rows, [1, 2, 3].map(noted));
        // after a state at iteration 2: a row more and half of one, zeros where data had not
        // arrived, bytes that are no text
        for (end, cut) in
            [(&b""[..], 1), (b"{\"method\":\"rl", 2), (&[0; 40], 2), (b"\xff\n\xfe\n\0", 4)]
        {
            fs::write(&path, [&whole, end].concat()).unwrap();
            let (mut log, resumed) = TrainingLog::resume(&path, 2, &copy).unwrap();
            assert_eq!(resumed, Resumed { cut, restored: 0 });
            log.append(&rows[2]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_line_stays_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut log, _) = TrainingLog::resume(&path, 0, &path).unwrap();
        log.append(&row(1, &[("ratio", f64::NAN), ("kl", 0.1)])).unwrap();
        let whole = fs::read(&path).unwrap();
        TrainingLog::resume(&path, 1, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn rows_that_the_log_lost_come_from_the_states_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = log_of(folder.path(), 1..=4);
        let whole = fs::read(&path).unwrap();
        TrainingLog::resume(&path, 4, &copy).unwrap().0.copy(&copy).unwrap();
        let second = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let damaged = [&whole[..second], &[0; 50], &whole[second + 50..]].concat();
        for (left, rows) in
            [(&whole[..whole.len() - 9], 3), (&whole[..second], 1), (&damaged, 1), (b"", 0)]
        {
            fs::write(&path, left).unwrap();
            let (_, resumed) = TrainingLog::resume(&path, 4, &copy).unwrap();
            assert_eq!((resumed.restored, fs::read(&path).unwrap() == whole), (4 - rows, true));
        }
    }

    #[test]
    fn a_log_that_lacks_an_iteration_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("log.jsonl"), folder.path().join("copy.jsonl"));
        let message = |done| TrainingLog::resume(&path, done, &copy).unwrap_err().to_string();
        assert!(
            message(2)
                .ends_with("no row of iteration 1, but the training goes on after iteration 2")
        );
        log_of(folder.path(), [1, 3]);
        assert!(message(3).contains("no row of iteration 2"));
        assert_eq!(read_log(&path).unwrap().len(), 2, "the file is as it was");
    }

    #[test]
    fn a_log_that_begins_anew_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = log_of(folder.path(), [1]);
        let (_, resumed) = TrainingLog::resume(&path, 0, &copy).unwrap();
        assert_eq!((resumed.cut, read_log(&path).unwrap()), (1, vec![]));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, format!("{}{{\"seed\": 1}}\n", line(&row(1, &[])))).unwrap();
        let message = read_log(&path).unwrap_err().to_string();
        assert!(message.contains("log.jsonl, line 2") && message.contains("method"), "{message}");
    }
}
