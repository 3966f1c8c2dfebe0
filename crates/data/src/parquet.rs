//! Columns of Parquet files, as the decoders beneath polars read them: only those that are asked
//! for, and of structs and lists only the fields that are asked for.

use std::io::{Cursor, Read, SeekFrom};
use std::path::Path;
use std::thread;

use polars_arrow::array::{
    Array, BinaryViewArray, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray,
    StructArray, Utf8ViewArray,
};
use polars_arrow::datatypes::{ArrowDataType as T, ArrowSchema, Field};
use polars_arrow::types::NativeType;
use polars_buffer::Buffer;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, Filter, PageReader, RowGroupMetadata,
    column_iter_to_arrays, infer_schema, read_metadata,
};
use polars_utils::float16::pf16;
use serde_json::{Map, Value};

use crate::at::At;
use crate::cell::Cell;
use crate::error::DataError;
use crate::json::{self, reach};
use crate::kind::Kind;
use crate::packed::ReadAnywhere;
use crate::shape::{Shape, index, splits};

/// Rows that are in memory together.
const SLICE: usize = 1 << 16;
/// What a column may hold.
const VALUES: &str =
    "texts, numbers or booleans, or lists and structs of them: cast it to one of these";

/// A Parquet file and what it says of itself.
pub(crate) struct Parquet<'a> {
    path: &'a Path,
    file: Box<dyn ReadAnywhere>,
    metadata: FileMetadata,
    schema: ArrowSchema,
}

/// What paths say behind the name of their column; nothing where they end with it.
type Rests<'a> = Vec<Option<&'a str>>;

/// A column that is read, without the fields that nobody asked for.
struct Wanted {
    field: Field,
    /// Of the column's leaves in the file, those that are read.
    leaves: Vec<bool>,
}

/// Where a cell comes from: a column, and the path in it.
struct Source<'n> {
    column: usize,
    rest: Option<&'n str>,
}

/// The rows of a column that are in memory, one by one.
struct Rows {
    arrays: Vec<Box<dyn Array>>,
    array: usize,
    row: usize,
}

impl Rows {
    fn next(&mut self) -> Option<(&dyn Array, usize)> {
        while self.row == self.arrays.get(self.array)?.len() {
            (self.array, self.row) = (self.array + 1, 0);
        }
        self.row += 1;
        Some((&*self.arrays[self.array], self.row - 1))
    }
}

impl<'a> Parquet<'a> {
    pub(crate) fn open(path: &'a Path, mut file: Box<dyn ReadAnywhere>) -> Result<Self, DataError> {
        let read = sheltered(|| {
            let metadata = read_metadata(&mut file)?;
            infer_schema(&metadata).map(|schema| (metadata, schema))
        });
        let read = read.map_err(|panic| unreadable(path, panic))?;
        let (metadata, schema) = read.map_err(|error| unreadable(path, first_line(&error)))?;
        Ok(Self { path, file, metadata, schema })
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape::of(
            self.schema.iter_values().map(|field| (field.name.to_string(), shape(field.dtype()))),
        )
    }

