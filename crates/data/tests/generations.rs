//! Tables of generated texts as other tools write them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, ParquetWriter};
use tailguard_data::{
    GenerationColumns, Generations, read_generations, read_generations_of_each, table,
};
use tempfile::TempDir;

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn columns() -> GenerationColumns {
    let column = |name: &str| Some(name.to_owned());
    GenerationColumns {
        prompt: column("prompt"),
        response: "response".into(),
        score: column("score"),
        prompt_score: None,
        judge: None,
        group: vec!["model".into(), "seed".into()],
    }
}

fn message(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let text = read_generations(&write(&dir, name, bytes), &columns()).unwrap_err().to_string();
    assert!(text.contains(name), "names the file: {text}");
    text
}

/// Responses, scores and groups, row by row.
fn rows(read: &Generations) -> Vec<(Option<String>, Option<f64>, String)> {
    let group = |row| {
        read.groups.iter().map(|labels| labels.get(row).unwrap()).collect::<Vec<_>>().join("/")
    };
    let row = |row| {
        (read.responses.get(row).map(str::to_owned), read.scores.as_ref().unwrap()[row], group(row))
    };
    (0..read.responses.len()).map(row).collect()
}

fn parquet(path: &Path, columns: Vec<Column>) {
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap()).finish(&mut frame).unwrap();
}

#[test]
fn the_three_kinds_of_table_give_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let csv = "seed,response,id,score,prompt,model\n1,\"good, \
        \"\"very\"\"\nfilm\",7,0.5,A,ppo\n2,bäd,8,,B,ppo\n";
    let csv = write(&dir, "a.csv", csv.as_bytes());
    let first =
        r#"{"prompt":"A","response":"good, \"very\"\nfilm","score":0.5,"model":"ppo","seed":1}"#;
    let second = r#"{"prompt":"B","response":"bäd","score":null,"model":"ppo","seed":2}"#;
    let jsonl = write(&dir, "a.jsonl", format!("{first}\n\n{second}\n").as_bytes());
    let table = dir.path().join("a.parquet");
    parquet(
        &table,
        vec![
            Column::new("model".into(), ["ppo", "ppo"]),
            Column::new("seed".into(), [1_i64, 2]),
            Column::new("prompt".into(), ["A", "B"]),
            Column::new("score".into(), [Some(0.5_f32), None]),
            Column::new("response".into(), ["good, \"very\"\nfilm", "bäd"]),
        ],
    );
    let read = read_generations(&csv, &columns()).unwrap();
    assert_eq!(
        rows(&read),
        [
            (Some("good, \"very\"\nfilm".into()), Some(0.5), "ppo/1".into()),
            (Some("bäd".into()), None, "ppo/2".into())
        ]
    );
    assert_eq!(read.prompts.as_ref().unwrap().get(1), Some("B"));
    assert_eq!(read, read_generations(&jsonl, &columns()).unwrap());
    assert_eq!(read, read_generations(&table, &columns()).unwrap());
    assert_eq!(
        table::columns(&csv).unwrap(),
        ["seed", "response", "id", "score", "prompt", "model"]
    );
}

#[test]
fn sets_of_columns_that_are_read_together_give_what_each_gives_alone() {
    let dir = tempfile::tempdir().unwrap();
    let csv = write(&dir, "a.csv", b"p,one,1st,two,2nd,seed\nA,a,1,b,2,7\nB,\"c\nd\",,e,4,8\n");
    let line = concat!(
        r#"{"p":"A","one":["a","b"],"1st":[1,2],"two":[{"role":"user","content":"c"}],"#,
        r#""2nd":3,"seed":7,"cut":"\ud83d"}"#
    );
    let jsonl = write(&dir, "a.jsonl", line.as_bytes());
    let set = |response: &str, score: &str| GenerationColumns {
        prompt: Some("p".into()),
        response: response.into(),
        score: Some(score.into()),
        group: vec!["seed".into()],
        ..GenerationColumns::default()
    };
    let sets = [set("one", "1st"), set("two", "2nd"), set("one", "2nd")];
    for path in [&csv, &jsonl] {
        let one_by_one = |sets: &[GenerationColumns]| {
            sets.iter().map(|set| read_generations(path, set).unwrap()).collect::<Vec<_>>()
        };
        let together = read_generations_of_each(path, &sets).unwrap();
        assert_eq!(together, one_by_one(&sets));
    }
    let notes = read_generations_of_each(&jsonl, &sets).unwrap().remove(0).notes;
    assert!(notes.len() == 2 && notes[1].ends_with("each is read as a row: 2 of 2"), "{notes:?}");
    let message = read_generations_of_each(&csv, &[set("one", "1st"), set("three", "2nd")])
        .unwrap_err()
        .to_string();
    assert!(message.contains("no column \"three\""), "{message}");
}

