//! The smoke preset of every task from end to end: what it leaves behind, and that it gives the
//! same numbers again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tailguard_report::{Figure, Generation, Results, ResultsFile, Tail, read_generations};

use crate::program::{Outcome, run};

/// Gives what the run printed.
fn reproduce(folder: &Path, task: &str, out: &str, words: &[&str]) -> String {
    started(folder, task, out, words).stdout
}

fn started(folder: &Path, task: &str, out: &str, words: &[&str]) -> Outcome {
    let small =
        ["--set", "run.seeds=1", "--set", "ppo.iterations=3", "--set", "evaluation.prompts=32"];
    let outcome = run(
        folder,
        &[&["reproduce", task, "--preset", "smoke", "--out", out], &small[..], words].concat(),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome
}

#[test]
fn imdb_prints_the_table_and_leaves_results_texts_logs_and_models() {
    check("imdb", &[], None);
}

#[test]
fn jigsaw_prints_the_table_and_says_that_its_texts_are_synthetic() {
    check("jigsaw", &[-1.3], Some("These figures are not on Jigsaw"));
}

#[test]
fn rtp_prints_the_table_and_says_that_most_of_its_texts_are_synthetic() {
    check("rtp", &[-1.3], Some("These figures are not on RealToxicityPrompts"));
}

/// Runs a task and holds everything that it leaves behind against the generated texts.
fn check(task: &str, other_tails: &[f64], notice: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let Outcome { stdout, stderr, .. } = started(folder.path(), task, "run", &[]);
    for word in [
        "GPT-2",
        "SFT",
        "RLHF",
        "RA-RLHF",
        "reward",
        "tail ≤ 0 (",
        "judge tail",
        "distinct-2",
        "duplicate",
        "prompt (",
        "its figures mean nothing",
        "run directory:",
    ] {
        assert!(stdout.contains(word), "no {word:?} in {stdout}");
    }
    let dir = folder.path().join("run");
    let results = Results::read(&dir.join("results.json")).unwrap();
    assert_eq!(
        (results.task.as_str(), results.preset.as_str(), results.seeds.as_slice()),
        (task, "smoke", &[1][..])
    );
    assert_eq!(results.notice.is_some(), notice.is_some(), "{results:?}");
    for said in [&stdout, &stderr, results.notice.as_ref().unwrap_or(&stdout)] {
        assert_eq!(
            said.contains(notice.unwrap_or("These figures are not on")),
            notice.is_some(),
            "{said}"
        );
    }
    let rows = read_generations(&dir.join("generations.parquet")).unwrap();
    assert_eq!(rows.len(), 4 * 32);
    for method in ["gpt2", "sft", "rlhf", "ra_rlhf"] {
        let rows: Vec<_> = rows.iter().filter(|row| row.method == method).collect();
        let mean = |number: &dyn Fn(&Generation) -> f64, of: &[&Generation]| {
            of.iter().map(|row| number(row)).sum::<f64>() / of.len() as f64
        };
        let (reward, judge) = (
            |row: &Generation| f64::from(row.reward),
            |row: &Generation| f64::from(row.judge.unwrap()),
        );
        let tail: Vec<_> = rows.iter().copied().filter(|row| row.prompt_score <= 0.0).collect();
        let blank = |row: &Generation| f64::from(u8::from(row.response.trim().is_empty()));
        let figures = &results.methods[method];
        for (figure, expected) in [
            (figures.reward, mean(&reward, &rows)),
            (figures.tail, mean(&reward, &tail)),
            (figures.judge.unwrap(), mean(&judge, &rows)),
            (figures.judge_tail.unwrap(), mean(&judge, &tail)),
            (figures.empty, mean(&blank, &rows)),
        ] {
            assert!(
                (figure.mean - expected).abs() < 1e-9,
                "{method}: {figure:?} is not the mean over the texts, {expected}"
            );
        }
        assert_eq!(results.tail, Tail { threshold: 0.0, prompts: tail.len() });
        assert!(
            (figures.length.mean - 8.0).abs() < 1e-9,
            "{method}: the end token is masked, so lengths are fixed"
        );
        assert!(
            figures.perplexity_human.unwrap().mean > 1.0 && figures.perplexity_generated.mean > 1.0
        );
        assert_eq!(
            figures.other_tails.iter().map(|tail| tail.threshold).collect::<Vec<_>>(),
            other_tails
        );
        for other in &figures.other_tails {
            let tail: Vec<_> = rows
                .iter()
                .copied()
                .filter(|row| f64::from(row.prompt_score) <= other.threshold)
                .collect();
            let is_mean = |figure: Figure| (figure.mean - mean(&reward, &tail)).abs() < 1e-9;
            assert_eq!(
                (other.prompts, other.reward.is_none_or(is_mean)),
                (tail.len(), true),
                "{method}: {other:?}"
            );
            assert_eq!(other.reward.is_some(), other.prompts > 0, "{method}: {other:?}");
        }
    }
    assert!(
        results.methods["sft"].kl.unwrap().mean.abs() < 1e-3,
        "the reference has no KL to itself"
    );
    assert!(fs::metadata(dir.join("metrics.parquet")).unwrap().len() > 0);
    check_comparisons(&results, &rows);
    check_logs(&dir);
    for model in ["seed-1-sft", "seed-1-rlhf", "seed-1-ra-rlhf"] {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            assert!(
                dir.join("checkpoints").join(model).join("model").join(file).is_file(),
                "{model}/{file}"
            );
        }
    }
}

