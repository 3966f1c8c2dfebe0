//! The report of the worst texts: of a run, of files of RealToxicityPrompts' kind, and of a wide
//! table, against numbers that were computed by hand or stand beside the files.

use std::fs;
use std::path::Path;

use tailguard_report::{
    Evaluation, Gain, Generation, Results, ResultsFile, TAIL_GAINS, TAIL_PROMPTS, TAIL_TABLE,
    TailGains, TailReport, read_generations, read_tail_prompts,
};
use tailguard_tests::field_case;

use crate::program::{Outcome, run};

/// Judges a file, which must succeed, into `out`.
fn judged(folder: &Path, file: &str, words: &[&str]) -> (Evaluation, Outcome) {
    let outcome =
        run(folder, &[&["evaluate", "--generations", file, "--out", "out"], words].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    (Evaluation::read(&folder.join("out/results.json")).unwrap(), outcome)
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

/// The file of DExperts' kind, with prompts that all differ: as it is, each comes twice.
fn dexperts(folder: &Path) -> String {
    let text = fs::read_to_string(field_case("dexperts_nested.jsonl")).unwrap();
    let line = |(place, line): (usize, &str)| {
        line.replacen("\"text\": \"Prompt", &format!("\"text\": \"{place}. Prompt"), 1) + "\n"
    };
    let text: String = text.lines().enumerate().map(line).collect();
    fs::write(folder.join("dexperts.jsonl"), &text).unwrap();
    text
}

/// The right values are those of the program that made the file: of 40 prompts with 25 texts each.
#[test]
fn the_files_of_dexperts_are_judged_by_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "--prompt-column",
        "prompt.text",
        "--response-column",
        "generations.text",
        "--score-column",
        "generations.toxicity",
        "--negate",
    ];
    let text = dexperts(folder.path());
    let (evaluation, outcome) = judged(folder.path(), "dexperts.jsonl", &words);
    let method = &evaluation.methods["dexperts"];
    near(method.reward.unwrap().mean, -0.506_286);
    let report = method.tail_report.as_ref().unwrap();
    assert_eq!((report.texts_per_prompt, report.worst_of.len()), (25, 24));
    let tenth = report.levels.iter().find(|level| (level.share - 0.1).abs() < 1e-9).unwrap();
    assert_eq!(tenth.texts, 100);
    near(tenth.cvar.mean, -0.948_511);
    assert_eq!((report.failures.len(), report.failures[0].threshold), (1, -0.5));
    near(report.failures[0].rate.value, 0.514);
    let interval = report.failures[0].rate.interval.unwrap();
    assert!(!interval.is_exact && interval.independent_texts <= 1_000.0, "{interval:?}");
    let fifth = report.prompt_cvar.iter().find(|cvar| (cvar.share - 0.2).abs() < 1e-9).unwrap();
    near(fifth.reward.mean, -0.887_772);
    let toxicity = report.toxicity.unwrap();
    assert_eq!(toxicity.k, 25);
    near(toxicity.expected_maximum.mean, 0.963_304);
    near(toxicity.prompts_std.unwrap(), 0.030_297);
    near(toxicity.probability.value, 1.0);
    near(report.worst_of[23].reward.mean, -0.963_304);
    for said in [
        "expected maximum toxicity, 25 texts",
        "0.96 [0.9",
        "toxicity probability, 25 texts",
        "they are taken as toxicities",
        "dexperts: CVaR 10 % is known to ±",
    ] {
        assert!(outcome.stdout.contains(said), "no {said:?} in {}", outcome.stdout);
    }
    let out = folder.path().join("out");
    let prompts = read_tail_prompts(&out.join(TAIL_PROMPTS)).unwrap();
    assert!(prompts.len() == 20 && prompts.iter().all(|row| row.texts == 25), "{prompts:?}");
    let table = fs::read_to_string(out.join(TAIL_TABLE)).unwrap();
    assert!(table.starts_with("method,cvar_0.01,cvar_0.01_low,cvar_0.01_high,"), "{table}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Toxicity as RealToxicityPrompts reports it"));
    // thresholds that are asked for take the place of that of toxicities, but not in its own figure
    let words = [&words[..], &["--failure=-0.9", "--failure", "-0.99"]].concat();
    fs::remove_dir_all(&out).unwrap();
    let (evaluation, outcome) = judged(folder.path(), "dexperts.jsonl", &words);
    let report = evaluation.methods["dexperts"].tail_report.as_ref().unwrap();
    let rates: Vec<(f64, f64)> =
        report.failures.iter().map(|failure| (failure.threshold, failure.rate.value)).collect();
    // as they stand in the file
    let share = |least: f64| {
        let count = |line: &str| -> usize {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let texts = row["generations"].as_array().unwrap().iter();
            texts.filter(|text| text["toxicity"].as_f64().unwrap() >= least).count()
        };
        text.lines().map(count).sum::<usize>() as f64 / 1_000.0
    };
    assert_eq!(rates, [(-0.9, share(0.9)), (-0.99, share(0.99))]);
    assert!(rates[0].1 > rates[1].1 && rates[1].1 > 0.0, "{rates:?}");
    near(report.toxicity.unwrap().probability.value, 1.0);
    assert!(!outcome.stdout.contains("taken as toxicities"), "{}", outcome.stdout);
}

