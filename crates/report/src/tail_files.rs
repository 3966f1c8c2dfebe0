//! The tail of every method as files: `tail.csv`, a row per method, `tail_gains.csv`, a row per
//! comparison, and `tail_prompts.jsonl`, which prompts make it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tailguard_files::write_file;

use crate::comparison::Comparison;
use crate::error::ReportError;
use crate::files;
use crate::tail_figures::TailFigure;
use crate::tail_gains::{Gain, NamedGain};
use crate::tail_report::TailReport;

/// The name of the table of all figures of the tails.
pub const TAIL_TABLE: &str = "tail.csv";
/// The name of the table of what methods gain in the tails.
pub const TAIL_GAINS: &str = "tail_gains.csv";
/// The name of the file of the prompts that make the tails.
pub const TAIL_PROMPTS: &str = "tail_prompts.jsonl";

/// A prompt that makes the tail of a method: see
/// [`tail_prompts`](tailguard_metrics::tail_prompts).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailPromptRow {
    /// The method, by its key in `methods`.
    pub method: String,
    /// The prompt.
    pub prompt: String,
    /// Its share of the shortfall of all prompts; of several seeds the mean of theirs.
    pub share: f64,
    /// How many of its texts are in the tail, over all seeds.
    pub in_tail: usize,
    /// How many texts it has, over all seeds.
    pub texts: usize,
    /// The mean reward of its texts.
    pub mean: f64,
    /// The lowest of them.
    pub lowest: f64,
    /// The text that has it, without the prompt; `null` where it is not known.
    pub response: Option<String>,
}

/// Writes a table with a row per method: of every figure of a tail the value and the ends of its
/// interval, with nothing where it has none.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tail_table<'a>(
    path: &Path,
    methods: impl Iterator<Item = (&'a str, &'a TailReport)>,
) -> Result<(), ReportError> {
    Ok(write_file(path, table(methods).as_bytes())?)
}

/// Writes a table with a row per comparison: of every gain in a tail the value, the ends of its
/// interval and the p-values, with nothing where it has none.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tail_gains(path: &Path, comparisons: &[Comparison]) -> Result<(), ReportError> {
    Ok(write_file(path, gains_table(comparisons).as_bytes())?)
}

/// What stands in a row: its first cells, and by key what it has of each figure.
type Line = (String, Vec<(String, Vec<Option<f64>>)>);

fn table<'a>(methods: impl Iterator<Item = (&'a str, &'a TailReport)>) -> String {
    let numbers = |figure: TailFigure| {
        let (value, ends) = figure.shown.value_and_ends();
        let [low, high] = ends.map_or([None; 2], |ends| ends.map(Some));
        (figure.key, vec![Some(value), low, high])
    };
    let line = |(method, report): (&str, &TailReport)| -> Line {
        (csv_cell(method), report.figures().into_iter().map(numbers).collect())
    };
    wide("method", &["", "_low", "_high"], &methods.map(line).collect::<Vec<_>>())
}

fn gains_table(comparisons: &[Comparison]) -> String {
    let numbers = |named: NamedGain| {
        let Gain { difference, p_value, p_adjusted } = named.gain;
        let [low, high] = difference.ci95.map_or([None; 2], |ends| ends.map(Some));
        (named.key, vec![Some(difference.mean), low, high, p_value, p_adjusted])
    };
    let line = |comparison: &Comparison| -> Option<Line> {
        let gains = comparison.tail_report.as_ref()?.named();
        let first = format!("{},{}", csv_cell(&comparison.method), csv_cell(&comparison.over));
        Some((first, gains.into_iter().map(numbers).collect()))
    };
    let lines: Vec<Line> = comparisons.iter().filter_map(line).collect();
    wide("method,over", &["", "_low", "_high", "_p", "_p_adjusted"], &lines)
}

/// A table whose columns are what any of the rows has, each figure with these endings.
fn wide(first: &str, endings: &[&str], lines: &[Line]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in lines.iter().flat_map(|(_, figures)| figures) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut text = first.to_owned();
    for key in &keys {
        text.extend(endings.iter().map(|ending| format!(",{key}{ending}")));
    }
    text += "\n";
    for (first, figures) in lines {
        text += first;
        for key in &keys {
            let found = figures.iter().find(|(known, _)| known == key);
            for place in 0..endings.len() {
                text += ",";
                text.extend(found.and_then(|(_, numbers)| numbers[place]).map(|it| it.to_string()));
            }
        }
        text += "\n";
    }
    text
}

