//! `evaluate`: texts of any tool, and a model on a task.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tailguard_report::{
    About, EvaluatedTail, Evaluation, Generation, ResultsFile, write_generations,
};

use crate::program::{Outcome, run};

/// Judges a file, which must succeed, and gives what `results.json` says.
pub(crate) fn judged(folder: &Path, file: &str, words: &[&str]) -> (Evaluation, Outcome) {
    let out = tempfile::tempdir_in(folder).unwrap();
    let out_dir = out.path().join("out").display().to_string();
    let outcome =
        run(folder, &[&["evaluate", "--generations", file, "--out", &out_dir], words].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let evaluation = Evaluation::read(&Path::new(&out_dir).join("results.json")).unwrap();
    assert!(
        ["generations.parquet", "report.html", "run.json"]
            .iter()
            .all(|name| Path::new(&out_dir).join(name).is_file())
    );
    (evaluation, outcome)
}

/// Judges a file, which must be refused.
fn refused(bytes: &[u8], file: &str, words: &[&str], code: i32, said: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), bytes).unwrap();
    let outcome =
        run(folder.path(), &[&["evaluate", "--generations", file, "--out", "out"], words].concat());
    outcome.refused(code, said);
    assert!(!folder.path().join("out").exists(), "what failed leaves nothing");
}