    /// Goes through the rows with what these paths lead to, in this order.
    pub(crate) fn each_row(
        &mut self,
        paths: &[&str],
        mut each: impl FnMut(At, Vec<Cell>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (wanted, sources) = self.wanted(paths)?;
        let mut before = 0;
        for group in 0..self.metadata.row_groups.len() {
            let chunks = wanted
                .iter()
                .map(|wanted| self.chunks(group, wanted))
                .collect::<Result<Vec<_>, _>>()?;
            let rows = self.metadata.row_groups[group].num_rows();
            for begin in (0..rows).step_by(SLICE) {
                let end = rows.min(begin + SLICE);
                let filter = || Filter::new_ranged(begin, end);
                let columns = wanted
                    .iter()
                    .zip(&chunks)
                    .map(|(wanted, chunks)| self.rows(group, wanted, chunks, filter()));
                let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
                for row in begin..end {
                    let places: Vec<_> = columns.iter_mut().map(Rows::next).collect();
                    each(At::Row(before + row + 1), cells(&places, &sources))?;
                }
            }
            before += rows;
        }
        Ok(())
    }

    /// The columns that hold what paths lead to, and where in them it is.
    fn wanted<'n>(&self, paths: &[&'n str]) -> Result<(Vec<Wanted>, Vec<Source<'n>>), DataError> {
        let (mut columns, mut sources): (Vec<(&Field, Rests<'_>)>, _) = (Vec::new(), Vec::new());
        for &path in paths {
            let mut parted =
                splits(path).filter_map(|(name, rest)| Some((self.schema.get(name)?, rest)));
            let Some((field, rest)) = parted.next() else {
                let (column, found) = (format!("{path:?}"), self.shape().paths().join(", "));
                return Err(DataError::MissingColumn { path: self.path.into(), column, found });
            };
            let column = columns
                .iter()
                .position(|(there, _)| there.name == field.name)
                .unwrap_or_else(|| {
                    columns.push((field, Vec::new()));
                    columns.len() - 1
                });
            columns[column].1.push(rest);
            sources.push(Source { column, rest });
        }
        let prune = |(field, rests): (&Field, Rests<'_>)| {
            let asked = || {
                rests
                    .iter()
                    .flatten()
                    .next()
                    .map_or(field.name.to_string(), |rest| format!("{}.{rest}", field.name))
            };
            let column_type = |found| DataError::ColumnType {
                path: self.path.into(),
                column: asked(),
                found,
                expected: VALUES,
            };
            let (field, leaves) = pruned(field, &rests).map_err(column_type)?;
            Ok(Wanted { field, leaves })
        };
        Ok((columns.into_iter().map(prune).collect::<Result<_, _>>()?, sources))
    }

    /// The packed bytes of those leaves of a column that are read.
    fn chunks(&mut self, group: usize, wanted: &Wanted) -> Result<Vec<Buffer<u8>>, DataError> {
        let damaged = || column_unreadable(self.path, wanted, "it is not where the file says");
        let length =
            self.file.seek(SeekFrom::End(0)).map_err(|error| unreadable(self.path, error))?;
        let mut chunks = Vec::new();
        for leaf in leaves(&self.metadata.row_groups[group], wanted).ok_or_else(damaged)? {
            let begin = leaf.dictionary_page_offset().unwrap_or_else(|| leaf.data_page_offset());
            let begin_and_size =
                u64::try_from(begin).ok().zip(u64::try_from(leaf.compressed_size()).ok());
            let (begin, size) = begin_and_size
                .filter(|(begin, size)| begin.checked_add(*size).is_some_and(|end| end <= length))
                .ok_or_else(damaged)?;
            let mut bytes = Vec::new();
            let read = self
                .file
                .seek(SeekFrom::Start(begin))
                .and_then(|_| (&mut self.file).take(size).read_to_end(&mut bytes));
            read.map_err(|error| unreadable(self.path, error))?;
            chunks.push(bytes.into());
        }
        Ok(chunks)
    }

    /// Unpacks some rows of a column.
    fn rows(
        &self,
        group: usize,
        wanted: &Wanted,
        chunks: &[Buffer<u8>],
        filter: Filter,
    ) -> Result<Rows, DataError> {
        let damaged = |reason: &str| column_unreadable(self.path, wanted, reason);
        let group = &self.metadata.row_groups[group];
        let leaves = leaves(group, wanted)
            .ok_or_else(|| damaged("it has other fields than the file says"))?;
        let (count, decoders) = (filter.num_rows(group.num_rows()), leaves.iter().zip(chunks));
        let decoders = decoders.map(|(leaf, chunk)| {
            let pages = PageReader::new(Cursor::new(chunk.clone()), leaf, Vec::new(), usize::MAX);
            BasicDecompressor::new(pages, Vec::new())
        });
        let types =
            leaves.iter().map(|leaf| &leaf.descriptor().descriptor.primitive_type).collect();
        let (decoders, field) = (decoders.collect(), wanted.field.clone());
        let arrays = sheltered(|| column_iter_to_arrays(decoders, types, field, Some(filter)))
            .map_err(|panic| damaged(&panic))?;
        let (arrays, _) = arrays.map_err(|error| damaged(&first_line(&error)))?;
        if arrays.iter().map(|array| array.len()).sum::<usize>() != count {
            return Err(damaged("it has fewer rows than the file says"));
        }
        Ok(Rows { arrays, array: 0, row: 0 })
    }
}

/// Runs a decoder on a thread of its own, whose panic is an error: polars panics over some damaged
/// files. A program may keep threads of this name from printing theirs.
fn sheltered<T: Send>(decode: impl FnOnce() -> T + Send) -> Result<T, String> {
    let outcome = thread::scope(|scope| {
        let reader = thread::Builder::new().name("parquet".to_owned()).spawn_scoped(scope, decode);
        reader.map(|reader| reader.join()).map_err(|error| error.to_string())
    });
    outcome?.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "it is damaged".to_owned())
    })
}

