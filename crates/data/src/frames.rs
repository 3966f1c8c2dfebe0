//! Columns of Parquet files by polars: only those that are asked for.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use polars::error::{PolarsError, PolarsResult};
use polars::prelude::{ArrowDataType, ArrowField, ArrowSchema, DataType, ParquetReader, SerReader, Series};

use crate::cell::Cell;
use crate::error::DataError;

const PARQUET: &str = "Parquet";
/// What a column may hold.
const VALUES: &str = "texts, numbers or booleans";
/// And which whole numbers.
const INTEGERS: &str = "whole numbers of 32 or 64 bits: cast it to int64";

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
    parquet(path).and_then(|mut file| file.num_rows()).map_err(|error| unreadable(path, &error))
}

/// The columns of these names, in this order, of some rows: the first of them, and how many.
pub(crate) fn parquet_slice(path: &Path, names: &[&str], slice: (usize, usize)) -> Result<Vec<Vec<Cell>>, DataError> {
    let schema = parquet_schema(path)?;
    let outer = |name: &str| match name.split_once('.') {
        Some((outer, _)) if !schema.contains(name) => outer.to_owned(),
        _ => name.to_owned(),
    };
    for field in names.iter().filter_map(|name| schema.get(outer(name).as_str())) {
        check_type(path, &field.name, field.dtype())?;
    }
    let frame = |names: &[&str]| {
        let mut wanted: Vec<String> = names.iter().map(|name| outer(name)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        parquet(path)?.with_columns(Some(wanted)).with_slice(Some(slice)).finish()
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
        let series = series.and_then(inner).map_err(|error| unreadable(path, &error))?;
        cells(path, name, &series)
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
fn check_type(path: &Path, name: &str, dtype: &ArrowDataType) -> Result<(), DataError> {
    use ArrowDataType as T;
    match dtype {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView | T::Boolean => Ok(()),
        T::Int32 | T::Int64 | T::UInt32 | T::UInt64 | T::Float32 | T::Float64 => Ok(()),
        T::Int8 | T::Int16 | T::UInt8 | T::UInt16 => Err(wrong_type(path, name, format!("{dtype:?}"), INTEGERS)),
        T::Struct(fields) => {
            fields.iter().try_for_each(|field| check_type(path, &format!("{name}.{}", field.name), field.dtype()))
        }
        other => Err(wrong_type(path, name, format!("{other:?}"), VALUES)),
    }
}

fn parquet(path: &Path) -> PolarsResult<ParquetReader<File>> {
    Ok(ParquetReader::new(File::open(path)?))
}

fn parquet_schema(path: &Path) -> Result<Arc<ArrowSchema>, DataError> {
    parquet(path).and_then(|mut file| file.schema()).map_err(|error| unreadable(path, &error))
}

fn cells(path: &Path, name: &str, series: &Series) -> Result<Vec<Cell>, DataError> {
    let wrong = |_| wrong_type(path, name, series.dtype().to_string(), VALUES);
    let integers = |kind: &DataType| series.strict_cast(kind).map_err(wrong);
    let cell = |number: Option<i128>| number.map_or(Cell::Null, Cell::Integer);
    Ok(if let Ok(texts) = series.str() {
        texts.iter().map(|text| text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))).collect()
    } else if series.dtype().is_unsigned_integer() {
        integers(&DataType::UInt64)?.u64().map_err(wrong)?.iter().map(|number| cell(number.map(i128::from))).collect()
    } else if series.dtype().is_integer() {
        integers(&DataType::Int64)?.i64().map_err(wrong)?.iter().map(|number| cell(number.map(i128::from))).collect()
    } else if series.dtype().is_float() || series.dtype().is_bool() {
        let numbers = series.cast(&DataType::Float64).map_err(wrong)?;
        numbers.f64().map_err(wrong)?.iter().map(|number| number.map_or(Cell::Null, Cell::Number)).collect()
    } else {
        return Err(wrong_type(path, name, series.dtype().to_string(), VALUES));
    })
}

fn wrong_type(path: &Path, name: &str, found: String, expected: &'static str) -> DataError {
    DataError::ColumnType { path: path.into(), column: name.into(), found, expected }
}

fn unreadable(path: &Path, error: &PolarsError) -> DataError {
    DataError::unreadable(path, PARQUET, first_line(error))
}

/// polars adds the whole query plan to its messages; their first line says what is wrong.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
