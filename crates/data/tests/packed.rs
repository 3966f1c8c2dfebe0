//! Packed tables, tables whose names lie, and files that are none: each is read, or said to be what
//! it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use polars::prelude::{Column, DataFrame, ParquetWriter};
use tailguard_data::table::{columns, read_texts};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const CSV: &str = "text,score\n\"one, \"\"1\"\"\",1\ntwo,2\n";
const TSV: &str = "text\tscore\n\"one, \"\"1\"\"\"\t1\ntwo\t2\n";
const LINES: &str =
    "{\"text\": \"one, \\\"1\\\"\", \"score\": 1}\n{\"text\": \"two\", \"score\": 2}\n";
const ARRAY: &str =
    "[\n  {\"text\": \"one, \\\"1\\\"\", \"score\": 1},\n  {\"text\": \"two\", \"score\": 2}\n]\n";

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    file.write_all(bytes).unwrap();
    file.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).unwrap()
}

fn zip(name: &str, bytes: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
    archive.write_all(bytes).unwrap();
    archive.start_file("__MACOSX/._a", SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap().into_inner()
}

fn parquet() -> Vec<u8> {
    let mut bytes = Vec::new();
    let columns = vec![
        Column::new("text".into(), ["one, \"1\"", "two"]),
        Column::new("score".into(), [1.0, 2.0]),
    ];
    ParquetWriter::new(&mut bytes)
        .finish(&mut DataFrame::new_infer_height(columns).unwrap())
        .unwrap();
    bytes
}

#[track_caller]
fn is_read(path: &Path) {
    assert_eq!(read_texts(path, "text").unwrap(), ["one, \"1\"", "two"], "{}", path.display());
    let mut names = columns(path).unwrap();
    names.sort();
    assert_eq!(names, ["score", "text"], "{}", path.display());
}

fn message(dir: &TempDir, name: &str, bytes: &[u8]) -> String {
    let text = read_texts(&write(dir, name, bytes), "text").unwrap_err().to_string();
    assert!(text.contains(name), "names the file: {text}");
    text
}

#[test]
fn packed_tables_are_read_as_if_they_were_not() {
    let dir = tempfile::tempdir().unwrap();
    let parquet = parquet();
    let tables = [
        ("csv", CSV.as_bytes()),
        ("tsv", TSV.as_bytes()),
        ("jsonl", LINES.as_bytes()),
        ("json", ARRAY.as_bytes()),
        ("parquet", &parquet),
    ];
    for (ending, bytes) in tables {
        is_read(&write(&dir, &format!("a.{ending}"), bytes));
        is_read(&write(&dir, &format!("a.{ending}.gz"), &gzip(bytes)));
        is_read(&write(&dir, &format!("a.{ending}.zst"), &zstd(bytes)));
        // as two programs that append to it leave it
        is_read(&write(
            &dir,
            &format!("b.{ending}.gz"),
            &[gzip(&bytes[..9]), gzip(&bytes[9..])].concat(),
        ));
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let archive = zip(&format!("inner.{ending}"), bytes, method);
            is_read(&write(&dir, &format!("a.{ending}.zip"), &archive));
            let twice = write(&dir, "twice.zip", &zip("a.zip", &archive, method));
            is_read(&twice);
            is_read(&twice.join("a.zip"));
        }
        is_read(&dir.path().join(format!("a.{ending}.zip/inner.{ending}")));
    }
}

