//! `evaluate`: flags about columns, which are obeyed or refused, with files as other people's tools
//! write them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tailguard_report::{About, EvaluatedTail, Evaluation, Figure, ResultsFile};
use tailguard_tests::field_case;

use crate::program::{Outcome, run};

/// Judges a file, which must succeed, and gives what `results.json` and `run.json` say.
fn judged(folder: &Path, file: &str, words: &[&str]) -> (Evaluation, About, Outcome) {
    let out = tempfile::tempdir_in(folder).unwrap();
    let out_dir = out.path().join("out").display().to_string();
    let outcome =
        run(folder, &[&["evaluate", "--generations", file, "--out", &out_dir], words].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let evaluation = Evaluation::read(&Path::new(&out_dir).join("results.json")).unwrap();
    let about = fs::read_to_string(Path::new(&out_dir).join("run.json")).unwrap();
    (evaluation, serde_json::from_str(&about).unwrap(), outcome)
}

fn field(name: &str) -> String {
    field_case(name).display().to_string()
}

#[track_caller]
fn close(found: Option<Figure>, expected: f64) {
    let found = found.unwrap().mean;
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

#[test]
fn a_column_where_lower_is_better_is_negated_for_texts_prompts_and_judge_alike() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [
        "--prompt-column",
        "prompt.text",
        "--response-column",
        "continuation.text",
        "--score-column",
    ];
    let toxicity = [
        &columns[..],
        &["continuation.toxicity", "--prompt-score-column", "prompt.toxicity", "--negate"],
    ]
    .concat();
    let file = field("rtp_null_scores.jsonl");
    let judge = ["--judge-column", "continuation.threat", "--judge-negate"];
    let (evaluation, about, outcome) =
        judged(folder.path(), &file, &[&toxicity[..], &judge].concat());
    let method = &evaluation.methods["rtp_null_scores"];
    assert_eq!((method.rows, method.reward_left_out.missing), (64, 2));
    close(method.reward, -0.565_635);
    close(method.cvar, -0.958_255);
    close(method.tail, -0.540_891);
    assert!(method.judge.unwrap().mean < 0.0, "{:?}", method.judge);
    let Some(EvaluatedTail::PromptScores { threshold, .. }) = evaluation.tail else {
        panic!("{:?}", evaluation.tail)
    };
    assert!(
        (threshold + 0.900_726).abs() < 1e-6,
        "the tail is the most toxic prompts: {threshold}"
    );
    assert_eq!(about.negated, ["continuation.toxicity", "prompt.toxicity", "continuation.threat"]);
    let said = "lower is better in continuation.toxicity, prompt.toxicity, continuation.threat: \
        figures and thresholds are those of minus";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
    // the prompts' scores may be of the other kind
    let (evaluation, about, _) =
        judged(folder.path(), &file, &[&toxicity[..], &["--prompt-negate", "false"]].concat());
    let Some(EvaluatedTail::PromptScores { threshold, .. }) = evaluation.tail else {
        panic!("{:?}", evaluation.tail)
    };
    assert!(threshold > 0.0 && about.negated == ["continuation.toxicity"], "{threshold} {about:?}");
    // and nothing is negated unasked
    let (evaluation, about, outcome) =
        judged(folder.path(), &file, &[&columns[..], &["continuation.toxicity"]].concat());
    close(evaluation.methods["rtp_null_scores"].reward, 0.565_635);
    assert!(about.negated.is_empty() && !outcome.stdout.contains("lower is better"), "{about:?}");
}

#[test]
fn a_scorer_where_lower_is_better_is_negated_with_its_scores_of_prompts_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a.csv"),
        "prompt,response\nA,\" bad, awful film\"\nThe,\" great film\"\nSome,\" film\"\n",
    )
    .unwrap();
    let judge = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../datasets/judge-sentiment")
        .display()
        .to_string();
    let scored = ["--reward", &judge, "--judge", &judge];
    let (plain, about, _) = judged(folder.path(), "a.csv", &scored);
    assert!(about.negated.is_empty());
    let (negated, about, _) =
        judged(folder.path(), "a.csv", &[&scored[..], &["--negate"]].concat());
    assert_eq!(about.negated, ["reward model"]);
    let (plain, negated) = (&plain.methods["a"], &negated.methods["a"]);
    close(negated.reward, -plain.reward.unwrap().mean);
    close(negated.judge, plain.judge.unwrap().mean);
    // what scores prompts in another column is another thing
    fs::write(folder.path().join("b.csv"), "prompt,response,p\na,b,1\nc,d,2\n").unwrap();
    let mixed = [
        "evaluate",
        "--generations",
        "b.csv",
        "--reward",
        &judge,
        "--negate",
        "--prompt-score-column",
        "p",
    ];
    run(folder.path(), &mixed)
        .refused(2, &["--negate is about --reward", "--prompt-negate true or false"]);
}