#[test]
fn several_columns_of_one_method_are_several_texts_of_a_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "prompt,a,b,sa,sb,base,sbase\n".to_owned();
    for prompt in 0..10 {
        csv += &format!("p{prompt},x,y,{prompt},{},z,{}\n", prompt + 1, prompt + 2);
    }
    fs::write(folder.path().join("wide.csv"), csv).unwrap();
    let methods = ["--method", "base=base:sbase", "--method", "mine=a:sa", "--method", "mine=b:sb"];
    let (evaluation, outcome) =
        judged(folder.path(), "wide.csv", &[&methods[..], &["--failure", "0"]].concat());
    let mine = &evaluation.methods["mine"];
    let report = mine.tail_report.as_ref().unwrap();
    assert_eq!((mine.rows, report.texts_per_prompt, report.toxicity), (20, 2, None));
    // the lower of two texts is 0 to 9
    near(report.worst_of[0].reward.mean, 4.5);
    // one text in twenty is at most 0, and one prompt in ten has it
    near(report.failures[0].rate.value, 0.05);
    near(report.failures[0].any_of[0].rate.value, 0.1);
    // the lowest two of twenty are 0 and 1
    near(report.levels[1].cvar.mean, 0.5);
    let base = evaluation.methods["base"].tail_report.as_ref().unwrap();
    let shares: Vec<f64> = base.levels.iter().map(|level| level.share).collect();
    assert_eq!((shares, base.texts_per_prompt), (vec![0.1, 0.2, 0.4], 1));
    // of none of ten
    let interval = base.failures[0].rate.interval.unwrap();
    assert!(interval.is_exact);
    near(interval.upper95, 1.0 - 0.05_f64.powf(0.1));
    let gains = evaluation.comparisons[0].tail_report.as_ref().unwrap();
    near(gains.reward.difference.mean, -1.5);
    near(gains.failures[0].rate.difference.mean, 0.05);
    assert_eq!((gains.worst_of, gains.reward.p_adjusted), (None, None), "there is one comparison");
    assert!(outcome.stdout.contains("0 (below 0.259)"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\n  fails ≤ 0 +0.050 ["), "{}", outcome.stdout);
}

#[test]
fn a_run_reports_its_worst_texts_with_adjusted_p_values() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "reproduce",
        "imdb",
        "--preset",
        "smoke",
        "--out",
        "run",
        "--set",
        "run.seeds=1",
        "--set",
        "ppo.iterations=3",
        "--set",
        "evaluation.prompts=32",
        "--set",
        "evaluation.failure_thresholds=[0.0, -0.5]",
    ];
    let outcome = run(folder.path(), &words);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for said in ["CVaR 10 %", "fails ≤ 0", "fails ≤ -0.5", "adjusted p "] {
        assert!(outcome.stdout.contains(said), "no {said:?} in {}", outcome.stdout);
    }
    let dir = folder.path().join("run");
    let results = Results::read(&dir.join("results.json")).unwrap();
    let rows = read_generations(&dir.join("generations.parquet")).unwrap();
    let prompts = read_tail_prompts(&dir.join(TAIL_PROMPTS)).unwrap();
    for (method, figures) in &results.methods {
        let rows: Vec<&Generation> = rows.iter().filter(|row| row.method == *method).collect();
        check_report(figures.tail_report.as_ref().unwrap(), &rows);
        // the lowest four fall short of the fifth
        let mut sorted = rows.clone();
        sorted.sort_by(|one, other| one.reward.total_cmp(&other.reward));
        let short = |row: &Generation| f64::from(sorted[4].reward) - f64::from(row.reward);
        let total: f64 = sorted[..4].iter().map(|row| short(row)).sum();
        let of_method: Vec<_> = prompts.iter().filter(|row| row.method == *method).collect();
        for (found, expected) in of_method.iter().zip(&sorted) {
            assert_eq!(found.prompt, expected.prompt);
            assert_eq!(found.response.as_ref(), Some(&expected.response));
            near(found.share, short(expected) / total);
        }
    }
    let of_all = |get: &dyn Fn(&TailGains) -> Gain| -> Vec<Gain> {
        results.comparisons.iter().flat_map(|found| &found.tail_report).map(get).collect()
    };
    for gains in [of_all(&|gains| gains.reward), of_all(&|gains| gains.levels[1].cvar)] {
        assert_eq!(gains.len(), 3);
        let p: Vec<f64> = gains.iter().map(|gain| gain.p_value.unwrap()).collect();
        for (gain, own) in gains.iter().zip(&p) {
            // Holm: the largest of the ranks up to its own, each times those that are left
            let of_rank = |other: &&f64| *other <= own;
            let left = |other: &f64| p.iter().filter(|third| *third >= other).count() as f64;
            let expected = p.iter().filter(of_rank).map(|other| other * left(other));
            near(gain.p_adjusted.unwrap(), expected.fold(0.0, f64::max).min(1.0));
        }
    }
    let table = fs::read_to_string(dir.join(TAIL_TABLE)).unwrap();
    let names: Vec<&str> =
        table.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(names, ["gpt2", "sft", "rlhf", "ra_rlhf"]);
    let gains = fs::read_to_string(dir.join(TAIL_GAINS)).unwrap();
    assert!(gains.lines().count() == 4 && gains.contains("\nra_rlhf,rlhf,"), "{gains}");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("id=\"tails\"") && page.contains("The prompts that make the tail"));
}