/// What a method gains over another is the mean difference over the same prompts, in the tail too.
fn check_comparisons(results: &Results, rows: &[Generation]) {
    let compared: Vec<_> =
        results.comparisons.iter().map(|c| (c.method.as_str(), c.over.as_str())).collect();
    assert_eq!(compared, [("ra_rlhf", "rlhf"), ("rlhf", "sft"), ("ra_rlhf", "sft")]);
    assert_eq!(results.reference, "sft");
    for comparison in &results.comparisons {
        let rewards = |name: &str, in_tail: bool| {
            let of = rows
                .iter()
                .filter(|row| row.method == name && (!in_tail || row.prompt_score <= 0.0));
            of.map(|row| f64::from(row.reward)).collect::<Vec<_>>()
        };
        for (difference, in_tail) in [(comparison.reward, false), (comparison.tail.unwrap(), true)]
        {
            let (left, right) =
                (rewards(&comparison.method, in_tail), rewards(&comparison.over, in_tail));
            let mean = left.iter().zip(&right).map(|(left, right)| left - right).sum::<f64>()
                / left.len() as f64;
            assert!((difference.mean - mean).abs() < 1e-9, "{comparison:?}: {mean}");
            let [low, high] = difference.ci95.unwrap();
            assert!(low <= mean && mean <= high && difference.seeds_std.is_none());
        }
        // whatever is measured of both is compared, on the same prompts or human texts
        let figures = |name: &str| results.methods[name].figures().collect::<BTreeMap<_, _>>();
        let (own, others) = (figures(&comparison.method), figures(&comparison.over));
        let keys: Vec<&str> = comparison.differences().map(|(key, ..)| key).collect();
        assert_eq!(
            keys,
            [
                "reward",
                "tail",
                "cvar",
                "judge",
                "judge_tail",
                "perplexity_human",
                "perplexity_generated",
                "kl"
            ]
        );
        for (key, _, _, difference) in comparison.differences().filter(|(key, ..)| *key != "cvar") {
            let expected = own[key].mean - others[key].mean;
            assert!(
                (difference.mean - expected).abs() < 1e-6 * (1.0 + own[key].mean.abs()),
                "{key}: {difference:?}, {expected}"
            );
        }
        assert!(
            comparison.cvar_share.is_some_and(|share| [0.2, 0.4].contains(&share)),
            "{comparison:?}"
        );
    }
}

/// The logs that other tools read have every iteration of both trainings.
fn check_logs(dir: &Path) {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3, 1, 2, 3]
    );
    let keys = ["objective/kl", "ppo/mean_non_score_reward"];
    assert!(lines.iter().all(|line| keys.iter().all(|key| line[*key].is_f64())), "{text}");
    for training in ["rlhf-seed1", "ra-rlhf-seed1"] {
        let events =
            fs::read(dir.join("tensorboard").join(training).join("events.out.tfevents.tailguard"))
                .unwrap();
        let count = |tag: &[u8]| events.windows(tag.len()).filter(|window| *window == tag).count();
        assert_eq!(
            [count(b"brain.Event:2"), count(b"objective/kl_coef"), count(b"ppo/loss/policy")],
            [1, 3, 3],
            "{training}"
        );
    }
}

/// Comments, toxic or not, as rows of Kaggle's files.
fn comment(row: usize, split: &str) -> (String, usize) {
    let moods = [
        "Thank you for your lovely edit of the article",
        "You are a stupid idiot and a liar, go away",
    ];
    (format!("\"{}, says user number {row} of the talk page, {split}\"", moods[row % 2]), row % 2)
}

