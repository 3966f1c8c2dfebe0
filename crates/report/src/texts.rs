//! The evaluated texts as they are read back to be shown: policies go by their names, whoever made
//! them.

use std::path::Path;

use polars::prelude::{DataFrame, Float64Chunked, PolarsError};

use crate::error::ReportError;
use crate::frame::{counts, flags, floats, read};

/// One response to one prompt, by any policy.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRow {
    /// Text of the prompt.
    pub prompt: String,
    /// Score of the prompt alone, if it is known.
    pub prompt_score: Option<f64>,
    /// Whether the prompt is of the good class; nothing where that was not recorded.
    pub good: Option<bool>,
    /// Text of the response, without the prompt.
    pub response: String,
    /// Score of prompt and response, if it is known.
    pub reward: Option<f64>,
    /// Score of prompt and response by the held-out judge, if there was one.
    pub judge: Option<f64>,
    /// Perplexity of the response under the base model, if it is known.
    pub perplexity: Option<f64>,
    /// KL estimate of the response to the reference, nats, if it is known.
    pub kl: Option<f64>,
    /// Name of the policy, such as `ra_rlhf`.
    pub method: String,
    /// The seed; 1 where there is none.
    pub seed: u64,
}

/// Reads `generations.parquet`. Scores, classes and seeds may be missing; rows without a prompt or
/// a response are left out, for there is nothing to show.
///
/// # Errors
/// When the file cannot be read, lacks a column, or a row lacks its method or has a reward that is
/// no finite number.
pub fn read_texts(path: &Path) -> Result<Vec<TextRow>, ReportError> {
    read(path, texts)
}

fn texts(frame: &DataFrame) -> Result<Vec<TextRow>, PolarsError> {
    let (prompts, responses) = (frame.column("prompt")?.str()?, frame.column("response")?.str()?);
    let (rewards, methods) = (floats(frame, "reward")?, frame.column("method")?.str()?);
    let has = |name: &str| frame.column(name).is_ok();
    let prompt_scores = has("prompt_score").then(|| floats(frame, "prompt_score")).transpose()?;
    let [judge, perplexity, kl] = ["judge", "perplexity", "kl"]
        .map(|name| has(name).then(|| floats(frame, name)).transpose());
    let (judge, perplexity, kl) = (judge?, perplexity?, kl?);
    let good = has("good").then(|| flags(frame, "good")).transpose()?;
    let seeds = has("seed").then(|| counts(frame, "seed")).transpose()?;
    let wrong = |index, what: &str| PolarsError::NoData(format!("row {index}: {what}").into());
    let mut rows = Vec::new();
    for index in 0..frame.height() {
        let method = methods.get(index).ok_or_else(|| wrong(index, "no method"))?;
        let (Some(prompt), Some(response)) = (prompts.get(index), responses.get(index)) else {
            continue;
        };
        let reward = rewards.get(index);
        if let Some(reward) = reward.filter(|reward| !reward.is_finite()) {
            return Err(wrong(index, &format!("the reward is {reward}, expected a finite number")));
        }
        let finite = |column: &Float64Chunked| column.get(index).filter(|value| value.is_finite());
        rows.push(TextRow {
            prompt: prompt.to_owned(),
            prompt_score: prompt_scores.as_ref().and_then(finite),
            good: good.as_ref().and_then(|good| good.get(index)),
            response: response.to_owned(),
            reward,
            judge: judge.as_ref().and_then(finite),
            perplexity: perplexity.as_ref().and_then(finite),
            kl: kl.as_ref().and_then(finite),
            method: method.to_owned(),
            seed: seeds.as_ref().and_then(|seeds| seeds.get(index)).unwrap_or(1),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::{Column, IntoColumn, NamedFrom, ParquetWriter, Series};

    use super::*;
    use crate::generations::{Generation, write_generations};

    fn write(path: &Path, columns: Vec<Column>) {
        let mut frame = DataFrame::new(2, columns).unwrap();
        ParquetWriter::new(File::create(path).unwrap()).finish(&mut frame).unwrap();
    }

    fn strings(name: &str, values: [Option<&str>; 2]) -> Column {
        Series::new(name.into(), values.as_slice()).into_column()
    }

    #[test]
    fn the_texts_of_a_run_come_with_their_policies_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        let row = |method: &str, good, judge| Generation {
            prompt: "It was".into(),
            prompt_score: -1.25,
            good,
            response: " good".into(),
            reward: 0.5,
            judge,
            perplexity: Some(12.5),
            kl: None,
            tokens: Some(1),
            method: method.to_owned(),
            seed: 3,
        };
        write_generations(&path, &[row("ra_rlhf", Some(true), None), row("sft", None, Some(0.25))])
            .unwrap();
        let rows = read_texts(&path).unwrap();
        assert_eq!(
            (rows[0].method.as_str(), rows[0].good, rows[0].judge, rows[0].seed),
            ("ra_rlhf", Some(true), None, 3)
        );
        assert_eq!(
            (rows[1].method.as_str(), rows[1].good, rows[1].judge),
            ("sft", None, Some(0.25))
        );
        assert_eq!((rows[1].perplexity, rows[1].kl), (Some(12.5), None));
        assert_eq!(rows[1].response, " good");
    }

    #[test]
    fn texts_of_other_policies_need_neither_judge_nor_class_nor_seed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.parquet");
        let columns = |responses, rewards: [Option<f64>; 2]| {
            let methods = strings("method", [Some("dpo"), Some("best of 8")]);
            let rewards = Series::new("reward".into(), rewards.as_slice()).into_column();
            vec![
                strings("prompt", [Some("a"), Some("b")]),
                strings("response", responses),
                methods,
                rewards,
            ]
        };
        write(&path, columns([Some("c"), Some("d")], [None, Some(1.0)]));
        let rows = read_texts(&path).unwrap();
        assert_eq!(
            (rows[1].method.as_str(), rows[1].seed, rows[1].good, rows[1].judge),
            ("best of 8", 1, None, None)
        );
        assert_eq!((rows[1].prompt_score, rows[0].reward, rows[1].reward), (None, None, Some(1.0)));
        write(&path, columns([None, Some("d")], [Some(0.0), Some(1.0)]));
        assert_eq!(read_texts(&path).unwrap(), rows[1..]);
        write(&path, columns([Some("c"), Some("d")], [Some(0.0), Some(f64::NAN)]));
        let error = read_texts(&path).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            error.to_string().contains("generations.parquet") && cause.contains("row 1"),
            "{error}: {cause}"
        );
    }
}
