//! The prompts of the tail with what every policy made of them, side by side.

use maud::{Markup, PreEscaped, html};

use crate::charts::plain;
use crate::clean;
use crate::curves::extent;
use crate::policies::Policy;
use crate::run::Run;
use crate::table::{minus, tail_words};
use crate::texts::{Prompt, Text};

/// Bytes that the rows take at most, whatever room there is.
pub(crate) const MOST_BYTES: usize = 3_500_000;
/// Prompts shown where the run has no tail.
const WITHOUT_TAIL: usize = 100;

/// The texts of one seed for a prompt.
struct Entry<'a> {
    seed: u64,
    /// One per policy, if it has one.
    texts: Vec<Option<&'a Text>>,
}

/// The section, with as many rows as fit into so many bytes.
pub(crate) fn section(run: &Run, most_bytes: usize) -> Markup {
    let texts = &run.texts;
    let policies: Vec<&Policy> =
        run.methods.iter().filter(|policy| texts.of(&policy.key).next().is_some()).collect();
    let (chosen, is_tail) = chosen(run);
    let seeds = texts.seeds();
    let pair = pair(run, &policies);
    let blurred = run.may_offend();
    let prompts = texts.rows();
    let values = |prompt: usize| {
        let rewards = texts.samples.iter().map(move |sample| sample.of(prompt).reward.abs());
        rewards.chain(prompts[prompt].score.map(f64::abs))
    };
    let scale = extent(chosen.iter().flat_map(|&prompt| values(prompt)))
        .map_or(1.0, |[_, most]| most.max(1e-9));
    let (mut rows, mut shown) = (String::new(), 0);
    for &prompt in &chosen {
        let of_seed = |&seed: &u64| {
            row(prompts[prompt], &entry(run, &policies, prompt, seed), &policies, pair, scale)
        };
        let of_prompt: String = seeds.iter().map(|seed| of_seed(seed).into_string()).collect();
        if rows.len() + of_prompt.len() > most_bytes {
            break;
        }
        rows += &of_prompt;
        shown += 1;
    }
    let sorted = is_scored(&prompts).then_some("ascending");
    html! {
        section #prompts .blurred[blurred] {
            h2 { @if is_tail { "The prompts of the tail" } @else { "The hardest prompts" } }
            p { (words(run, is_tail, &chosen, shown)) }
            @if blurred {
                p.remark { "These texts may be offensive, so they are blurred until they are \
                    asked for." }
            }
            div.controls {
                label {
                    "Search "
                    input #search type="search" placeholder="words in prompt or texts"
                        autocomplete="off";
                }
                @if seeds.len() > 1 {
                    label { "Seed " select #seed {
                        @for (place, seed) in seeds.iter().enumerate() {
                            option value=(seed) selected[place == 0] { (seed) }
                        }
                        option value="" { "all" }
                    } }
                }
                button #blur .blur type="button" {
                    @if blurred { "Show texts" } @else { "Blur texts" }
                }
                span #count role="status" { (shown * seeds.len()) " shown" }
            }
            noscript { p.remark { "Sorting, searching and choosing a seed need JavaScript; a \
                blurred text can be read under the pointer without it." } }
            table.texts #texts {
                thead { tr {
                    (sort_head("prompt", "Prompt", sorted))
                    @for (place, policy) in policies.iter().enumerate() {
                        (sort_head(&format!("m{place}"), &clean::line(&policy.label), None))
                    }
                    @if let Some((left, right)) = pair {
                        @let difference =
                            format!("{} − {}", policies[left].label, policies[right].label);
                        (sort_head("difference", &difference, None))
                    }
                } }
                tbody { (PreEscaped(rows)) }
            }
            p #nothing hidden { "No text has these words." }
        }
    }
}

/// The rows to show, the lowest first, and whether they are the tail.
fn chosen(run: &Run) -> (Vec<usize>, bool) {
    let tail = run
        .results
        .threshold()
        .map(|threshold| run.texts.tail(threshold))
        .filter(|tail| !tail.is_empty());
    let is_tail = tail.is_some();
    let all = run.texts.rows();
    let mut prompts = tail.unwrap_or_else(|| (0..all.len()).collect());
    // where no prompt has a score, the rewards of the first policy say which are hard
    let rewards = run.texts.samples.first().filter(|_| !is_scored(&all));
    let score = |prompt: usize| {
        rewards
            .map_or(all[prompt].score.unwrap_or(f64::INFINITY), |sample| sample.of(prompt).reward)
    };
    prompts.sort_by(|&one, &other| score(one).total_cmp(&score(other)));
    if !is_tail {
        prompts.truncate(WITHOUT_TAIL);
    }
    (prompts, is_tail)
}

fn is_scored(prompts: &[&Prompt]) -> bool {
    prompts.iter().any(|prompt| prompt.score.is_some())
}

fn entry<'a>(run: &'a Run, policies: &[&Policy], prompt: usize, seed: u64) -> Entry<'a> {
    let text = |policy: &&Policy| {
        let sample = run
            .texts
            .samples
            .iter()
            .find(|sample| sample.method == policy.key && sample.seed == seed)?;
        Some(sample.of(prompt))
    };
    Entry { seed, texts: policies.iter().map(text).collect() }
}

/// The two policies whose difference is shown: RA-RLHF and RLHF, or else those that the run
/// compares first.
fn pair(run: &Run, policies: &[&Policy]) -> Option<(usize, usize)> {
    let place = |key: &str| policies.iter().position(|policy| policy.key == key);
    let compared = run.results.main_gain();
    let (own, over) =
        compared.map_or(("ra_rlhf", "rlhf"), |gain| (gain.method.as_str(), gain.over.as_str()));
    Some((place(own)?, place(over)?))
}

