//! A split of a task from whatever files a place has: tables, parts of tables, scores in a file of their own, or one table for all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cell::Cell;
use crate::error::DataError;
use crate::layout::Layout;
use crate::record::{Record, Split, require, shuffled};
use crate::source::{Files, Lookup, Source, find};
use crate::table::Table;

/// Texts and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// In the order of the files. Some come sorted by class (the embedded reviews do): shuffle them, see
    /// [`shuffled`](crate::shuffled).
    pub records: Vec<Record>,
    /// The files.
    pub source: Source,
}

/// Which texts are held out of a table for all, and which of the good class are left out: the same in every run.
const SEED: u64 = 42;
/// One in so many texts is held out of a table for all.
const HELD_OUT: usize = 5;
/// The column that joins texts and scores.
const ID: &str = "id";

/// Reads a split from the first place of `lookup` that has it.
///
/// A place has `train` and `test` as `.parquet`, `.csv`, `.jsonl` or `.ndjson`, or as parts (`train-00000-of-00002.parquet`), or
/// one table `prompts` for both, of which a fifth of each class is held out; in the place itself or in its folder named by
/// `layout`, and there, too, in `plain_text` or `data`. The scores of `test` may stand in `test_labels` beside it, joined by the
/// column `id`, where -1 says that a text has none. Texts without a score are left out there, and, if the score is null, of
/// `prompts`; anywhere else they are an error.
///
/// # Errors
/// [`DataError::NoDirectory`] and [`DataError::NotThere`] if a place that the user named does not have it, [`DataError::NotFound`] if none has,
/// [`DataError::Parts`] if parts are missing, [`DataError::NoScore`] and [`DataError::NoScoreForId`] if scores are,
/// [`DataError::OneClass`] if a share of the good class is asked for and there is but one class, [`DataError::Setting`] if
/// `layout` makes no sense, and those of [`read`](crate::table::read).
pub fn load(layout: &Layout, split: Split, lookup: &Lookup) -> Result<Dataset, DataError> {
    layout.check()?;
    let (place, files) = find(layout, split, lookup)?;
    let (mut records, paths) = match files {
        Files::Split(tables) => {
            let (mut records, mut paths) = (Vec::new(), Vec::new());
            for table in tables {
                let (more, labels) = read_or_join(&table, layout)?;
                records.extend(more);
                paths.extend([Some(table), labels].into_iter().flatten());
            }
            (records, paths)
        }
        Files::Whole(path) => {
            let table = Table::open(&path)?;
            let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
            let records = table.records(layout, score, |cell| matches!(cell, Cell::Null))?;
            (part(records, split), vec![path])
        }
    };
    let source = Source { place, paths };
    require(&format!("texts with a score in {source}"), records.len(), 1)?;
    if let Some(percent) = layout.good_percent {
        let percent = match split {
            Split::Train => percent.train,
            Split::Test => percent.test,
        };
        records = subsampled(records, percent).ok_or_else(|| DataError::OneClass { files: source.to_string() })?;
    }
    let good = records.iter().filter(|record| record.label == 1).count();
    tracing::info!("{} texts, {good} of them good, from {source}", records.len());
    Ok(Dataset { records, source })
}

