//! Single tables as people have them: each kind, each kind of damage.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::{
    Column, DataFrame, IntoColumn, ParquetCompression, ParquetWriter, StatisticsOptions,
};
use tailguard_data::table::{read, read_texts};
use tailguard_data::{At, DataError, Good, Layout, Origin, Record};
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

fn record(text: &str, continuation: &str, label: u8) -> Record {
    Record {
        text: text.into(),
        continuation: continuation.into(),
        label,
        origin: Origin::default(),
    }
}

/// The records without the places where they stand.
fn unplaced(records: Result<Vec<Record>, DataError>) -> Vec<Record> {
    records
        .unwrap()
        .into_iter()
        .map(|record| Record { origin: Origin::default(), ..record })
        .collect()
}

fn message(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let text = read(&write(&dir, name, bytes), &Layout::default()).unwrap_err().to_string();
    assert!(text.contains(name), "names the file: {text}");
    text
}

#[test]
fn the_three_kinds_of_table_give_the_same_records() {
    let dir = tempfile::tempdir().unwrap();
    let csv = write(
        &dir,
        "a.csv",
        "id,text,label\n1,\"good, \"\"very\"\"\nfilm\",1\n2,bäd,0\n".as_bytes(),
    );
    let jsonl = write(
        &dir,
        "a.jsonl",
        "{\"label\":1,\"text\":\"good, \\\"very\\\"\\nfilm\"}\n{\"text\":\"bäd\",\"label\":0}\n"
            .as_bytes(),
    );
    let table = dir.path().join("a.parquet");
    parquet(
        &table,
        vec![
            Column::new("text".into(), ["good, \"very\"\nfilm", "bäd"]),
            Column::new("label".into(), [1i64, 0]),
        ],
    );
    let expected = [record("good, \"very\"\nfilm", "", 1), record("bäd", "", 0)];
    let places = [(&csv, At::Row(2)), (&jsonl, At::Line(2)), (&table, At::Row(2))];
    for (path, second) in places {
        let records = read(path, &Layout::default()).unwrap();
        assert_eq!(records[1].origin, Origin { path: path.as_path().into(), at: second });
        assert_eq!(unplaced(Ok(records)), expected);
    }
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
    parquet(
        &path,
        vec![Column::new("text".into(), [""; 0]), Column::new("label".into(), [0i64; 0])],
    );
    assert!(read(&path, &Layout::default()).unwrap_err().to_string().ends_with("has no rows"));
    assert!(message("a.csv", b"text,label\n").contains("has no rows"));
}

#[test]
fn a_truncated_parquet_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.parquet");
    parquet(
        &path,
        vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [1i64, 0])],
    );
    let whole = fs::read(&path).unwrap();
    for len in 1..whole.len() {
        let text = message("cut.parquet", &whole[..len]);
        assert!(text.contains("cannot read the Parquet table"), "{text}");
    }
}

#[test]
fn a_column_goes_before_the_field_of_another_that_is_called_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "a.jsonl", b"{\"a.b\":\"column\",\"a\":{\"b\":\"field\"}}\n");
    assert_eq!(read_texts(&path, "a.b").unwrap(), ["column"]);
}

