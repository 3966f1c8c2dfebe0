//! Files of a task as people have them: with scores in a file of their own, in one table for all
//! splits, in folders of classes, in archives.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

mod kit;

use std::fs;
use std::io::Write;

use kit::{comments, from, message, pairs, prompts, reviews, write};
use tailguard_data::{At, Dataset, Layout, Lookup, Place, Record, Split, Words, duplicates, load};
use tempfile::TempDir;

const TEST: &str = "\"id\",\"comment_text\"\n\"a\",\"one\n\nline, \"\"two\"\"\"\n\"b\",\"never \
    scored\"\n\"c\",\"good\"\n";

#[test]
fn scores_in_a_file_of_their_own_are_joined_by_id() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "jigsaw/train.csv", "id,comment_text,toxic,threat\nx,\"a\nb\",1,0\ny,c,0,0\n");
    write(&dir, "jigsaw/test.csv", TEST);
    write(&dir, "jigsaw/test_labels.csv", "id,toxic,threat\nc,0,0\nb,-1,-1\na,1,0\n");
    assert_eq!(pairs(&from(&dir, &comments(), Split::Train).unwrap()), [("a\nb", 0), ("c", 1)]);
    let test = from(&dir, &comments(), Split::Test).unwrap();
    assert_eq!(pairs(&test), [("one\n\nline, \"two\"", 0), ("good", 1)]);
    assert!(test.source.to_string().ends_with("test_labels.csv (from the data directory)"));
}

#[test]
fn scores_that_cannot_be_joined_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "test.csv", TEST);
    let labels = |text: &str| {
        write(&dir, "test_labels.csv", text);
        message(&dir, &comments(), Split::Test)
    };
    let text = message(&dir, &comments(), Split::Test);
    let expected = "test.csv has no column of scores (toxic, label), its columns are id, \
        comment_text; and there is no test_labels.csv with them beside it";
    assert!(text.ends_with(expected), "{text}");
    let text = labels("id,toxic\na,1\nb,-1\n");
    assert!(
        text.contains("test.csv: row 3 has the id \"c\"")
            && text.ends_with("test_labels.csv has not"),
        "{text}"
    );
    let text = labels("id,toxic\na,1\nb,0\nb,-1\nc,0\n");
    assert!(
        text.ends_with(
            "test_labels.csv: column \"id\", row 3: found \"b\" again, expected each id once"
        ),
        "{text}"
    );
    let text = labels("id,toxic\na,1\nb,-2\nc,0\n");
    assert!(
        text.ends_with("column \"toxic\", row 2: found \"-2\", expected a number from 0 to 1"),
        "{text}"
    );
    assert!(
        labels("id,threat\na,1\n")
            .ends_with("has no column \"toxic\" or \"label\"; its columns are id, threat")
    );
    assert!(labels("").ends_with("test_labels.csv has no rows"));
    let text = labels("id,toxic\na,-1\nb,-1\nc,-1\n");
    assert!(
        text.starts_with("texts with a score in ")
            && text.ends_with(": 0 rows, expected at least 1"),
        "{text}"
    );
}

/// 50 prompts over the threshold, 250 at it or below, 3 without a score.
fn toxicity(row: usize) -> &'static str {
    match row {
        0..50 => "0.500001",
        50..100 => "0.5",
        100..300 => "0.01",
        _ => "null",
    }
}

