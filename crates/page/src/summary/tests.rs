//! Claims about the words that open a page.

use super::*;
use crate::fixtures::{Kind, files, run};

fn said(kind: Kind) -> String {
    section(&run(kind)).unwrap().into_string()
}

/// The same of a run with these gains.
fn said_of(kind: Kind, change: impl Fn(&mut serde_json::Value)) -> String {
    let mut files = files(kind);
    let mut results = serde_json::from_str(&files.results).unwrap();
    change(&mut results);
    files.results = results.to_string();
    section(&Run::new(files).unwrap()).unwrap().into_string()
}

#[test]
fn a_gain_in_the_tail_is_told_with_its_size_and_interval() {
    let text = said(Kind::Gain);
    assert!(text.contains(
        "on the same 40 prompts: on average it is ahead (+0.50, 95 % interval +0.40 to +0.60)"
    ));
    assert!(
        text.contains("in the tail it is ahead (+1.00")
            && text.contains("gains more in the tail than on average"),
        "{text}"
    );
    assert!(text.contains("RA-RLHF 1.50, RLHF 1.00, SFT 0.50, GPT-2 0.00"), "{text}");
    assert!(
        text.contains("40 held-out prompts of the task “imdb”")
            && text.contains("the 40 % of the episodes"),
        "{text}"
    );
    assert!(
        text.contains("not how another training would come out")
            && text.contains("prefers RA-RLHF in both"),
        "{text}"
    );
}