#[test]
fn a_column_that_is_there_twice_is_refused_where_it_is_wanted() {
    let text = message("a.csv", b"text,label,text,x,x\na,1,b,2,3\n");
    assert!(
        text.ends_with("has 2 columns \"text\", expected one: rename the others in its first line"),
        "{text}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "a.csv", b"text,label,x,x\na,1,2,3\n");
    assert_eq!(read(&path, &Layout::default()).unwrap().len(), 1, "nobody asks for x");
}

#[test]
fn other_separators_than_commas_are_suspected() {
    let text = message("a.csv", b"text;label\na, b;1\n");
    let said = "its columns are \"text;label\" alone: is the file separated by semicolons? Commas \
        are expected: python3 -c";
    assert!(text.contains(said) && text.contains("sep=\";\""), "{text}");
    assert!(
        message("a.csv", b"text\tlabel\na\t1\n")
            .contains("separated by tabs? Commas are expected: rename the file to .tsv")
    );
    assert!(
        message("a.tsv", b"text,label\na,1\n")
            .contains("separated by commas? Tabs are expected: rename the file to .csv")
    );
    assert!(
        message("a.csv", b",text ,label\n0,a,1\n")
            .ends_with("its columns are \"\", \"text \", label")
    );
}

#[test]
fn invalid_utf8_and_broken_json_are_named_by_their_line() {
    let text = message("a.csv", b"text,label\nok,1\ncaf\xe9,0\n");
    assert!(
        text.contains(
            "line 3 is not valid UTF-8: found the byte 0xE9; if the file is WINDOWS-1252"
        ),
        "{text}"
    );
    assert!(
        text.contains("iconv -f WINDOWS-1252 -t UTF-8 \"")
            && text.ends_with("a.csv\" > converted.csv"),
        "{text}"
    );
    assert!(
        message("a.jsonl", b"{\"text\":\"\xff\",\"label\":1}\n")
            .contains("line 1 is not valid UTF-8")
    );
    assert!(message("a.csv", b"\xff\xfet\0e\0x\0t\0\n\0").contains("if the file is UTF-16"));
    let lines = "{\"text\":\"a\",\"label\":1}\n".repeat(999) + "{\"text\":\"a\",\n";
    let text = message("a.jsonl", lines.as_bytes());
    assert!(
        text.ends_with("line 1000 is not a JSON object: EOF while parsing a value at column 12"),
        "{text}"
    );
}

#[test]
fn labels_and_texts_that_are_none_are_named_by_their_row() {
    assert!(
        message("a.csv", b"text,label\na,1\nb,7\n")
            .ends_with("column \"label\", row 2: found \"7\", expected a number from 0 to 1")
    );
    assert!(
        message("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n")
            .ends_with("column \"label\", line 2: found nothing, expected a number from 0 to 1")
    );
    assert!(
        message("a.jsonl", b"{\"label\":0,\"text\":\"a\"}\n{\"label\":1}\n")
            .ends_with("column \"text\", line 2: found nothing, expected a text")
    );
}

#[test]
fn a_wrong_label_is_named_however_far_down_it_stands() {
    let csv = format!("text,label\n{}b,good\n", "a,1\n".repeat(12_000));
    assert!(
        message("a.csv", csv.as_bytes())
            .ends_with("row 12001: found \"good\", expected a number from 0 to 1")
    );
    let good = "{\"text\":\"a\",\"label\":1}\n".repeat(1_500);
    for (label, shown) in [
        ("\"x\"", "\"x\""),
        ("1.5", "1.5"),
        ("-1", "-1"),
        ("null", "nothing"),
        ("[1,2]", "a list of 2 (1, 2)"),
        ("{\"a\":1}", "{\"a\":1}"),
    ] {
        let jsonl = format!("{good}{{\"text\":\"a\",\"label\":{label}}}\n");
        assert!(
            message("a.jsonl", jsonl.as_bytes())
                .contains(&format!("line 1501: found {shown}, expected a number from 0 to 1"))
        );
    }
    let long = format!("text,label\na,{}\n", "é".repeat(500));
    assert!(
        message("a.csv", long.as_bytes())
            .ends_with(&format!("found \"{}\"..., expected a number from 0 to 1", "é".repeat(40)))
    );
}

#[test]
fn labels_may_be_booleans_or_strings_and_texts_may_be_digits() {
    let dir = tempfile::tempdir().unwrap();
    let records = |name: &str, bytes: &[u8]| {
        let records = read(&write(&dir, name, bytes), &Layout::default()).unwrap();
        records.into_iter().map(|record| (record.text, record.label)).collect::<Vec<_>>()
    };
    let expected = [("12".to_owned(), 1), ("13".to_owned(), 0)];
    assert_eq!(records("a.csv", b"text,label\n12,1\n13,0\n"), expected);
    assert_eq!(records("b.csv", b"text,label\r\n12,True\r\n13,false\r\n"), expected);
    assert_eq!(
        records(
            "a.jsonl",
            b"{\"text\":\"12\",\"label\":true}\n\n{\"text\":\"13\",\"label\":false}\n"
        ),
        expected
    );
    assert_eq!(
        records(
            "a.ndjson",
            b"{\"text\":\"12\",\"label\":\"1\"}\n{\"text\":\"13\",\"label\":\"0\"}"
        ),
        expected
    );
}

#[test]
fn a_value_of_another_type_is_named_with_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet(&path, vec![Column::new("text".into(), [1i64]), Column::new("label".into(), [1i64])]);
    let text = read(&path, &Layout::default()).unwrap_err().to_string();
    assert!(text.ends_with("column \"text\", row 1: found 1, expected a text"), "{text}");
    parquet(
        &path,
        vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [1.0, f64::NAN])],
    );
    let text = read(&path, &Layout::default()).unwrap_err().to_string();
    assert!(
        text.ends_with("column \"label\", row 2: found NaN, expected a number from 0 to 1"),
        "{text}"
    );
}

