//! The evaluated texts, one row each, as Parquet.

use std::path::Path;

use polars::prelude::{
    DataFrame, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter, PolarsError, Series,
};
use tailguard_files::stream_file;

use crate::error::ReportError;
use crate::frame;

/// One response to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Text of the prompt.
    pub prompt: String,
    /// Score of the prompt alone; it decides whether the prompt is in the tail.
    pub prompt_score: f32,
    /// Whether the text that the prompt begins is of the good class; nothing where that is not
    /// known.
    pub good: Option<bool>,
    /// Text of the response, without the prompt.
    pub response: String,
    /// Score of prompt and response.
    pub reward: f32,
    /// Score of prompt and response by the held-out judge, if there was one.
    pub judge: Option<f32>,
    /// Perplexity of the response under the base model; nothing for a response without a token.
    pub perplexity: Option<f64>,
    /// KL estimate of the response to the reference, nats; nothing where that is not known.
    pub kl: Option<f64>,
    /// Tokens of the response; nothing where that is not known.
    pub tokens: Option<u32>,
    /// The key of the arm.
    pub method: String,
    /// The seed.
    pub seed: u64,
}

/// A row of `generations.parquet` with the fields of [`Generation`], of which anything but the
/// method may be unknown: texts of any tool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GenerationRow<'a> {
    /// Text of the prompt.
    pub prompt: Option<&'a str>,
    /// Score of the prompt alone.
    pub prompt_score: Option<f32>,
    /// Whether the text that the prompt begins is of the good class.
    pub good: Option<bool>,
    /// Text of the response.
    pub response: Option<&'a str>,
    /// Score of prompt and response.
    pub reward: Option<f32>,
    /// Score by a second scorer.
    pub judge: Option<f32>,
    /// Perplexity of the response under a base model.
    pub perplexity: Option<f64>,
    /// KL estimate of the response to a reference, nats.
    pub kl: Option<f64>,
    /// Tokens of the response.
    pub tokens: Option<u32>,
    /// What the rows that belong together are called.
    pub method: &'a str,
    /// The seed.
    pub seed: Option<u64>,
}

impl<'a> From<&'a Generation> for GenerationRow<'a> {
    fn from(row: &'a Generation) -> Self {
        Self {
            prompt: Some(&row.prompt),
            prompt_score: Some(row.prompt_score),
            good: row.good,
            response: Some(&row.response),
            reward: Some(row.reward),
            judge: row.judge,
            perplexity: row.perplexity,
            kl: row.kl,
            tokens: row.tokens,
            method: &row.method,
            seed: Some(row.seed),
        }
    }
}

/// Rows that are in memory, and in a row group of the file, together.
const GROUP: usize = 1 << 16;

/// Writes rows as Parquet, with the fields of [`Generation`] as columns.
///
/// # Errors
/// When the file cannot be written.
pub fn write_generations(path: &Path, rows: &[Generation]) -> Result<(), ReportError> {
    write_generation_rows(path, rows.iter().map(GenerationRow::from))
}

/// [`write_generations`] of rows that may lack something, which is then null. Few of them are in
/// memory together.
///
/// # Errors
/// When the file cannot be written.
pub fn write_generation_rows<'a>(
    path: &Path,
    rows: impl Iterator<Item = GenerationRow<'a>>,
) -> Result<(), ReportError> {
    let wrong = ReportError::parquet;
    stream_file(path, |file| {
        let nothing = frame(&[]).map_err(wrong(path, "write"))?;
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        let mut writer = writer.batched(nothing.schema()).map_err(wrong(path, "write"))?;
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let group: Vec<_> = rows.by_ref().take(GROUP).collect();
            frame(&group)
                .and_then(|frame| writer.write_batch(&frame))
                .map_err(wrong(path, "write"))?;
        }
        writer.finish().map(|_| ()).map_err(wrong(path, "write"))
    })
}

