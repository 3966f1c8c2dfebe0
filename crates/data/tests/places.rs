//! Files of a task in the places where they may be: which place is used, which of its files are
//! taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

mod kit;

use std::fs;
use std::path::Path;

use kit::{comments, from, message, pairs, prompts, reviews, write};
use tailguard_data::{Layout, Lookup, Place, Record, Split, duplicates, load};
use tempfile::TempDir;

#[test]
fn places_are_tried_in_order_and_the_one_used_is_named() {
    let (mine, embedded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&mine, "train.csv", "text,label\nmine,1\n");
    write(&embedded, "imdb/train.csv", "text,label\nembedded,1\n");
    let places = vec![Place::DataDir, Place::Env, Place::Cache, Place::Embedded];
    let mut lookup =
        Lookup { embedded_dir: Some(embedded.path().into()), places, ..Lookup::default() };
    let found = load(&reviews(), Split::Train, &lookup).unwrap();
    assert_eq!((pairs(&found), found.source.place), (vec![("embedded", 1)], Place::Embedded));
    lookup.env_dir = Some(mine.path().into());
    let found = load(&reviews(), Split::Train, &lookup).unwrap();
    assert_eq!((pairs(&found), found.source.place), (vec![("mine", 1)], Place::Env));
    assert!(found.source.to_string().ends_with("train.csv (from TAILGUARD_DATA)"));
}

#[test]
fn a_named_directory_without_the_file_is_never_passed_over() {
    let (empty, embedded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&embedded, "imdb/train.csv", "text,label\nembedded,1\n");
    let (data_dir, embedded_dir) =
        (Some(empty.path().to_owned()), Some(embedded.path().to_owned()));
    let lookup = Lookup {
        data_dir,
        embedded_dir,
        places: vec![Place::DataDir, Place::Embedded],
        ..Lookup::default()
    };
    let text = load(&reviews(), Split::Train, &lookup).unwrap_err().to_string();
    assert!(
        text.starts_with("the data directory is") && text.contains("has no train or prompts table"),
        "{text}"
    );
    let nowhere = Lookup { data_dir: Some(empty.path().join("support")), ..lookup.clone() };
    let text = load(&reviews(), Split::Train, &nowhere).unwrap_err().to_string();
    assert!(
        text.starts_with("the data directory is")
            && text.contains("support, expected a directory, found nothing"),
        "{text}"
    );
    let lookup = Lookup {
        env_dir: lookup.data_dir,
        data_dir: None,
        places: vec![Place::Env, Place::Embedded],
        ..lookup
    };
    let text = load(&reviews(), Split::Train, &lookup).unwrap_err().to_string();
    assert!(
        text.starts_with("TAILGUARD_DATA is") && text.contains("nor has its folder \"imdb\""),
        "{text}"
    );
}

#[test]
fn the_hugging_face_cache_is_read_at_its_main_revision() {
    let cache = tempfile::tempdir().unwrap();
    let lookup = Lookup {
        hf_cache: Some(cache.path().into()),
        places: vec![Place::Cache],
        ..Lookup::default()
    };
    let snapshot = "datasets--OxAISH-AL-LLM--wiki_toxic/snapshots";
    write(&cache, &format!("{snapshot}/new/test.csv"), "id,comment_text,label\n1,new,1\n");
    write(&cache, &format!("{snapshot}/old/test.csv"), "id,comment_text,label\n1,old,0\n");
    let nothing = load(&comments(), Split::Test, &lookup).unwrap_err().to_string();
    assert!(
        nothing.starts_with("found no jigsaw data (test or prompts); looked in\n"),
        "{nothing}"
    );
    assert!(nothing.ends_with("datasets--OxAISH-AL-LLM--wiki_toxic"), "{nothing}");
    write(&cache, "datasets--OxAISH-AL-LLM--wiki_toxic/refs/main", "new\n");
    assert_eq!(pairs(&load(&comments(), Split::Test, &lookup).unwrap()), [("new", 0)]);
    let nothing = load(&comments(), Split::Train, &lookup).unwrap_err().to_string();
    assert!(nothing.ends_with("snapshots/new"), "{nothing}");
}

