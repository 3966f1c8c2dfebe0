//! A split of a task from whatever files a place has: tables, parts of tables, scores in a file of
//! their own, or one table for all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::at::At;
use crate::cell::Cell;
use crate::error::DataError;
use crate::layout::Layout;
use crate::record::{Origin, Record, Split, require, shuffled, without};
use crate::source::{Content, Files, Lookup, Source, find, tables};
use crate::table::Table;

/// Texts and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// In the order of the files. Some come sorted by class (the embedded reviews do): shuffle
    /// them, see [`shuffled`](crate::shuffled).
    pub records: Vec<Record>,
    /// The files.
    pub source: Source,
}

/// Which texts are held out of a table for all, and which of the good class are left out: the same
/// in every run.
const SEED: u64 = 42;
/// One in so many texts is held out of a table for all.
const HELD_OUT: usize = 5;
/// The column that joins texts and scores.
const ID: &str = "id";

/// Reads a split from the first place of `lookup` that has it.
///
/// A place has `train` and `test` as tables of any kind that [`table::read`](crate::table::read)
/// knows, packed or not, or as parts (`train-00000-of-00002.parquet`), or as folders of texts, one
/// for each class (`train/pos/*.txt`); or one table for both, called as `layout.whole` says, or one
/// folder for each class, of which a fifth of each class is held out. They are in the place itself
/// or in its folder named by `layout`, and there, too, in `plain_text`, `data`, `aclImdb` or an
/// archive (`.zip`). The scores of `test` may stand in `test_labels` beside it, joined by the
/// column `id`, where -1 says that a text has none. Texts without a score are left out there, and,
/// if the score is null, of a table for both; anywhere else they are an error.
///
/// # Errors
/// [`DataError::NoDirectory`] and [`DataError::NotThere`] if a place that the user named does not
/// have it, [`DataError::NotFound`] if none has, [`DataError::Several`] if a folder has it twice,
/// [`DataError::Parts`] if parts are missing, [`DataError::HalfOfClasses`] if the texts of one
/// class are, [`DataError::NoScore`] and [`DataError::NoScoreForId`] if scores are,
/// [`DataError::OneClass`] if a share of the good class is asked for and there is but one class,
/// [`DataError::Setting`] if `layout` makes no sense, and those of [`read`](crate::table::read).
pub fn load(layout: &Layout, split: Split, lookup: &Lookup) -> Result<Dataset, DataError> {
    layout.check()?;
    let (place, Files { content, is_whole }) = find(layout, split, lookup)?;
    let (mut records, mut paths) = (Vec::new(), Vec::new());
    match content {
        Content::Tables(tables) => {
            for path in tables {
                let (more, labels) = if is_whole {
                    (read_scored(&path, layout)?, None)
                } else {
                    read_or_join(&path, layout)?
                };
                records.extend(more);
                paths.extend([Some(path), labels].into_iter().flatten());
            }
        }
        Content::Folders(folders) => {
            for (path, class) in folders {
                records.extend(read_folder(&path, class)?);
                paths.push(path);
            }
        }
    }
    let source = Source { place, paths };
    require(&format!("texts with a score in {source}"), records.len(), 1)?;
    if is_whole {
        let (all, test) = (records.len(), part(records.clone(), Split::Test));
        let held_out = test.len();
        records = match split {
            Split::Test => test,
            Split::Train => {
                let (train, copies) = without(part(records, split), &test);
                if copies > 0 {
                    tracing::warn!(
                        "{copies} training texts are left out, of which a copy is held out: \
                         {source}"
                    );
                }
                train
            }
        };
        tracing::info!(
            "{held_out} of {all} texts are held out, one in {HELD_OUT} of each class, the same in \
             every run: {source}"
        );
        require(&format!("texts for {} from {source}", split.stem()), records.len(), 1)?;
    }
    if let Some(percent) = layout.good_percent {
        let percent = match split {
            Split::Train => percent.train,
            Split::Test => percent.test,
        };
        records = subsampled(records, percent)
            .ok_or_else(|| DataError::OneClass { files: source.to_string() })?;
    }
    let good = records.iter().filter(|record| record.label == 1).count();
    tracing::info!("{} texts, {good} of them good, from {source}", records.len());
    Ok(Dataset { records, source })
}