/// A cell of text, in quotation marks where it needs them. What a spreadsheet would take for a
/// formula gets an apostrophe before it.
///
/// ```
/// # use tailguard_report::csv_cell;
/// assert_eq!(csv_cell("a, \"b\""), "\"a, \"\"b\"\"\"");
/// assert_eq!(csv_cell("=1+1"), "'=1+1");
/// ```
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let text = format!("{formula}{text}");
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Writes prompts that make tails, one JSON object a line.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tail_prompts(path: &Path, rows: &[TailPromptRow]) -> Result<(), ReportError> {
    // texts and finite numbers always serialise
    let line = |row: &TailPromptRow| serde_json::to_string(row).unwrap_or_default() + "\n";
    Ok(write_file(path, rows.iter().map(line).collect::<String>().as_bytes())?)
}

/// Reads what [`write_tail_prompts`] wrote; nothing where there is no file, as in older runs.
///
/// # Errors
/// When the file cannot be read, or a line is not what it should be.
pub fn read_tail_prompts(path: &Path) -> Result<Vec<TailPromptRow>, ReportError> {
    let text = files::read_if_there(path)?.unwrap_or_default();
    let row = |(place, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| ReportError::Json {
            path: path.to_owned(),
            line: place + 1,
            detail: error.to_string(),
        })
    };
    text.lines().enumerate().map(row).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::comparison::tests::comparison;
    use crate::tail_gains::tests::tail_gains;
    use crate::tail_report::tests::tail_report;

    #[test]
    fn the_table_has_a_row_per_method_and_nothing_where_one_has_no_figure() {
        let all = tail_report();
        let mut few = TailReport { levels: all.levels[..1].to_vec(), ..TailReport::default() };
        few.levels[0].cvar.ci95 = None;
        let text = table([("a,b", &all), ("few", &few)].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        let heads: Vec<&str> = lines[0].split(',').collect();
        assert_eq!(heads[..4], ["method", "cvar_0.01", "cvar_0.01_low", "cvar_0.01_high"]);
        assert_eq!(heads.len(), 1 + 3 * all.figures().len());
        assert!(heads.contains(&"fails_-0.5_high") && heads.contains(&"maximum_toxicity_2"));
        assert!(lines[1].starts_with("\"a,b\",-2.99,-3.49,-2.49,"), "{text}");
        let cells: Vec<&str> = lines[2].split(',').collect();
        assert_eq!((cells.len(), &cells[..5]), (heads.len(), &["few", "-2.99", "", "", ""][..]));
    }

    #[test]
    fn the_table_of_gains_has_a_row_per_comparison_with_p_values() {
        let with = Comparison { tail_report: Some(tail_gains()), ..comparison() };
        let text = gains_table(&[comparison(), with]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with(
                "method,over,reward,reward_low,reward_high,reward_p,reward_p_adjusted,cvar_0.01,"
            ),
            "{text}"
        );
        assert!(lines[1].starts_with("ra_rlhf,rlhf,0.25,-0.25,0.75,0.03,,0.51,"), "{text}");
        assert_eq!((lines.len(), lines[1].split(',').count()), (2, 2 + 7 * 5));
    }

    #[test]
    fn prompts_are_read_as_they_were_written_and_a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TAIL_PROMPTS);
        assert_eq!(read_tail_prompts(&path).unwrap(), []);
        let row = |response: Option<&str>| TailPromptRow {
            method: "sft".to_owned(),
            prompt: "\"It\nwas".to_owned(),
            share: 0.1 + 0.2,
            in_tail: 2,
            texts: 25,
            mean: -1.5,
            lowest: -3.0,
            response: response.map(str::to_owned),
        };
        let rows = [row(Some(" bad\r\n")), row(None)];
        write_tail_prompts(&path, &rows).unwrap();
        assert_eq!(read_tail_prompts(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "{\n").unwrap();
        let message = read_tail_prompts(&path).unwrap_err().to_string();
        assert!(message.contains("tail_prompts.jsonl, line 3"), "{message}");
    }
}
