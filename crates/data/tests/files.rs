//! Files as people have them: each kind of table, each kind of damage, each place.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter, StatisticsOptions};
use tailguard_data::table::{Columns, read, read_texts};
use tailguard_data::{Lookup, Place, Record, Split, imdb};
use tempfile::TempDir;

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn parquet(path: &Path, columns: Vec<Column>) {
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap()).finish(&mut frame).unwrap();
}

fn message(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let text = read(&write(&dir, name, bytes), &Columns::default()).unwrap_err().to_string();
    assert!(text.contains(name), "names the file: {text}");
    text
}

#[test]
fn the_three_kinds_of_table_give_the_same_records() {
    let dir = tempfile::tempdir().unwrap();
    let csv = write(&dir, "a.csv", "id,text,label\n1,\"good, \"\"very\"\"\nfilm\",1\n2,bäd,0\n".as_bytes());
    let jsonl = write(
        &dir,
        "a.jsonl",
        "{\"label\":1,\"text\":\"good, \\\"very\\\"\\nfilm\"}\n{\"text\":\"bäd\",\"label\":0}\n".as_bytes(),
    );
    let table = dir.path().join("a.parquet");
    parquet(&table, vec![Column::new("text".into(), ["good, \"very\"\nfilm", "bäd"]), Column::new("label".into(), [1i64, 0])]);
    let records = read(&csv, &Columns::default()).unwrap();
    assert_eq!(records[0].text, "good, \"very\"\nfilm");
    assert_eq!((records[1].text.as_str(), records[1].label), ("bäd", 0));
    assert_eq!(records, read(&jsonl, &Columns::default()).unwrap());
    assert_eq!(records, read(&table, &Columns::default()).unwrap());
}

#[test]
fn a_missing_column_lists_those_there() {
    let text = message("a.csv", b"review,label\nx,1\n");
    assert!(text.ends_with("has no column \"text\"; its columns are review, label"), "{text}");
}

#[test]
fn empty_files_and_tables_without_rows_are_refused() {
    for name in ["a.csv", "a.jsonl", "a.parquet"] {
        assert!(message(name, b"").ends_with("has no rows"));
    }
    assert!(message("a.jsonl", b"\n\n").ends_with("has no rows"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet(&path, vec![Column::new("text".into(), [""; 0]), Column::new("label".into(), [0i64; 0])]);
    assert!(read(&path, &Columns::default()).unwrap_err().to_string().ends_with("has no rows"));
    assert!(message("a.csv", b"text,label\n").contains("has no rows"));
}

#[test]
fn a_truncated_parquet_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.parquet");
    parquet(&path, vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [1i64, 0])]);
    let whole = fs::read(&path).unwrap();
    for len in 1..whole.len() {
        let text = message("cut.parquet", &whole[..len]);
        assert!(text.contains("cannot read the Parquet table"), "{text}");
    }
}

#[test]
fn invalid_utf8_and_broken_json_are_named_by_their_line() {
    assert!(message("a.csv", b"text,label\nok,1\n\xff\xfe,0\n").ends_with("line 3 is not valid UTF-8"));
    assert!(message("a.jsonl", b"{\"text\":\"\xff\",\"label\":1}\n").ends_with("line 1 is not valid UTF-8"));
    let lines = "{\"text\":\"a\",\"label\":1}\n".repeat(999) + "{\"text\":\"a\",\n";
    assert!(message("a.jsonl", lines.as_bytes()).contains("line 1000 is not a JSON object"));
}

#[test]
fn labels_and_texts_that_are_none_are_named_by_their_row() {
    assert!(message("a.csv", b"text,label\na,1\nb,7\n").ends_with("column \"label\", row 2: found \"7\", expected 0 or 1"));
    assert!(
        message("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n")
            .ends_with("column \"label\", row 2: found nothing, expected 0 or 1")
    );
    assert!(
        message("a.jsonl", b"{\"label\":0,\"text\":\"a\"}\n{\"label\":1}\n")
            .ends_with("column \"text\", row 2: found nothing, expected a text")
    );
}

