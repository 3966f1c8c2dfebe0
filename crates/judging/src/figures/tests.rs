//! Claims about figures of texts that were made up.

use super::*;

fn wanted(tail: EvaluatedTail) -> Wanted {
    Wanted { tail: Some(tail), ..Wanted::of_level(RiskLevel::new(0.5).unwrap()) }
}

fn texts(responses: &[Option<&str>]) -> Generations {
    Generations { responses: responses.iter().copied().collect(), ..Generations::default() }
}

fn mean_of(figure: Option<Figure>) -> Option<f64> {
    figure.map(|figure| figure.mean)
}

#[test]
fn what_is_missing_or_no_number_enters_no_mean_and_is_counted() {
    let mut texts = texts(&[Some("a b"), Some("a b"), None, Some(""), Some("c")]);
    texts.scores = Some(vec![Some(1.0), Some(3.0), None, Some(f64::NAN), Some(-2.0)]);
    texts.prompt_scores = Some(vec![Some(-1.0), Some(-2.0), Some(-3.0), Some(-4.0), None]);
    let tail = EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: None };
    let found = figures(&texts, &[&[0, 1, 2, 3, 4]], &wanted(tail), None).unwrap();
    assert_eq!((found.rows, found.missing_responses), (5, 1));
    assert_eq!(found.reward_left_out, LeftOut { missing: 1, not_finite: 1 });
    assert_eq!(found.prompt_score_left_out, LeftOut { missing: 1, not_finite: 0 });
    assert_eq!(mean_of(found.reward), Some(2.0 / 3.0));
    assert_eq!(mean_of(found.tail), Some(2.0));
    assert_eq!(mean_of(found.cvar), Some(-0.5));
    assert_eq!((mean_of(found.empty), mean_of(found.duplicate)), (Some(0.25), Some(0.5)));
    assert_eq!(mean_of(found.length), Some(1.25));
    assert_eq!((found.judge, found.kl, found.perplexity_human), (None, None, None));
}

#[test]
fn copies_of_a_prompt_make_no_figure_surer() {
    let rewards: Vec<f64> = (0..40).map(|place| f64::from(place * place % 23)).collect();
    let responses: Vec<String> =
        (0..40).map(|place| format!("a w{} {}", place % 7, place * place % 13)).collect();
    let prompts: Vec<String> = (0..40).map(|place| format!("prompt {place}")).collect();
    let of = |copies: usize, are_told: bool| {
        let mut all = Generations::default();
        for _ in 0..copies {
            responses.iter().for_each(|response| all.responses.push(Some(response)));
            prompts.iter().for_each(|prompt| {
                all.prompts.get_or_insert_default().push(are_told.then_some(prompt.as_str()))
            });
            all.scores.get_or_insert_default().extend(rewards.iter().copied().map(Some));
        }
        let rows: Vec<usize> = (0..40 * copies).collect();
        figures(&all, &[&rows], &wanted(EvaluatedTail::LowestScores { share: 0.5 }), None).unwrap()
    };
    let errors = |method: &EvaluatedMethod| {
        method.figures().map(|(key, figure)| (key, figure.se.unwrap())).collect::<Vec<_>>()
    };
    let (once, often, blind) = (of(1, true), of(8, true), of(8, false));
    for ((key, once), ((_, often), (_, blind))) in
        errors(&once).into_iter().zip(errors(&often).into_iter().zip(errors(&blind)))
    {
        match key {
            // of more texts together fewer n-grams differ, and each has a copy
            "distinct_1" | "distinct_2" | "distinct_3" => {
                assert!((often - once / 8.0).abs() < 1e-9, "{key}")
            }
            "duplicate" => assert!(often.abs() < 1e-9),
            _ => assert!(
                (often - once).abs() < 1e-9 && blind <= 0.5 * once + 1e-12,
                "{key}: {once} {often} {blind}"
            ),
        }
    }
}

