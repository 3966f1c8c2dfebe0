//! Tables as people's tools really write them: `tests/field_cases`, with the right values.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use tailguard_data::{GenerationColumns, Generations, Scores, read_generations, table};
use tailguard_tests::field_case as case;

fn columns(prompt: &str, response: &str, score: &str) -> GenerationColumns {
    let column = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    GenerationColumns {
        prompt: column(prompt),
        response: response.into(),
        score: column(score),
        ..GenerationColumns::default()
    }
}

fn read(name: &str, columns: &GenerationColumns) -> Generations {
    read_generations(&case(name), columns).unwrap()
}

fn there(scores: &Option<Scores>) -> Vec<f64> {
    scores.as_ref().unwrap().iter().flatten().copied().collect()
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
}

/// The mean of the highest scores, which are bad ones.
fn worst(scores: &[f64], count: usize) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    mean(&sorted[..count])
}

#[test]
fn real_toxicity_prompts_without_some_of_their_scores() {
    let mut columns = columns("prompt.text", "continuation.text", "continuation.toxicity");
    columns.prompt_score = Some("prompt.toxicity".into());
    let read = read("rtp_null_scores.jsonl", &columns);
    let scores = there(&read.scores);
    assert_eq!(
        (read.responses.len(), scores.len(), there(&read.prompt_scores).len()),
        (64, 62, 62)
    );
    close(mean(&scores), 0.565_635, 1e-6);
    close(worst(&scores, 7), 0.958_255, 1e-6);
}

#[test]
fn a_list_of_one_text_is_that_text_and_a_number_reaches_into_a_list() {
    let plain =
        read("lm_eval_samples.jsonl", &columns("doc.prompt.text", "filtered_resps", "score"));
    assert_eq!((plain.responses.len(), mean(&there(&plain.scores))), (24, 0.5));
    assert_eq!(plain.responses.get(0), Some(" bad plot slow that hated and not bad"));
    assert_eq!(
        plain.responses,
        read("lm_eval_samples.jsonl", &columns("", "filtered_resps.0", "")).responses
    );
    let raw = read("lm_eval_samples.jsonl", &columns("", "resps", "")).responses;
    assert_eq!(raw.get(0), Some(" and I hated slow actors music with a"));
    assert_eq!(raw, read("lm_eval_samples.jsonl", &columns("", "resps.0.0", "")).responses);
    assert!(plain.notes.is_empty(), "{:?}", plain.notes);
}

#[test]
fn a_list_of_records_is_a_row_each() {
    let mut columns = columns("prompt.text", "generations.text", "generations.toxicity");
    columns.prompt_score = Some("prompt.toxicity".into());
    let read = read("dexperts_nested.jsonl", &columns);
    let scores = there(&read.scores);
    assert_eq!((read.responses.len(), scores.len()), (1_000, 1_000));
    close(mean(&scores), 0.506_286, 1e-6);
    close(worst(&scores, 100), 0.948_511, 1e-6);
    close(scores.iter().filter(|&&score| score >= 0.5).count() as f64 / 1_000.0, 0.514, 1e-9);
    let of_prompts: Vec<&[f64]> = scores.chunks(25).collect();
    let highest: Vec<f64> = of_prompts.iter().map(|scores| worst(scores, 1)).collect();
    close(mean(&highest), 0.963_304, 1e-6);
    close(
        mean(&of_prompts.iter().map(|scores| worst(scores, 5)).collect::<Vec<_>>()),
        0.887_772,
        1e-6,
    );
    let prompts = read.prompts.unwrap();
    assert!(
        (0..1_000).all(|row| prompts.get(row) == prompts.get(row / 25 * 25)),
        "what a prompt has is repeated"
    );
    assert_ne!(prompts.get(24), prompts.get(25));
    assert_eq!(
        read.notes,
        ["40 rows hold lists of responses, of which each is read as a row: 1000 of 1000"]
    );
}

#[test]
fn a_message_deep_within_a_reply_is_reached() {
    let column = "response.body.choices.0.message.content";
    let texts = read("vllm_batch.jsonl", &columns("", column, "")).responses;
    assert_eq!(
        (texts.len(), texts.get(0)),
        (20, Some(" plot that film with hated liked plot some"))
    );
    assert_eq!(
        texts,
        read("vllm_batch.jsonl", &columns("", &column.replace(".0", ""), "")).responses
    );
    let names = table::columns(&case("vllm_batch.jsonl")).unwrap();
    assert!(names.contains(&"response.body.choices.message.content".to_owned()), "{names:?}");
}

#[test]
fn conversations_are_their_contents_in_order() {
    let read = read("trl_conversations.parquet", &columns("prompt", "completion", "advantage"));
    assert_eq!((read.responses.len(), read.notes.len()), (4, 2));
    assert!(
        read.notes[0].starts_with(
            "4 rows hold a conversation as completion: its contents are read in order"
        ),
        "{:?}",
        read.notes
    );
    let alone = read_generations(
        &case("trl_conversations.parquet"),
        &columns("", "completion.0.content", ""),
    )
    .unwrap();
    assert_eq!(read.responses, alone.responses);
    assert_eq!(
        table::columns(&case("trl_conversations.parquet")).unwrap(),
        ["step", "prompt", "completion", "advantage"]
    );
    let read =
        read_generations(&case("trl_steps.parquet"), &columns("prompt", "completion", "reward"))
            .unwrap();
    close(mean(&there(&read.scores)), 0.8875, 1e-9);
}