#[test]
fn several_responses_begin_with_the_one_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |out: &str, responses: &str| -> (Results, Vec<Generation>) {
        let responses = format!("evaluation.responses={responses}");
        let words = [
            &["reproduce", "imdb", "--preset", "smoke", "--arms", "gpt2,sft", "--out", out][..],
            &["--set", "run.seeds=1", "--set", "evaluation.prompts=20", "--set", &responses],
        ];
        let outcome = run(folder.path(), &words.concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let dir = folder.path().join(out);
        let results = Results::read(&dir.join("results.json")).unwrap();
        let rows = read_generations(&dir.join("generations.parquet")).unwrap();
        (results, rows.into_iter().filter(|row| row.method == "gpt2").collect())
    };
    let ((_, one), (results, three)) = (texts("one", "1"), texts("three", "3"));
    assert_eq!((one.len(), three.len()), (20, 60));
    assert_eq!(one, three[..20]);
    assert_ne!(one[0].response, three[20].response);
    let prompts = |rows: &[Generation]| -> Vec<String> {
        rows.iter().map(|row| row.prompt.clone()).collect()
    };
    assert_eq!(prompts(&one), prompts(&three[40..]));
    let figures = &results.methods["gpt2"];
    let mean = |values: &mut dyn Iterator<Item = f32>| {
        let values: Vec<f64> = values.map(f64::from).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    near(figures.reward.mean, mean(&mut three.iter().map(|row| row.reward)));
    let report = figures.tail_report.as_ref().unwrap();
    assert_eq!((report.texts_per_prompt, report.worst_of.len()), (3, 2));
    let lowest = |place: usize| {
        [0, 20, 40].map(|round| three[place + round].reward).into_iter().fold(f32::MAX, f32::min)
    };
    near(report.worst_of[1].reward.mean, mean(&mut (0..20).map(lowest)));
    let fails = |place: &usize| lowest(*place) <= 0.0;
    near(report.failures[0].any_of[1].rate.value, (0..20).filter(fails).count() as f64 / 20.0);
}

/// Figures of 32 texts of as many prompts, against the texts.
fn check_report(report: &TailReport, rows: &[&Generation]) {
    let mut rewards: Vec<f64> = rows.iter().map(|row| f64::from(row.reward)).collect();
    rewards.sort_by(f64::total_cmp);
    let shares: Vec<(f64, usize)> =
        report.levels.iter().map(|level| (level.share, level.texts)).collect();
    assert_eq!(shares, [(0.05, 2), (0.1, 4), (0.2, 7), (0.4, 13)]);
    for level in &report.levels {
        near(level.cvar.mean, rewards[..level.texts].iter().sum::<f64>() / level.texts as f64);
        near(level.quantile.mean, rewards[level.texts - 1]);
        let [low, high] = level.cvar.ci95.unwrap();
        assert!(low <= level.cvar.mean && level.cvar.mean <= high, "{level:?}");
    }
    assert_eq!(report.texts_per_prompt, 1);
    assert!(report.worst_of.is_empty() && report.forecasts.is_empty());
    let thresholds: Vec<f64> = report.failures.iter().map(|found| found.threshold).collect();
    assert_eq!(thresholds, [0.0, -0.5]);
    for failure in &report.failures {
        let failed = rewards.iter().filter(|reward| **reward <= failure.threshold).count();
        near(failure.rate.value, failed as f64 / 32.0);
        let interval = failure.rate.interval.unwrap();
        assert!(interval.is_exact, "{failure:?}");
        // what Clopper and Pearson's ends are: as many or more, and as many or fewer, have 2.5 %
        let [low, high] = interval.ci95;
        if failed > 0 {
            near(1.0 - at_most(failed - 1, low), 0.025);
        }
        if failed < 32 {
            near(at_most(failed, high), 0.025);
            near(at_most(failed, interval.upper95), 0.05);
        }
    }
}

/// The probability of at most so many of 32 that are of this share.
fn at_most(count: usize, share: f64) -> f64 {
    let mut choose = 1.0;
    let mut sum = 0.0;
    for k in 0..=count {
        let (have, have_not) = (share.powf(k as f64), (1.0 - share).powf((32 - k) as f64));
        sum += choose * have * have_not;
        choose *= (32 - k) as f64 / (k + 1) as f64;
    }
    sum
}
