//! Claims about reading: which columns are taken, and what is refused or said of them.

use super::*;
use crate::options::Columns;

const OF_A_RUN: [&str; 8] =
    ["prompt", "prompt_score", "good", "response", "reward", "judge", "method", "seed"];

/// What is read of the file of a run.
fn asked(
    named: Columns,
    [has_reward, has_judge]: [bool; 2],
) -> (GenerationColumns, Vec<&'static str>) {
    let options = Options { columns: named, ..Options::default() };
    columns(&options, &OF_A_RUN.map(str::to_owned), has_reward, has_judge)
}

#[test]
fn the_columns_of_a_run_are_taken_unless_others_are_named() {
    let (all, taken) = asked(Columns::default(), [false, false]);
    assert_eq!(taken, ["reward", "prompt_score", "judge", "method", "seed"]);
    assert_eq!(
        (all.score.as_deref(), all.prompt_score.as_deref(), all.group),
        (Some("reward"), Some("prompt_score"), vec!["method".to_owned(), "seed".to_owned()])
    );
    // a scorer's own scores come in the place of both columns
    let by_method = Columns { group_by: vec!["method".to_owned()], ..Columns::default() };
    let (scored, taken) = asked(by_method, [true, false]);
    assert_eq!((scored.score, scored.prompt_score, taken), (None, None, vec!["judge"]));
    let score = Columns { score: Some("judge".to_owned()), ..Columns::default() };
    assert_eq!(asked(score, [false, true]).1, ["method", "seed"]);
    let response = Columns { response: Some("good".to_owned()), ..Columns::default() };
    assert!(asked(response, [false, false]).1.is_empty());
}

/// Reads a file of four rows with these methods and seeds, as they stand in JSON or CSV; gives
/// the columns and labels of the groups.
fn grouped(
    name: &str,
    methods_and_seeds: [(&str, &str); 4],
) -> Result<Vec<(String, Vec<String>)>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let csv = "prompt,response,reward,prompt_score,judge,method,seed\n".to_owned();
    let text = if name.ends_with("csv") {
        methods_and_seeds
            .iter()
            .fold(csv, |text, (method, seed)| text + &format!("p,r,1,1,,{method},{seed}\n"))
    } else {
        let line = |(method, seed): &(&str, &str)| {
            format!(
                "{{\"prompt\":\"p\",\"response\":\"r\",\"reward\":1,\"prompt_score\":1,\
                 \"judge\":null,\"method\":{method},\"seed\":{seed}}}\n"
            )
        };
        methods_and_seeds.iter().map(line).collect()
    };
    std::fs::write(&path, text).unwrap();
    let told =
        |error: JudgingError| format!("{error} (hint: {})", error.hint().unwrap_or_default());
    let read = read(&Options::default(), &path, false, false).map_err(told)?;
    let labels = |labels: &Labels| (0..4).map(|row| labels.get(row).unwrap().to_owned()).collect();
    Ok(read.group_by.into_iter().zip(read.texts.groups.iter().map(labels)).collect())
}

#[test]
fn a_column_that_no_row_has_is_none_and_one_that_some_rows_lack_is_refused() {
    let ours = || vec!["a".to_owned(); 4];
    for (name, [quoted, nothing]) in [("x.jsonl", ["\"a\"", "null"]), ("x.csv", ["a", ""])] {
        assert_eq!(
            grouped(name, [(quoted, nothing); 4]),
            Ok(vec![("method".to_owned(), ours())]),
            "{name}"
        );
        assert_eq!(grouped(name, [(nothing, nothing); 4]), Ok(Vec::new()), "{name}");
        // the seeds stay apart, and all are of the file
        let seeds = [(nothing, "1"), (nothing, "1"), (nothing, "2"), (nothing, "2")];
        let found = grouped(name, seeds).unwrap();
        assert_eq!(found[0], ("method".to_owned(), vec!["x".to_owned(); 4]));
        assert_eq!(found[1], ("seed".to_owned(), ["1", "1", "2", "2"].map(str::to_owned).to_vec()));
    }
    let message =
        grouped("x.jsonl", [("\"a\"", "1"), ("\"a\"", "1"), ("\"a\"", "null"), ("\"a\"", "2")])
            .unwrap_err();
    assert!(
        message.contains("column \"seed\", line 3") && message.contains("--group-by"),
        "{message}"
    );
    let message =
        grouped("x.jsonl", [("\"a\"", "1"), ("null", "1"), ("\"a\"", "2"), ("\"a\"", "2")])
            .unwrap_err();
    assert!(
        message.contains("column \"method\", line 2") && message.contains("--group-by"),
        "{message}"
    );
}

#[test]
fn prompts_are_cut_off_the_responses_that_begin_with_them() {
    let texts = |responses: [Option<&str>; 3]| Generations {
        prompts: Some([Some("A film"), None, Some("")].into_iter().collect()),
        responses: responses.into_iter().collect(),
        ..Generations::default()
    };
    let mut whole = texts([Some("A film is a film"), Some("b"), None]);
    cut_prompts(&mut whole, "text").unwrap();
    assert_eq!(
        [0, 1, 2].map(|row| whole.responses.get(row)),
        [Some(" is a film"), Some("b"), None]
    );
    let message = cut_prompts(&mut texts([Some("The film"), Some("b"), Some("c")]), "text")
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("column \"text\": 1 of 3 responses do not begin with their prompt"),
        "{message}"
    );
    assert!(message.ends_with("the first is in row 1"), "{message}");
}

#[test]
fn a_prompt_has_the_first_of_its_scores() {
    let prompts = [Some("a"), Some("b"), Some("a"), Some("b"), Some("c"), None, Some("a")]
        .into_iter()
        .collect();
    let scores = [None, Some(2.0), Some(1.0), Some(2.0 + 1e-5), None, Some(7.0), Some(3.0)];
    let mut texts = Generations {
        prompts: Some(prompts),
        prompt_scores: Some(scores.to_vec()),
        ..Generations::default()
    };
    let notes = one_score_each(&mut texts);
    assert_eq!(
        texts.prompt_scores.unwrap(),
        [Some(1.0), Some(2.0), Some(1.0), Some(2.0), None, Some(7.0), Some(1.0)]
    );
    assert!(
        notes.len() == 2
            && notes[0].starts_with("1 prompt has scores")
            && notes[1].starts_with("1 rows lack"),
        "{notes:?}"
    );
}
