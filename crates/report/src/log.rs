//! What a training did, one row per iteration: a JSON line at once, a Parquet table in the end.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter, Series};
use serde_json::{Map, Value};

use crate::error::ReportError;
use crate::files;
use crate::results::Method;

/// One iteration of one training.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// What is trained.
    pub method: Method,
    /// The seed.
    pub seed: u64,
    /// Counts from 1.
    pub iteration: u64,
    /// Named numbers, such as `reward` and `kl`; one that is not finite becomes a missing value.
    pub values: BTreeMap<String, f64>,
}

/// The log of one training, a file of JSON lines. Every row is in the file when [`append`](Self::append) returns, so a killed
/// process loses none.
#[derive(Debug)]
pub struct TrainingLog {
    path: PathBuf,
    file: File,
}

impl TrainingLog {
    /// Opens a log to go on after iteration `done` (0 begins anew): rows of later iterations, which a killed process wrote after
    /// its last checkpoint, are removed, and so is a line that it did not finish.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a line of it is damaged; [`ReportError::MissingIteration`] unless it has
    /// each of the iterations up to `done` in turn.
    pub fn resume(path: &Path, done: u64) -> Result<Self, ReportError> {
        let mut kept = String::new();
        if done > 0 {
            let rows = parse(path, &files::read_if_there(path)?.unwrap_or_default())?;
            let mut rows = rows.iter().filter(|row| row.iteration <= done);
            for iteration in 1..=done {
                let row = rows.next().filter(|row| row.iteration == iteration);
                kept += &line(row.ok_or_else(|| ReportError::MissingIteration { path: path.to_owned(), iteration, done })?);
            }
        }
        files::write(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(ReportError::io(path, "write"))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, row: &LogRow) -> Result<(), ReportError> {
        self.file.write_all(line(row).as_bytes()).map_err(ReportError::io(&self.path, "write"))
    }
}

/// Reads a log. A last line without its end is left out: the process was killed while it wrote.
///
/// # Errors
/// When the file cannot be read, or a whole line is not what [`TrainingLog::append`] writes; the line is named.
pub fn read_log(path: &Path) -> Result<Vec<LogRow>, ReportError> {
    parse(path, &files::read(path)?)
}

/// Writes rows as Parquet: `method`, `seed`, `iteration`, then one column for each name that occurs, in alphabetical order.
///
/// # Errors
/// When the file cannot be written.
pub fn write_metrics(path: &Path, rows: &[LogRow]) -> Result<(), ReportError> {
    let names: std::collections::BTreeSet<&str> = rows.iter().flat_map(|row| row.values.keys().map(String::as_str)).collect();
    let methods: Vec<_> = rows.iter().map(|row| row.method.name()).collect();
    let mut columns: Vec<Column> = vec![
        Series::new("method".into(), methods).into_column(),
        Series::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>()).into_column(),
        Series::new("iteration".into(), rows.iter().map(|row| row.iteration).collect::<Vec<_>>()).into_column(),
    ];
    for name in names {
        let values: Vec<Option<f64>> =
            rows.iter().map(|row| row.values.get(name).copied().filter(|value| value.is_finite())).collect();
        columns.push(Series::new(name.into(), values).into_column());
    }
    write_parquet(path, rows.len(), columns)
}

/// Writes columns as one Parquet file.
fn write_parquet(path: &Path, rows: usize, columns: Vec<Column>) -> Result<(), ReportError> {
    let mut frame = DataFrame::new(rows, columns).map_err(ReportError::parquet(path, "write"))?;
    files::stream(path, |file| {
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        writer.finish(&mut frame).map(|_| ()).map_err(ReportError::parquet(path, "write"))
    })
}

