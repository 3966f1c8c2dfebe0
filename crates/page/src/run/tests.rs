//! Claims about what a page is made of: files of runs and of evaluations, older ones too.

use super::*;
use serde_json::json;

#[test]
fn figures_may_be_missing_and_policies_may_have_any_name() {
    let results = r#"{"task": "mine", "methods": {"dpo":
        {"reward": {"mean": 1.5, "std": 0.5, "ci95": [1, 2]}, "kl": null}}}"#;
    let run =
        Run::new(RunFiles { name: "a".into(), results: results.into(), ..RunFiles::default() })
            .unwrap();
    assert_eq!(
        run.results.figure("dpo", "reward"),
        Some(Figure { mean: 1.5, se: Some(0.5), ci95: Some([1.0, 2.0]), seeds_std: None })
    );
    assert_eq!(
        (run.results.figure("dpo", "kl"), run.results.figure("sft", "reward")),
        (None, None)
    );
    assert!(run.warnings.is_empty() && !run.may_offend() && run.results.comparisons.is_empty());
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_named() {
    let results = r#"{"methods": {}}"#.to_owned();
    let files = RunFiles { name: "runs/a".into(), results, ..RunFiles::default() };
    let said = |files| Run::new(files).unwrap_err().to_string();
    assert!(
        said(RunFiles { results: "{".into(), ..files.clone() }).starts_with("runs/a: results.json")
    );
    let damaged = r#"{"methods": {}, "comparisons": [{"method": "dpo"}]}"#.to_owned();
    assert!(
        said(RunFiles { results: damaged, ..files.clone() }).starts_with("runs/a: results.json")
    );
    assert!(
        said(RunFiles { about: Some("[]".into()), ..files.clone() })
            .starts_with("runs/a: run.json")
    );
    assert!(
        said(RunFiles { config: Some("a = ".into()), ..files.clone() })
            .starts_with("runs/a: config.toml")
    );
    assert!(
        said(RunFiles { processes: Some("{}".into()), ..files })
            .starts_with("runs/a: processes.json")
    );
}