/// Those leaves of a column that are read, if the file has the column's leaves.
fn leaves<'m>(
    group: &'m RowGroupMetadata,
    wanted: &Wanted,
) -> Option<Vec<&'m ColumnChunkMetadata>> {
    let all = group.columns_under_root_iter(&wanted.field.name)?;
    (all.len() == wanted.leaves.len()).then(|| {
        all.zip(&wanted.leaves).filter_map(|(leaf, is_read)| is_read.then_some(leaf)).collect()
    })
}

fn shape(dtype: &T) -> Shape {
    match dtype {
        T::Struct(fields) => {
            Shape::of(fields.iter().map(|field| (field.name.to_string(), shape(field.dtype()))))
        }
        T::List(entries) | T::LargeList(entries) | T::FixedSizeList(entries, _) => {
            Shape::list(shape(entries.dtype()))
        }
        T::Extension(extension) => shape(&extension.inner),
        _ => Shape::value(),
    }
}

/// How many leaves a type has in a file.
fn count(dtype: &T) -> usize {
    match dtype {
        T::Struct(fields) => fields.iter().map(|field| count(field.dtype())).sum(),
        T::List(entries)
        | T::LargeList(entries)
        | T::FixedSizeList(entries, _)
        | T::Map(entries, _) => count(entries.dtype()),
        T::Extension(extension) => count(&extension.inner),
        _ => 1,
    }
}

/// A column or field without what none of the paths leads to, and which of its leaves are left; or
/// a type that cannot be read.
fn pruned(field: &Field, paths: &[Option<&str>]) -> Result<(Field, Vec<bool>), String> {
    let with = |dtype: T| Field { dtype, metadata: None, ..field.clone() };
    let in_list = |entries: &Field| {
        let paths = paths.iter().copied();
        let of_entry = paths
            .map(|path| path.and_then(|path| index(path).map_or(Some(path), |(_, rest)| rest)));
        pruned(entries, &of_entry.collect::<Vec<_>>())
    };
    match field.dtype() {
        T::Struct(fields) => {
            let (mut kept, mut leaves, mut refused) = (Vec::new(), Vec::new(), None);
            for inner in fields {
                let rests = paths
                    .iter()
                    .flatten()
                    .flat_map(|path| splits(path))
                    .filter(|(name, _)| *name == inner.name.as_str());
                let rests: Vec<_> = rests.map(|(_, rest)| rest).collect();
                let found = match rests.as_slice() {
                    [] if paths.contains(&None) => {
                        pruned(inner, &[None]).map_err(|found| refused = Some(found)).ok()
                    }
                    [] => None,
                    rests => Some(pruned(inner, rests)?),
                };
                match found {
                    Some((inner, of_inner)) => {
                        kept.push(inner);
                        leaves.extend(of_inner);
                    }
                    None => leaves.extend(vec![false; count(inner.dtype())]),
                }
            }
            match refused {
                Some(found) if kept.is_empty() => Err(found),
                _ if kept.is_empty() => Err("structs without such a field".to_owned()),
                _ => Ok((with(T::Struct(kept)), leaves)),
            }
        }
        T::List(entries) | T::LargeList(entries) => in_list(entries)
            .map(|(entries, leaves)| (with(T::LargeList(Box::new(entries))), leaves)),
        T::FixedSizeList(entries, width) => in_list(entries)
            .map(|(entries, leaves)| (with(T::FixedSizeList(Box::new(entries), *width)), leaves)),
        T::Extension(extension) => pruned(&with(extension.inner.clone()), paths),
        // categories are stored as their texts
        T::Dictionary(_, values, _) => pruned(&with((**values).clone()), paths),
        T::Null
        | T::Boolean
        | T::Utf8View
        | T::BinaryView
        | T::Float16
        | T::Float32
        | T::Float64
        | T::Decimal(..) => Ok((field.clone(), vec![true])),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            Ok((field.clone(), vec![true]))
        }
        other => Err(format!("{other:?}")),
    }
}

fn cells(places: &[Option<(&dyn Array, usize)>], sources: &[Source<'_>]) -> Vec<Cell> {
    let nested =
        |(array, row): (&dyn Array, usize)| is_nested(array.dtype()).then(|| value(array, row));
    let values: Vec<Option<Value>> = places.iter().map(|place| place.and_then(nested)).collect();
    let cell =
        |source: &Source<'_>| match (&values[source.column], places[source.column], source.rest) {
            (Some(value), _, rest) => reach(value, rest),
            (None, Some((array, row)), None) => cell(array, row),
            _ => Cell::Missing,
        };
    sources.iter().map(cell).collect()
}