#[test]
fn invalid_utf8_in_a_parquet_file_is_refused_with_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.parquet");
    let columns = vec![
        Column::new("text".into(), ["fine", "a marked text"]),
        Column::new("label".into(), [1i64, 0]),
    ];
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    let plain = ParquetWriter::new(fs::File::create(&path).unwrap())
        .with_compression(ParquetCompression::Uncompressed);
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
    let text =
        |name: &str| read(&dir.path().join(name), &Layout::default()).unwrap_err().to_string();
    assert!(
        text("folder.csv").ends_with("folder.csv: cannot read the CSV table: it is not a file")
    );
    assert!(text("nowhere.csv").contains("nowhere.csv: cannot read the CSV table: "));
}

#[test]
fn a_row_with_too_few_or_too_many_fields_is_refused() {
    assert!(
        message("a.csv", b"text,label\na,1\nb\n")
            .ends_with("the row at line 3: found 1 fields, expected 2")
    );
    assert!(
        message("a.csv", b"text,label\na,1\nb,1,2\n")
            .ends_with("the row at line 3: found 3 fields, expected 2")
    );
    let unquoted = message("a.csv", b"label,text,id\n1,Good, really good,77\n");
    assert!(unquoted.ends_with("the row at line 2: found 4 fields, expected 3"), "{unquoted}");
}

#[test]
fn an_empty_field_is_nothing() {
    assert!(
        message("a.csv", b"text,label\na,1\n,0\n")
            .ends_with("column \"text\", row 2: found nothing, expected a text")
    );
}

#[test]
fn a_file_that_ends_within_quotes_is_refused_with_the_line_where_they_open() {
    let open = message("a.csv", b"text,label\n\"a \"\"b\"\"\n\",1\n\"never closed,0\nc,1\n");
    assert!(open.ends_with("the file ends within the quotes that open at line 4"), "{open}");
    let dir = tempfile::tempdir().unwrap();
    let whole = "text,label\n6\" by 4\",1\n\"5\"\" disk\",0\n\"\",0\n \"quoted,1\n\"ends\",\"1\"";
    let texts = read_texts(
        &write(&dir, "a.csv", format!("\u{feff}{whole}").replace("\"\",0\n", "x,0\n").as_bytes()),
        "text",
    );
    assert_eq!(texts.unwrap(), ["6\" by 4\"", "5\" disk", "x", " \"quoted", "ends"]);
}

#[test]
fn one_column_is_read_without_regard_to_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, "a.csv", b"text,label\na,\nb,maybe\n");
    assert_eq!(read_texts(&path, "text").unwrap(), ["a", "b"]);
    assert!(
        read_texts(&path, "body")
            .unwrap_err()
            .to_string()
            .ends_with("no column \"body\"; its columns are text, label")
    );
}

/// As RealToxicityPrompts has them.
fn nested() -> Layout {
    Layout {
        text: "prompt.text".into(),
        continuation: Some("continuation.text".into()),
        score: vec!["prompt.toxicity".into()],
        good: Good::Low,
        ..Layout::default()
    }
}

const NESTED: &str = concat!(
    r#"{"begin":0,"prompt":{"text":"a","toxicity":0.5},"#,
    r#""continuation":{"text":" b","toxicity":null}}"#
);

