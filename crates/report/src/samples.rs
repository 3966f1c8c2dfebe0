//! Responses sampled from a model, one row each, as Parquet.

use std::path::Path;

use polars::prelude::{
    DataFrame, DataType, IntoColumn, ListBuilderTrait, ListPrimitiveChunkedBuilder, NamedFrom,
    ParquetCompression, ParquetWriter, PolarsError, Series, UInt32Type,
};
use tailguard_files::stream_file;

use crate::error::ReportError;
use crate::frame;

/// A response that was sampled, and what was known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRow {
    /// The place of its prompt among the prompts, from 0.
    pub prompt_index: u32,
    /// Which of the responses to that prompt it is, from 0.
    pub response_index: u32,
    /// Text of the prompt.
    pub prompt: String,
    /// Sampled tokens.
    pub response_ids: Vec<u32>,
    /// Text of the response, without the prompt.
    pub response: String,
    /// Score of prompt and response.
    pub reward: f32,
    /// Score of prompt and response by the held-out judge, if there was one.
    pub judge: Option<f32>,
    /// Log-probability of the whole response under the model that it was sampled from, nats.
    pub log_prob: f64,
}

/// Writes rows as Parquet, with the fields of [`SampleRow`] as columns.
///
/// # Errors
/// When the file cannot be written.
pub fn write_samples(path: &Path, rows: &[SampleRow]) -> Result<(), ReportError> {
    let wrong = ReportError::parquet;
    stream_file(path, |file| {
        let mut frame = to_frame(rows).map_err(wrong(path, "write"))?;
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        writer.finish(&mut frame).map(|_| ()).map_err(wrong(path, "write"))
    })
}

fn to_frame(rows: &[SampleRow]) -> Result<DataFrame, PolarsError> {
    let tokens = rows.iter().map(|row| row.response_ids.len()).sum();
    let mut ids = ListPrimitiveChunkedBuilder::<UInt32Type>::new(
        "response_ids".into(),
        rows.len(),
        tokens,
        DataType::UInt32,
    );
    rows.iter().for_each(|row| ids.append_slice(&row.response_ids));
    let counts = |name: &str, value: fn(&SampleRow) -> u32| {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<_>>()).into_column()
    };
    let texts = |name: &str, value: fn(&SampleRow) -> &str| {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<_>>()).into_column()
    };
    let columns = vec![
        counts("prompt_index", |row| row.prompt_index),
        counts("response_index", |row| row.response_index),
        texts("prompt", |row| &row.prompt),
        ids.finish().into_column(),
        texts("response", |row| &row.response),
        Series::new("reward".into(), rows.iter().map(|row| row.reward).collect::<Vec<_>>())
            .into_column(),
        Series::new("judge".into(), rows.iter().map(|row| row.judge).collect::<Vec<_>>())
            .into_column(),
        Series::new("log_prob".into(), rows.iter().map(|row| row.log_prob).collect::<Vec<_>>())
            .into_column(),
    ];
    DataFrame::new(rows.len(), columns)
}

/// Reads what [`write_samples`] wrote.
///
/// # Errors
/// When the file cannot be read, or lacks a column or a value other than the judge's.
pub fn read_samples(path: &Path) -> Result<Vec<SampleRow>, ReportError> {
    frame::read(path, rows)
}

fn rows(frame: &DataFrame) -> Result<Vec<SampleRow>, PolarsError> {
    let prompt_indices = frame.column("prompt_index")?.u32()?;
    let response_indices = frame.column("response_index")?.u32()?;
    let (prompts, responses) = (frame.column("prompt")?.str()?, frame.column("response")?.str()?);
    let ids = frame.column("response_ids")?.list()?;
    let (rewards, judge) = (frame.column("reward")?.f32()?, frame.column("judge")?.f32()?);
    let log_probs = frame.column("log_prob")?.f64()?;
    let row = |index| {
        let ids = ids.get_as_series(index)?;
        Some(SampleRow {
            prompt_index: prompt_indices.get(index)?,
            response_index: response_indices.get(index)?,
            prompt: prompts.get(index)?.to_owned(),
            response_ids: ids.u32().ok()?.iter().collect::<Option<Vec<u32>>>()?,
            response: responses.get(index)?.to_owned(),
            reward: rewards.get(index)?,
            judge: judge.get(index),
            log_prob: log_probs.get(index)?,
        })
    };
    let incomplete = |index| PolarsError::NoData(format!("row {index} lacks a value").into());
    (0..frame.height()).map(|index| row(index).ok_or_else(|| incomplete(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.parquet");
        let row = |prompt_index, ids: &[u32], judge| SampleRow {
            prompt_index,
            response_index: 3,
            prompt: "It was \"good\", é\n".to_owned(),
            response_ids: ids.to_vec(),
            response: String::new(),
            reward: 0.1,
            judge,
            log_prob: -0.1 - 0.2,
        };
        let all = [row(0, &[], None), row(1, &[7, u32::MAX], Some(-0.5)), row(2, &[0], None)];
        for rows in [&all[..], &[]] {
            write_samples(&path, rows).unwrap();
            assert_eq!(read_samples(&path).unwrap(), rows);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.parquet");
        std::fs::write(&path, b"PAR1 and no more").unwrap();
        let message = read_samples(&path).unwrap_err().to_string();
        assert!(message.contains("samples.parquet"), "{message}");
    }
}