#[test]
fn a_table_of_two_methods_and_two_seeds_is_judged_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "prompt,response,reward,prompt_score,algo,seed\n".to_owned();
    for seed in [1, 2] {
        for (algo, gain) in [("ppo", 0.0), ("ra", 0.5)] {
            for prompt in 0..20 {
                let reward = f64::from(prompt) / 10.0 - 1.0 + gain + 0.1 * f64::from(seed);
                writeln!(
                    csv,
                    "\"prompt {prompt},\n\",\"so \"\"good\"\" {algo} \
                    {prompt}\",{reward},{prompt},{algo},{seed}"
                )
                .unwrap();
            }
        }
    }
    fs::write(folder.path().join("trl.csv"), csv).unwrap();
    let scores = ["--score-column", "reward", "--prompt-score-column", "prompt_score"];
    let words = [
        &scores[..],
        &["--group-by", "algo,seed", "--baseline", "ppo", "--tail-share", "0.25", "--out", "out"],
    ]
    .concat();
    let outcome =
        run(folder.path(), &[&["evaluate", "--generations", "trl.csv"], &words[..]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for said in [
        "tail ≤ 4 (5 prompts): lowest 25 % of prompts",
        "CVaR 25 %",
        "length (words)",
        "ra - ppo, on 20 prompts: reward +0.50 [0.50, 0.50]",
    ] {
        assert!(outcome.stdout.contains(said), "no {said:?} in {}", outcome.stdout);
    }
    let evaluation = Evaluation::read(&folder.path().join("out/results.json")).unwrap();
    assert_eq!(evaluation.seeds, [1, 2]);
    let (ppo, ra) = (&evaluation.methods["ppo"], &evaluation.methods["ra"]);
    let mean = |figure: Option<tailguard_report::Figure>| figure.unwrap().mean;
    assert!(
        (mean(ra.reward) - mean(ppo.reward) - 0.5).abs() < 1e-9
            && (mean(ppo.reward) - 0.1).abs() < 1e-9,
        "{ppo:?}"
    );
    assert!(
        (mean(ppo.tail) + 0.65).abs() < 1e-9 && (mean(ppo.length) - 4.0).abs() < 1e-9,
        "{ppo:?}"
    );
    let comparison = &evaluation.comparisons[0];
    assert_eq!(
        (comparison.prompts, comparison.method.as_str(), comparison.over.as_str()),
        (20, "ra", "ppo")
    );
    assert!((comparison.tail.unwrap().mean - 0.5).abs() < 1e-9);
    // what was written can be judged again, and gives the same
    let again = [
        "--prompt-score-column",
        "prompt_score",
        "--score-column",
        "reward",
        "--group-by",
        "method,seed",
        "--tail-share",
        "0.25",
    ];
    let (second, _) = judged(folder.path(), "out/generations.parquet", &again);
    for method in ["ppo", "ra"] {
        let figures =
            |evaluation: &Evaluation| evaluation.methods[method].figures().collect::<Vec<_>>();
        for ((key, one), (_, other)) in figures(&evaluation).into_iter().zip(figures(&second)) {
            assert!((one.mean - other.mean).abs() < 1e-6, "{method}: {key}"); // single precision
        }
    }
    // and is not written over
    let taken = run(folder.path(), &["evaluate", "--generations", "trl.csv", "--out", "out"]);
    taken.refused(2, &["out is not empty"]);
}

#[test]
fn the_texts_of_a_run_give_the_figures_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let row = |place: u32, method: &str| Generation {
        prompt: format!("prompt {place}"),
        prompt_score: place as f32 - 5.0,
        good: None,
        response: format!("text {place} {method}"),
        reward: place as f32 * 0.25,
        judge: Some(1.0),
        perplexity: None,
        kl: Some(0.5),
        tokens: None,
        method: method.to_owned(),
        seed: 7,
    };
    let rows: Vec<_> = ["sft", "ra_rlhf"]
        .into_iter()
        .flat_map(|method| (0..10).map(move |place| row(place, method)))
        .collect();
    write_generations(&folder.path().join("generations.parquet"), &rows).unwrap();
    let columns = [
        "--score-column",
        "reward",
        "--prompt-score-column",
        "prompt_score",
        "--judge-column",
        "judge",
    ];
    let (evaluation, outcome) = judged(
        folder.path(),
        "generations.parquet",
        &[&columns[..], &["--group-by", "method,seed", "--tail-threshold", "-3"]].concat(),
    );
    assert!(outcome.stdout.contains("tail ≤ -3 (3 prompts)"), "{}", outcome.stdout);
    let figures = &evaluation.methods["ra_rlhf"];
    assert!(
        (figures.tail.unwrap().mean - 0.25).abs() < 1e-9
            && (figures.judge_tail.unwrap().mean - 1.0).abs() < 1e-9
    );
    assert_eq!(evaluation.seeds, [7]);
    assert!(
        !outcome.stdout.contains("ppl human") && !outcome.stdout.contains("columns of a run"),
        "{}",
        outcome.stdout
    );
    // the columns of a run need not be named
    let (same, outcome) = judged(folder.path(), "generations.parquet", &["--tail-threshold", "-3"]);
    assert_eq!(same, evaluation);
    assert!(
        outcome.stdout.contains("were taken: reward, prompt_score, judge, method, seed"),
        "{}",
        outcome.stdout
    );
    // and texts that were judged without scores and seeds are read as they are
    fs::write(folder.path().join("bare.csv"), "prompt,response\na,b c\nd,e f\n").unwrap();
    assert_eq!(
        run(folder.path(), &["evaluate", "--generations", "bare.csv", "--out", "bare"]).code,
        Some(0)
    );
    let (again, outcome) = judged(folder.path(), "bare/generations.parquet", &[]);
    assert_eq!(again.methods["bare"].reward, None);
    assert!(
        outcome.stdout.contains("were taken: method (")
            && !outcome.stdout.contains("have no score"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn missing_scores_and_nan_are_counted_and_enter_no_mean() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "response,score\na,1\nb,\nc,nan\nd,3\ne,NA\n,inf\n";
    fs::write(folder.path().join("a.csv"), csv).unwrap();
    let (evaluation, outcome) = judged(folder.path(), "a.csv", &["--score-column", "score"]);
    assert!((evaluation.methods["a"].reward.unwrap().mean - 2.0).abs() < 1e-12);
    assert!(
        outcome
            .stdout
            .contains("of 6 rows, 2 have no score and 2 have one that is NaN or infinite"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("tail: CVaR 10 % of the rewards"), "{}", outcome.stdout);
    // an empty field of a CSV file is an empty text
    assert!((evaluation.methods["a"].empty.unwrap().mean - 1.0 / 6.0).abs() < 1e-12);
}

#[test]
fn what_a_file_does_not_allow_is_said_and_the_rest_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "prompt,response,score,prompt_score,model,seed\n".to_owned();
    for (model, prompts) in [("a\u{1b}[2J", ["p", "q"]), ("b", ["p", "q"]), ("c", ["x", "y"])] {
        for (row, prompt) in prompts.iter().cycle().take(8).enumerate() {
            writeln!(csv, "{prompt},text {row},{row},0,{model},1").unwrap();
        }
    }
    csv += "p,text,1e300,-1,b,2\nq,text,2,-1,b,2\n";
    fs::write(folder.path().join("a.csv"), csv).unwrap();
    let scores = [
        "--score-column",
        "score",
        "--prompt-score-column",
        "prompt_score",
        "--group-by",
        "model,seed",
    ];
    let (evaluation, outcome) = judged(
        folder.path(),
        "a.csv",
        &[&scores[..], &["--baseline", "b", "--curve", "--buckets", "9"]].concat(),
    );
    for said in [
        "c and b cannot be compared: they have fewer than two prompts with scores in common",
        "a [2J - b, on 2 prompts: reward ",
        "a [2J: no buckets, as too few",
        "b: no curve, as it has several seeds",
        "b: of 10 rows, 0 have no score and 1 have one that is NaN or infinite",
        "the tail is 100 % of the prompts, not the lowest 10 %",
        "2 prompts have scores of their own that contradict each other",
        "3.5",
    ] {
        assert!(outcome.stdout.contains(said), "no {said:?} in {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    let seeds: Vec<usize> = evaluation.methods.values().map(|method| method.seeds).collect();
    assert_eq!(
        (seeds, evaluation.comparisons.len(), evaluation.comparisons[0].prompts),
        (vec![1, 2, 1], 1, 2)
    );
}

#[test]
fn a_classifier_scores_prompts_and_responses() {
    let folder = tempfile::tempdir().unwrap();
    let line = |prompt: &str, response: &str| {
        serde_json::json!({ "query": prompt, "answer": response }).to_string() + "\n"
    };
    let lines = [
        line("This film was ", "wonderful, a great and beautiful story."),
        line("This film was ", "terrible, the worst waste of time."),
        line("A boring, awful plot and ", "bad acting."),
        r#"{"query": "No answer", "answer": null}"#.to_owned() + "\n",
    ];
    fs::write(folder.path().join("a.jsonl"), lines.concat()).unwrap();
    let reward = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../datasets/distilbert-reviews")
        .display()
        .to_string();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../datasets/gpt2-reviews")
        .display()
        .to_string();
    let columns = [
        "--prompt-column",
        "query",
        "--response-column",
        "answer",
        "--reward",
        &reward,
        "--tokenizer",
        &tokenizer,
    ];
    let (evaluation, outcome) =
        judged(folder.path(), "a.jsonl", &[&columns[..], &["--tail-share", "0.5"]].concat());
    let method = &evaluation.methods["a"];
    assert_eq!((method.rows, method.missing_responses, method.reward_left_out.missing), (4, 1, 1));
    assert!(
        method.reward.is_some()
            && matches!(evaluation.tail, Some(EvaluatedTail::PromptScores { .. })),
        "{evaluation:?}"
    );
    assert!(
        outcome.stdout.contains("a: 1 of 4 rows have no text")
            && !outcome.stdout.contains("begin with a letter"),
        "{}",
        outcome.stdout
    );
    fs::write(
        folder.path().join("b.csv"),
        "prompt,response\nThis film,was great\nThis film,was bad\nA plot,of sorts\n",
    )
    .unwrap();
    let outcome = run(
        folder.path(),
        &["evaluate", "--generations", "b.csv", "--reward", &reward, "--out", "scored"],
    );
    assert!(
        outcome.stdout.contains("3 of 3 responses begin with a letter right behind"),
        "{outcome:?}"
    );
    let about: About =
        serde_json::from_str(&fs::read_to_string(folder.path().join("scored/run.json")).unwrap())
            .unwrap();
    assert_eq!(
        (
            about.inputs["generated texts"].len(),
            about.inputs["reward model"].len(),
            about.device.as_str()
        ),
        (64, 64, "flex")
    );
    assert_eq!(
        (about.places["generated texts"].as_str(), &about.places["reward model"]),
        ("b.csv", &reward)
    );
    let page = fs::read_to_string(folder.path().join("scored/report.html")).unwrap();
    assert!(
        page.contains("<dt>generated texts</dt><dd>b.csv</dd>")
            && page.contains("evaluate --generations b.csv"),
        "run.json is shown"
    );
    let rows = folder.path().join("whole.csv");
    fs::write(&rows, "text\n\"a wonderful, great film\"\n\"the worst, terrible waste\"\n").unwrap();
    let (evaluation, _) =
        judged(folder.path(), "whole.csv", &["--text-column", "text", "--reward", &reward]);
    assert!(evaluation.methods["whole"].reward.unwrap().mean.is_finite());
    assert!(
        matches!(evaluation.tail, Some(EvaluatedTail::LowestScores { .. })),
        "a whole text has no prompt: {evaluation:?}"
    );
}

#[test]
fn what_cannot_be_judged_is_refused_with_its_place() {
    let table = b"prompt,reply,score\na,b,1\nc,d,2\n";
    refused(table, "a.csv", &[], 1, &["a.csv", "no column \"response\"", "prompt, reply, score"]);
    refused(
        table,
        "a.csv",
        &["--response-column", "reply", "--score-column", "sco"],
        1,
        &["no column \"sco\""],
    );
    refused(
        table,
        "a.csv",
        &["--response-column", "reply", "--group-by", "model"],
        1,
        &["no column \"model\""],
    );
    for (name, bytes) in
        [("a.csv", &b""[..]), ("b.csv", b"response\n"), ("c.jsonl", b"\n"), ("d.parquet", b"")]
    {
        refused(bytes, name, &[], 1, &[name, "has no rows"]);
    }
    refused(b"response\nfine\n", "a.csv", &[], 1, &["a.csv has one row, expected at least two"]);
    refused(b"response\nfine\nca\xe9\n", "a.csv", &[], 1, &["a.csv: line 3 is not valid UTF-8"]);
    refused(
        b"{\"response\": \"a\"}\n{\"response\": \"\xff\xfe\"}\n",
        "a.jsonl",
        &[],
        1,
        &["a.jsonl: line 2 is not valid UTF-8"],
    );
    refused(
        b"response,score\na,1\nb,high\n",
        "a.csv",
        &["--score-column", "score"],
        1,
        &["column \"score\", row 2: found \"high\""],
    );
    refused(
        b"response,score\na,1\nb\n",
        "a.csv",
        &["--score-column", "score"],
        1,
        &["line 3: found 1 fields, expected 2"],
    );
    refused(
        b"response,seed\na,1\nb,x\n",
        "a.csv",
        &["--group-by", "response,seed"],
        1,
        &["row 2: found \"x\""],
    );
    refused(
        b"{\"response\": [1]}\n{\"response\": \"b\"}\n",
        "a.jsonl",
        &[],
        1,
        &["column \"response\", line 1: found 1, expected a text"],
    );
    refused(b"a", "a.txt", &[], 1, &["unknown kind of table"]);
    refused(b"", "a.csv", &["--tail-share", "0"], 2, &["--tail-share", "above 0 and at most 1"]);
    refused(
        table,
        "a.csv",
        &["--response-column", "reply", "--baseline", "x"],
        2,
        &["--baseline x: no such method; there are a"],
    );
    let folder = tempfile::tempdir().unwrap();
    let asked = |words: &[&str]| {
        run(folder.path(), &[&["evaluate", "--generations", "no.csv"], words].concat())
    };
    asked(&["--curve"]).refused(2, &["--out"]);
    asked(&["--buckets", "0", "--out", "out"]).refused(2, &["--buckets"]);
    asked(&["--judge-negate"]).refused(2, &["--judge"]);
    asked(&["--task", "imdb", "--seed", "3"])
        .refused(2, &["'--generations <FILE>' cannot be used with", "--task", "--seed"]);
    let model =
        ["evaluate", "--model", "no/such", "--score-column", "x", "--curve", "--out", "out"];
    run(folder.path(), &model)
        .refused(2, &["'--model <DIR>' cannot be used with", "--score-column", "--curve"]);
    run(folder.path(), &["evaluate"]).refused(2, &["--generations", "--model"]);
    run(folder.path(), &["evaluate", "--model", "x"]).refused(2, &["--task"]);
    run(folder.path(), &["evaluate", "--generations", "no.csv"]).refused(1, &["no.csv"]);
    run(folder.path(), &["evaluate", "--model", "no/such", "--task", "imdb"])
        .refused(1, &["no/such"]);
}

#[test]
fn a_model_is_evaluated_on_a_task_as_a_run_evaluates_its_base_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../datasets/gpt2-reviews")
        .display()
        .to_string();
    let small = ["--preset", "smoke", "--set", "run.seeds=1", "--set", "evaluation.prompts=32"];
    let evaluated = run(
        folder.path(),
        &[&["evaluate", "--model", &model, "--task", "imdb", "--out", "out"], &small[..]].concat(),
    );
    assert_eq!(evaluated.code, Some(0), "{}", evaluated.stderr);
    let trained = run(
        folder.path(),
        &[&["reproduce", "imdb", "--out", "run", "--set", "ppo.iterations=3"], &small[..]].concat(),
    );
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
    let evaluation = Evaluation::read(&folder.path().join("out/results.json")).unwrap();
    let results = tailguard_report::Results::read(&folder.path().join("run/results.json")).unwrap();
    let (found, expected) = (&evaluation.methods["gpt2-reviews"], &results.methods["gpt2"]);
    // what a run knows of its arms alone
    let is_of_run =
        |key: &str| key == "kl" || key.starts_with("making_") || key.starts_with("answer_");
    for (key, figure) in expected.figures().filter(|(key, _)| !is_of_run(key)) {
        let found = found
            .figures()
            .find(|(other, _)| *other == key)
            .unwrap_or_else(|| panic!("{key} is missing"))
            .1;
        assert!((found.mean - figure.mean).abs() < 1e-9, "{key}: {found:?}, expected {figure:?}");
    }
    assert_eq!((found.kl, evaluation.task.as_deref()), (None, Some("imdb")));
    let about: About =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out/run.json")).unwrap())
            .unwrap();
    assert_eq!(about.places["policy"], model);
    assert!(
        about.places["reward model"].ends_with("distilbert-reviews")
            && about.places["judge"].ends_with("judge-sentiment")
    );
    assert!(
        evaluated.stdout.contains("gpt2-reviews") && evaluated.stdout.contains("tail ≤ 0 ("),
        "{}",
        evaluated.stdout
    );
}
