//! Parquet files as frames of polars.

use std::any::Any;
use std::fs::File;
use std::path::Path;
use std::thread;

use polars::prelude::{
    BooleanChunked, DataFrame, DataType, Float64Chunked, ParquetReader, PolarsError, SerReader,
    UInt64Chunked,
};

use crate::error::ReportError;

/// Name of the thread that reads.
const READER: &str = "parquet";

/// Reads a file, and makes of it what is wanted.
///
/// polars panics over some damaged files. So they are read on a thread of their own, named
/// `parquet`, whose panic is an error like any other.
///
/// # Errors
/// When the file cannot be read, or is not what is wanted.
pub(crate) fn read<T: Send>(
    path: &Path,
    rows: impl FnOnce(&DataFrame) -> Result<T, PolarsError> + Send,
) -> Result<T, ReportError> {
    let file = File::open(path).map_err(ReportError::io(path, "read"))?;
    let read = || rows(&ParquetReader::new(file).finish()?);
    let outcome = thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name(READER.to_owned())
            .spawn_scoped(scope, read)
            .map_err(PolarsError::from)?;
        reader.join().unwrap_or_else(|panic| {
            Err(PolarsError::ComputeError(format!("it is damaged: {}", said(&*panic)).into()))
        })
    });
    outcome.map_err(ReportError::parquet(path, "read"))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it could not be decoded")
}

/// A column of numbers.
pub(crate) fn floats(frame: &DataFrame, name: &str) -> Result<Float64Chunked, PolarsError> {
    Ok(frame.column(name)?.cast(&DataType::Float64)?.f64()?.clone())
}

/// A column of numbers that count.
pub(crate) fn counts(frame: &DataFrame, name: &str) -> Result<UInt64Chunked, PolarsError> {
    Ok(frame.column(name)?.cast(&DataType::UInt64)?.u64()?.clone())
}

/// A column of yes and no.
pub(crate) fn flags(frame: &DataFrame, name: &str) -> Result<BooleanChunked, PolarsError> {
    Ok(frame.column(name)?.cast(&DataType::Boolean)?.bool()?.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogRow;
    use crate::metrics::write_metrics;

    #[test]
    fn a_panic_over_a_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.parquet");
        let row = LogRow {
            method: "rlhf".into(),
            seed: 1,
            iteration: 1,
            values: [("kl".to_owned(), 0.5)].into(),
        };
        write_metrics(&path, &[row]).unwrap();
        assert_eq!(read(&path, |frame| Ok(frame.height())).unwrap(), 1);
        let error = read(&path, |_| -> Result<(), _> { panic!("offset {} of 3", 4) }).unwrap_err();
        let ReportError::Parquet { path: named, source, .. } = error else { panic!("{error}") };
        assert_eq!(named, path);
        assert!(source.to_string().contains("it is damaged: offset 4 of 3"), "{source}");
    }
}
