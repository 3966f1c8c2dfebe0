//! How the policies of a run were made, as far as its settings have recorded it. What may be said
//! of an arm does not follow from its key: any file of settings may call anything `ra_rlhf`.

use crate::run::Run;

/// How a policy was made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Making {
    /// It is the language model as it is.
    Base,
    /// Next-token training on texts of a class.
    Supervised {
        /// The key of what it began with.
        from: String,
        /// Whether it is the good class.
        is_good: bool,
    },
    /// The best of several responses, or the first that is good enough.
    BestOf {
        /// The key of what answers.
        from: String,
        /// How many at most.
        n: String,
        /// The reward that is good enough, if one is.
        threshold: Option<String>,
    },
    /// An instruction in front of each prompt.
    Prompted {
        /// The key of what answers.
        from: String,
    },
    /// A base model with an expert and an anti-expert.
    Experts {
        /// The key of the base model.
        from: String,
        /// Of the expert.
        expert: String,
        /// Of the anti-expert.
        anti_expert: String,
    },
    /// PPO on all episodes.
    All {
        /// The key of what it began with.
        from: String,
    },
    /// PPO on the episodes with the lowest returns.
    Lowest {
        /// The key of what it began with.
        from: String,
        /// The share of the episodes that the schedule ends with, if that was recorded.
        share: Option<f64>,
    },
}