#[test]
fn policies_that_were_held_at_one_kl_are_compared_at_equal_kl() {
    let held = |ra_rlhf: f64| {
        said_of(Kind::Gain, |results| {
            let arm = |method: &str, target: f64, off: f64| {
                serde_json::json!({
                    "method": method,
                    "target": target,
                    "off_percent": off,
                    "off_percent_by_seed": [off],
                })
            };
            results["equal_kl"] =
                serde_json::json!([arm("rlhf", 4.0, 2.5), arm("ra_rlhf", ra_rlhf, -1.0)]);
        })
    };
    let text = held(4.0);
    for words in [
        "Held at one KL to SFT, and off it by: RLHF +2.5 % of 4 nats, RA-RLHF \u{2212}1.0 % of 4 \
         nats.",
        "RA-RLHF beside RLHF, at equal KL (4 nats), on the same 40 prompts",
        "What it costs, at equal KL (4 nats), RA-RLHF against RLHF",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    // each at its own is no equal KL, and neither is a run in which nothing was held
    assert!(!held(8.0).contains("at equal KL") && !said(Kind::Gain).contains("at equal KL"));
}

/// What is said of the arms of the paper where a file of settings has made them anew, with this
/// for each of the last two.
fn said_of_arms(kind: Kind, [rlhf, ra_rlhf]: [&str; 2]) -> String {
    let mut files = files(kind);
    let arm = |key: &str, more: &str| format!("[[arm]]\nkey = \"{key}\"\n{more}\n");
    let arms = [
        arm("gpt2", "recipe = \"base\""),
        arm("sft", "recipe = \"sft\"\nfrom = \"gpt2\""),
        arm("rlhf", rlhf),
        arm("ra_rlhf", ra_rlhf),
    ];
    files.config = files.config.map(|config| config + &arms.concat());
    section(&Run::new(files).unwrap()).unwrap().into_string()
}

const PPO: &str = "recipe = \"ppo\"\nfrom = \"sft\"\n";

#[test]
fn arms_are_described_by_how_they_were_made_and_not_by_their_keys() {
    let paper = " GPT-2 is the base model, and SFT is GPT-2 fine-tuned on texts of the good \
        class. RLHF trains SFT further by PPO on all episodes; RA-RLHF does the same, but its \
        schedule ends with the 40 % of the episodes that have the lowest returns.";
    let averse = |objective: &str| format!("{PPO}objective = {objective}");
    let as_in_paper = said_of_arms(Kind::Gain, [PPO, &averse("\"keep_lowest\"")]);
    assert!(as_in_paper.contains(paper) && said(Kind::Gain).contains(paper), "{as_in_paper}");
    let lower = said_of_arms(Kind::Gain, [PPO, &averse("{ keep_lowest = 0.2 }")]);
    assert!(
        lower.contains("its schedule ends with the 20 % of the episodes")
            && !lower.contains("the 40 %"),
        "{lower}"
    );
    let of_base =
        said_of_arms(Kind::Gain, ["recipe = \"ppo\"\nfrom = \"gpt2\"", &averse("{ mine = 2 }")]);
    let expected = " RLHF trains GPT-2 further by PPO on all episodes. RA-RLHF was made from \
        SFT. The reward";
    assert!(of_base.contains(expected) && !of_base.contains("RLHF trains SFT"), "{of_base}");
}

#[test]
fn policies_that_are_not_trained_are_described_too() {
    let best = |more: &str| format!("recipe = \"best_of_n\"\nfrom = \"sft\"\nset = {{ {more} }}");
    let text = said_of_arms(
        Kind::Gain,
        [
            &best("\"best_of_n.n\" = 8"),
            &best(
                "\"best_of_n.n\" = 4, \"best_of_n.guard\" = true, \"best_of_n.threshold\" = -1.5",
            ),
        ],
    );
    let expected = " RLHF is the best of 8 responses of SFT, by the reward model. RA-RLHF draws \
        responses of SFT, 4 at most, until the reward is at least -1.5, and keeps the best.";
    assert!(text.contains(expected), "{text}");
    let text = said_of_arms(
        Kind::Gain,
        [
            "recipe = \"prompted\"\nfrom = \"gpt2\"",
            "recipe = \"dexperts\"\nfrom = \"gpt2\"\nneeds = { expert = \"sft\", anti_expert = \
             \"rlhf\" }",
        ],
    );
    let expected = " RLHF is GPT-2 with an instruction in front of each prompt. RA-RLHF is GPT-2, \
        steered at every token by SFT as the expert and RLHF as the anti-expert.";
    assert!(text.contains(expected), "{text}");
    let bad = "recipe = \"sft\"\nfrom = \"gpt2\"\nset = { \"sft.class\" = \"bad\" }";
    let text = said_of_arms(Kind::Gain, [bad, PPO]);
    assert!(text.contains(" RLHF is GPT-2 fine-tuned on texts of the bad class."), "{text}");
}

#[test]
fn a_title_of_ones_own_stands_in_the_description() {
    let text = said_of(Kind::Gain, |results| {
        let arm = |key: &str, title: &str| serde_json::json!({"key": key, "title": title});
        let arms = [("gpt2", "Small"), ("sft", "Tuned"), ("rlhf", "PPO"), ("ra_rlhf", "Averse")];
        results["arms"] = arms.into_iter().map(|(key, title)| arm(key, title)).collect();
    });
    let expected = "Small is the base model, and Tuned is Small fine-tuned on texts of the \
        good class. PPO trains Tuned further by PPO on all episodes; Averse does the same";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_verdict_on_risk_aversion_is_of_nothing_else() {
    for (kind, verdict) in [
        (Kind::Gain, "as risk aversion should"),
        (Kind::Loss, "In this run risk aversion did not pay"),
    ] {
        assert!(said(kind).contains(verdict));
        for arms in [[PPO, PPO], ["recipe = \"best_of\"\nfrom = \"sft\"", PPO]] {
            let text = said_of_arms(kind, arms);
            assert!(
                !text.contains("risk aversion") && text.contains("RA-RLHF beside RLHF"),
                "{text}"
            );
        }
    }
    let text = said_of_arms(Kind::Gain, [PPO, PPO]);
    assert!(text.contains("It gains more in the tail than on average."), "{text}");
    // another pair is what the run compares first
    let text = said_of(Kind::Gain, |results| {
        let gain = &mut results["comparisons"][0];
        (gain["method"], gain["over"]) = ("rlhf".into(), "sft".into());
    });
    assert!(text.contains("RLHF beside SFT") && !text.contains("risk aversion"), "{text}");
}

#[test]
fn a_larger_gain_in_the_tail_whose_interval_overlaps_is_no_more_than_that() {
    let text = said_of(Kind::Gain, |results| {
        results["comparisons"][0]["tail"]["ci95"] = serde_json::json!([0.55, 1.45])
    });
    assert!(
        text.contains("the larger one, but the two intervals overlap")
            && !text.contains("as risk aversion should"),
        "{text}"
    );
    let text = said_of(Kind::Gain, |results| {
        let tail = &mut results["comparisons"][0]["tail"];
        (tail["mean"], tail["ci95"]) = (0.5.into(), serde_json::json!([0.3, 0.7]));
    });
    assert!(text.contains("The tail gains no more than the average"), "{text}");
}

#[test]
fn a_gain_that_other_seeds_may_not_have_is_not_clearly_apart() {
    let text = said(Kind::Seeds);
    let verdict = "on average it is not clearly apart (+0.50, 95 % interval −4.00 to +5.00)";
    assert!(
        text.contains(verdict)
            && text.contains("cannot be told apart")
            && !text.contains("ahead ("),
        "{text}"
    );
    assert!(text.contains("over prompts and the 2 seeds together"), "{text}");
}

#[test]
fn where_risk_aversion_is_behind_it_says_so() {
    let text = said(Kind::Loss);
    assert!(
        text.contains("on average it is behind (−0.50")
            && text.contains("in the tail it is behind (−1.00"),
        "{text}"
    );
    assert!(text.contains("did not pay") && !text.contains("ahead ("), "{text}");
    assert!(text.contains("prefers RLHF in both"), "{text}");
}

#[test]
fn where_nothing_differs_it_is_neither() {
    let text = said(Kind::Equal);
    assert!(text.contains("on average it is not clearly apart (0.00"), "{text}");
    assert!(
        !text.contains("ahead (")
            && !text.contains("behind (")
            && text.contains("cannot be told apart"),
        "{text}"
    );
    assert!(text.contains("By these intervals neither is clear."), "{text}");
}

#[test]
fn a_run_without_comparisons_is_not_compared() {
    let text = said_of(Kind::Gain, |results| results["comparisons"] = serde_json::Value::Null);
    assert!(!text.contains("beside RLHF") && text.contains("What it costs"), "{text}");
}

#[test]
fn kl_is_said_to_be_to_what_it_was_measured_to() {
    assert!(said(Kind::Gain).contains("KL to SFT 1.50 against 1.00"));
    let text = said_of(Kind::Gain, |results| results["reference"] = "gpt2".into());
    assert!(
        text.contains("KL to GPT-2 1.50 against 1.00") && !text.contains("KL to SFT"),
        "{text}"
    );
}

#[test]
fn a_side_on_which_the_judge_is_unclear_is_not_called() {
    let text = said_of(Kind::Gain, |results| {
        results["comparisons"][0]["judge"]["ci95"] = serde_json::json!([-0.1, 1.1]);
    });
    assert!(
        text.contains("It prefers RA-RLHF in the tail; on average neither is clear."),
        "{text}"
    );
}

#[test]
fn an_evaluation_says_neither_task_nor_model_nor_held_out() {
    let text = said_of(Kind::Gain, |results| {
        (results["kind"], results["task"], results["split"]) =
            ("evaluation".into(), "".into(), "".into());
        results["tail"] = serde_json::json!({
            "by": "prompt_scores",
            "threshold": -2.50625,
            "share": 0.5,
            "prompts": null,
        });
    });
    assert!(text.contains("have continued 40 prompts, with one seed"), "{text}");
    assert!(
        text.contains("The reward is the score of the texts") && !text.contains("task"),
        "{text}"
    );
    assert!(
        text.contains("the prompts whose own score is at most −2.506 (the lowest 50 % of all)"),
        "{text}"
    );
}

#[test]
fn other_policies_are_listed_and_not_compared() {
    let text = said(Kind::Others);
    assert!(text.contains("best &lt;of&gt; 8") && text.contains("dpo"), "{text}");
    assert!(!text.contains("RA-RLHF"), "{text}");
}
