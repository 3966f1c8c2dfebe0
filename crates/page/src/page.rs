//! The page of one run, and the frame that all pages share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::error::PageError;
use crate::run::Run;
use crate::tail_against_kl::tail_against_kl;
use crate::{clean, figures, prompts, settings, summary, table, tails};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// Bytes of a page: what a browser opens at once, and what a mail takes.
const MOST_BYTES: usize = 4_900_000;

/// What every page of ours says that it was made by, so that a file which is not ours is not
/// written over.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"tailguard\">";

/// The page of a run: one file of HTML that needs no other and no network.
///
/// # Errors
/// [`PageError::Metrics`] for texts whose numbers are none, [`PageError::Chart`] for a chart that
/// cannot be drawn.
pub fn run_page(run: &Run) -> Result<String, PageError> {
    let mut figures = figures::figures(run)?;
    // what was reached, before how
    let training = figures.iter().position(|figure| figure.id == figures::TRAINING_ID);
    let place = training.unwrap_or(figures.len());
    figures.splice(place..place, tail_against_kl(run)?);
    let sections: Vec<Markup> = (1..)
        .zip(&figures)
        .map(|(number, figure)| figures::section(number, figure))
        .collect::<Result<_, _>>()?;
    let has_prompts = !run.texts.prompts().is_empty();
    let tails = tails::section(run);
    let mut links = vec![("summary", "In short"), ("table", "Table")];
    links.extend(tails.is_some().then_some(("tails", "Worst texts")));
    links.extend(figures.iter().map(|figure| (figure.id, figure.heading)));
    links.extend(has_prompts.then_some(("prompts", "Texts")));
    links.push(("run", "The run"));
    let before = html! {
        (notices(run))
        (summary::section(run)?)
        section #table {
            h2 { "Table" }
            (table::tables(run))
        }
        @if let Some(tails) = tails { (tails) }
        @for section in &sections { (section) }
        @if let Some(lack) = lack(run) { p.remark { (lack) } }
        @if run.metrics.is_empty() { p.remark { "The run has no training log (metrics.parquet), \
            so there are no training curves here." } }
    };
    let page = |texts: &Markup| {
        let body = html! { (before) (texts) (settings::section(run)) };
        frame(&title(run), &under(run), &links, &body)
    };
    let nothing = html! {};
    if !has_prompts {
        return Ok(page(&nothing));
    }
    // many policies have large charts; the texts take what is left of the page, less what stands
    // around their rows
    let left = MOST_BYTES.saturating_sub(page(&nothing).len() + 10_000);
    Ok(page(&prompts::section(run, left.min(prompts::MOST_BYTES))))
}

/// Why there is nothing, or less, of the texts.
fn lack(run: &Run) -> Option<&'static str> {
    if !run.has_texts_file {
        Some(
            "The run has no generations.parquet, so there are no charts of rewards and no texts \
             here.",
        )
    } else if run.texts.samples.is_empty() {
        Some(
            "No row of generations.parquet has a prompt, a text and a reward, so there are no \
             charts of rewards and no texts here.",
        )
    } else if run.texts.prompts().is_empty() {
        Some("No prompt has a reward of every policy, so nothing is shown prompt by prompt.")
    } else {
        None
    }
}

/// The task, as the paper names it where it does.
fn title(run: &Run) -> String {
    let task = match run.results.task.as_str() {
        "imdb" => "IMDB-Gen",
        "jigsaw" => "Jigsaw-Gen",
        "rtp" => "RealToxicityPrompts-Gen",
        "" => "Evaluation",
        other => other,
    };
    format!(
        "{}: {}",
        clean::line(task),
        clean::line(
            &run.methods.iter().map(|policy| policy.label.as_str()).collect::<Vec<_>>().join(", ")
        )
    )
}

/// What stands beneath the title.
fn under(run: &Run) -> String {
    let results = &run.results;
    let seeds = match results.seeds.len() {
        0 => None,
        1 => Some(format!("seed {}", results.seeds[0])),
        seeds => Some(format!("{seeds} seeds")),
    };
    let prompts =
        Some(run.texts.counts()).filter(|counts| counts.prompts > 0).map(|counts| counts.words(""));
    let preset = (!results.preset.is_empty()).then(|| format!("preset {}", results.preset));
    let parts = [Some(run.name.clone()), preset, prompts, seeds].into_iter().flatten();
    clean::line(&parts.collect::<Vec<_>>().join(" · "))
}