/// How the policy of a key was made; nothing where that was not recorded, or is none of these.
pub(crate) fn making(run: &Run, key: &str) -> Option<Making> {
    // of the texts of another program the names alone say little, and so does a run without its
    // settings
    if run.results.is_evaluation || run.settings.is_empty() {
        return None;
    }
    if !run.settings.keys().any(|key| key.starts_with("arm.")) {
        return of_paper(run, key);
    }
    let word = |name: &str| run.word(&format!("arm.{key}.{name}")).map(str::to_owned);
    let from = || word("from");
    // an arm's own value goes over that of all
    let own = |setting: &str| {
        word(&format!("set.{setting}")).or_else(|| run.word(setting).map(str::to_owned))
    };
    match run.word(&format!("arm.{key}.recipe"))? {
        "base" => Some(Making::Base),
        "sft" => Some(Making::Supervised {
            from: from()?,
            is_good: own("sft.class").is_none_or(|class| class == "good"),
        }),
        "best_of_n" => Some(Making::BestOf {
            from: from()?,
            n: own("best_of_n.n")?,
            threshold: own("best_of_n.threshold")
                .filter(|_| own("best_of_n.guard").is_some_and(|guard| guard == "true")),
        }),
        "prompted" => Some(Making::Prompted { from: from()? }),
        "dexperts" => Some(Making::Experts {
            from: from()?,
            expert: word("needs.expert")?,
            anti_expert: word("needs.anti_expert")?,
        }),
        "ppo" => {
            let objective = format!("arm.{key}.objective");
            if let Some(share) = number(run, &format!("{objective}.keep_lowest")) {
                return Some(Making::Lowest { from: from()?, share: Some(share) });
            }
            let has_value =
                run.settings.keys().any(|known| known.starts_with(&format!("{objective}.")));
            match run.word(&objective) {
                Some("mean") => Some(Making::All { from: from()? }),
                None if !has_value => Some(Making::All { from: from()? }),
                Some("keep_lowest") => {
                    let share = number(run, &format!("arm.{key}.set.risk.alpha"))
                        .or_else(|| number(run, "risk.alpha"));
                    Some(Making::Lowest { from: from()?, share })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A run of an earlier version has the arms of the paper, and does not say so.
fn of_paper(run: &Run, key: &str) -> Option<Making> {
    let from = |from: &str| from.to_owned();
    match key {
        "gpt2" => Some(Making::Base),
        "sft" => Some(Making::Supervised { from: from("gpt2"), is_good: true }),
        "rlhf" => Some(Making::All { from: from("sft") }),
        "ra_rlhf" => Some(Making::Lowest { from: from("sft"), share: number(run, "risk.alpha") }),
        _ => None,
    }
}

fn number(run: &Run, key: &str) -> Option<f64> {
    run.setting(key)?.parse().ok()
}

/// Whether risk aversion is what sets a policy apart from another: both are trained from the same
/// one with the same settings, and one of them on the lowest episodes.
pub(crate) fn is_risk_aversion(run: &Run, own: &str, over: &str) -> bool {
    let (Some(Making::Lowest { from, share }), Some(Making::All { from: begin })) =
        (making(run, own), making(run, over))
    else {
        return false;
    };
    let training = |key: &str| {
        let prefix = format!("arm.{key}.set.");
        let own = run
            .settings
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, value)));
        own.filter(|(name, _)| !name.starts_with("risk.")).collect::<Vec<_>>()
    };
    from == begin && share.is_none_or(|share| share < 1.0) && training(own) == training(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files};

    /// A run of the arms `sft`, `rlhf` and `ra_rlhf`, of which the last two have this besides.
    fn with(rlhf: &str, ra_rlhf: &str) -> Run {
        let mut files = files(Kind::Gain);
        let arms = format!(
            "[[arm]]\nkey = \"sft\"\nrecipe = \"sft\"\nfrom = \"gpt2\"\n[[arm]]\nkey = \
             \"rlhf\"\n{rlhf}\n[[arm]]\nkey = \"ra_rlhf\"\n{ra_rlhf}\n"
        );
        files.config = files.config.map(|config| config + &arms);
        Run::new(files).unwrap()
    }

    const PPO: &str = "recipe = \"ppo\"\nfrom = \"sft\"\n";

    fn lowest(share: f64) -> Option<Making> {
        Some(Making::Lowest { from: "sft".into(), share: Some(share) })
    }

    #[test]
    fn the_share_is_that_of_the_arm() {
        let of = |more: &str| making(&with(PPO, &format!("{PPO}{more}")), "ra_rlhf");
        assert_eq!(of("objective = \"keep_lowest\""), lowest(0.4));
        assert_eq!(of("objective = { keep_lowest = 0.2 }"), lowest(0.2));
        assert_eq!(
            of("objective = \"keep_lowest\"\nset = { \"risk.alpha\" = 0.25 }"),
            lowest(0.25)
        );
        // the level that stands with the name goes before that of the settings
        assert_eq!(
            of("objective = { keep_lowest = 0.2 }\nset = { \"risk.alpha\" = 0.25 }"),
            lowest(0.2)
        );
    }

    #[test]
    fn a_key_says_nothing() {
        let run = with("recipe = \"ppo\"\nfrom = \"gpt2\"", "recipe = \"best_of\"\nfrom = \"sft\"");
        assert_eq!(making(&run, "rlhf"), Some(Making::All { from: "gpt2".into() }));
        assert_eq!((making(&run, "ra_rlhf"), making(&run, "gpt2")), (None, None));
        let own = with(
            &format!("{PPO}objective = {{ good_enough = 1 }}"),
            &format!("{PPO}objective = \"mine\""),
        );
        assert_eq!((making(&own, "rlhf"), making(&own, "ra_rlhf")), (None, None));
    }

    #[test]
    fn a_run_of_an_earlier_version_has_the_arms_of_the_paper_and_one_without_settings_says_nothing()
    {
        let mut files = files(Kind::Gain);
        let run = |files: &crate::RunFiles| Run::new(files.clone()).unwrap();
        assert_eq!(making(&run(&files), "ra_rlhf"), lowest(0.4));
        assert!(is_risk_aversion(&run(&files), "ra_rlhf", "rlhf"));
        files.config = None;
        assert_eq!(making(&run(&files), "ra_rlhf"), None);
    }

    #[test]
    fn risk_aversion_is_what_nothing_else_sets_apart() {
        let is = |rlhf: &str, ra_rlhf: &str| {
            is_risk_aversion(
                &with(&format!("{PPO}{rlhf}"), &format!("{PPO}{ra_rlhf}")),
                "ra_rlhf",
                "rlhf",
            )
        };
        let averse = "objective = \"keep_lowest\"\n";
        assert!(
            is("objective = \"mean\"", averse)
                && is("", &format!("{averse}set = {{ \"risk.alpha\" = 0.2 }}"))
        );
        assert!(
            !is("", "objective = \"mean\"")
                && !is(averse, averse)
                && !is("", "objective = { keep_lowest = 1 }")
        );
        assert!(!is("set = { \"ppo.kl_coef\" = 0.5 }", averse));
        assert!(is(
            "set = { \"ppo.kl_coef\" = 0.5 }",
            &format!("{averse}set = {{ \"ppo.kl_coef\" = 0.5 }}")
        ));
        let run = with(PPO, &format!("{PPO}{averse}"));
        assert!(
            !is_risk_aversion(&run, "rlhf", "sft") && !is_risk_aversion(&run, "ra_rlhf", "sft")
        );
    }
}
