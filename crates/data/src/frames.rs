//! Columns of Parquet and CSV files by polars: only those that are asked for.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use polars::error::{PolarsError, PolarsResult};
use polars::prelude::{
    ArrowDataType, ArrowField, ArrowSchema, CsvReadOptions, DataFrame, DataType, ParquetReader, PlSmallStr, SerReader, Series,
};

use crate::cell::{Cell, Column};
use crate::error::DataError;

const PARQUET: &str = "Parquet";
const CSV: &str = "CSV";
/// What a column may hold.
const VALUES: &str = "texts, numbers or booleans";

/// The names of all columns, fields of structs included.
pub(crate) fn parquet_names(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(parquet_schema(path)?.iter_values().flat_map(leaves).collect())
}

fn leaves(field: &ArrowField) -> Vec<String> {
    match field.dtype() {
        ArrowDataType::Struct(fields) => fields.iter().flat_map(leaves).map(|inner| format!("{}.{inner}", field.name)).collect(),
        _ => vec![field.name.to_string()],
    }
}

/// The number of rows.
pub(crate) fn parquet_rows(path: &Path) -> Result<usize, DataError> {
    parquet(path).and_then(|mut file| file.num_rows()).map_err(|error| unreadable(path, PARQUET, &error))
}

/// The columns of these names, in this order.
pub(crate) fn parquet_columns<'a>(path: &'a Path, names: &[&str]) -> Result<Vec<Column<'a>>, DataError> {
    parquet_slice(path, names, None)
}

/// [`parquet_columns`] of some rows alone: the first of them, and how many.
pub(crate) fn parquet_slice<'a>(
    path: &'a Path,
    names: &[&str],
    slice: Option<(usize, usize)>,
) -> Result<Vec<Column<'a>>, DataError> {
    let schema = parquet_schema(path)?;
    let outer = |name: &str| match name.split_once('.') {
        Some((outer, _)) if !schema.contains(name) => outer.to_owned(),
        _ => name.to_owned(),
    };
    for field in names.iter().filter_map(|name| schema.get(outer(name).as_str())) {
        check_type(path, field)?;
    }
    let frame = |names: &[&str]| {
        let mut wanted: Vec<String> = names.iter().map(|name| outer(name)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        parquet(path)?.with_columns(Some(wanted)).with_slice(slice).finish()
    };
    let frame = frame(names).map_err(|error| {
        // the message names the column that it fails for
        let alone = names.iter().find_map(|&name| frame(&[name]).err().map(|error| (name, error)));
        let reason = alone.map_or_else(|| first_line(&error), |(name, error)| format!("column {name:?}: {}", first_line(&error)));
        DataError::unreadable(path, PARQUET, reason)
    })?;
    let column = |&name: &&str| {
        let outer = outer(name);
        let series = frame.column(&outer).map(|column| column.as_materialized_series().clone());
        let inner = |series: Series| match name.strip_prefix(&format!("{outer}.")) {
            Some(path) => inside(&series, path),
            None => Ok(series),
        };
        let series = series.and_then(inner).map_err(|error| unreadable(path, PARQUET, &error))?;
        column(path, name, &series)
    };
    names.iter().map(column).collect()
}

/// The field of a column of structs.
fn inside(series: &Series, path: &str) -> PolarsResult<Series> {
    let fields = series.struct_()?;
    match path.split_once('.') {
        Some((outer, inner)) => fields.field_by_name(path).or_else(|_| inside(&fields.field_by_name(outer)?, inner)),
        None => fields.field_by_name(path),
    }
}

/// Refuses what polars would panic over, as it was not compiled for it.
fn check_type(path: &Path, field: &ArrowField) -> Result<(), DataError> {
    use ArrowDataType as T;
    match field.dtype() {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView | T::Boolean => Ok(()),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(()),
        T::Float32 | T::Float64 => Ok(()),
        T::Struct(fields) => fields.iter().try_for_each(|field| check_type(path, field)),
        other => Err(wrong_type(path, &field.name, format!("{other:?}"))),
    }
}

fn parquet(path: &Path) -> PolarsResult<ParquetReader<File>> {
    Ok(ParquetReader::new(File::open(path)?))
}

fn parquet_schema(path: &Path) -> Result<Arc<ArrowSchema>, DataError> {
    parquet(path).and_then(|mut file| file.schema()).map_err(|error| unreadable(path, PARQUET, &error))
}

/// The names of all columns.
pub(crate) fn csv_names(path: &Path) -> Result<Vec<String>, DataError> {
    let head = csv(path, |options| options.with_n_rows(Some(0)))?;
    Ok(head.get_column_names().into_iter().map(ToString::to_string).collect())
}

/// The columns of these names, in this order.
pub(crate) fn csv_columns<'a>(path: &'a Path, names: &[&str]) -> Result<Vec<Column<'a>>, DataError> {
    let wanted = names.iter().map(|&name| PlSmallStr::from_str(name)).collect();
    let frame = csv(path, |options| options.with_columns(Some(wanted)))?;
    let values = |name: &str| frame.column(name).map_err(|error| unreadable(path, CSV, &error));
    names.iter().map(|&name| column(path, name, values(name)?.as_materialized_series())).collect()
}

fn csv(path: &Path, options: impl FnOnce(CsvReadOptions) -> CsvReadOptions) -> Result<DataFrame, DataError> {
    // All columns are strings: a value that is no score is then ours to name, with its row.
    let options = options(CsvReadOptions::default().with_infer_schema_length(Some(0)));
    let frame = options.try_into_reader_with_file_path(Some(path.to_owned())).and_then(SerReader::finish);
    frame.map_err(|error| unreadable(path, CSV, &error))
}

fn column<'a>(path: &'a Path, name: &str, series: &Series) -> Result<Column<'a>, DataError> {
    let wrong = |_| wrong_type(path, name, series.dtype().to_string());
    let cells = if let Ok(texts) = series.str() {
        texts.iter().map(|text| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))).collect()
    } else if series.dtype().is_primitive_numeric() || series.dtype().is_bool() {
        let numbers = series.cast(&DataType::Float64).map_err(wrong)?;
        numbers.f64().map_err(wrong)?.iter().map(|number| number.map_or(Cell::Null, Cell::Number)).collect()
    } else {
        return Err(wrong_type(path, name, series.dtype().to_string()));
    };
    Ok(Column { path, name: name.to_owned(), cells })
}

fn wrong_type(path: &Path, name: &str, found: String) -> DataError {
    DataError::ColumnType { path: path.into(), column: name.into(), found, expected: VALUES }
}

fn unreadable(path: &Path, kind: &'static str, error: &PolarsError) -> DataError {
    DataError::unreadable(path, kind, first_line(error))
}

/// polars adds the whole query plan to its messages; their first line says what is wrong.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
