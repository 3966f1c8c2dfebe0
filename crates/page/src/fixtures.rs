//! Small runs for the tests.

use serde_json::{Value, json};
use tailguard_report::{Front, LogRow, TextRow};

use crate::run::{Run, RunFiles};

/// What a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RA-RLHF is ahead of RLHF: by 1 in the tail, by 0.5 on average.
    Gain,
    /// Behind by as much.
    Loss,
    /// All the same.
    Equal,
    /// Ahead as in `Gain`, with two seeds that differ so much that another seed might be behind.
    Seeds,
    /// Policies of other programs alone.
    Others,
}

/// Prompts that are of the tail, and prompts that are not.
const TAIL: usize = 20;

/// The rewards of a policy: in the tail and elsewhere.
fn rewards(kind: Kind) -> Vec<(&'static str, f64, f64)> {
    let paper = |averse| {
        vec![("gpt2", 0.0, 0.0), ("sft", 0.5, 0.5), ("rlhf", 1.0, 1.0), ("ra_rlhf", averse, 1.0)]
    };
    match kind {
        Kind::Gain | Kind::Seeds => paper(2.0),
        Kind::Loss => paper(0.0),
        Kind::Equal => paper(1.0),
        Kind::Others => vec![("best <of> 8", 1.0, 1.0), ("dpo", 0.5, 0.75)],
    }
}

fn figure(mean: f64) -> Value {
    json!({"mean": mean, "se": 0.125, "ci95": [mean - 0.25, mean + 0.25]})
}

/// What RA-RLHF gains over RLHF.
fn comparisons(kind: Kind) -> Value {
    let difference = |mean: f64, ci95: [f64; 2]| json!({"mean": mean, "se": 0.05, "ci95": ci95});
    let [mean, tail] = match kind {
        Kind::Gain => [difference(0.5, [0.4, 0.6]), difference(1.0, [0.8, 1.2])],
        Kind::Seeds => [difference(0.5, [-4.0, 5.0]), difference(1.0, [-3.5, 5.5])],
        Kind::Loss => [difference(-0.5, [-0.6, -0.4]), difference(-1.0, [-1.2, -0.8])],
        Kind::Equal => [difference(0.0, [-0.1, 0.1]), difference(0.0, [-0.2, 0.2])],
        Kind::Others => return json!([]),
    };
    json!([{
        "method": "ra_rlhf",
        "over": "rlhf",
        "prompts": 2 * TAIL,
        "reward": mean,
        "tail": tail,
        "judge": mean,
        "judge_tail": tail,
        "kl": difference(0.5, [0.25, 0.75]),
        "perplexity_human": null,
    }])
}