/// What must be said before anything else.
fn notices(run: &Run) -> Markup {
    let mut left_out = Vec::new();
    for policy in &run.methods {
        left_out.extend(run.results.left_out(&policy.key).into_iter().map(|what| (policy, what)));
    }
    html! {
        @if let Some(notice) = &run.results.notice {
            aside.notice role="note" { b { "Notice. " } (clean::line(notice)) }
        }
        @if !left_out.is_empty() {
            aside.notice role="note" {
                b { "Left out." }
                ul {
                    @for (policy, what) in left_out {
                        li { (clean::line(&policy.label)) ": " (what) "." }
                    }
                }
            }
        }
        @if !run.texts.is_whole() {
            aside.notice role="note" {
                @if run.texts.has_all_prompts() {
                    b { "Other numbers of texts. " }
                    "Not every policy has as many texts of every prompt. "
                } @else {
                    b { "Other prompts. " }
                    "Not every policy has a reward for every prompt. "
                }
                "The distributions are of all texts of each; what is shown side by side is of the "
                (run.texts.counts().words("")) " that all have."
            }
        }
        @for warning in &run.warnings {
            aside.notice role="note" { b { "Warning. " } (clean::line(warning)) "." }
        }
    }
}

/// A whole page around its body.
pub(crate) fn frame(title: &str, under: &str, links: &[(&str, &str)], body: &Markup) -> String {
    // only this script and this style run, and nothing is fetched, whatever a text may smuggle in
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                (PreEscaped(GENERATOR))
                link rel="icon" href="data:,";
                title { (title) " · tailguard" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    div.top {
                        p.brand { "tailguard" }
                        button #theme type="button" hidden { "Dark" }
                    }
                    h1 { (title) }
                    p.under { (under) }
                    nav aria-label="Contents" {
                        ul { @for (id, name) in links { li { a href={ "#" (id) } { (name) } } } }
                    }
                }
                main { (PreEscaped(unbroken(&body.0))) }
                footer {
                    p {
                        "Made by tailguard, risk-averse fine-tuning of language models (RA-RLHF, "
                        span.nowrap { "arXiv 2501.06911" } "). This file needs no network."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// The page with no line end between a number and its percent sign, but for texts of prompts and
/// policies, which stay as they are.
fn unbroken(body: &str) -> String {
    let (begin, end) = ("<bdi", "</bdi>");
    let unbroken = |text: &str| {
        let mut parts = text.split(" %");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            whole +=
                if whole.ends_with(|last: char| last.is_ascii_digit()) { "\u{a0}%" } else { " %" };
            whole += part;
        }
        whole
    };
    let mut parts = body.split(begin);
    let mut whole = unbroken(parts.next().unwrap_or_default());
    for part in parts {
        let (text, after) = part.split_once(end).unwrap_or((part, ""));
        whole += &format!(
            "{begin}{text}{}{}",
            if part.len() > text.len() { end } else { "" },
            unbroken(after)
        );
    }
    whole
}

#[cfg(test)]
mod tests {
    use tailguard_report::TextRow;

    use super::*;
    use crate::fixtures::{Kind, files, run};
    use crate::run::RunFiles;

    #[test]
    fn the_page_fetches_nothing_and_says_who_made_it() {
        let page = run_page(&run(Kind::Gain)).unwrap();
        assert!(page.contains(GENERATOR) && page.starts_with("<!DOCTYPE html>"));
        for word in ["src=\"", "http://", "https://", "@import", "url("] {
            let found = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(word), "{word}");
        }
        assert!(page.len() < 1_000_000, "{}", page.len());
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let hostile = [
            "</script><script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "' onmouseover='alert(1)",
            "<!-- ]]> &amp; {{1}}",
            "\0\u{1b}[31m\u{7f}\u{ffff}",
            "\u{202e}evil \u{2067}right to left\u{200f}",
        ];
        let mut files = files(Kind::Gain);
        for (row, text) in files.texts.iter_mut().flatten().zip(hostile.iter().cycle()) {
            // every policy has the same prompts, so the first 40 rows suffice for texts
            row.response = (*text).to_owned();
        }
        let long = "w".repeat(10_000);
        files.texts.as_mut().unwrap()[0].response.clone_from(&long);
        files
            .texts
            .iter_mut()
            .flatten()
            .filter(|row| row.prompt.starts_with("Prompt 3,"))
            .for_each(|row| row.prompt = hostile.join(" "));
        files.name = hostile[0].to_owned();
        let mut results: serde_json::Value = serde_json::from_str(&files.results).unwrap();
        results["task"] = hostile[1].into();
        results["notice"] = hostile[0].into();
        results["methods"]["<i>\"'</i>"] = results["methods"]["sft"].clone();
        files.results = results.to_string();
        files.config = Some(format!("task = {:?}\n", hostile[0]));
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert_eq!(page.matches("<script").count(), 1, "only ours");
        assert_eq!(page.matches("</script").count(), 1, "only ours");
        for word in
            ["<img", "<i>", "' onmouseover='alert(1)\"", "\0", "\u{1b}", "\u{7f}", "\u{ffff}"]
        {
            assert!(!page.contains(word), "{word:?}");
        }
        assert!(page.contains(&long) && page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
        // marks that turn the direction stand in elements that end it, and nowhere else
        for part in page
            .split("<bdi")
            .map(|part| part.split_once("</bdi>").map_or(part, |(_, after)| after))
        {
            assert!(!part.contains(['\u{202e}', '\u{2067}', '\u{200f}']), "{part:.200}");
        }
    }

    #[test]
    fn a_run_with_results_alone_has_its_table() {
        let RunFiles { results, .. } = files(Kind::Gain);
        let run = Run::new(RunFiles { name: "a".into(), results, ..RunFiles::default() }).unwrap();
        let page = run_page(&run).unwrap();
        assert!(page.contains("no generations.parquet") && page.contains("no training log"));
        assert!(page.contains("data-key=\"tail\"") && !page.contains("id=\"prompts\""));
    }

    #[test]
    fn texts_that_cannot_be_shown_are_not_said_to_be_missing() {
        let with = |change: &dyn Fn(&mut TextRow)| {
            let mut files = files(Kind::Gain);
            files.texts.iter_mut().flatten().for_each(change);
            run_page(&Run::new(files).unwrap()).unwrap()
        };
        let unscored = with(&|row| row.reward = None);
        assert!(
            unscored.contains("No row of generations.parquet has")
                && !unscored.contains("no generations.parquet")
        );
        let apart = with(&|row| row.prompt += &row.method);
        assert!(
            apart.contains("nothing is shown prompt by prompt")
                && !apart.contains("id=\"prompts\"")
        );
        assert!(
            apart.contains("id=\"cvar-title\"") && apart.contains("of the 0 prompts that all have"),
            "rewards are shown all the same"
        );
    }

    #[test]
    fn one_text_more_or_less_leaves_no_policy_out() {
        let mut files = files(Kind::Gain);
        let texts = files.texts.as_mut().unwrap();
        texts[0].reward = None;
        texts.pop();
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert!(
            page.contains("of the 38 prompts that all have")
                && page.contains("19 to 20 prompts of the good class")
        );
        for policy in ["GPT-2", "SFT", "RLHF", "RA-RLHF"] {
            assert!(page.contains(&format!("%0A{policy},1,")), "{policy} is in the charts");
        }
    }

    /// Runs whose policies have as many texts of each prompt as that.
    fn with_texts(times: usize) -> RunFiles {
        let mut files = files(Kind::Gain);
        let texts = files.texts.as_mut().unwrap();
        *texts = vec![texts.clone(); times].concat();
        files
    }

    #[test]
    fn prompts_are_counted_and_not_their_texts() {
        let page = run_page(&Run::new(with_texts(2)).unwrap()).unwrap();
        for said in [
            "have written 80 texts of 40 held-out prompts of the task",
            "embedded · 80 texts of 40 prompts · seed 1",
            "40 texts of 20 prompts of the good class",
            "40 texts of 20 prompts of the tail",
            "tail ≤ −2.5 (20 prompts)",
            "over the given percentage of 40 prompts",
            "the mean that counts",
        ] {
            assert!(page.contains(said), "{said}");
        }
        let mut fewer = with_texts(2);
        fewer.texts.as_mut().unwrap().pop();
        let page = run_page(&Run::new(fewer).unwrap()).unwrap();
        assert!(
            page.contains("Other numbers of texts. ")
                && page.contains("of the 79 texts of 40 prompts that all have")
        );
        // a run counts prompts as often as they come, also where two are alike
        let mut alike = files(Kind::Gain);
        alike
            .texts
            .iter_mut()
            .flatten()
            .filter(|row| row.prompt.starts_with("Prompt 4,"))
            .for_each(|row| {
                (row.prompt, row.prompt_score) = ("Prompt 3, <b>bold</b>".to_owned(), Some(-3.03));
            });
        let page = run_page(&Run::new(alike).unwrap()).unwrap();
        assert!(
            page.contains("tail ≤ −2.5 (19 prompts)")
                && page.contains("20 texts of 19 prompts of the tail")
        );
    }

    #[test]
    fn a_single_prompt_in_the_tail_is_told_before_the_figures() {
        let mut files = files(Kind::Gain);
        files.texts.as_mut().unwrap().retain(|row| {
            ["Prompt 3,", "Prompt 30,", "Prompt 31,"]
                .iter()
                .any(|begin| row.prompt.starts_with(begin))
        });
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        let said = "the tail is a single prompt: intervals of it";
        assert!(page.find(said).unwrap() < page.find("In short</h2>").unwrap());
        assert!(!run_page(&run(Kind::Gain)).unwrap().contains("a single prompt"));
    }

    #[test]
    fn no_percent_sign_stands_alone_on_a_line() {
        let mut files = files(Kind::Gain);
        files.texts.as_mut().unwrap()[0].response = "about 95 % of it".to_owned();
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert!(page.contains("95\u{a0}% interval") && page.contains(">about 95 % of it</bdi>"));
        let digit_before = |part: &str| part.ends_with(|last: char| last.is_ascii_digit());
        assert_eq!(
            page.split(" %").filter(|part| digit_before(part)).count(),
            1,
            "that of the text alone"
        );
        assert_eq!(unbroken("a % 5 %<bdi>5 %</bdi> 5 %"), "a % 5\u{a0}%<bdi>5 %</bdi> 5\u{a0}%");
    }

    #[test]
    fn a_page_of_many_policies_keeps_its_size() {
        let mut files = files(Kind::Gain);
        let mut results: serde_json::Value = serde_json::from_str(&files.results).unwrap();
        let rows: Vec<TextRow> =
            files.texts.iter().flatten().filter(|row| row.method == "sft").cloned().collect();
        let texts = files.texts.as_mut().unwrap();
        texts.clear();
        for number in 0..40 {
            let name = format!("policy {number}");
            results["methods"][&name] = results["methods"]["sft"].clone();
            let row = |(place, row): (u32, &TextRow)| TextRow {
                method: name.clone(),
                response: "a long text ".repeat(400),
                reward: Some(f64::from((place * 7 + number) % 11) / 3.0),
                ..row.clone()
            };
            texts.extend((0..).zip(&rows).map(row));
        }
        files.results = results.to_string();
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert!(page.len() < 5_000_000, "{}", page.len());
        assert!(page.contains("are here, to keep the file small"));
    }

    #[test]
    fn what_an_evaluation_leaves_out_is_said() {
        let mut files = files(Kind::Others);
        files.results =
            files.results.replacen("\"dpo\":{", "\"dpo\":{\"rows\":43,\"missing_responses\":3,", 1);
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert!(page.contains("<li>dpo: 3 of 43 rows have no text.</li>"), "{page:.6000}");
    }

    #[test]
    fn policies_of_any_name_are_shown() {
        let page = run_page(&run(Kind::Others)).unwrap();
        assert!(
            page.contains("best &lt;of&gt; 8")
                && page.contains("id=\"cvar-title\"")
                && !page.contains("training-reward")
        );
    }

    #[test]
    fn what_must_be_said_comes_before_the_figures() {
        let mut files = files(Kind::Gain);
        files.results =
            files.results.replace("\"notice\":null", "\"notice\":\"The prompts are synthetic.\"");
        let page = run_page(&Run::new(files).unwrap()).unwrap();
        assert!(
            page.find("The prompts are synthetic.").unwrap() < page.find("In short</h2>").unwrap()
        );
    }

    #[test]
    fn offensive_texts_are_blurred_until_they_are_asked_for() {
        let blurred = |task: &str| {
            let mut files = files(Kind::Gain);
            files.results = files.results.replace("\"imdb\"", &format!("\"{task}\""));
            run_page(&Run::new(files).unwrap())
                .unwrap()
                .contains("<section class=\"blurred\" id=\"prompts\">")
        };
        assert!(blurred("jigsaw") && blurred("") && !blurred("imdb"));
    }
}
