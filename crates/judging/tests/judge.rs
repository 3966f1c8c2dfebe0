//! Files that are judged, and what is refused as the command line refuses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::error::Error;
use std::fs;

use tailguard_judging::{
    Columns, Judged, JudgingError, MethodColumns, Options, Scorer, Scorers, Scoring, judge,
};
use tailguard_report::{Evaluation, NewRunDir, ResultsFile};
use tailguard_reward::from_fn;

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Judges a file of this name and content.
fn judged(
    file: &str,
    content: &str,
    options: &Options,
    scorers: &Scorers,
) -> Result<Judged, JudgingError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, content).unwrap();
    judge(&path, options, scorers, &mut |_| {})
}

fn scored(columns: Columns) -> Options {
    Options { columns: Columns { score: name("score"), ..columns }, ..Options::default() }
}

/// Long answers are bad ones, and one that shouts is none.
fn reward() -> Scorer {
    let model = from_fn(|prompt: &str, response: &str| {
        if response.contains('!') {
            Err("too loud".into())
        } else {
            Ok(prompt.len() as f32 - response.len() as f32)
        }
    });
    Scorer::brought("reward", Box::new(model))
}

const TABLE: &str = "prompt,response,score,model\na,x y,1,m\nb,z,2,m\na,x,3,n\nb,z,4,n\n";

#[track_caller]
fn refused(content: &str, options: &Options, said: &str) {
    let error = judged("a.csv", content, options, &Scorers::default()).unwrap_err();
    assert!(error.is_usage() && error.to_string().starts_with(said), "{error}");
}

#[track_caller]
fn failed(content: &str, options: &Options, said: &str) {
    let error = judged("a.csv", content, options, &Scorers::default()).unwrap_err();
    assert!(!error.is_usage() && error.to_string().contains(said), "{error}");
}

#[test]
fn what_a_file_cannot_obey_is_refused() {
    let by_model = || scored(Columns { group_by: vec!["model".into()], ..Columns::default() });
    assert!(judged("a.csv", TABLE, &by_model(), &Scorers::default()).is_ok());
    refused(
        TABLE,
        &Options { baseline: name("o"), ..by_model() },
        "--baseline o: no such method; there are m, n",
    );
    refused(
        TABLE,
        &Options { baseline: name("a"), ..scored(Columns::default()) },
        "--baseline a: there is no other method",
    );
    let unscored = Options {
        columns: Columns { group_by: vec!["model".into()], ..Columns::default() },
        ..Options::default()
    };
    refused(
        TABLE,
        &Options { baseline: name("m"), ..unscored.clone() },
        "--baseline needs prompts and scores",
    );
    refused(
        TABLE,
        &Options { tail_share: Some(0.2), ..unscored },
        "--tail-share needs scores of the texts",
    );
    refused(TABLE, &Options { negate: true, ..Options::default() }, "--negate needs ");
    let columns = Columns { responses_include_prompt: true, ..Columns::default() };
    refused(
        "response\na\nb\n",
        &Options { columns: columns.clone(), ..Options::default() },
        "--responses-include-prompt needs prompts",
    );
    failed(
        TABLE,
        &Options { columns, ..Options::default() },
        "4 of 4 responses do not begin with their prompt",
    );
    failed("response\na\n", &Options::default(), "a.csv has one row, expected at least two");
    failed(
        TABLE,
        &scored(Columns { response: name("reply"), ..Columns::default() }),
        "no column \"reply\"",
    );
    let seeds =
        scored(Columns { group_by: vec!["model".into(), "seed".into()], ..Columns::default() });
    failed(
        "response,score,model,seed\na,1,m,1\nb,2,m,x\n",
        &seeds,
        "column \"seed\", row 2: found \"x\"",
    );
    let nowhere = judge("no.csv".as_ref(), &Options::default(), &Scorers::default(), &mut |_| {})
        .unwrap_err();
    assert!(!nowhere.is_usage() && nowhere.to_string().contains("no.csv"), "{nowhere}");
}