#[test]
fn what_a_file_holds_counts_where_its_name_says_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = parquet();
    for (name, bytes) in [
        ("array.jsonl", ARRAY.as_bytes()),
        ("lines.json", LINES.as_bytes()),
        ("lines.csv", LINES.as_bytes()),
        ("lines", LINES.as_bytes()),
        ("marked.json", &[b"\xef\xbb\xbf", ARRAY.as_bytes()].concat()),
        ("marked.tsv", &[b"\xef\xbb\xbf", TSV.as_bytes()].concat()),
        ("packed.csv", &gzip(CSV.as_bytes())),
        ("packed.jsonl", &zstd(LINES.as_bytes())),
        ("parquet.csv", &bytes),
        ("parquet", &bytes),
        ("CAPITALS.CSV.GZ", &gzip(CSV.as_bytes())),
        ("cr.csv", &CSV.replace('\n', "\r").into_bytes()),
        ("crlf.csv", &CSV.replace('\n', "\r\n").into_bytes()),
    ] {
        is_read(&write(&dir, name, bytes));
    }
    let named = dir.path().join(OsStr::from_bytes(b"caf\xe9.csv.gz"));
    fs::write(&named, gzip(CSV.as_bytes())).unwrap();
    is_read(&named);
}

#[test]
fn damaged_and_foreign_files_are_said_to_be_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str, bytes: &[u8]| message(&dir, name, bytes);
    let packed = gzip(CSV.repeat(100).as_bytes());
    assert!(
        message("cut.csv.gz", &packed[..packed.len() / 2])
            .contains("cannot read the CSV table: it is cut off")
    );
    let mut archive = zip("a.csv", CSV.as_bytes(), CompressionMethod::Stored);
    let at = archive.windows(3).position(|bytes| bytes == b"two").unwrap();
    archive[at] = b'T';
    assert!(message("flipped.csv.zip", &archive).contains("its check sum is another"));
    let mut two = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["a.csv", "b.csv"] {
        two.start_file(name, SimpleFileOptions::default()).unwrap();
        two.write_all(CSV.as_bytes()).unwrap();
    }
    let two = write(&dir, "two.zip", &two.finish().unwrap().into_inner());
    let text = read_texts(&two, "text").unwrap_err().to_string();
    assert!(
        text.contains("an archive of 2 files (a.csv, b.csv), expected one: name a file as ")
            && text.ends_with("two.zip/a.csv")
    );
    is_read(&two.join("b.csv"));
    let text = read_texts(&two.join("c.csv"), "text").unwrap_err().to_string();
    assert!(
        text.ends_with(
            "two.zip/c.csv: cannot read the CSV table: the archive has no such file, but a.csv, \
             b.csv"
        ),
        "{text}"
    );
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    assert!(message("a.parquet", pointer).contains(
        "a.parquet is a pointer of Git LFS, not the table itself; this fetches it: git lfs pull"
    ));
    assert!(message("b.csv", b"<!DOCTYPE html><html>").contains("b.csv is a page of the web"));
    assert!(message("a.feather", b"ARROW1\0\0").contains("pandas.read_feather(\""));
    assert!(message("a.pkl", b"\x80\x05\x95").contains(
        "a pickle of Python; this makes it readable: python3 -c 'import pandas; pandas.read_pickle("
    ));
    assert!(
        message("a.csv.xz", b"\xfd7zXZ\0").contains("packed by xz; this unpacks it: xz -dk \"")
    );
    assert!(
        message("spread.json", b"{\n  \"text\": {\"0\": \"a\"}\n}\n")
            .contains("is one JSON object over several lines; expected one object a line")
    );
    assert!(message("wide.csv", b"t\0e\0x\0t\0\n\0").contains("iconv -f UTF-16LE -t UTF-8"));
    assert!(message("nul.csv", b"text\na\0b\n").contains("line 2 holds a byte 0"));
    assert!(
        message("again.csv", b"text,score\na,1\ntext,score\nb,2\n")
            .ends_with("row 2 is the header again: files were joined; take the line out")
    );
    let spark = message("spark.csv", b"text,score\nfine,1\n\"he said \\\"no\\\", twice\",2\n");
    assert!(
        spark.contains(
            "row 2: behind the quotes that open at line 3 stands 'n', expected a comma or the end \
             of the row"
        ),
        "{spark}"
    );
}