fn prompt_lines() -> String {
    let line = |row: usize| {
        let prompt =
            format!(r#"{{"text": "prompt {row}", "toxicity": {}, "threat": 0.1}}"#, toxicity(row));
        format!(
            "{{\"challenging\": false, \"prompt\": {prompt}, \"continuation\": {{\"text\": \" and \
             {row}\", \"toxicity\": null}}}}\n"
        )
    };
    (0..303).map(line).collect()
}

#[test]
fn a_table_for_all_splits_is_split_by_class_and_given_the_asked_share_of_good_texts() {
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&dir, "rtp/prompts.jsonl", &prompt_lines());
    let (train, test) = (
        from(&dir, &prompts(), Split::Train).unwrap(),
        from(&dir, &prompts(), Split::Test).unwrap(),
    );
    let classes = |dataset: &Dataset| {
        let good = dataset.records.iter().filter(|record| record.label == 1).count();
        (good, dataset.records.len() - good)
    };
    assert_eq!((classes(&train), classes(&test)), ((93, 40), (10, 10)));
    assert_eq!(duplicates(&train.records, &test.records), 0);
    for Record { text, continuation, label, .. } in train.records.iter().chain(&test.records) {
        let row = text.strip_prefix("prompt ").unwrap();
        assert_eq!(
            (continuation, *label),
            (&format!(" and {row}"), u8::from(row.parse::<usize>().unwrap() >= 50))
        );
    }
    write(&cache, "datasets--allenai--real-toxicity-prompts/refs/main", "abc");
    write(
        &cache,
        "datasets--allenai--real-toxicity-prompts/snapshots/abc/prompts.jsonl",
        &prompt_lines(),
    );
    let lookup = Lookup {
        hf_cache: Some(cache.path().into()),
        places: vec![Place::Cache],
        ..Lookup::default()
    };
    assert_eq!(pairs(&load(&prompts(), Split::Train, &lookup).unwrap()), pairs(&train));
    let all = Layout { good_percent: None, ..prompts() };
    let both = [Split::Train, Split::Test].map(|split| classes(&from(&dir, &all, split).unwrap()));
    assert_eq!(both, [(200, 40), (50, 10)]);
}

#[test]
fn a_damaged_table_for_all_splits_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let line = prompt_lines().lines().next().unwrap().to_owned() + "\n";
    write(&dir, "prompts.jsonl", &(line.repeat(999) + "{\"prompt\": {\"text\": \"cut of"));
    assert!(
        message(&dir, &prompts(), Split::Train)
            .contains("prompts.jsonl: line 1000 is not a JSON object")
    );
    let others: String = (0..10)
        .map(|row| line.replacen("\"text\": \"", &format!("\"text\": \"{row} "), 1))
        .collect();
    write(&dir, "prompts.jsonl", &others);
    assert!(
        message(&dir, &prompts(), Split::Train)
            .contains("prompts.jsonl (from the data directory): all texts are of one class")
    );
    write(&dir, "prompts.jsonl", "");
    assert!(message(&dir, &prompts(), Split::Test).ends_with("prompts.jsonl has no rows"));
    write(&dir, "prompts.jsonl", &line.replace("toxicity", "toxic"));
    let text = message(&dir, &prompts(), Split::Test);
    assert!(
        text.contains("no column \"prompt.toxicity\"")
            && text.contains("prompt.toxic, prompt.threat"),
        "{text}"
    );
}

#[test]
fn texts_of_both_splits_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "train.csv", "text,label\nA film.,1\nno film,0\n");
    write(&dir, "test.csv", "text,label\n\" a FILM.\n\",1\nno  film,0\n");
    let [train, test] =
        [Split::Train, Split::Test].map(|split| from(&dir, &reviews(), split).unwrap().records);
    assert_eq!(duplicates(&train, &test), 1);
}

/// As the settings of the task of reviews have it.
fn reviews_as_people_have_them() -> Layout {
    let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Layout {
        whole: list(&["prompts", "IMDB Dataset"]),
        other_text: list(&["review"]),
        score: list(&["label", "sentiment"]),
        words: Words { good: list(&["positive", "pos"]), bad: list(&["negative", "neg"]) },
        ..reviews()
    }
}

/// Kaggle's file of reviews, of which each fourth is negative.
fn kaggle_reviews() -> String {
    let row = |row: usize| {
        format!(
            "\"Review {row}, \"\"so\"\".<br />\",{}\n",
            if row.is_multiple_of(4) { "negative" } else { "positive" }
        )
    };
    "review,sentiment\n".to_owned() + &(0..40).map(row).collect::<String>()
}