fn line(row: &LogRow) -> String {
    let mut object = Map::new();
    object.insert("method".to_owned(), row.method.name().into());
    object.insert("seed".to_owned(), row.seed.into());
    object.insert("iteration".to_owned(), row.iteration.into());
    // a number that is not finite becomes null
    object.extend(row.values.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
    Value::Object(object).to_string() + "\n"
}

fn parse(path: &Path, text: &str) -> Result<Vec<LogRow>, ReportError> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let damaged = |line: usize, detail: &str| ReportError::Json { path: path.to_owned(), line, detail: detail.to_owned() };
    let row = |(index, text): (usize, &str)| {
        let line = index + 1;
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| damaged(line, &error.to_string()))?;
        let count =
            |key: &str| object.get(key).and_then(Value::as_u64).ok_or_else(|| damaged(line, &format!("no count `{key}`")));
        let method = object.get("method").and_then(Value::as_str).and_then(Method::named);
        let method = method.ok_or_else(|| damaged(line, "no known `method`"))?;
        let numbers = object.iter().filter(|(key, _)| !["method", "seed", "iteration"].contains(&key.as_str()));
        let values = numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
        Ok(LogRow { method, seed: count("seed")?, iteration: count("iteration")?, values })
    };
    whole.lines().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    fn row(iteration: u64, values: &[(&str, f64)]) -> LogRow {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        LogRow { method: Method::Rlhf, seed: 1, iteration, values }
    }

    #[test]
    fn a_resumed_log_has_each_iteration_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = TrainingLog::resume(&path, 0).unwrap();
        let rows: Vec<_> = (1..=3).map(|iteration| row(iteration, &[("kl", 0.1 * iteration as f64)])).collect();
        rows.iter().for_each(|row| log.append(row).unwrap());
        assert_eq!(read_log(&path).unwrap(), rows);
        // killed in the middle of a line, after a checkpoint at iteration 2
        log.file.write_all(b"{\"method\":\"rl").unwrap();
        assert_eq!(read_log(&path).unwrap(), rows);
        let mut log = TrainingLog::resume(&path, 2).unwrap();
        log.append(&rows[2]).unwrap();
        assert_eq!(read_log(&path).unwrap(), rows);
    }

    #[test]
    fn a_log_that_lacks_an_iteration_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let message = |done| TrainingLog::resume(&path, done).unwrap_err().to_string();
        assert!(message(2).ends_with("no row of iteration 1, but the training goes on after iteration 2"));
        let mut log = TrainingLog::resume(&path, 0).unwrap();
        [1, 3].iter().for_each(|&iteration| log.append(&row(iteration, &[])).unwrap());
        assert!(message(3).contains("no row of iteration 2"));
        assert_eq!(read_log(&path).unwrap().len(), 2, "the file is as it was");
    }

    #[test]
    fn a_log_that_begins_anew_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        TrainingLog::resume(&path, 0).unwrap().append(&row(1, &[])).unwrap();
        TrainingLog::resume(&path, 0).unwrap();
        assert_eq!(read_log(&path).unwrap(), []);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, format!("{}{{\"seed\": 1}}\n", line(&row(1, &[])))).unwrap();
        let message = read_log(&path).unwrap_err().to_string();
        assert!(message.contains("log.jsonl, line 2") && message.contains("method"), "{message}");
    }

    #[test]
    fn the_table_has_a_column_per_name_and_gaps_where_a_row_lacks_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.parquet");
        write_metrics(&path, &[row(1, &[("reward", 0.5), ("kl", f64::NAN)]), row(2, &[("loss", 1.0)])]).unwrap();
        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        let names: Vec<_> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
        assert_eq!(names, ["method", "seed", "iteration", "kl", "loss", "reward"]);
        assert_eq!(frame.column("reward").unwrap().null_count(), 1);
        assert_eq!(frame.column("kl").unwrap().null_count(), 2);
    }

    #[test]
    fn no_rows_make_an_empty_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.parquet");
        write_metrics(&path, &[]).unwrap();
        assert_eq!(ParquetReader::new(File::open(&path).unwrap()).finish().unwrap().height(), 0);
    }
}