#[test]
fn a_wrong_label_is_named_however_far_down_it_stands() {
    let csv = format!("text,label\n{}b,good\n", "a,1\n".repeat(12_000));
    assert!(message("a.csv", csv.as_bytes()).ends_with("row 12001: found \"good\", expected 0 or 1"));
    let good = "{\"text\":\"a\",\"label\":1}\n".repeat(1_500);
    for (label, shown) in [("\"x\"", "\"x\""), ("0.5", "0.5")] {
        let jsonl = format!("{good}{{\"text\":\"a\",\"label\":{label}}}\n");
        assert!(message("a.jsonl", jsonl.as_bytes()).ends_with(&format!("row 1501: found {shown}, expected 0 or 1")));
    }
    let long = format!("text,label\na,{}\n", "é".repeat(500));
    assert!(message("a.csv", long.as_bytes()).ends_with(&format!("found \"{}\"..., expected 0 or 1", "é".repeat(40))));
}

#[test]
fn labels_may_be_booleans_or_strings_and_texts_may_be_digits() {
    let dir = tempfile::tempdir().unwrap();
    let records = |name: &str, bytes: &[u8]| {
        let records = read(&write(&dir, name, bytes), &Columns::default()).unwrap();
        records.into_iter().map(|record| (record.text, record.label)).collect::<Vec<_>>()
    };
    let expected = [("12".to_owned(), 1), ("13".to_owned(), 0)];
    assert_eq!(records("a.csv", b"text,label\n12,1\n13,0\n"), expected);
    assert_eq!(records("b.csv", b"text,label\r\n12,True\r\n13,false\r\n"), expected);
    assert_eq!(records("a.jsonl", b"{\"text\":\"12\",\"label\":true}\n\n{\"text\":\"13\",\"label\":false}\n"), expected);
    assert_eq!(records("a.ndjson", b"{\"text\":\"12\",\"label\":\"1\"}\n{\"text\":\"13\",\"label\":\"0\"}"), expected);
}

#[test]
fn a_column_of_something_else_is_named_with_its_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet(&path, vec![Column::new("text".into(), [1i64]), Column::new("label".into(), [1i64])]);
    let text = read(&path, &Columns::default()).unwrap_err().to_string();
    assert!(text.ends_with("column \"text\" holds i64, expected texts"), "{text}");
    parquet(&path, vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [1.0, f64::NAN])]);
    let text = read(&path, &Columns::default()).unwrap_err().to_string();
    assert!(text.ends_with("column \"label\", row 2: found NaN, expected 0 or 1"), "{text}");
    assert!(message("a.jsonl", b"{\"text\":\"a\",\"label\":[1]}\n").contains("column \"label\" holds list"));
}

/// A table with a column of decimals, for which polars is not compiled; pyarrow wrote it:
/// `pa.table({"text": ["a"], "label": [1], "price": [decimal.Decimal("1.5")]})`.
const DECIMALS: &[u8] = include_bytes!("decimals.parquet");

#[test]
fn a_column_that_polars_cannot_read_matters_only_if_it_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "a.parquet", DECIMALS);
    assert_eq!(read(&path, &Columns::default()).unwrap(), [Record { text: "a".into(), label: 1 }]);
    let columns = Columns { label: "price".into(), ..Columns::default() };
    let text = read(&path, &columns).unwrap_err().to_string();
    assert!(text.contains("column \"price\" holds Decimal(2, 1)"), "{text}");
}

#[test]
fn invalid_utf8_in_a_parquet_file_is_refused_with_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.parquet");
    let columns = vec![Column::new("text".into(), ["fine", "a marked text"]), Column::new("label".into(), [1i64, 0])];
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    let plain = ParquetWriter::new(fs::File::create(&path).unwrap()).with_compression(ParquetCompression::Uncompressed);
    plain.with_statistics(StatisticsOptions::empty()).finish(&mut frame).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|window| window == b"marked").unwrap();
    bytes[at] = 0xff;
    let text = message("damaged.parquet", &bytes);
    assert!(text.contains("column \"text\"") && text.contains("invalid UTF-8"), "{text}");
}

#[test]
fn what_is_no_table_is_said_to_be_none() {
    assert!(message("a.txt", b"text,label\na,1\n").contains("unknown kind of table"));
    assert!(message("a.parquet", b"text,label\na,1\n").contains("cannot read the Parquet table"));
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder.csv")).unwrap();
    let text = |name: &str| read(&dir.path().join(name), &Columns::default()).unwrap_err().to_string();
    assert!(text("folder.csv").ends_with("folder.csv: cannot read the CSV table: it is not a file"));
    assert!(text("nowhere.csv").contains("nowhere.csv: cannot read the CSV table: "));
}