#[test]
fn one_table_of_reviews_with_classes_as_words_is_split_by_class() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "IMDB Dataset.csv", &kaggle_reviews());
    let layout = reviews_as_people_have_them();
    let [train, test] =
        [Split::Train, Split::Test].map(|split| from(&dir, &layout, split).unwrap());
    let classes = |of: &Dataset| {
        [0, 1].map(|class| of.records.iter().filter(|record| record.label == class).count())
    };
    assert_eq!((classes(&train), classes(&test)), ([8, 24], [2, 6]));
    assert_eq!(duplicates(&train.records, &test.records), 0);
    for record in train.records.iter().chain(&test.records) {
        let row: usize = record.text["Review ".len()..].split(',').next().unwrap().parse().unwrap();
        assert_eq!(
            (record.label, record.origin.at),
            (u8::from(!row.is_multiple_of(4)), At::Row(row + 1)),
            "{}",
            record.origin
        );
    }
    assert!(message(&dir, &reviews(), Split::Train).ends_with("; it holds IMDB Dataset.csv"));
    write(&dir, "IMDB Dataset.csv", "review,sentiment\nFine.,Positive\nSo so.,neutral\n");
    let text = message(&dir, &layout, Split::Train);
    let words =
        "expected a number from 0 to 1, or one of positive, pos (good), negative, neg (bad)";
    assert!(
        text.ends_with(&format!(
            "IMDB Dataset.csv: column \"sentiment\", row 2: found \"neutral\", {words}"
        )),
        "{text}"
    );
    write(&dir, "IMDB Dataset.csv", "body,sentiment\nFine.,positive\n");
    let text = message(&dir, &layout, Split::Train);
    assert!(
        text.ends_with("has no column \"text\" or \"review\"; its columns are body, sentiment"),
        "{text}"
    );
}

#[test]
fn folders_of_texts_are_read_by_the_names_of_their_classes() {
    for folder in ["", "aclImdb/", "imdb/"] {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("train/pos/0_9.txt", "Good.\nVery."),
            ("train/pos/10_8.txt", "Fine."),
            ("train/neg/0_2.txt", "Bad."),
            ("train/unsup/0_0.txt", "Unknown."),
            ("train/labeledBow.feat", "1"),
            ("test/pos/0_10.txt", "Grand."),
            ("test/neg/0_1.txt", "Dull."),
        ] {
            write(&dir, &format!("{folder}{name}"), text);
        }
        let layout = reviews_as_people_have_them();
        let train = from(&dir, &layout, Split::Train).unwrap();
        assert_eq!(pairs(&train), [("Bad.", 0), ("Good.\nVery.", 1), ("Fine.", 1)], "{folder}");
        assert!(train.records[0].origin.to_string().ends_with("train/neg/0_2.txt"));
        assert_eq!(train.source.paths.len(), 2);
        assert_eq!(
            pairs(&from(&dir, &layout, Split::Test).unwrap()),
            [("Dull.", 0), ("Grand.", 1)]
        );
        fs::write(dir.path().join(format!("{folder}train/neg/1_1.txt")), b"caf\xe9").unwrap();
        let text = message(&dir, &layout, Split::Train);
        assert!(
            text.contains("train/neg/1_1.txt: line 1 is not valid UTF-8: found the byte 0xE9"),
            "{text}"
        );
        fs::remove_dir_all(dir.path().join(format!("{folder}train/neg"))).unwrap();
        let text = message(&dir, &layout, Split::Train);
        let expected = "expected a folder for each class: one of positive, pos for good texts, \
            one of negative, neg for bad ones";
        assert!(text.ends_with(&format!("train has pos, {expected}")), "{text}");
        write(&dir, &format!("{folder}train/neg/readme.md"), "nothing");
        assert!(
            message(&dir, &layout, Split::Train)
                .ends_with("train/neg: 0 rows, expected at least 1")
        );
    }
    let dir = tempfile::tempdir().unwrap();
    (0..10).for_each(|row| {
        write(
            &dir,
            &format!("{}/{row}.txt", if row % 2 == 0 { "pos" } else { "neg" }),
            &row.to_string(),
        )
    });
    let [train, test] = [Split::Train, Split::Test]
        .map(|split| from(&dir, &reviews_as_people_have_them(), split).unwrap());
    assert_eq!(
        (train.records.len(), test.records.len()),
        (8, 2),
        "without splits a fifth is held out"
    );
}

