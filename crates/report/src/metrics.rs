//! What trainings did, one row per iteration, as Parquet.

use std::collections::BTreeSet;
use std::path::Path;

use polars::prelude::{
    Column, DataFrame, Float64Chunked, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter,
    PolarsError, Series,
};
use tailguard_files::stream_file;

use crate::error::ReportError;
use crate::frame::{self, counts, floats};
use crate::log::LogRow;

/// Writes rows as Parquet: `method`, `seed`, `iteration`, then one column for each name that
/// occurs, in alphabetical order.
///
/// # Errors
/// When the file cannot be written.
pub fn write_metrics(path: &Path, rows: &[LogRow]) -> Result<(), ReportError> {
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.values.keys().map(String::as_str)).collect();
    let methods: Vec<_> = rows.iter().map(|row| row.method.as_str()).collect();
    let mut columns: Vec<Column> = vec![
        Series::new("method".into(), methods).into_column(),
        Series::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>())
            .into_column(),
        Series::new("iteration".into(), rows.iter().map(|row| row.iteration).collect::<Vec<_>>())
            .into_column(),
    ];
    for name in names {
        let values: Vec<Option<f64>> = rows
            .iter()
            .map(|row| row.values.get(name).copied().filter(|value| value.is_finite()))
            .collect();
        columns.push(Series::new(name.into(), values).into_column());
    }
    write_parquet(path, rows.len(), columns)
}

/// Writes columns as one Parquet file.
fn write_parquet(path: &Path, rows: usize, columns: Vec<Column>) -> Result<(), ReportError> {
    let mut frame = DataFrame::new(rows, columns).map_err(ReportError::parquet(path, "write"))?;
    stream_file(path, |file| {
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        writer.finish(&mut frame).map(|_| ()).map_err(ReportError::parquet(path, "write"))
    })
}

/// Reads what [`write_metrics`] wrote; a number that is none is left out.
///
/// # Errors
/// When the file cannot be read, or lacks `method`, `seed` or `iteration`.
pub fn read_metrics(path: &Path) -> Result<Vec<LogRow>, ReportError> {
    frame::read(path, rows)
}

fn rows(frame: &DataFrame) -> Result<Vec<LogRow>, PolarsError> {
    let (methods, seeds, iterations) =
        (frame.column("method")?.str()?, counts(frame, "seed")?, counts(frame, "iteration")?);
    let names = frame.get_column_names().into_iter().map(|name| name.as_str().to_owned());
    let numbers = names.filter(|name| !["method", "seed", "iteration"].contains(&name.as_str()));
    let numbers: Vec<_> = numbers
        .map(|name| Ok::<_, PolarsError>((floats(frame, &name)?, name)))
        .collect::<Result<_, _>>()?;
    let row = |index| {
        let value = |(column, name): &(Float64Chunked, String)| {
            Some((name.clone(), column.get(index).filter(|value| value.is_finite())?))
        };
        Some(LogRow {
            method: methods.get(index)?.to_owned(),
            seed: seeds.get(index)?,
            iteration: iterations.get(index)?,
            values: numbers.iter().filter_map(value).collect(),
        })
    };
    let incomplete = |index| {
        PolarsError::NoData(format!("row {index} lacks its method, seed or iteration").into())
    };
    (0..frame.height()).map(|index| row(index).ok_or_else(|| incomplete(index))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    fn row(iteration: u64, values: &[(&str, f64)]) -> LogRow {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        LogRow { method: "rlhf".into(), seed: 1, iteration, values }
    }

    #[test]
    fn the_table_has_a_column_per_name_and_gaps_where_a_row_lacks_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.parquet");
        write_metrics(
            &path,
            &[row(1, &[("reward", 0.5), ("kl", f64::NAN)]), row(2, &[("loss", 1.0)])],
        )
        .unwrap();
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

    #[test]
    fn metrics_have_the_numbers_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.parquet");
        let row = |iteration, name: &str, value| LogRow {
            method: "rlhf".into(),
            seed: 1,
            iteration,
            values: [(name.to_owned(), value)].into(),
        };
        write_metrics(&path, &[row(1, "kl", 0.5), row(2, "reward", f64::NAN)]).unwrap();
        let rows = read_metrics(&path).unwrap();
        assert_eq!(rows[0].values, [("kl".to_owned(), 0.5)].into());
        assert_eq!(
            (rows[1].method.as_str(), rows[1].iteration, rows[1].values.len()),
            ("rlhf", 2, 0)
        );
    }
}