#[test]
fn a_large_parquet_file_is_read_in_parts_that_fit_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.parquet");
    let count = 150_000;
    let texts: Vec<String> = (0..count).map(|row| format!("text {row}")).collect();
    let scores: Vec<f64> = (0..count).map(f64::from).collect();
    parquet(
        &path,
        vec![Column::new("response".into(), texts), Column::new("score".into(), scores)],
    );
    let columns = GenerationColumns { prompt: None, group: vec![], ..columns() };
    let read = read_generations(&path, &columns).unwrap();
    let scores = read.scores.unwrap();
    assert_eq!((read.responses.len(), scores.len()), (150_000, 150_000));
    for row in [0, 65_535, 65_536, 131_072, 149_999] {
        assert_eq!(
            (read.responses.get(row), scores[row]),
            (Some(format!("text {row}").as_str()), Some(row as f64))
        );
    }
}

#[test]
fn scores_that_are_missing_or_no_number_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let scores = |values: &[&str]| {
        let csv = values.iter().map(|value| format!("a,b,{value},m,1\n")).collect::<String>();
        let path =
            write(&dir, "a.csv", format!("prompt,response,score,model,seed\n{csv}").as_bytes());
        read_generations(&path, &columns()).unwrap().scores.unwrap()
    };
    assert_eq!(scores(&["", " ", "null", "None", "NA", "n/a"]), [None; 6]);
    assert_eq!(
        scores(&["1", "-2.5e3", "true", "inf", " 7 "]),
        [1.0, -2500.0, 1.0, f64::INFINITY, 7.0].map(Some)
    );
    assert!(scores(&["nan", "NaN"]).into_iter().all(|score| score.is_some_and(f64::is_nan)));
}

#[test]
fn a_text_that_is_not_there_is_no_empty_text() {
    let dir = tempfile::tempdir().unwrap();
    let columns = GenerationColumns { response: "text".into(), ..GenerationColumns::default() };
    let lines = b"{\"text\": \"a\"}\n{\"text\": null}\n{\"text\": \"\"}\n{}\n";
    let read = read_generations(&write(&dir, "a.jsonl", lines), &columns).unwrap().responses;
    assert_eq!(
        (0..4).map(|row| read.get(row)).collect::<Vec<_>>(),
        [Some("a"), None, Some(""), None]
    );
    let read =
        read_generations(&write(&dir, "a.csv", b"text,x\na,1\n,2\n"), &columns).unwrap().responses;
    assert_eq!(read.get(1), Some(""), "a CSV file cannot say that there is none");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let csv = |row: &str| {
        message("a.csv", format!("prompt,response,score,model,seed\na,b,1,m,1\n{row}\n").as_bytes())
    };
    assert!(
        csv("a,b,high,m,1").ends_with("column \"score\", row 2: found \"high\", expected a number")
    );
    assert!(csv("a,b,1,m").ends_with("the row at line 3: found 4 fields, expected 5"));
    assert!(
        message("a.csv", b"prompt,response,score,model\na,b,1,m\n")
            .contains("no column \"seed\"; its columns are prompt, response")
    );
    assert!(message("a.csv", b"prompt,response,score,model,seed\n").ends_with("has no rows"));
    assert!(message("a.csv", b"").ends_with("has no rows"));
    assert!(
        message("a.csv", b"prompt,response,score,model,seed\na,\xff,1,m,1\n")
            .contains("line 2 is not valid UTF-8")
    );
    let line = br#"{"prompt":"a","response":"b","score":1,"model":null,"seed":1}"#;
    assert!(
        message("a.jsonl", line)
            .ends_with("column \"model\", line 1: found nothing, expected a name")
    );
    let chat = concat!(
        r#"{"prompt":[{"role":"user","content":[{"type":"image"}]}],"#,
        r#""response":"b","score":1,"model":"m","seed":1}"#
    );
    assert!(
        message("a.jsonl", chat.as_bytes())
            .contains("column \"prompt\", line 1: found {\"content\":[{\"type\":\"image\"}],")
    );
}

#[test]
fn a_byte_order_mark_belongs_to_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let columns = GenerationColumns { response: "text".into(), ..GenerationColumns::default() };
    for (name, text) in
        [("a.csv", "\u{feff}text,x\nfine,1\n"), ("a.jsonl", "\u{feff}{\"text\":\"fine\"}\n")]
    {
        let path = write(&dir, name, text.as_bytes());
        assert_eq!(
            read_generations(&path, &columns).unwrap().responses.get(0),
            Some("fine"),
            "{name}"
        );
    }
}