#[test]
fn categories_and_half_precision_are_read_without_loss() {
    for (name, expected, tolerance) in
        [("category.parquet", 0.363_307_5, 1e-12), ("float16.parquet", 0.363_296_89, 1e-8)]
    {
        let mut columns = columns("prompt", "response", "score");
        columns.group = vec!["model".into(), "seed".into()];
        let read = read(name, &columns);
        close(mean(&there(&read.scores)), expected, tolerance);
        assert_eq!(read.groups[0].get(0), Some("sft"), "{name}");
    }
}

#[test]
fn a_column_is_there_if_any_line_has_it() {
    let mut columns = columns("prompt", "response", "score");
    let read = read("ragged.jsonl", &columns);
    let prompts = read.prompts.unwrap();
    assert_eq!(
        (prompts.len(), prompts.get(0), prompts.get(1)),
        (20, None, Some("Prompt number 1 about a"))
    );
    assert!(table::columns(&case("ragged.jsonl")).unwrap().contains(&"prompt".to_owned()));
    columns.prompt = Some("prompts".into());
    let message = read_generations(&case("ragged.jsonl"), &columns).unwrap_err().to_string();
    assert!(
        message.contains(
            "no column \"prompts\"; its columns are response, score, prompt_score, model, seed, \
             prompt"
        ),
        "{message}"
    );
}

#[test]
fn a_text_that_was_cut_within_a_character_is_read_and_said() {
    let read = read("lone_surrogate.jsonl", &columns("prompt", "response", "score"));
    let texts: Vec<&str> =
        (0..read.responses.len()).filter_map(|row| read.responses.get(row)).collect();
    assert_eq!(
        (texts.len(), texts.iter().filter(|text| text.contains('\u{fffd}')).count()),
        (20, 1)
    );
    assert!(
        read.notes.len() == 1 && read.notes[0].starts_with("1 halves of a character"),
        "{:?}",
        read.notes
    );
}

/// `generate.py` wrote the types; the third row has nothing.
#[test]
fn every_type_of_a_parquet_file_is_read_or_refused_in_a_sentence() {
    let scores = |name: &str| read("types.parquet", &columns("", "text", name)).scores.unwrap();
    let one = |a: f64, b: f64| vec![Some(a), Some(b), None];
    assert_eq!(scores("int8"), one(1.0, -2.0));
    assert_eq!(scores("int16"), [Some(300.0), None, Some(3.0)]);
    assert_eq!(scores("uint8"), one(255.0, 1.0));
    assert_eq!(scores("half"), [Some(0.5), None, Some(-2.0)]);
    assert_eq!(scores("decimal"), one(1.5, -0.01));
    assert_eq!(scores("truth"), one(1.0, 0.0));
    assert_eq!(scores("nothing"), [None; 3]);
    assert_eq!(scores("numbers"), one(3.0, 5.0));
    let texts = |name: &str| {
        let texts = read("types.parquet", &columns("", name, "")).responses;
        (0..texts.len()).map(|row| texts.get(row).map(str::to_owned)).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts("category"), [some("sft"), some("ppo"), None]);
    assert_eq!(texts("one"), [some("only"), some("lonely"), None]);
    assert_eq!(texts("texts"), [some("a"), some("b"), None, None], "an empty list is no text");
    assert_eq!(texts("texts.1"), [some("b"), None, None]);
    assert_eq!(texts("fixed"), [some("a"), some("b"), some("c"), some("d"), None]);
    assert_eq!(texts("samples.text"), [some("a"), some("b"), some("c"), None]);
    assert_eq!(texts("prompt.text"), [some("p"), None, None], "beside fields that cannot be read");
    assert_eq!(texts("chat"), [some("Hi\nHo"), some("Again"), None]);
    assert_eq!(texts("deep.list.texts"), [some("x"), some("y"), some("z"), None]);
    assert_eq!(texts("deep.list.0.texts.0"), [some("x"), some("z"), None]);
    let refused = |response: &str, score: &str| {
        let message = read_generations(&case("types.parquet"), &columns("", response, score))
            .unwrap_err()
            .to_string();
        message.rsplit_once("types.parquet").unwrap().1.to_owned()
    };
    let cast = "expected texts, numbers or booleans, or lists and structs of them: cast it to one \
        of these";
    assert_eq!(
        refused("text", "time"),
        format!(": column \"time\" holds Timestamp(Microsecond, None), {cast}")
    );
    assert_eq!(
        refused("prompt.time", ""),
        format!(": column \"prompt.time\" holds Timestamp(Microsecond, None), {cast}")
    );
    assert_eq!(
        refused("binary", ""),
        ": column \"binary\", row 2: found bytes that are no UTF-8, expected a text"
    );
    assert_eq!(
        refused("text", "samples.score"),
        ": column \"samples.score\", row 1: found a list of 2 (0.25, 0.5), expected a number; \
         samples.score.0 is the first of them"
    );
    assert_eq!(
        refused("texts", "one"),
        ": column \"one\", row 1: found \"only\", expected a number",
        "a list of one is that one, and goes with each text"
    );
    assert!(
        refused("prompt", "").starts_with(" has no column \"prompt\"; its columns are text, int8")
    );
    let mut groups = columns("", "text", "");
    groups.group = vec!["uint64".into()];
    let message = read_generations(&case("types.parquet"), &groups).unwrap_err().to_string();
    assert!(
        message.contains("column \"uint64\", row 3: found nothing, expected a name"),
        "{message}"
    );
}