fn is_nested(dtype: &T) -> bool {
    matches!(dtype, T::Struct(_) | T::LargeList(_) | T::FixedSizeList(..))
}

/// A value of lists and structs as JSON has it.
fn value(array: &dyn Array, row: usize) -> Value {
    if is_nested(array.dtype()) && array.is_null(row) {
        return Value::Null;
    }
    let list = |entries: Box<dyn Array>| {
        Value::Array((0..entries.len()).map(|row| value(&*entries, row)).collect())
    };
    let any = array.as_any();
    if let Some(array) = any.downcast_ref::<StructArray>() {
        let fields = array.fields().iter().zip(array.values());
        return Value::Object(
            fields
                .map(|(field, inner)| (field.name.to_string(), value(&**inner, row)))
                .collect::<Map<_, _>>(),
        );
    }
    if let Some(array) = any.downcast_ref::<ListArray<i64>>() {
        return list(array.value(row));
    }
    if let Some(array) = any.downcast_ref::<FixedSizeListArray>() {
        return list(array.value(row));
    }
    match cell(array, row) {
        Cell::Text(text) | Cell::Conversation(text) | Cell::Other(text) => Value::String(text),
        Cell::Number(number) => json::number(number),
        Cell::Integer(number) => match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => json::number(number as f64),
        },
        Cell::Missing | Cell::Null | Cell::List(_) => Value::Null,
    }
}

/// A value that is neither list nor struct.
fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.dtype() == &T::Null || array.is_null(row) {
        return Cell::Null;
    }
    let found = match array.dtype() {
        T::Utf8View => array
            .as_any()
            .downcast_ref::<Utf8ViewArray>()
            .map(|array| Cell::Text(array.value(row).to_owned())),
        T::BinaryView => array.as_any().downcast_ref::<BinaryViewArray>().map(|array| {
            let text = std::str::from_utf8(array.value(row));
            text.map_or_else(
                |_| Cell::Other("bytes that are no UTF-8".into()),
                |text| Cell::Text(text.to_owned()),
            )
        }),
        T::Boolean => {
            let array = array.as_any().downcast_ref::<BooleanArray>();
            array.map(|array| Cell::Number(f64::from(u8::from(array.value(row)))))
        }
        T::Int8 => integer::<i8>(array, row),
        T::Int16 => integer::<i16>(array, row),
        T::Int32 => integer::<i32>(array, row),
        T::Int64 => integer::<i64>(array, row),
        T::UInt8 => integer::<u8>(array, row),
        T::UInt16 => integer::<u16>(array, row),
        T::UInt32 => integer::<u32>(array, row),
        T::UInt64 => integer::<u64>(array, row),
        T::Float16 => float::<pf16>(array, row),
        T::Float32 => float::<f32>(array, row),
        T::Float64 => float::<f64>(array, row),
        // rounded once
        T::Decimal(_, scale) => primitive::<i128>(array, row)
            .and_then(|digits| format!("{digits}e-{scale}").parse().ok())
            .map(Cell::Number),
        _ => None,
    };
    found.unwrap_or_else(|| Cell::Other(format!("{:?}", array.dtype())))
}

fn primitive<N: NativeType>(array: &dyn Array, row: usize) -> Option<N> {
    array.as_any().downcast_ref::<PrimitiveArray<N>>().map(|array| array.value(row))
}

fn integer<N: NativeType + Into<i128>>(array: &dyn Array, row: usize) -> Option<Cell> {
    primitive::<N>(array, row).map(|number| Cell::Integer(number.into()))
}

fn float<N: NativeType + Into<f64>>(array: &dyn Array, row: usize) -> Option<Cell> {
    primitive::<N>(array, row).map(|number| Cell::Number(number.into()))
}

fn unreadable(path: &Path, reason: impl ToString) -> DataError {
    DataError::unreadable(path, Kind::Parquet.name(), reason)
}

fn column_unreadable(path: &Path, wanted: &Wanted, reason: &str) -> DataError {
    unreadable(path, format!("column {:?}: {reason}", wanted.field.name.as_str()))
}

/// polars says more in its messages than what is wrong, which stands first.
fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_is_an_error_that_says_why() {
        assert_eq!(sheltered(|| 3), Ok(3));
        assert_eq!(
            sheltered(|| -> u8 { panic!("offset {} of 3", 4) }),
            Err("offset 4 of 3".to_owned())
        );
    }
}