#[test]
fn the_three_files_of_kaggle_are_taken_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("kaggle/jigsaw");
    fs::create_dir_all(&dir).unwrap();
    let others = "severe_toxic,obscene,threat,insult,identity_hate";
    let (mut train, mut test, mut labels) = (
        format!("id,comment_text,toxic,{others}\n"),
        "id,comment_text\n".to_owned(),
        format!("id,toxic,{others}\n"),
    );
    for row in 0..90 {
        let (text, toxic) = comment(row, "train");
        train += &format!("a{row},{text},{toxic},0,0,0,0,0\n");
        let (text, toxic) = comment(row, "test");
        test += &format!("b{row},{text}\n");
        // Kaggle left some out of the scoring
        labels += &if row < 10 {
            format!("b{row},-1,-1,-1,-1,-1,-1\n")
        } else {
            format!("b{row},{toxic},0,0,0,0,0\n")
        };
    }
    for (name, text) in [("train.csv", train), ("test.csv", test), ("test_labels.csv", labels)] {
        fs::write(dir.join(name), text).unwrap();
    }
    let outcome = started(folder.path(), "jigsaw", "run", &["--data-dir", "kaggle"]);
    assert!(outcome.stderr.contains("80 texts, 40 of them good"), "{}", outcome.stderr);
    let results = Results::read(&folder.path().join("run/results.json")).unwrap();
    assert_eq!((results.data.as_str(), results.notice), ("data-dir", None));
}

#[test]
fn the_one_file_of_real_toxicity_prompts_is_split() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    fs::create_dir(&dir).unwrap();
    let line = |row: usize| {
        let (text, toxic) = comment(row, "hub");
        let score = if row % 9 == 8 { "null".to_owned() } else { format!("0.{}", 1 + 7 * toxic) };
        format!(
            "{{\"filename\": \"f\", \"prompt\": {{\"text\": {text}, \"toxicity\": {score}}}, \
             \"continuation\": {{\"text\": \" and so on.\"}}}}\n"
        )
    };
    fs::write(dir.join("prompts.jsonl"), (0..270).map(line).collect::<String>()).unwrap();
    let outcome = started(folder.path(), "rtp", "run", &["--data-dir", "hub"]);
    // a fifth of 120 prompts of each class is held out; 70 % of the others may be good
    assert!(outcome.stderr.contains("48 texts, 24 of them good"), "{}", outcome.stderr);
    assert_eq!(Results::read(&folder.path().join("run/results.json")).unwrap().notice, None);
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads_and_another_seed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    // wide enough an update that the products of the value head's gradient are beyond the sizes
    // from which libraries share out sums
    let wide = [
        "ppo.batch_size=32",
        "ppo.minibatch_size=32",
        "sampling.max_new_tokens=24",
        "sft.text_tokens=56",
    ];
    let wide: Vec<&str> = wide.into_iter().flat_map(|setting| ["--set", setting]).collect();
    let results = |out: &str, words: &[&str]| {
        reproduce(folder.path(), "imdb", out, &[&wide[..], words].concat());
        let read = |name: &str| fs::read_to_string(folder.path().join(out).join(name)).unwrap();
        // without the seconds that it took
        let mut rows: Vec<serde_json::Map<_, _>> =
            read("metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.iter_mut().for_each(|row| row.retain(|name, _| !name.starts_with("time/")));
        (read("results.json"), rows)
    };
    let first = results("a", &["--threads", "2"]);
    for (out, threads) in [("b", "2"), ("c", "1"), ("d", "4")] {
        assert_eq!(first, results(out, &["--threads", threads]), "{threads} threads");
    }
    let (other, _) = results("e", &["--seed", "2"]);
    assert_ne!(first.0, other.replace("\"seeds\": [\n    2", "\"seeds\": [\n    1"));
}

#[test]
fn a_finished_run_that_is_resumed_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = reproduce(folder.path(), "imdb", "run", &[]);
    let dir = folder.path().join("run");
    let results = fs::read_to_string(dir.join("results.json")).unwrap();
    // as if the last phase had not been reached
    fs::remove_file(dir.join("results.json")).unwrap();
    fs::remove_file(dir.join("evaluation/seed-1-ra-rlhf.json")).unwrap();
    let outcome = run(folder.path(), &["reproduce", "imdb", "--out", "run", "--resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, first);
    assert_eq!(fs::read_to_string(dir.join("results.json")).unwrap(), results);
}
