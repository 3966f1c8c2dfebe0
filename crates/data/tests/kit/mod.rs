//! Three layouts, and how their files are written and read.

use std::fs;

use tailguard_data::{DataError, Dataset, Good, GoodPercent, Layout, Lookup, Place, Split, load};
use tempfile::TempDir;

pub(crate) fn write(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn reviews() -> Layout {
    Layout {
        folder: "imdb".into(),
        hub: vec!["stanfordnlp/imdb".into(), "imdb".into()],
        ..Layout::default()
    }
}

pub(crate) fn comments() -> Layout {
    Layout {
        folder: "jigsaw".into(),
        hub: vec!["OxAISH-AL-LLM/wiki_toxic".into()],
        text: "comment_text".into(),
        score: vec!["toxic".into(), "label".into()],
        good: Good::Low,
        ..Layout::default()
    }
}

pub(crate) fn prompts() -> Layout {
    Layout {
        folder: "rtp".into(),
        hub: vec!["allenai/real-toxicity-prompts".into()],
        text: "prompt.text".into(),
        continuation: Some("continuation.text".into()),
        score: vec!["prompt.toxicity".into()],
        good: Good::Low,
        good_percent: Some(GoodPercent { train: 70, test: 50 }),
        ..Layout::default()
    }
}

/// Reads from a directory that the user named.
pub(crate) fn from(dir: &TempDir, layout: &Layout, split: Split) -> Result<Dataset, DataError> {
    let lookup = Lookup {
        data_dir: Some(dir.path().into()),
        places: vec![Place::DataDir],
        ..Lookup::default()
    };
    load(layout, split, &lookup)
}

pub(crate) fn message(dir: &TempDir, layout: &Layout, split: Split) -> String {
    from(dir, layout, split).unwrap_err().to_string()
}

/// Text and label of each record.
pub(crate) fn pairs(dataset: &Dataset) -> Vec<(&str, u8)> {
    dataset.records.iter().map(|record| (record.text.as_str(), record.label)).collect()
}
