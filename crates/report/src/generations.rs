//! The evaluated texts, one row each, as Parquet.

use std::fs::File;
use std::path::Path;

use polars::prelude::{DataFrame, IntoColumn, NamedFrom, ParquetReader, PolarsError, SerReader, Series};

use crate::error::ReportError;
use crate::log::write_parquet;
use crate::results::Method;

/// One response to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Text of the prompt.
    pub prompt: String,
    /// Score of the prompt alone; it decides whether the prompt is in the tail.
    pub prompt_score: f32,
    /// Whether the text that the prompt begins is of the good class; nothing where that is not known.
    pub good: Option<bool>,
    /// Text of the response, without the prompt.
    pub response: String,
    /// Score of prompt and response.
    pub reward: f32,
    /// Score of prompt and response by the held-out judge, if there was one.
    pub judge: Option<f32>,
    /// The policy.
    pub method: Method,
    /// The seed.
    pub seed: u64,
}

/// Writes rows as Parquet, with the fields of [`Generation`] as columns.
///
/// # Errors
/// When the file cannot be written.
pub fn write_generations(path: &Path, rows: &[Generation]) -> Result<(), ReportError> {
    let columns = vec![
        Series::new("prompt".into(), rows.iter().map(|row| row.prompt.as_str()).collect::<Vec<_>>()).into_column(),
        Series::new("prompt_score".into(), rows.iter().map(|row| row.prompt_score).collect::<Vec<_>>()).into_column(),
        Series::new("good".into(), rows.iter().map(|row| row.good).collect::<Vec<_>>()).into_column(),
        Series::new("response".into(), rows.iter().map(|row| row.response.as_str()).collect::<Vec<_>>()).into_column(),
        Series::new("reward".into(), rows.iter().map(|row| row.reward).collect::<Vec<_>>()).into_column(),
        Series::new("judge".into(), rows.iter().map(|row| row.judge).collect::<Vec<_>>()).into_column(),
        Series::new("method".into(), rows.iter().map(|row| row.method.name()).collect::<Vec<_>>()).into_column(),
        Series::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>()).into_column(),
    ];
    write_parquet(path, rows.len(), columns)
}

/// Reads what [`write_generations`] wrote.
///
/// # Errors
/// When the file cannot be read, or lacks a value or a column other than `good`, which older runs have not.
pub fn read_generations(path: &Path) -> Result<Vec<Generation>, ReportError> {
    let file = File::open(path).map_err(ReportError::io(path, "read"))?;
    let read = |file| rows(&ParquetReader::new(file).finish()?);
    read(file).map_err(ReportError::parquet(path, "read"))
}

fn rows(frame: &DataFrame) -> Result<Vec<Generation>, PolarsError> {
    let (prompts, responses) = (frame.column("prompt")?.str()?, frame.column("response")?.str()?);
    let (prompt_scores, rewards) = (frame.column("prompt_score")?.f32()?, frame.column("reward")?.f32()?);
    let judge = frame.column("judge")?.f32()?;
    let good = frame.column("good").ok().map(|column| column.bool()).transpose()?;
    let (methods, seeds) = (frame.column("method")?.str()?, frame.column("seed")?.u64()?);
    let row = |index| {
        Some(Generation {
            prompt: prompts.get(index)?.to_owned(),
            prompt_score: prompt_scores.get(index)?,
            good: good.and_then(|good| good.get(index)),
            response: responses.get(index)?.to_owned(),
            reward: rewards.get(index)?,
            judge: judge.get(index),
            method: Method::named(methods.get(index)?)?,
            seed: seeds.get(index)?,
        })
    };
    let incomplete = |index| PolarsError::NoData(format!("row {index} lacks a value or has an unknown method").into());
    (0..frame.height()).map(|index| row(index).ok_or_else(|| incomplete(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        let row = |method, seed, judge: Option<f32>| Generation {
            prompt: "It was \"good\", é\n".to_owned(),
            prompt_score: -1.25,
            good: judge.map(|judge| judge > 0.0),
            response: String::new(),
            reward: 0.1,
            judge,
            method,
            seed,
        };
        for rows in [vec![], vec![row(Method::Gpt2, 1, Some(-0.2)), row(Method::RaRlhf, u64::MAX, None)]] {
            write_generations(&path, &rows).unwrap();
            assert_eq!(read_generations(&path).unwrap(), rows);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        std::fs::write(&path, b"PAR1 and no more").unwrap();
        let message = read_generations(&path).unwrap_err().to_string();
        assert!(message.contains("generations.parquet"), "{message}");
    }
}