#[test]
fn flags_that_would_have_nothing_to_do_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), "prompt,response,score\na,b,1\nc,d,2\n").unwrap();
    let refused = |words: &[&str], said: &[&str]| {
        let words = [&["evaluate", "--generations", "a.csv", "--out", "out"], words].concat();
        run(folder.path(), &words).refused(2, said);
        assert!(!folder.path().join("out").exists());
    };
    // a second scorer, a label and a device are about models
    refused(&["--score-column", "score", "--label", "0"], &["--label", "--score-column"]);
    refused(
        &["--judge-column", "score", "--judge-label", "0"],
        &["--judge-label", "--judge-column"],
    );
    refused(&["--score-column", "score", "--device", "flex"], &["--reward"]);
    refused(&["--negate"], &["--score-column", "--reward"]);
    refused(&["--judge-negate"], &["--judge-column", "--judge"]);
    refused(&["--prompt-negate", "true"], &["--prompt-score-column"]);
    // a tail is one of scores
    refused(
        &["--tail-share", "0.2"],
        &["--tail-share needs scores of the texts, and there are none", "--score-column"],
    );
    refused(&["--tail-threshold", "1", "--curve"], &["--tail-threshold, --curve need scores"]);
    refused(&["--prompt-score-column", "score"], &["--prompt-score-column needs scores"]);
    for (flag, value) in [
        ("--tail-share", "nan"),
        ("--tail-share", "-0.1"),
        ("--tail-share", "1.5"),
        ("--tail-threshold", "nan"),
        ("--tail-threshold", "-inf"),
    ] {
        refused(&["--score-column", "score", &format!("{flag}={value}")], &[flag, "expected a"]);
    }
    refused(&["--group-by", "prompt,prompt"], &["--group-by names \"prompt\" twice"]);
    refused(
        &["--score-column", "score", "--baseline", "a"],
        &["--baseline a: there is no other method", "--group-by"],
    );
    refused(
        &["--score-column", "score", "--text-column", "response", "--baseline", "a"],
        &["--text-column", "--baseline"],
    );
    refused(&["--text-column", "response", "--responses-include-prompt"], &["--text-column"]);
    refused(&["--out", "other"], &["--out", "cannot be used multiple times"]);
    let sample = ["sample", "--prompt", "a", "--task", "imdb", "--model", "b", "--reward", "c"];
    run(folder.path(), &sample)
        .refused(2, &["--task brings a model and a classifier", "leave --task out"]);
}

#[test]
fn a_wide_table_has_a_method_per_pair_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "query,prompt score,sft text,sft: score,rlhf text,rlhf score,seed\n".to_owned();
    for row in 0..24 {
        let (score, seed) = (f64::from(row % 12) / 4.0, 1 + row / 12);
        writeln!(
            csv,
            "prompt {},{score},one two,{score},one two three,{},{seed}",
            row % 12,
            score + 0.5
        )
        .unwrap();
    }
    fs::write(folder.path().join("wide.csv"), csv).unwrap();
    // the score is what follows the last colon
    let rlhf = "RLHF=rlhf text:rlhf score";
    let prompts = ["--prompt-column", "query", "--prompt-score-column", "prompt score"];
    let outcome = run(
        folder.path(),
        &[
            &["evaluate", "--generations", "wide.csv", "--method", "SFT=sft text:sft: score"],
            &prompts[..],
        ]
        .concat(),
    );
    outcome.refused(1, &["no column \"sft text:sft\""]);
    let renamed = fs::read_to_string(folder.path().join("wide.csv"))
        .unwrap()
        .replace("sft: score", "sft score");
    fs::write(folder.path().join("wide.csv"), renamed).unwrap();
    let methods = ["--method", "SFT=sft text:sft score", "--method", rlhf];
    let (evaluation, _, outcome) = judged(
        folder.path(),
        "wide.csv",
        &[&methods[..], &prompts, &["--group-by", "seed", "--tail-share", "0.25"]].concat(),
    );
    assert_eq!((evaluation.seeds.as_slice(), evaluation.methods.len()), (&[1, 2][..], 2));
    let (sft, rlhf) = (&evaluation.methods["SFT"], &evaluation.methods["RLHF"]);
    assert_eq!((sft.rows, sft.seeds, rlhf.rows), (24, 2, 24));
    close(sft.reward, 1.375);
    close(rlhf.reward, 1.875);
    close(rlhf.tail, 0.75);
    close(rlhf.length, 3.0);
    // compared prompt by prompt with the first of them, unless another is named
    let comparison = &evaluation.comparisons[0];
    assert_eq!(
        (comparison.method.as_str(), comparison.over.as_str(), comparison.prompts),
        ("RLHF", "SFT", 12)
    );
    assert!((comparison.reward.mean - 0.5).abs() < 1e-9, "{comparison:?}");
    assert!(
        outcome.stdout.contains("RLHF - SFT, on 12 prompts: reward +0.50"),
        "{}",
        outcome.stdout
    );
    let (other, ..) = judged(
        folder.path(),
        "wide.csv",
        &[&methods[..], &prompts, &["--baseline", "RLHF"]].concat(),
    );
    assert_eq!(
        (other.comparisons[0].method.as_str(), other.comparisons[0].over.as_str()),
        ("SFT", "RLHF")
    );
    // lower is better, in all of them
    let (negated, about, _) =
        judged(folder.path(), "wide.csv", &[&methods[..], &prompts, &["--negate"]].concat());
    close(negated.methods["RLHF"].reward, -1.875);
    assert_eq!(about.negated, ["sft score", "rlhf score", "prompt score"]);
    let refused = |words: &[&str], said: &str| {
        run(folder.path(), &[&["evaluate", "--generations", "wide.csv"], words].concat())
            .refused(2, &[said]);
    };
    refused(&["--method", "SFT"], "expected NAME=RESPONSE:SCORE");
    refused(&[&methods[..], &methods].concat(), "--method RLHF names the column");
    refused(
        &["--method", "a=sft text:sft score", "--method", "b=rlhf text"],
        "--method b has no column of scores",
    );
    refused(&[&methods[..], &["--reward", "x"]].concat(), "--reward scores the texts");
    refused(&[&methods[..], &["--response-column", "sft text"]].concat(), "--response-column");
}