#[test]
fn numbers_that_json_has_not_are_read_as_python_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let line = |text: &str, score: &str| format!("{{\"text\": \"{text}\", \"score\": {score}}}\n");
    let lines = [
        line("NaN \\\"Infinity\\\\", "NaN"),
        line("b", "-Infinity"),
        line("c", "Infinity"),
        line("d", "0.5"),
    ];
    let path = write(&dir, "a.jsonl", lines.concat().as_bytes());
    let (response, score) = ("text".to_owned(), Some("score".to_owned()));
    let read = read_generations(
        &path,
        &GenerationColumns { response, score, ..GenerationColumns::default() },
    )
    .unwrap();
    assert_eq!(read.responses.get(0), Some("NaN \"Infinity\\"));
    let scores: Vec<f64> = read.scores.unwrap().into_iter().flatten().collect();
    assert!(
        scores[0].is_nan() && scores[1..] == [f64::NEG_INFINITY, f64::INFINITY, 0.5],
        "{scores:?}"
    );
    let text =
        message("a.jsonl", br#"{"prompt":"a","response":NaN,"score":1,"model":"m","seed":1}"#);
    assert!(text.ends_with("column \"response\", line 1: found NaN, expected a text"), "{text}");
}

#[test]
fn seeds_keep_all_their_digits() {
    let dir = tempfile::tempdir().unwrap();
    let seed = |path: &Path| {
        read_generations(path, &columns()).unwrap().groups[1].get(0).map(str::to_owned)
    };
    let line = concat!(
        r#"{"prompt":"A","response":"b","score":9007199254740993,"#,
        r#""model":"m","seed":18446744073709551615}"#
    );
    let jsonl = write(&dir, "a.jsonl", line.as_bytes());
    assert_eq!(seed(&jsonl).as_deref(), Some("18446744073709551615"));
    let path = dir.path().join("a.parquet");
    let text = |name: &str| Column::new(name.into(), ["a"]);
    let seeds = Column::new("seed".into(), [9_007_199_254_740_993_i64]);
    parquet(
        &path,
        vec![
            text("prompt"),
            text("response"),
            text("model"),
            Column::new("score".into(), [1_u32]),
            seeds,
        ],
    );
    assert_eq!(seed(&path).as_deref(), Some("9007199254740993"));
}

#[test]
fn a_list_of_one_goes_with_each_of_several_responses() {
    let dir = tempfile::tempdir().unwrap();
    let line = |prompt: &str, response: &str, score: &str| {
        format!(
            r#"{{"prompt":{prompt},"response":{response},"score":{score},"model":["m"],"seed":1}}"#
        )
    };
    let path = write(&dir, "a.jsonl", line(r#"["p"]"#, r#"["a","b","c"]"#, "[0.5,1,2]").as_bytes());
    let read = read_generations(&path, &columns()).unwrap();
    let prompts = read.prompts.as_ref().unwrap();
    assert_eq!((0..3).map(|row| prompts.get(row)).collect::<Vec<_>>(), [Some("p"); 3]);
    let row = |text: &str, score| (Some(text.to_owned()), Some(score), "m/1".to_owned());
    assert_eq!(rows(&read), [row("a", 0.5), row("b", 1.0), row("c", 2.0)]);
    let bare = write(&dir, "b.jsonl", line(r#""p""#, r#"["a","b","c"]"#, "[0.5,1,2]").as_bytes());
    assert_eq!(read, read_generations(&bare, &columns()).unwrap(), "as if it were no list");

    let lists = message("a.jsonl", line(r#"["p","q"]"#, r#"["a","b","c"]"#, "[1]").as_bytes());
    assert!(
        lists.contains(
            "line 1: response holds a list of 3, prompt holds a list of 2: expected lists of one \
             length"
        ),
        "{lists}"
    );
    let prompts = message("a.jsonl", line(r#"["p","q"]"#, r#"["a"]"#, "[1]").as_bytes());
    assert!(
        prompts.contains(
            "column \"prompt\", line 1: found a list of 2 (\"p\", \"q\"), expected a text"
        ),
        "{prompts}"
    );
    let scores = message("a.jsonl", line(r#"["p"]"#, r#""a""#, "[1,2]").as_bytes());
    assert!(
        scores.contains("column \"score\", line 1: found a list of 2 (1, 2), expected a number"),
        "{scores}"
    );
}