fn words(run: &Run, is_tail: bool, chosen: &[usize], shown: usize) -> String {
    let tail = run.results.tail.filter(|_| is_tail);
    let of = if let Some(tail) = tail {
        format!("These are {}, the lowest first", tail_words(tail))
    } else if is_scored(&run.texts.prompts()) {
        "The prompts with the lowest scores of their own, the lowest first".to_owned()
    } else {
        "The prompts on which the first policy has its lowest rewards, the lowest first".to_owned()
    };
    let all = run.texts.count_rows(chosen);
    let left_out = match shown {
        0 => " None of them is here, as the texts of one alone would make the file too large."
            .to_owned(),
        shown if shown < chosen.len() => {
            let shown = run.texts.count_rows(&chosen[..shown]);
            let shown = if all.has_several() { shown.words("") } else { shown.prompts.to_string() };
            format!(" Of {} the lowest {shown} are here, to keep the file small.", all.words(""))
        }
        _ if all.has_several() => {
            format!(" A prompt has a row for each of its texts: here are {}.", all.words(""))
        }
        _ => String::new(),
    };
    let scorer = if run.results.is_evaluation { "" } else { " of the reward model" };
    format!(
        "{of}, with what each policy made of them. Numbers are scores{scorer}: of the prompt \
         alone, and of prompt and response together; orange is low, blue is high. A heading sorts \
         by its score.{left_out}"
    )
}

fn sort_head(key: &str, label: &str, sorted: Option<&str>) -> Markup {
    html! {
        th.difference[key == "difference"] scope="col" aria-sort=(sorted.unwrap_or("none")) {
            button type="button" data-sort=(key) { (label) }
        }
    }
}

fn row(
    prompt: &Prompt,
    Entry { seed, texts }: &Entry<'_>,
    policies: &[&Policy],
    pair: Option<(usize, usize)>,
    scale: f64,
) -> Markup {
    let reward = |place: usize| texts[place].map(|text| text.reward);
    let difference = pair.and_then(|(left, right)| Some(reward(left)? - reward(right)?));
    let value = |value: Option<f64>| value.map(|value| plain(value, 4));
    html! {
        tr data-seed=(seed) {
            th scope="row" data-label="Prompt" data-value=[value(prompt.score)] {
                @if let Some(value) = prompt.score { (score(value, scale)) }
                bdi.text dir="auto" { (clean::visible(&prompt.text)) }
            }
            @for (place, policy) in policies.iter().enumerate() {
                td data-label=(clean::line(&policy.label)) data-value=[value(reward(place))] {
                    @if let Some(text) = texts[place] {
                        (score(text.reward, scale))
                        bdi.text dir="auto" { (clean::visible(&text.response)) }
                    }
                }
            }
            @if pair.is_some() {
                td.difference data-label="Difference" data-value=[value(difference)] {
                    @if let Some(difference) = difference { (score(difference, scale)) }
                }
            }
        }
    }
}

/// A score with its sign, on a ground that is the stronger the further it is from 0.
fn score(value: f64, scale: f64) -> Markup {
    let strength = (100.0 * value.abs() / scale).min(100.0);
    html! {
        span.score .low[value < 0.0] style={ "--strength:" (format!("{strength:.0}%")) } {
            (minus(&format!("{value:+.2}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files, run};

    #[test]
    fn rows_stop_at_a_budget_of_rendered_bytes_and_the_page_says_so() {
        let mut files = files(Kind::Gain);
        // each of them takes six bytes
        files.texts.iter_mut().flatten().for_each(|row| row.response = "\"".repeat(30_000));
        let text = section(&Run::new(files.clone()).unwrap(), MOST_BYTES).into_string();
        assert!(text.len() < MOST_BYTES + 10_000, "{}", text.len());
        assert!(
            text.matches("<tr").count() == 1 + 4
                && text.contains("Of 20 prompts the lowest 4 are here"),
            "{:.3000}",
            text
        );
        let text = section(&Run::new(files).unwrap(), 100_000).into_string();
        assert!(text.len() < 10_000 && text.contains("None of them is here"), "{:.3000}", text);
    }

    #[test]
    fn a_prompt_has_a_row_for_each_of_its_texts() {
        let mut files = files(Kind::Gain);
        let texts = files.texts.as_mut().unwrap();
        texts.extend(texts.clone());
        let text = section(&Run::new(files).unwrap(), MOST_BYTES).into_string();
        assert!(
            text.contains("These are the 20 prompts")
                && text.contains("here are 40 texts of 20 prompts"),
            "{text:.3000}"
        );
        assert!(text.contains(">40 shown<"), "{text:.3000}");
    }

    #[test]
    fn all_seeds_are_there_without_a_script() {
        let text = section(&run(Kind::Seeds), MOST_BYTES).into_string();
        assert_eq!(
            (
                text.matches("<tr data-seed=\"1\">").count(),
                text.matches("<tr data-seed=\"2\">").count()
            ),
            (20, 20)
        );
        assert!(
            text.contains("data-value=\"-3.01\"") && text.contains(">40 shown<"),
            "{text:.3000}"
        );
    }

    #[test]
    fn prompts_without_scores_are_not_said_to_be_sorted() {
        let mut files = files(Kind::Gain);
        files.texts.iter_mut().flatten().for_each(|row| row.prompt_score = None);
        let text = section(&Run::new(files).unwrap(), MOST_BYTES).into_string();
        assert!(
            !text.contains("aria-sort=\"ascending\"")
                && text.contains("first policy has its lowest rewards"),
            "{text:.3000}"
        );
    }
}