#[test]
fn a_row_with_too_few_or_too_many_fields_is_refused() {
    assert!(message("a.csv", b"text,label\na,1\nb\n").ends_with("column \"label\", row 2: found nothing, expected 0 or 1"));
    assert!(message("a.csv", b"text,label\na,1\nb,1,2\n").contains("cannot read the CSV table"));
}

#[test]
fn one_column_is_read_without_regard_to_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "a.csv", b"text,label\na,\nb,maybe\n");
    assert_eq!(read_texts(&path, "text").unwrap(), ["a", "b"]);
    assert!(read_texts(&path, "body").unwrap_err().to_string().ends_with("no column \"body\"; its columns are text, label"));
}

fn place(dir: &TempDir, folder: &str, text: &str) {
    fs::create_dir_all(dir.path().join(folder)).unwrap();
    let table = dir.path().join(folder).join("train.csv");
    fs::write(table, format!("text,label\n{text},1\n")).unwrap();
}

#[test]
fn places_are_tried_in_order_and_the_one_used_is_named() {
    let (mine, embedded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    place(&mine, "", "mine");
    place(&embedded, "imdb", "embedded");
    let places = vec![Place::DataDir, Place::Env, Place::Cache, Place::Embedded];
    let mut lookup = Lookup { embedded_dir: Some(embedded.path().into()), places, ..Lookup::default() };
    let found = imdb::load(Split::Train, &lookup).unwrap();
    assert_eq!((found.records[0].text.as_str(), found.source.place), ("embedded", Place::Embedded));
    lookup.env_dir = Some(mine.path().into());
    let found = imdb::load(Split::Train, &lookup).unwrap();
    assert_eq!((found.records[0].text.as_str(), found.source.place), ("mine", Place::Env));
    assert!(found.source.to_string().ends_with("train.csv (from TAILGUARD_DATA)"));
}

#[test]
fn a_named_directory_without_the_file_is_never_passed_over() {
    let (empty, embedded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    place(&embedded, "imdb", "embedded");
    let (data_dir, embedded_dir) = (Some(empty.path().to_owned()), Some(embedded.path().to_owned()));
    let lookup = Lookup { data_dir, embedded_dir, places: vec![Place::DataDir, Place::Embedded], ..Lookup::default() };
    let text = imdb::load(Split::Train, &lookup).unwrap_err().to_string();
    assert!(text.starts_with("--data-dir is") && text.contains("has no train.parquet"), "{text}");
    let lookup = Lookup { env_dir: lookup.data_dir, data_dir: None, places: vec![Place::Env, Place::Embedded], ..lookup };
    let text = imdb::load(Split::Train, &lookup).unwrap_err().to_string();
    assert!(text.starts_with("TAILGUARD_DATA is") && text.contains("has no train.parquet"), "{text}");
}

#[test]
fn the_hugging_face_cache_is_read_at_its_main_revision() {
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("datasets--stanfordnlp--imdb");
    let folder = repository.join("snapshots/abc/plain_text");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    parquet(
        &folder.join("test-00000-of-00001.parquet"),
        vec![Column::new("text".into(), ["cached"]), Column::new("label".into(), [0i64])],
    );
    let lookup = Lookup { hf_cache: Some(cache.path().into()), places: vec![Place::Cache], ..Lookup::default() };
    let nothing = imdb::load(Split::Test, &lookup).unwrap_err().to_string();
    assert!(
        nothing.starts_with("found no IMDB reviews; looked in") && nothing.contains("datasets--stanfordnlp--imdb"),
        "{nothing}"
    );
    fs::write(repository.join("refs/main"), "abc\n").unwrap();
    assert_eq!(imdb::load(Split::Test, &lookup).unwrap().records[0].text, "cached");
}

#[test]
fn the_embedded_reviews_are_whole_balanced_and_disjoint() {
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let lookup = Lookup { embedded_dir: Some(embedded), places: vec![Place::Embedded], ..Lookup::default() };
    let load = |split| imdb::load(split, &lookup).unwrap().records;
    let (train, test) = (load(Split::Train), load(Split::Test));
    let positive = |records: &[Record]| records.iter().filter(|record| record.label == 1).count();
    assert_eq!((train.len(), positive(&train), test.len(), positive(&test)), (20_000, 10_000, 5_000, 2_500));
    let held_out: std::collections::HashSet<&str> = test.iter().map(|record| record.text.as_str()).collect();
    assert!(train.iter().all(|record| !held_out.contains(record.text.as_str())));
}
