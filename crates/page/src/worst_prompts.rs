//! The prompts that make the tail of each policy, with its worst text of each.

use maud::{Markup, PreEscaped, html};
use tailguard_report::{MAIN_SHARE, TailPromptRow, number, percent};

use crate::clean;
use crate::run::Run;
use crate::table::minus;

/// Bytes that the rows of all policies take at most.
const MOST_BYTES: usize = 600_000;

/// A table for each policy, to be opened; nothing where nobody has noted the prompts.
pub(crate) fn tables(run: &Run) -> Markup {
    let is_of = |key: &str| run.tail_prompts.iter().any(|row| row.method == key);
    let policies: Vec<_> = run.methods.iter().filter(|policy| is_of(&policy.key)).collect();
    let blurred = run.may_offend();
    let most = MOST_BYTES / policies.len().max(1);
    html! {
        @if !policies.is_empty() {
            h3 { "The prompts that make the tail" }
            p {
                "A text falls short by its distance from the lowest reward outside of the tail, \
                 here the lowest " (percent(MAIN_SHARE)) " of a policy’s rewards. Its prompt has \
                 that share of all shortfall. With one text a prompt, the first may only have had \
                 bad luck; where most texts of a prompt are in the tail, it is the prompt. All \
                 numbers are in tail_prompts.jsonl."
            }
            button .blur type="button" { @if blurred { "Show texts" } @else { "Blur texts" } }
            div {
                @for policy in policies {
                    @let rows: Vec<&TailPromptRow> =
                        run.tail_prompts.iter().filter(|row| row.method == policy.key).collect();
                    @let (shown, count) = rendered(&rows, most);
                    details {
                        summary {
                            (clean::line(&policy.label)) ": " (count)
                            @if count == 1 { " prompt" } @else { " prompts" }
                        }
                        table.texts {
                            thead { tr {
                                th scope="col" { "Prompt" }
                                th scope="col" { "Its worst text" }
                            } }
                            tbody { (PreEscaped(shown)) }
                        }
                        @if count < rows.len() {
                            p.remark { "Of " (rows.len()) " prompts the first " (count) " are \
                                here, to keep the file small." }
                        }
                    }
                }
            }
        }
    }
}

/// As many rows as fit, and how many these are.
fn rendered(rows: &[&TailPromptRow], most: usize) -> (String, usize) {
    let (mut text, mut count) = (String::new(), 0);
    for row in rows {
        let next = self::row(row).into_string();
        if text.len() + next.len() > most {
            break;
        }
        text += &next;
        count += 1;
    }
    (text, count)
}

fn row(row: &TailPromptRow) -> Markup {
    let TailPromptRow { prompt, share, in_tail, texts, mean, lowest, response, .. } = row;
    let mean = minus(&number(*mean, 2));
    html! {
        tr {
            th scope="row" {
                (percent(*share)) " of the shortfall"
                @if *texts > 1 { ", " (in_tail) " of " (texts) " texts, mean " (mean) }
                bdi.text dir="auto" { (clean::visible(prompt)) }
            }
            td {
                (minus(&number(*lowest, 2)))
                @if let Some(response) = response {
                    bdi.text dir="auto" { (clean::visible(response)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::Kind;
    use crate::tails;
    use crate::tails::tests::with_tails;

    fn section(run: &Run) -> Markup {
        tails::section(run).unwrap()
    }

    fn row(method: &str, response: &str) -> TailPromptRow {
        TailPromptRow {
            method: method.to_owned(),
            prompt: "The <b>film</b>".to_owned(),
            share: 0.25,
            in_tail: 3,
            texts: 4,
            mean: -1.5,
            lowest: -3.25,
            response: Some(response.to_owned()),
        }
    }

    fn shown(rows: Vec<TailPromptRow>, task: &str) -> String {
        let mut files = with_tails();
        files.results = files.results.replace("\"imdb\"", &format!("\"{task}\""));
        files.tail_prompts = rows;
        tables(&Run::new(files).unwrap()).into_string()
    }

    #[test]
    fn each_policy_has_its_prompts_with_their_worst_texts() {
        let text = shown(vec![row("sft", " was <i>bad"), row("rlhf", " so")], "imdb");
        for said in [
            "<summary>SFT: 1 prompt</summary>",
            "<summary>RLHF: 1 prompt</summary>",
            ">Blur texts</button>",
            "25 % of the shortfall, 3 of 4 texts, mean −1.50",
            "The &lt;b&gt;film&lt;/b&gt;",
            "−3.25<bdi class=\"text\" dir=\"auto\"> was &lt;i&gt;bad</bdi>",
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert!(!text.contains("GPT-2:"), "{text}");
    }

    #[test]
    fn offensive_texts_are_blurred_until_they_are_asked_for() {
        assert!(shown(vec![row("sft", "")], "jigsaw").contains(">Show texts</button>"));
        let mut files = with_tails();
        assert!(!section(&Run::new(files.clone()).unwrap()).into_string().contains("blurred"));
        files.results = files.results.replace("\"imdb\"", "\"jigsaw\"");
        let text = section(&Run::new(files).unwrap()).into_string();
        assert!(text.starts_with("<section class=\"blurred\" id=\"tails\">"), "{text:.200}");
    }

    #[test]
    fn long_texts_are_not_all_shown_and_the_page_says_so() {
        let long = "word ".repeat(20_000);
        let text = shown((0..20).map(|_| row("sft", &long)).collect(), "imdb");
        assert!(text.len() < MOST_BYTES + 2_000 && text.contains("Of 20 prompts the first 5"));
    }

    #[test]
    fn without_the_file_there_is_nothing() {
        let files = crate::fixtures::files(Kind::Gain);
        assert_eq!(tables(&Run::new(files).unwrap()).into_string(), "");
    }
}