#[test]
fn seeds_are_averaged_and_their_prompts_not_forgotten() {
    let mut all = texts(&[Some("a b"); 8]);
    all.prompts = Some(["w", "x", "y", "z"].repeat(2).into_iter().map(Some).collect());
    all.scores = Some([1.0, 2.0, 3.0, 6.0].repeat(2).into_iter().map(Some).collect());
    let tail = || EvaluatedTail::LowestScores { share: 0.5 };
    let both = figures(&all, &[&[0, 1, 2, 3], &[4, 5, 6, 7]], &wanted(tail()), None).unwrap();
    let one = figures(&all, &[&[0, 1, 2, 3]], &wanted(tail()), None).unwrap();
    assert_eq!(
        (both.seeds, both.rows, both.reward_spread.is_some(), one.reward_spread.is_some()),
        (2, 8, false, true)
    );
    let (both, one) = (both.reward.unwrap(), one.reward.unwrap());
    assert!((both.mean - 3.0).abs() < 1e-12 && both.seeds_std == Some(0.0), "{both:?}");
    assert!(
        (both.se.unwrap() - one.se.unwrap()).abs() < 1e-12 && one.seeds_std.is_none(),
        "{both:?} {one:?}"
    );
    // a figure that one seed lacks is lacking
    all.scores = Some([1.0, 2.0, 3.0, 6.0].map(Some).into_iter().chain([None; 4]).collect());
    let some = figures(&all, &[&[0, 1, 2, 3], &[4, 5, 6, 7]], &wanted(tail()), None).unwrap();
    assert!(some.reward.is_none() && some.length.is_some() && some.reward_left_out.missing == 4);
}

#[test]
fn texts_of_one_prompt_are_found_by_its_text() {
    let mut copies = texts(&[Some("a"), Some("b"), None, Some("d"), Some("e")]);
    copies.prompts = Some([Some("x"), Some("y"), Some("x"), None, None].into_iter().collect());
    let numbers = |seeds: &[&[usize]]| {
        Seed::all(&copies, seeds).into_iter().map(|seed| seed.prompts).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&[&[0, 1, 2, 3, 4]]), [[0, 1, 0, 2, 3]]);
    assert_eq!(numbers(&[&[1, 2, 4], &[0, 1, 3]]), [[0, 1, 2], [1, 0, 3]]);
}

#[test]
fn a_single_value_has_no_interval() {
    let mut one = texts(&[Some("a b")]);
    one.scores = Some(vec![Some(1.0)]);
    let found =
        figures(&one, &[&[0]], &wanted(EvaluatedTail::LowestScores { share: 0.1 }), None).unwrap();
    assert!(
        found.figures().count() > 5 && found.figures().all(|(_, figure)| figure.ci95.is_none()),
        "{found:?}"
    );
    assert_eq!((mean_of(found.reward), mean_of(found.cvar)), (Some(1.0), Some(1.0)));
    // and texts without a pair of words have no pairs that could differ
    let tail = EvaluatedTail::LowestScores { share: 0.1 };
    let found = figures(&texts(&[Some("a"), Some("b")]), &[&[0, 1]], &wanted(tail), None).unwrap();
    assert_eq!((mean_of(found.distinct_1), found.distinct_2), (Some(1.0), None));
}

#[test]
fn without_scores_of_prompts_the_tail_is_that_of_the_rewards() {
    let mut texts = texts(&[Some("a"); 4]);
    texts.scores = Some([4.0, -1.0, 2.0, -3.0].map(Some).to_vec());
    let tail = |tail| mean_of(figures(&texts, &[&[0, 1, 2, 3]], &wanted(tail), None).unwrap().tail);
    assert_eq!(tail(EvaluatedTail::LowestScores { share: 0.5 }), Some(-2.0));
    assert_eq!(tail(EvaluatedTail::OwnScores { threshold: 2.0 }), Some(-2.0 / 3.0));
    assert_eq!(
        tail(EvaluatedTail::OwnScores { threshold: -9.0 }),
        None,
        "an empty tail has no mean"
    );
}

#[test]
fn shares_stay_between_0_and_1() {
    let almost_none = texts(&[Some(""), Some("a"), Some("b"), Some("c")]);
    let tail = EvaluatedTail::LowestScores { share: 0.5 };
    let found = figures(&almost_none, &[&[0, 1, 2, 3]], &wanted(tail), None).unwrap();
    let ends: Vec<f64> = [found.empty, found.distinct_1]
        .iter()
        .flatten()
        .filter_map(|figure| figure.ci95)
        .flatten()
        .collect();
    assert!(ends.len() == 4 && ends.iter().all(|end| (0.0..=1.0).contains(end)), "{found:?}");
}