/// The files of a run over 40 prompts.
pub(crate) fn files(kind: Kind) -> RunFiles {
    let seeds: &[u64] = if kind == Kind::Seeds { &[1, 2] } else { &[1] };
    let mut methods = serde_json::Map::new();
    let mut texts = Vec::new();
    for (method, tail, rest) in rewards(kind) {
        let mean = (tail + rest) / 2.0;
        methods.insert(
            method.to_owned(),
            json!({
                "reward": figure(mean),
                "tail": figure(tail),
                "judge": figure(2.0 * mean),
                "judge_tail": figure(2.0 * tail),
                "perplexity_human": figure(60.0 + mean),
                "distinct_2": figure(0.75),
                "kl": figure(mean),
                "other_tails": [],
            }),
        );
        let places = seeds.iter().flat_map(|&seed| (0..2 * TAIL).map(move |place| (seed, place)));
        texts.extend(places.map(|(seed, place)| TextRow {
            prompt: format!("Prompt {place}, <b>bold</b>"),
            prompt_score: Some(if place < TAIL {
                -3.0 - place as f64 / 100.0
            } else {
                place as f64 / 10.0
            }),
            good: Some(place % 2 == 0),
            response: format!(" text {place} of {method}"),
            reward: Some(if place < TAIL { tail } else { rest }),
            judge: None,
            perplexity: None,
            kl: None,
            method: method.to_owned(),
            seed,
        }));
    }
    let results = json!({
        "task": "imdb",
        "preset": "embedded",
        "data": "embedded",
        "split": "test",
        "notice": null,
        "seeds": seeds,
        "device": "flex",
        "tail": {"threshold": -2.5, "prompts": TAIL},
        "methods": methods,
        "comparisons": comparisons(kind),
    });
    let row = |method: &str, iteration: u64| LogRow {
        method: method.to_owned(),
        seed: 1,
        iteration,
        values: [("reward".to_owned(), 0.1 * iteration as f64), ("kl".to_owned(), 1.0)].into(),
    };
    let metrics = ["rlhf", "ra_rlhf"]
        .into_iter()
        .flat_map(|method| (1..=5).map(move |iteration| row(method, iteration)));
    RunFiles {
        name: "runs/imdb-1".to_owned(),
        results: results.to_string(),
        about: Some(
            json!({
                "version": "0.1.0",
                "commit": "abc+",
                "device": "flex",
                "seeds": [1],
                "command": ["reproduce", "imdb"],
                "inputs": {"evaluation texts": "0a", "reward model": "0b"},
            })
            .to_string(),
        ),
        config: Some("task = \"imdb\"\n[risk]\nalpha = 0.4\n[data]\ngood = \"high\"\n".to_owned()),
        processes: Some(
            json!([
                {"begun": 0, "wall_s": 720.0, "peak_mib": 600.0, "cpu": "EPYC", "threads": 2},
            ])
            .to_string(),
        ),
        texts: Some(texts),
        metrics: if kind == Kind::Others { Vec::new() } else { metrics.collect() },
        tail_prompts: Vec::new(),
    }
}

/// The run.
pub(crate) fn run(kind: Kind) -> Run {
    Run::new(files(kind)).unwrap()
}

/// A front of two objectives, with one policy.
pub(crate) fn front() -> Front {
    let figure = |mean: f64| json!({"mean": mean, "se": 0.1, "ci95": [mean - 0.2, mean + 0.2]});
    let point = |name: &str, kl: f64, beta: Value, gains: Value| {
        json!({
            "name": name,
            "beta": beta,
            "kl": figure(kl),
            "kl_where_spent": kl,
            "effective_responses": 20.0,
            "reward": figure(1.0 + kl),
            "tail": figure(kl - 1.0),
            "judge": null,
            "judge_tail": null,
            "cvar": {"0.1": figure(kl - 2.0)},
            "gains": gains,
        })
    };
    let gains = json!({
        "beta": 0.4,
        "reward": figure(-0.25),
        "tail": figure(0.5),
        "judge": null,
        "judge_tail": null,
        "cvar": {"0.1": figure(0.75)},
    });
    let front = json!({
        "kind": "front",
        "task": "imdb",
        "preset": "smoke",
        "data": "embedded",
        "split": "test",
        "notice": null,
        "device": "flex",
        "seed": 1,
        "prompts": 8,
        "responses": 4,
        "tail": {"threshold": -2.5, "prompts": 3},
        "most_kl": 0.69,
        "reference": point("SFT", 0.0, json!(null), json!(null)),
        "lines": [
            {
                "objective": "mean",
                "points": [point("beta 0.5", 0.5, json!(0.5), json!(null))],
            },
            {
                "objective": "cvar = 0.1",
                "points": [point("beta 0.15", 0.75, json!(0.15), gains)],
                "refused": [{"beta": 0.01, "kl": 0.9, "kl_where_spent": 1.25}],
            },
        ],
        "best_of": [point("best of 2", 0.19, json!(null), json!(null))],
        "policies": [point("<b>|\"x\"", 2.0, json!(null), json!(null))],
    });
    serde_json::from_value(front).unwrap()
}