#[test]
fn fields_of_objects_and_structs_are_columns() {
    let dir = tempfile::tempdir().unwrap();
    let expected = [record("a", " b", 1)];
    assert_eq!(unplaced(read(&write(&dir, "a.jsonl", NESTED.as_bytes()), &nested())), expected);
    let path = dir.path().join("a.parquet");
    let frame = |columns| DataFrame::new_infer_height(columns).unwrap();
    let scores = Column::new("toxicity".into(), [0.5]);
    let prompt =
        frame(vec![Column::new("text".into(), ["a"]), scores]).into_struct("prompt".into());
    let continuation =
        frame(vec![Column::new("text".into(), [" b"])]).into_struct("continuation".into());
    parquet(
        &path,
        vec![prompt.into_column(), continuation.into_column(), Column::new("begin".into(), [0i64])],
    );
    assert_eq!(unplaced(read(&path, &nested())), expected);
    let text =
        read(&path, &Layout { text: "prompt.body".into(), ..nested() }).unwrap_err().to_string();
    assert!(text.contains(
        "no column \"prompt.body\"; its columns are prompt.text, prompt.toxicity, \
         continuation.text, begin"
    ));
    let csv = write(&dir, "a.csv", b"prompt.text,prompt.toxicity,continuation.text\na,0.5, b\n");
    assert_eq!(unplaced(read(&csv, &nested())), expected);
}

#[test]
fn a_field_that_one_line_lacks_is_named_by_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let message = |last: &str| {
        let lines = format!("{NESTED}\n").repeat(999) + last;
        read(&write(&dir, "a.jsonl", lines.as_bytes()), &nested()).unwrap_err().to_string()
    };
    let text = message(r#"{"prompt":{"text":"a"},"continuation":{"text":"b"}}"#);
    assert!(
        text.ends_with(
            "column \"prompt.toxicity\", line 1000: found nothing, expected a number from 0 to 1"
        ),
        "{text}"
    );
    let text = message(r#"{"prompt":{"text":"a","toxicity":0},"continuation":null}"#);
    assert!(
        text.ends_with("column \"continuation.text\", line 1000: found nothing, expected a text"),
        "{text}"
    );
    let text = message(r#"{"prompt":"a","continuation":{"text":"b"}}"#);
    assert!(text.contains("column \"prompt.text\", line 1000: found nothing"), "{text}");
    let text = message(r#"{"prompt":{"text":"a","toxicity":NaN},"continuation":{"text":"b"}}"#);
    assert!(
        text.ends_with(
            "column \"prompt.toxicity\", line 1000: found NaN, expected a number from 0 to 1"
        ),
        "{text}"
    );
    assert!(
        message(r#"{"prompt":{"text":"a","toxicity":nan}}"#)
            .contains("line 1000 is not a JSON object")
    );
}

#[test]
fn the_first_column_of_scores_that_is_there_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout { score: vec!["toxic".into(), "label".into()], ..Layout::default() };
    let label =
        |bytes: &[u8]| read(&write(&dir, "a.csv", bytes), &layout).map(|records| records[0].label);
    assert_eq!(label(b"text,label\na,1\n").unwrap(), 1);
    assert_eq!(label(b"label,text,toxic\n1,a,0\n").unwrap(), 0);
    let text = label(b"text,score\na,1\n").unwrap_err().to_string();
    assert!(
        text.ends_with("has no column \"toxic\" or \"label\"; its columns are text, score"),
        "{text}"
    );
}

#[test]
fn scores_that_are_no_numbers_from_0_to_1_are_shown() {
    for score in ["toxic", "nan", "inf", "-inf", "1e999", "1.01", "-1"] {
        let text = message("a.csv", format!("text,label\na,0.2\nb,{score}\n").as_bytes());
        assert!(
            text.ends_with(&format!(
                "column \"label\", row 2: found {score:?}, expected a number from 0 to 1"
            )),
            "{text}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet(&path, vec![Column::new("text".into(), ["a"]), Column::new("label".into(), ["toxic"])]);
    assert!(
        read(&path, &Layout::default()).unwrap_err().to_string().contains("row 1: found \"toxic\"")
    );
}

#[test]
fn the_embedded_prompts_of_real_toxicity_prompts_are_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../datasets/real-toxicity-prompts/prompts.parquet");
    let (prompts, categories) =
        (read_texts(&path, "prompt").unwrap(), read_texts(&path, "category").unwrap());
    let different = |texts: &[String]| texts.iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(
        (prompts.len(), different(&prompts), categories.len(), different(&categories)),
        (700, 623, 700, 7)
    );
}