/// Labelled texts of a table, without those that have no score.
fn read_scored(path: &Path, layout: &Layout) -> Result<Vec<Record>, DataError> {
    let table = Table::open(path)?;
    let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
    table.records(layout, score, |cell| matches!(cell, Cell::Null))
}

/// The texts of a folder, each a file, in the order of their names.
fn read_folder(folder: &Path, label: u8) -> Result<Vec<Record>, DataError> {
    let failed = |path: &Path, error: std::io::Error| DataError::unreadable(path, "", error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        paths.extend(
            Some(path).filter(|path| path.extension().is_some_and(|ending| ending == "txt")),
        );
    }
    paths.sort();
    require(&format!("texts (.txt) in {}", folder.display()), paths.len(), 1)?;
    let text = |path: PathBuf| {
        let bytes = std::fs::read(&path).map_err(|error| failed(&path, error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
            let (line, byte) =
                (1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count(), bytes[at]);
            DataError::NotUtf8 { path: path.clone(), line, byte, encoding: "WINDOWS-1252" }
        })?;
        Ok(Record {
            text,
            continuation: String::new(),
            label,
            origin: Origin { path: path.into(), at: At::File },
        })
    };
    paths.into_iter().map(text).collect()
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
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let stem = format!("{stem}_labels");
    let Some(labels) = tables(folder, &stem).into_iter().next() else {
        let (columns, labels) = (layout.score.join(", "), format!("{stem}.{ending}"));
        return Err(DataError::NoScore {
            path: path.into(),
            columns,
            found: table.listed(),
            labels,
        });
    };
    let classes = classes_by_id(&labels, layout)?;
    let (texts, ids) = table.texts_and(layout, ID)?;
    let class = |(at, id): (At, String)| match classes.get(&id) {
        Some(&class) => Ok(class),
        None => Err(DataError::NoScoreForId { path: path.into(), at, id, labels: labels.clone() }),
    };
    let (places, ids) = (ids.places(), ids.ids()?);
    let classes = places.into_iter().zip(ids).map(class).collect::<Result<_, _>>()?;
    Ok((table.labelled(texts, classes), Some(labels)))
}

fn classes_by_id(path: &Path, layout: &Layout) -> Result<HashMap<String, Option<u8>>, DataError> {
    let table = Table::open(path)?;
    let score = table.score(layout).ok_or_else(|| table.missing(&layout.score))?;
    let mut columns = table.read(&[ID, score])?;
    let (ids, scores) = (columns.remove(0), columns.remove(0));
    let (places, ids) = (ids.places(), ids.ids()?);
    let classes = scores.classes(layout, |cell| matches!(cell.number(), Some(-1.0)))?;
    let mut by_id = HashMap::with_capacity(ids.len());
    for ((at, id), class) in places.into_iter().zip(ids).zip(classes) {
        if by_id.contains_key(&id) {
            let (path, column, expected) = (path.into(), ID.to_owned(), "each id once".to_owned());
            return Err(DataError::Value {
                path,
                column,
                at,
                found: format!("{id:?} again"),
                expected,
            });
        }
        by_id.insert(id, class);
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

/// All bad texts and so many good ones that at most `percent` of all are good; `None` if there is
/// but one class.
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
        let record = |(row, &label): (usize, &u8)| Record {
            text: row.to_string(),
            label,
            ..Record::default()
        };
        labels.iter().enumerate().map(record).collect()
    }

    fn good(records: &[Record]) -> usize {
        rows_of(records, 1).len()
    }

    proptest! {
        #[test]
        fn the_parts_of_a_table_are_disjoint_whole_and_hold_a_fifth_of_each_class(
            labels in prop::collection::vec(0u8..2, 0..60),
        ) {
            let all = records(&labels);
            let (train, test) = (part(all.clone(), Split::Train), part(all.clone(), Split::Test));
            prop_assert_eq!(good(&test), good(&all).div_ceil(5));
            prop_assert_eq!(test.len() - good(&test), (all.len() - good(&all)).div_ceil(5));
            let row = |record: &Record| record.text.parse::<usize>().unwrap();
            for part in [&train, &test] {
                prop_assert!(
                    part.windows(2).all(|pair| row(&pair[0]) < row(&pair[1])),
                    "in the order of the file"
                );
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
                    prop_assert!(
                        !one_more || good(&kept) == good(&all),
                        "{} of {}",
                        good(&kept),
                        good(&all)
                    );
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