/// An archive of these files.
fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn archives_as_kaggle_has_them_are_read_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let one = |name: &str, text: &str| {
        (format!("{name}.zip"), zipped(&[(name, text.as_bytes().to_vec())]))
    };
    let files = [
        one("train.csv", "id,comment_text,toxic\nx,\"a\nb\",1\ny,c,0\n"),
        one("test.csv", TEST),
        one("test_labels.csv", "id,toxic\nc,0\nb,-1\na,1\n"),
        one("sample_submission.csv", "id,toxic\na,0.5\n"),
    ];
    let inner: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let archive = "jigsaw-toxic-comment-classification-challenge.zip";
    fs::write(dir.path().join(archive), zipped(&inner)).unwrap();
    let expected = [vec![("a\nb", 0), ("c", 1)], vec![("one\n\nline, \"two\"", 0), ("good", 1)]];
    let read = |dir: &TempDir| {
        [Split::Train, Split::Test].map(|split| from(dir, &comments(), split).unwrap())
    };
    let [train, test] = read(&dir);
    assert_eq!([pairs(&train), pairs(&test)], expected);
    let source = test.source.to_string();
    assert!(
        source.contains(&format!("{archive}/test.csv.zip"))
            && source.contains(&format!("{archive}/test_labels.csv.zip"))
    );
    // beside their archive, unpacked once, and one of them twice
    for (name, bytes) in &inner {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    write(&dir, "train.csv", "id,comment_text,toxic\nz,unpacked,0\n");
    let [train, test] = read(&dir);
    assert_eq!((pairs(&train), pairs(&test)), (vec![("unpacked", 1)], expected[1].clone()));
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("archive.zip"),
        zipped(&[("IMDB Dataset.csv", kaggle_reviews().into_bytes())]),
    )
    .unwrap();
    assert_eq!(from(&dir, &reviews_as_people_have_them(), Split::Test).unwrap().records.len(), 8);
    fs::write(
        dir.path().join("other.zip"),
        zipped(&[("data/train.csv", b"text,label\na,1\n".to_vec())]),
    )
    .unwrap();
    // a table of the split alone comes before one for both, which is then no source of the other
    // split
    assert_eq!(
        pairs(&from(&dir, &reviews_as_people_have_them(), Split::Train).unwrap()),
        [("a", 1)]
    );
    let text = message(&dir, &reviews_as_people_have_them(), Split::Test);
    assert!(
        text.contains("has no test table beside that of train")
            && text.ends_with("it holds archive.zip, other.zip"),
        "{text}"
    );
    fs::write(
        dir.path().join("third.zip"),
        zipped(&[("train.csv", b"text,label\nb,1\n".to_vec())]),
    )
    .unwrap();
    let text = message(&dir, &reviews_as_people_have_them(), Split::Train);
    assert!(
        text.contains("other.zip (train.csv) and ")
            && text.contains("each of which could be train"),
        "{text}"
    );
}

#[test]
fn no_copy_of_a_text_is_on_both_sides_of_a_table_for_both() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..60)
        .map(|row| format!("{}Text {}  ,{}\n", " ".repeat(row % 3), row % 20, row % 2))
        .collect();
    write(&dir, "prompts.csv", &format!("text,label\n{rows}"));
    let [train, test] =
        [Split::Train, Split::Test].map(|split| from(&dir, &reviews(), split).unwrap().records);
    assert_eq!((test.len(), duplicates(&train, &test)), (12, 0));
    assert!(!train.is_empty() && train.len() < 48, "{}", train.len());
}