#[test]
fn a_wide_table_has_the_figures_of_the_long_one() {
    let long = scored(Columns { group_by: vec!["model".into()], ..Columns::default() });
    let long =
        judged("a.csv", TABLE, &Options { baseline: name("m"), ..long }, &Scorers::default())
            .unwrap();
    let method =
        |name: &str| format!("{name}={name}:score {name}").parse::<MethodColumns>().unwrap();
    let wide = Options {
        columns: Columns { methods: vec![method("m"), method("n")], ..Columns::default() },
        ..Options::default()
    };
    let table = "prompt,m,score m,n,score n\na,x y,1,x,3\nb,z,2,z,4\n";
    let wide = judged("a.csv", table, &wide, &Scorers::default()).unwrap();
    assert_eq!((&wide.evaluation, &wide.notes), (&long.evaluation, &long.notes));
    let gain = &wide.evaluation.comparisons[0];
    assert_eq!(
        (gain.method.as_str(), gain.over.as_str(), gain.prompts, gain.reward.mean),
        ("n", "m", 2, 2.0)
    );
    assert_eq!(
        wide.rows().map(|row| row.reward).collect::<Vec<_>>(),
        [1.0, 2.0, 3.0, 4.0].map(Some)
    );
}

#[test]
fn a_model_of_ones_own_scores_texts_and_prompts_and_is_told_of() {
    let options = Options { tail_share: Some(0.5), ..Options::default() };
    let scorers = Scorers { reward: Some(reward()), judge: Some(reward()) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(
        &path,
        "{\"prompt\":\"ab\",\"response\":\"c\"}\n{\"prompt\":\"d\",\"response\":null}\n",
    )
    .unwrap();
    let mut told = Vec::new();
    let found = judge(&path, &options, &scorers, &mut |scoring| told.push(scoring)).unwrap();
    let method = &found.evaluation.methods["a"];
    // a prompt alone is a text without a prompt
    let means =
        [method.reward, method.judge, method.tail].map(|figure| figure.map(|figure| figure.mean));
    assert_eq!(means, [Some(1.0), Some(1.0), Some(1.0)]);
    let of = |phase, done, texts| Scoring { phase, done, pieces: 1, texts };
    let each = |phase, texts| [of(phase, 0, 0), of(phase, 1, texts)];
    assert_eq!(told, [each("scoring", 1), each("scoring prompts", 2), each("judging", 1)].concat());
    assert!(found.scores.is_empty() && found.negated.is_empty());

    let loud = judged("a.csv", "response\na\nb!\n", &Options::default(), &scorers).unwrap_err();
    assert_eq!(
        (loud.to_string(), loud.source().unwrap().to_string()),
        ("failed to score texts".into(), "too loud".into())
    );
}

#[test]
fn what_was_judged_is_written_and_reads_back() {
    let columns = Columns { group_by: vec!["model".into()], ..Columns::default() };
    let found =
        judged("a.csv", TABLE, &Options { negate: true, ..scored(columns) }, &Scorers::default())
            .unwrap();
    assert_eq!(found.negated, ["score"]);
    assert!(
        found.notes.iter().any(|note| note.starts_with("lower is better in score")),
        "{:?}",
        found.notes
    );
    let folder = tempfile::tempdir().unwrap();
    let out = NewRunDir::reserve(&folder.path().join("out")).unwrap();
    let about = tailguard_report::About {
        version: "1".into(),
        commit: None,
        device: "flex".into(),
        seeds: vec![],
        program: "tailguard".into(),
        command: vec![],
        inputs: [].into(),
        scores: found.scores.clone(),
        places: [].into(),
        negated: found.negated.clone(),
    };
    found.write(&out, &about).unwrap();
    drop(out);
    let out = folder.path().join("out");
    assert_eq!(Evaluation::read(&out.join("results.json")).unwrap(), found.evaluation);
    let again = judge(
        &out.join("generations.parquet"),
        &Options::default(),
        &Scorers::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(again.evaluation.methods, found.evaluation.methods);
}