#[test]
fn groups_whose_names_are_numbers_are_listed_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let words =
        ["--response-column", "completion", "--score-column", "reward", "--group-by", "step"];
    let (evaluation, _, outcome) = judged(folder.path(), &field("trl_steps.parquet"), &words);
    let rows: usize = evaluation.methods.values().map(|method| method.rows).sum();
    let sum: f64 = evaluation
        .methods
        .values()
        .map(|method| method.reward.unwrap().mean * method.rows as f64)
        .sum();
    assert!(rows == 48 && (sum / 48.0 - 0.8875).abs() < 1e-9, "{rows} {sum}");
    let first = outcome
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap_or_default());
    assert_eq!(first.take(4).collect::<Vec<_>>(), ["5", "10", "20", "100"], "{}", outcome.stdout);
}

#[test]
fn what_is_said_of_thousands_of_groups_is_a_line_for_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "response,score,step\n".to_owned();
    for step in 0..500 {
        writeln!(csv, "one two,,{step}\nthree,{step},{step}\nfour,1,{step}").unwrap();
    }
    fs::write(folder.path().join("a.csv"), csv).unwrap();
    let words = ["--score-column", "score", "--group-by", "step"];
    let outcome =
        run(folder.path(), &[&["evaluate", "--generations", "a.csv"], &words[..]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let notes: Vec<&str> =
        outcome.stdout.lines().filter(|line| line.starts_with("note: ")).collect();
    assert!(notes.len() < 5, "{notes:?}");
    let missing = notes.iter().find(|note| note.contains("have no score")).unwrap();
    assert!(
        missing.starts_with("note: 0: of 3 rows, 1 have no score")
            && missing.ends_with("1, 2, 3 and 496 more"),
        "{missing}"
    );
    assert!(
        notes.iter().any(|note| note.contains("texts are judged without prompts")),
        "{notes:?}"
    );
    // where groups are named, so are the first of them
    let unknown = run(
        folder.path(),
        &[&["evaluate", "--generations", "a.csv"], &words[..], &["--baseline", "x"]].concat(),
    );
    unknown.refused(2, &["no such method; there are 0, 1, 2 and 497 more"]);
}

#[test]
fn responses_that_begin_with_their_prompts_are_told_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let file = field("repeats_prompt.jsonl");
    let words = ["--score-column", "score", "--group-by", "model,seed"];
    let (whole, _, outcome) = judged(folder.path(), &file, &words);
    assert!(
        outcome.stdout.contains("40 of 40 responses begin with their whole prompt"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.contains("--responses-include-prompt cuts it off"),
        "{}",
        outcome.stdout
    );
    let (cut, _, outcome) =
        judged(folder.path(), &file, &[&words[..], &["--responses-include-prompt"]].concat());
    assert!(!outcome.stdout.contains("begin with"), "{}", outcome.stdout);
    let length = |evaluation: &Evaluation| {
        evaluation.methods.values().map(|method| method.length.unwrap().mean).sum::<f64>() / 2.0
    };
    assert!(
        (length(&whole) - 13.0).abs() < 1e-9 && (length(&cut) - 8.0).abs() < 1e-9,
        "{} {}",
        length(&whole),
        length(&cut)
    );
    // of no other file
    fs::write(folder.path().join("a.csv"), "prompt,response\na b,a b c\nd,e\n").unwrap();
    let refused = |file: &str, words: &[&str], code, said: &str| {
        run(
            folder.path(),
            &[&["evaluate", "--generations", file, "--responses-include-prompt"], words].concat(),
        )
        .refused(code, &[said]);
    };
    refused(
        "a.csv",
        &[],
        1,
        "1 of 2 responses do not begin with their prompt, as --responses-include-prompt says; the \
         first is in row 2",
    );
    fs::write(folder.path().join("b.csv"), "response\na b c\ne\n").unwrap();
    refused("b.csv", &[], 2, "--responses-include-prompt needs prompts");
}