#[test]
fn the_tail_of_an_evaluation_is_known_by_its_kind() {
    let read = |tail: &str| {
        let kind =
            r#""kind": "evaluation", "methods": {}, "cvar_share": 0.1, "length_unit": "words""#;
        Summary::read(&format!(r#"{{{kind}, "tail": {tail}}}"#)).unwrap()
    };
    let by_prompts =
        read(r#"{"by": "prompt_scores", "threshold": -2.5, "share": 0.1, "prompts": null}"#);
    let head =
        |summary: &Summary, key| summary.head(&TableColumn { key, head: "length", digits: 1 });
    assert_eq!(
        (by_prompts.threshold(), head(&by_prompts, "cvar")),
        (Some(-2.5), "CVaR 10 %".to_owned())
    );
    assert_eq!(head(&by_prompts, "tail"), "tail ≤ -2.5: lowest 10 % of prompts");
    let lowest = read(r#"{"by": "lowest_scores", "share": 0.1}"#);
    assert_eq!((lowest.threshold(), head(&lowest, "length")), (None, "length (words)".to_owned()));
    assert_eq!(read("null").tail, None);
    assert!(Summary::read(r#"{"methods": {}, "tail": {"by": "prompt_scores"}}"#).is_err());
}

#[test]
fn a_run_counts_equal_prompts_of_the_tail_and_an_evaluation_has_done_so() {
    let row = |prompt: &str, response: &str| TextRow {
        prompt: prompt.into(),
        prompt_score: Some(-3.0),
        good: None,
        response: response.into(),
        reward: Some(0.0),
        judge: None,
        perplexity: None,
        kl: None,
        method: "dpo".into(),
        seed: 1,
    };
    let texts = Texts::new(&policies(&[], ["dpo"].into_iter()), vec![row("a", "x"), row("a", "y")]);
    let counted = |kind: &str| {
        let tail = r#"{"by": "prompt_scores", "threshold": -2.5, "share": null, "prompts": 2}"#;
        let mut summary =
            Summary::read(&format!(r#"{{{kind} "methods": {{}}, "tail": {tail}}}"#)).unwrap();
        summary.count_tail(&texts);
        summary.tail
    };
    let by_prompts = |prompts| {
        Some(EvaluatedTail::PromptScores { threshold: -2.5, share: None, prompts: Some(prompts) })
    };
    assert_eq!((counted(""), counted(r#""kind": "evaluation","#)), (by_prompts(1), by_prompts(2)));
}

#[test]
fn what_an_evaluation_leaves_out_is_counted() {
    let method = r#"{"rows": 20, "missing_responses": 3,
        "reward_left_out": {"missing": 0, "not_finite": 2}}"#;
    let summary =
        Summary::read(&format!(r#"{{"methods": {{"dpo": {method}, "sft": {{"rows": 20}}}}}}"#))
            .unwrap();
    let rewards = "of 20 rows, 0 have no score and 2 one that is NaN or infinite; the reward \
        leaves them out";
    assert_eq!(summary.left_out("dpo"), ["3 of 20 rows have no text", rewards]);
    assert!(summary.left_out("sft").is_empty());
}

#[test]
fn a_reward_that_rises_alone_is_told_whatever_other_policies_there_are() {
    let figure = |mean: f64| json!({"mean": mean, "se": 0.1, "ci95": [mean - 0.2, mean + 0.2]});
    let gains = |method: &str, over: &str| {
        json!({
            "method": method,
            "over": over,
            "prompts": 40,
            "reward": figure(2.0),
            "tail": null,
            "judge": figure(0.0),
        })
    };
    let comparisons = [gains("dpo", "sft"), gains("rlhf", "sft"), gains("rlhf", "dpo")];
    let results = json!({"task": "mine", "methods": {}, "comparisons": comparisons}).to_string();
    let run = Run::new(RunFiles { name: "a".into(), results, ..RunFiles::default() }).unwrap();
    assert!(
        run.warnings[0].starts_with("dpo may please")
            && run.warnings[1].starts_with("RLHF may please")
    );
    assert_eq!(run.warnings.len(), 2, "{:?}", run.warnings);
}

#[test]
fn what_is_watched_is_told_without_being_a_gain() {
    let figure = |mean: f64| json!({"mean": mean, "se": 0.1, "ci95": [mean - 0.2, mean + 0.2]});
    let watched = json!([
        {"method": "rlhf", "over": "sft", "reward": figure(2.0), "judge": figure(0.0)},
        {"method": "ra_rlhf", "over": "sft", "reward": null, "judge": null},
    ]);
    let results = json!({"task": "mine", "methods": {}, "watched": watched}).to_string();
    let run = Run::new(RunFiles { name: "a".into(), results, ..RunFiles::default() }).unwrap();
    assert!(
        run.warnings[0].starts_with("RLHF may please the reward model alone: over SFT"),
        "{:?}",
        run.warnings
    );
    assert!(
        run.warnings[1].contains("RA-RLHF may please the reward model alone was not checked: SFT"),
        "{:?}",
        run.warnings
    );
    assert!(run.results.comparisons.is_empty() && run.warnings.len() == 2);
}

#[test]
fn what_kl_is_measured_to_is_in_the_results_or_in_the_settings_or_that_of_the_paper() {
    let reference = |more: &str, config: Option<&str>| {
        let arms = r#"[{"key": "base", "title": "The base"},
            {"key": "sft", "title": "SFT", "from": "base"}]"#;
        let results = format!(r#"{{"methods": {{}}, "arms": {arms}{more}}}"#);
        let config = config.map(str::to_owned);
        Run::new(RunFiles { name: "a".into(), results, config, ..RunFiles::default() })
            .unwrap()
            .results
            .reference()
    };
    let said = "[evaluation]\nreference = \"base\"";
    assert_eq!(reference(r#", "reference": "base""#, None), "The base");
    assert_eq!(
        [reference("", Some(said)), reference("", Some("")), reference("", None)],
        ["The base", "SFT", "SFT"]
    );
    assert_eq!(reference(r#", "kind": "evaluation""#, None), "the reference");
}

#[test]
fn what_diverged_is_a_warning() {
    let results = r#"{"methods": {},
        "diverged": [{"method": "rlhf", "seed": 3, "reason": "the loss is NaN"}]}"#;
    let run =
        Run::new(RunFiles { name: "a".into(), results: results.into(), ..RunFiles::default() })
            .unwrap();
    assert_eq!(run.warnings, ["No figures of RLHF, seed 3: the loss is NaN"]);
}

#[test]
fn a_task_of_toxicity_is_known_by_its_name_or_by_its_settings() {
    let run = |task: &str, config: &str| {
        let results = format!(r#"{{"task": "{task}", "methods": {{}}}}"#);
        Run::new(RunFiles {
            name: "a".into(),
            results,
            config: Some(config.into()),
            ..RunFiles::default()
        })
        .unwrap()
    };
    assert!(run("", "").may_offend(), "nobody knows");
    assert!(run("jigsaw", "").may_offend() && run("mine", "[data]\ngood = \"low\"").may_offend());
    assert!(run("mine", "[data]\nscore_columns = [\"toxic\"]").may_offend());
    let fine = run("imdb", "[data]\ngood = \"high\"\n[risk]\nalpha = 0.4");
    assert!(!fine.may_offend());
    assert_eq!(fine.setting("risk.alpha"), Some("0.4"));
    let arms = run("imdb", "[[arm]]\nkey = \"a\"\nrecipe = \"base\"\nset = { \"ppo.clip\" = 0.1 }");
    assert_eq!(
        (arms.setting("arm.a.recipe"), arms.setting("arm.a.set.ppo.clip")),
        (Some("\"base\""), Some("0.1"))
    );
}

#[test]
fn there_is_a_letter_for_every_run() {
    assert_eq!([0, 25, 26, 52].map(letter), ["A", "Z", "AA", "BA"]);
}
