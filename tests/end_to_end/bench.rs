//! The benchmarks print one line of JSON that makes sense, whatever the time; a comparison sets
//! both sides against each other.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Outcome, run};

/// One layer of width 16.
const TINY: [&str; 22] = [
    "--layers",
    "1",
    "--width",
    "16",
    "--heads",
    "2",
    "--vocab",
    "50",
    "--batch",
    "4",
    "--mini-batch",
    "2",
    "--prompt-len",
    "5",
    "--gen-len",
    "3",
    "--ppo-epochs",
    "2",
    "--iters",
    "2",
    "--threads",
    "1",
];

/// Of embeddings, one block, the last norm and the value head.
const PARAMETERS: u64 = 16 * (50 + 1024) + 12 * 16 * 16 + 13 * 16 + 2 * 16 + 17;

/// The one line that was printed.
fn line(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout.matches('\n').count(), 1, "{}", outcome.stdout);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[track_caller]
fn positive(line: &Value, path: &[&str]) -> f64 {
    let value = path.iter().fold(line, |value, key| &value[key]);
    let number = value.as_f64().unwrap_or_else(|| panic!("{path:?} is {value} in {line}"));
    assert!(number > 0.0 && number.is_finite(), "{path:?} is {number}");
    number
}

fn check_head(line: &Value, benchmark: &str) {
    assert_eq!(
        (&line["benchmark"], &line["size"]),
        (&benchmark.into(), &"custom".into()),
        "{line}"
    );
    assert_eq!(
        (line["parameters"].as_u64(), line["threads"].as_u64()),
        (Some(PARAMETERS), Some(1)),
        "{line}"
    );
    for (key, value) in [
        ("layers", 1),
        ("width", 16),
        ("vocab", 50),
        ("mini_batch", 2),
        ("gen_len", 3),
        ("seed", 0),
    ] {
        assert_eq!(line["config"][key].as_u64(), Some(value), "{key}");
    }
    assert_eq!(
        (&line["versions"]["tailguard"], &line["versions"]["burn"]),
        (&"0.1.0".into(), &"0.22.1".into())
    );
    if cfg!(target_os = "linux") {
        assert!((1.0..4096.0).contains(&positive(line, &["peak_rss_mib"])));
        assert!(line["other_processes_cores"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn an_iteration_is_timed_by_its_phases() {
    let folder = tempfile::tempdir().unwrap();
    for (alpha, kept, steps) in [("1", 4, 4), ("0.4", 2, 4)] {
        let line = line(&run(
            folder.path(),
            &[&["bench", "iteration", "--alpha-keep", alpha][..], &TINY].concat(),
        ));
        check_head(&line, "iteration");
        assert_eq!(
            (line["kept"].as_u64(), line["optimizer_steps"].as_u64()),
            (Some(kept), Some(steps)),
            "{line}"
        );
        let phases: f64 = ["generate_s", "reference_s", "score_s", "update_s"]
            .map(|key| positive(&line, &[key]))
            .iter()
            .sum();
        // the median of two is their mean, and means add up
        assert!(phases <= 1.001 * positive(&line, &["iteration_s"]), "{line}");
        assert!(positive(&line, &["iteration_min_s"]) <= positive(&line, &["iteration_s"]));
        let rate = positive(&line, &["generated_tokens_per_s"]) * positive(&line, &["generate_s"]);
        assert!((rate - 12.0).abs() < 0.01, "4 episodes of 3 tokens: {rate}");
        let rate = positive(&line, &["update_tokens_per_s"]) * positive(&line, &["update_s"]);
        assert!(
            (rate - (kept * 8 * 2) as f64).abs() < 0.01,
            "2 epochs over {kept} episodes of 8 tokens: {rate}"
        );
        positive(&line, &["gflops"]);
    }
}

#[test]
fn the_parts_of_an_iteration_are_timed_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let line = line(&run(
        folder.path(),
        &[&["bench", "gpt2", "--product-seconds", "0"][..], &TINY].concat(),
    ));
    check_head(&line, "gpt2");
    for (name, tokens) in [
        ("forward", 16.0),
        ("forward_response_logits_only", 16.0),
        ("train", 16.0),
        ("generate", 12.0),
    ] {
        let median = positive(&line, &["seconds", name, "median"]);
        assert!(positive(&line, &["seconds", name, "min"]) <= median);
        assert!(
            (positive(&line, &["tokens_per_s", name]) * median - tokens).abs() < 0.01,
            "{name}: {line}"
        );
        assert_eq!(line["gflops"][name].is_number(), name != "generate", "{name}");
    }
    let products = line["matrix_product_gflops"].as_object().unwrap();
    assert_eq!(products.len(), 11, "{products:?}");
    assert!(
        products.contains_key("pass/mlp_in/16x16x64")
            && products.contains_key("decode/output_head/4x16x50")
    );
}

#[test]
fn sizes_and_peers_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |words: &[&str]| run(folder.path(), &[&["bench"], words].concat());
    bench(&["iteration", "--heads", "3"])
        .refused(2, &["--width 256 is not a multiple of --heads 3"]);
    bench(&["iteration", "--alpha-keep", "0"])
        .refused(2, &["--alpha-keep", "above 0 and at most 1"]);
    bench(&["gpt2", "--size", "xl"]).refused(2, &["xl", "xs, s, gpt2"]);
    bench(&["compare"]).refused(2, &["--peers is missing", "hint:", "trl_ppo_bench.py"]);
    bench(&["compare", "--peers", "."]).refused(2, &["no gpt2_bench.py"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was written");
}

/// Lines of peers that are a hundred times slower than any machine.
fn fake_peers(folder: &Path) {
    let config = r#""config": {"layers": 1, "width": 16, "heads": 2, "vocab": 50, "batch": 4,
        "prompt_len": 5, "gen_len": 3,
        "ppo_epochs": 2, "mini_batch": 2, "alpha_keep": 1, "iters": 2, "seed": 0}"#;
    let head = format!(
        "{config}, \"parameters\": {PARAMETERS}, \"threads\": 1, \"versions\": {{\"torch\": \
         \"2.5.1\"}}"
    );
    let trl = format!(
        r#"{{"benchmark": "trl_ppo", {head}, "iteration_s": 1e6, "generate_s": 1e6, "step_s": 1e6,
            "peak_rss_mib": 1e6, "other_processes_cores": 0.0}}"#
    );
    let timed = [
        "forward",
        "forward_response_logits_only",
        "train",
        "generate_by_hand",
        "generate_transformers",
    ]
    .map(|name| format!("\"{name}\": {{\"median\": 1e6}}"));
    let lean =
        r#"{"iteration": 1e6, "generate": 1e6, "reference_and_advantages": 1e6, "update": 1e6}"#;
    let parts = format!(
        r#"{{"benchmark": "gpt2_pytorch", {head}, "seconds": {{{}}},
            "lean_iteration_s_by_kept_episodes": {{"4": {lean}}},
            "matrix_product_gflops": {{"square_1024": 1e-6}}, "other_processes_cores": 0.0}}"#,
        timed.join(", ")
    );
    fs::create_dir_all(folder.join("env/bin")).unwrap();
    for (name, line) in
        [("trl_ppo_bench.py", trl), ("gpt2_bench.py", parts), ("setup.sh", String::new())]
    {
        fs::write(folder.join(name), line.replace('\n', " ")).unwrap();
    }
    // it prints the script that it is told to run
    fs::write(folder.join("env/bin/python"), "#!/bin/sh\ncat \"$2\"\necho\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.join("env/bin/python"), fs::Permissions::from_mode(0o755))
            .unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_comparison_leaves_a_table_and_all_lines_and_never_overwrites_them() {
    let folder = tempfile::tempdir().unwrap();
    fake_peers(folder.path());
    let compare = [
        "bench",
        "compare",
        "--peers",
        ".",
        "--python-env",
        "env",
        "--size",
        "xs",
        "--alpha-keep",
        "1",
    ];
    let words =
        [&compare[..], &["--rounds", "1", "--repeats", "0", "--out", "out", "--"], &TINY].concat();
    let outcome = run(folder.path(), &words);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let table = fs::read_to_string(folder.path().join("out/compare.md")).unwrap();
    assert_eq!(outcome.stdout, table);
    for row in [
        "| PPO iteration, 4 of 4 kept | TRL |",
        "| update, 4 of 4 kept | lean PyTorch |",
        "| product square_1024 | PyTorch |",
    ] {
        assert!(table.contains(row), "no {row:?} in:\n{table}");
    }
    let raw = fs::read_to_string(folder.path().join("out/raw.jsonl")).unwrap();
    let sides: Vec<Value> = raw
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["side"].clone())
        .collect();
    assert_eq!(sides, ["tailguard", "PyTorch", "tailguard", "TRL"]);
    run(folder.path(), &words).refused(2, &["out", "already holds a comparison"]);

    let other = [&compare[..], &["--out", "other", "--"], &TINY, &["--seed", "5"]].concat();
    run(folder.path(), &other).refused(1, &["`config` differs", "gpt2_pytorch"]);
}