/// Labelled texts of a table, and the file of scores if they are in one.
fn read_or_join(path: &Path, layout: &Layout) -> Result<(Vec<Record>, Option<PathBuf>), DataError> {
    let table = Table::open(path)?;
    if let Some(score) = table.score(layout) {
        return Ok((table.records(layout, score, |_| false)?, None));
    }
    if !table.has(ID) {
        return Err(table.missing(&layout.score));
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{}_labels.{}", part(path.file_stem()), part(path.extension()));
    let labels = path.with_file_name(&name);
    if !labels.is_file() {
        let columns = layout.score.join(", ");
        return Err(DataError::NoScore { path: path.into(), columns, found: table.listed(), labels: name });
    }
    let scores = scores_by_id(&labels, layout)?;
    let (texts, ids) = table.texts_and(layout, ID)?;
    let score = |(row, id): (usize, String)| match scores.get(&id) {
        Some(&score) => Ok(score),
        None => Err(DataError::NoScoreForId { path: path.into(), row: row + 1, id, labels: labels.clone() }),
    };
    let scores = ids.ids()?.into_iter().enumerate().map(score).collect::<Result<_, _>>()?;
    Ok((table.labelled(texts, scores, layout), Some(labels)))
}

fn scores_by_id(path: &Path, layout: &Layout) -> Result<HashMap<String, Option<f64>>, DataError> {
    let table = Table::open(path)?;
    let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
    let mut columns = table.read(&[ID, score])?;
    let (ids, scores) = (columns.remove(0).ids()?, columns.remove(0));
    let scores = scores.scores(|cell| matches!(cell.number(), Some(-1.0)))?;
    let mut by_id = HashMap::with_capacity(ids.len());
    for (row, (id, score)) in ids.into_iter().zip(scores).enumerate() {
        if by_id.contains_key(&id) {
            let (path, column, expected) = (path.into(), ID.to_owned(), "each id once");
            return Err(DataError::Value { path, column, row: row + 1, found: format!("{id:?} again"), expected });
        }
        by_id.insert(id, score);
    }
    Ok(by_id)
}

/// The part of a table for all: of each class a fifth, rounded up, is held out.
fn part(records: Vec<Record>, split: Split) -> Vec<Record> {
    let mut kept = Vec::with_capacity(records.len());
    for label in [0, 1] {
        let rows = rows_of(&records, label);
        let order = shuffled(rows.len(), SEED);
        let (held_out, rest) = order.split_at(rows.len().div_ceil(HELD_OUT));
        let chosen = match split {
            Split::Train => rest,
            Split::Test => held_out,
        };
        kept.extend(chosen.iter().map(|&index| rows[index]));
    }
    only(records, kept)
}

/// All bad texts and so many good ones that at most `percent` of all are good; `None` if there is but one class.
fn subsampled(records: Vec<Record>, percent: usize) -> Option<Vec<Record>> {
    let (mut kept, good) = (rows_of(&records, 0), rows_of(&records, 1));
    if kept.is_empty() || good.is_empty() {
        return None;
    }
    let wanted = kept.len() * percent / (100 - percent);
    kept.extend(shuffled(good.len(), SEED).into_iter().take(wanted).map(|index| good[index]));
    Some(only(records, kept))
}

fn rows_of(records: &[Record], label: u8) -> Vec<usize> {
    (0..records.len()).filter(|&row| records[row].label == label).collect()
}

/// These rows, in the order that they had.
fn only(records: Vec<Record>, rows: Vec<usize>) -> Vec<Record> {
    let mut kept = vec![false; records.len()];
    rows.into_iter().for_each(|row| kept[row] = true);
    records.into_iter().zip(kept).filter_map(|(record, kept)| kept.then_some(record)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Texts "0", "1", ... of these classes.
    fn records(labels: &[u8]) -> Vec<Record> {
        let record = |(row, &label): (usize, &u8)| Record { text: row.to_string(), continuation: String::new(), label };
        labels.iter().enumerate().map(record).collect()
    }

    fn good(records: &[Record]) -> usize {
        rows_of(records, 1).len()
    }

    proptest! {
        #[test]
        fn the_parts_of_a_table_are_disjoint_whole_and_hold_a_fifth_of_each_class(labels in prop::collection::vec(0u8..2, 0..60)) {
            let all = records(&labels);
            let (train, test) = (part(all.clone(), Split::Train), part(all.clone(), Split::Test));
            prop_assert_eq!(good(&test), good(&all).div_ceil(5));
            prop_assert_eq!(test.len() - good(&test), (all.len() - good(&all)).div_ceil(5));
            let row = |record: &Record| record.text.parse::<usize>().unwrap();
            for part in [&train, &test] {
                prop_assert!(part.windows(2).all(|pair| row(&pair[0]) < row(&pair[1])), "in the order of the file");
            }
            let mut both = [train, test].concat();
            both.sort_by_key(row);
            prop_assert_eq!(both, all);
        }

        #[test]
        fn no_bad_text_is_left_out_and_no_more_good_ones_than_needed(
            labels in prop::collection::vec(0u8..2, 0..60),
            percent in 1usize..100,
        ) {
            let all = records(&labels);
            let bad = all.len() - good(&all);
            match subsampled(all.clone(), percent) {
                None => prop_assert!(bad == 0 || bad == all.len()),
                Some(kept) => {
                    prop_assert_eq!(kept.len() - good(&kept), bad);
                    prop_assert!(good(&kept) * 100 <= percent * kept.len());
                    let one_more = (good(&kept) + 1) * 100 <= percent * (kept.len() + 1);
                    prop_assert!(!one_more || good(&kept) == good(&all), "{} of {}", good(&kept), good(&all));
                }
            }
        }
    }

    /// 57,983 and 8,698 are the numbers of arXiv 2501.06911; they follow from 21,744 toxic prompts.
    #[test]
    fn the_splits_of_real_toxicity_prompts_have_the_sizes_of_the_paper() {
        let labels: Vec<u8> = (0..99_000).map(|row| u8::from(row >= 21_744)).collect();
        let all = records(&labels);
        let len = |split, percent| subsampled(part(all.clone(), split), percent).unwrap().len();
        assert_eq!((len(Split::Train, 70), len(Split::Test, 50)), (57_983, 8_698));
    }
}