/// A Parquet file of one review.
fn part(dir: &TempDir, name: &str, text: &str) {
    use polars::prelude::{Column, DataFrame, ParquetWriter};
    write(dir, name, "");
    let columns = vec![Column::new("text".into(), [text]), Column::new("label".into(), [1i64])];
    let file = fs::File::create(dir.path().join(name)).unwrap();
    ParquetWriter::new(file).finish(&mut DataFrame::new_infer_height(columns).unwrap()).unwrap();
}

#[test]
fn a_table_in_parts_is_read_in_their_order_and_whole_or_not_at_all() {
    for folder in ["", "plain_text/", "data/"] {
        let cache = tempfile::tempdir().unwrap();
        let lookup = Lookup {
            hf_cache: Some(cache.path().into()),
            places: vec![Place::Cache],
            ..Lookup::default()
        };
        write(&cache, "datasets--imdb/refs/main", "abc");
        let snapshot = format!("datasets--imdb/snapshots/abc/{folder}");
        part(&cache, &format!("{snapshot}train-00001-of-00002-5d8b8b8f9c0e.parquet"), "second");
        part(&cache, &format!("{snapshot}test-00000-of-00001.parquet"), "held out");
        let text = load(&reviews(), Split::Train, &lookup).unwrap_err().to_string();
        assert!(
            text.ends_with("has 1 files of train in 2 parts, expected each part once"),
            "{text}"
        );
        part(&cache, &format!("{snapshot}train-00000-of-00002-0a1b2c3d4e5f.parquet"), "first");
        let train = load(&reviews(), Split::Train, &lookup).unwrap();
        assert_eq!(pairs(&train), [("first", 1), ("second", 1)]);
        assert_eq!(train.source.paths.len(), 2);
        assert_eq!(pairs(&load(&reviews(), Split::Test, &lookup).unwrap()), [("held out", 1)]);
        part(&cache, &format!("{snapshot}train-00000-of-00003.parquet"), "of another");
        assert!(load(&reviews(), Split::Train, &lookup).is_err());
    }
}

#[test]
fn two_layouts_in_one_folder_and_half_of_one_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "train.csv", "text,label\na,1\nb,0\n");
    write(&dir, "train.jsonl.gz", "never opened");
    let text = message(&dir, &reviews(), Split::Train);
    assert!(text.ends_with(
        "has train.csv and train.jsonl.gz, each of which could be train: expected one of them; \
         move the others elsewhere"
    ));
    fs::remove_file(dir.path().join("train.jsonl.gz")).unwrap();
    // a test split that were taken from another table could hold texts of train
    write(&dir, "prompts.csv", "text,label\na,1\nb,0\n");
    assert_eq!(pairs(&from(&dir, &reviews(), Split::Train).unwrap()), [("a", 1), ("b", 0)]);
    let text = message(&dir, &reviews(), Split::Test);
    assert!(
        text.contains("has no test table beside that of train")
            && text.ends_with("it holds prompts.csv, train.csv"),
        "{text}"
    );
    // and so could one that lies elsewhere
    fs::remove_file(dir.path().join("prompts.csv")).unwrap();
    write(&dir, "data/prompts.csv", "text,label\na,1\nb,0\n");
    let text = message(&dir, &reviews(), Split::Test);
    assert!(text.contains("has no test table beside that of train"), "{text}");
}

/// The texts of an embedded task, and how many of them are good.
fn embedded(layout: &Layout, split: Split) -> (Vec<Record>, usize) {
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let lookup =
        Lookup { embedded_dir: Some(embedded), places: vec![Place::Embedded], ..Lookup::default() };
    let records = load(layout, split, &lookup).unwrap().records;
    let good = records.iter().filter(|record| record.label == 1).count();
    (records, good)
}

#[test]
fn the_embedded_tables_are_whole_balanced_and_disjoint() {
    for (layout, counts) in [
        (reviews(), [(20_000, 10_000), (5_000, 2_500)]),
        (Layout { folder: "jigsaw".into(), ..comments() }, [(8_000, 5_600), (2_000, 1_000)]),
        (
            Layout { folder: "real-toxicity-prompts".into(), ..prompts() },
            [(3_000, 2_100), (1_200, 600)],
        ),
    ] {
        let [(train, good), (test, good_test)] =
            [Split::Train, Split::Test].map(|split| embedded(&layout, split));
        assert_eq!([(train.len(), good), (test.len(), good_test)], counts, "{}", layout.folder);
        assert_eq!(duplicates(&train, &test), 0, "{}", layout.folder);
    }
}