fn frame(rows: &[GenerationRow<'_>]) -> Result<DataFrame, PolarsError> {
    let columns = vec![
        Series::new("prompt".into(), rows.iter().map(|row| row.prompt).collect::<Vec<_>>())
            .into_column(),
        Series::new(
            "prompt_score".into(),
            rows.iter().map(|row| row.prompt_score).collect::<Vec<_>>(),
        )
        .into_column(),
        Series::new("good".into(), rows.iter().map(|row| row.good).collect::<Vec<_>>())
            .into_column(),
        Series::new("response".into(), rows.iter().map(|row| row.response).collect::<Vec<_>>())
            .into_column(),
        Series::new("reward".into(), rows.iter().map(|row| row.reward).collect::<Vec<_>>())
            .into_column(),
        Series::new("judge".into(), rows.iter().map(|row| row.judge).collect::<Vec<_>>())
            .into_column(),
        Series::new("perplexity".into(), rows.iter().map(|row| row.perplexity).collect::<Vec<_>>())
            .into_column(),
        Series::new("kl".into(), rows.iter().map(|row| row.kl).collect::<Vec<_>>()).into_column(),
        Series::new("tokens".into(), rows.iter().map(|row| row.tokens).collect::<Vec<_>>())
            .into_column(),
        Series::new("method".into(), rows.iter().map(|row| row.method).collect::<Vec<_>>())
            .into_column(),
        Series::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>())
            .into_column(),
    ];
    DataFrame::new(rows.len(), columns)
}

/// Reads what [`write_generations`] wrote.
///
/// # Errors
/// When the file cannot be read, or lacks a value or a column other than `good`, `perplexity`, `kl`
/// and `tokens`, which older runs have not.
pub fn read_generations(path: &Path) -> Result<Vec<Generation>, ReportError> {
    frame::read(path, rows)
}

fn rows(frame: &DataFrame) -> Result<Vec<Generation>, PolarsError> {
    let (prompts, responses) = (frame.column("prompt")?.str()?, frame.column("response")?.str()?);
    let (prompt_scores, rewards) =
        (frame.column("prompt_score")?.f32()?, frame.column("reward")?.f32()?);
    let judge = frame.column("judge")?.f32()?;
    let good = frame.column("good").ok().map(|column| column.bool()).transpose()?;
    let numbers = |name: &str| frame.column(name).ok().map(|column| column.f64()).transpose();
    let (perplexities, kl) = (numbers("perplexity")?, numbers("kl")?);
    let tokens = frame.column("tokens").ok().map(|column| column.u32()).transpose()?;
    let (methods, seeds) = (frame.column("method")?.str()?, frame.column("seed")?.u64()?);
    let row = |index| {
        Some(Generation {
            prompt: prompts.get(index)?.to_owned(),
            prompt_score: prompt_scores.get(index)?,
            good: good.and_then(|good| good.get(index)),
            response: responses.get(index)?.to_owned(),
            reward: rewards.get(index)?,
            judge: judge.get(index),
            perplexity: perplexities.and_then(|column| column.get(index)),
            kl: kl.and_then(|column| column.get(index)),
            tokens: tokens.and_then(|column| column.get(index)),
            method: methods.get(index)?.to_owned(),
            seed: seeds.get(index)?,
        })
    };
    let incomplete = |index| PolarsError::NoData(format!("row {index} lacks a value").into());
    (0..frame.height()).map(|index| row(index).ok_or_else(|| incomplete(index))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        let row = |method: &str, seed, judge: Option<f32>| Generation {
            prompt: "It was \"good\", é\n".to_owned(),
            prompt_score: -1.25,
            good: judge.map(|judge| judge > 0.0),
            response: String::new(),
            reward: 0.1,
            judge,
            perplexity: judge.map(|_| 0.1 + 0.2),
            kl: Some(-0.25),
            tokens: judge.map(|_| 7),
            method: method.to_owned(),
            seed,
        };
        for rows in [vec![], vec![row("gpt2", 1, Some(-0.2)), row("ra_rlhf", u64::MAX, None)]] {
            write_generations(&path, &rows).unwrap();
            assert_eq!(read_generations(&path).unwrap(), rows);
        }
    }

    #[test]
    fn what_is_unknown_is_null_and_many_rows_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        let rows = GROUP + 3;
        let row = |place| GenerationRow {
            response: (place != 1).then_some("a"),
            method: "mine",
            ..GenerationRow::default()
        };
        write_generation_rows(&path, (0..rows).map(row)).unwrap();
        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        assert_eq!(frame.height(), rows);
        let nulls = |name: &str| frame.column(name).unwrap().null_count();
        assert_eq!(
            ["response", "method", "prompt", "reward", "seed"].map(nulls),
            [1, 0, rows, rows, rows]
        );
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
