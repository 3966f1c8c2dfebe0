//! The prompts of the tail with what every policy made of them, side by side.

use maud::{Markup, html};

use crate::clean;
use crate::curves::extent;
use crate::model::{Policy, Run};
use crate::table::minus;
use crate::texts::Sample;

/// Bytes of text that are embedded at most; markup comes on top.
const MOST_BYTES: usize = 2_000_000;
/// Prompts shown where the run has no tail.
const WITHOUT_TAIL: usize = 100;

/// A prompt with the texts of one seed.
struct Entry<'a> {
    prompt: usize,
    seed: u64,
    /// One per policy, if it has one.
    texts: Vec<Option<&'a Sample>>,
}

/// The section.
pub(crate) fn section(run: &Run) -> Markup {
    let texts = &run.texts;
    let policies: Vec<&Policy> = run.methods.iter().filter(|policy| texts.of(&policy.key).next().is_some()).collect();
    let (chosen, is_tail) = chosen(run);
    let seeds = texts.seeds();
    let mut entries = Vec::new();
    let (mut bytes, mut shown) = (0, 0);
    for &prompt in &chosen {
        let of_prompt: Vec<Entry<'_>> = seeds.iter().map(|&seed| entry(run, &policies, prompt, seed)).collect();
        let responses = of_prompt.iter().flat_map(|entry| entry.texts.iter().flatten());
        let longer = responses.map(|sample| sample.responses[prompt].len()).sum::<usize>()
            + seeds.len() * texts.prompts[prompt].text.len();
        if bytes + longer > MOST_BYTES && shown > 0 {
            break;
        }
        (bytes, shown) = (bytes + longer, shown + 1);
        entries.extend(of_prompt);
    }
    let pair = pair(&policies);
    let blurred = run.may_offend();
    let scale = extent(entries.iter().flat_map(|entry| {
        let rewards = entry.texts.iter().flatten().map(|sample| sample.rewards[entry.prompt].abs());
        rewards.chain(texts.prompts[entry.prompt].score.map(f64::abs))
    }));
    let scale = scale.map_or(1.0, |[_, most]| most.max(1e-9));
    html! {
        section #prompts .blurred[blurred] {
            h2 { @if is_tail { "The prompts of the tail" } @else { "The hardest prompts" } }
            p { (words(run, is_tail, chosen.len(), shown)) }
            @if blurred {
                p.remark { "Texts of this task may be offensive, so they are blurred until they are asked for." }
            }
            div.controls {
                label { "Search " input #search type="search" placeholder="words in prompt or texts" autocomplete="off"; }
                @if seeds.len() > 1 {
                    label { "Seed " select #seed {
                        @for (place, seed) in seeds.iter().enumerate() { option value=(seed) selected[place == 0] { (seed) } }
                        option value="" { "all" }
                    } }
                }
                button #blur type="button" { @if blurred { "Show texts" } @else { "Blur texts" } }
                span #count role="status" { (entries.iter().filter(|entry| Some(&entry.seed) == seeds.first()).count()) " shown" }
            }
            noscript { p.remark { "Sorting, searching and unblurring need JavaScript." } }
            table.texts #texts {
                thead { tr {
                    (sort_head("prompt", "Prompt", Some("ascending")))
                    @for (place, policy) in policies.iter().enumerate() { (sort_head(&format!("m{place}"), &clean::line(&policy.label), None)) }
                    @if let Some((left, right)) = pair { (sort_head("difference", &format!("{} − {}", policies[left].label, policies[right].label), None)) }
                } }
                tbody {
                    @for entry in &entries { (row(run, &policies, entry, pair, scale, seeds.first())) }
                }
            }
            p #nothing hidden { "No text has these words." }
        }
    }
}

/// The prompts to show, the lowest first, and whether they are the tail.
fn chosen(run: &Run) -> (Vec<usize>, bool) {
    let tail = run.results.tail.map(|tail| run.texts.tail(tail.threshold)).filter(|tail| !tail.is_empty());
    let is_tail = tail.is_some();
    let mut prompts = tail.unwrap_or_else(|| (0..run.texts.prompts.len()).collect());
    // where prompts have no scores, the rewards of the first policy say which are hard
    let rewards = run.texts.samples.first().map(|sample| sample.rewards.as_slice()).unwrap_or_default();
    let score = |prompt: usize| run.texts.prompts[prompt].score.or(rewards.get(prompt).copied()).unwrap_or_default();
    prompts.sort_by(|&one, &other| score(one).total_cmp(&score(other)));
    if !is_tail {
        prompts.truncate(WITHOUT_TAIL);
    }
    (prompts, is_tail)
}

fn entry<'a>(run: &'a Run, policies: &[&Policy], prompt: usize, seed: u64) -> Entry<'a> {
    let sample = |policy: &&Policy| run.texts.samples.iter().find(|sample| sample.method == policy.key && sample.seed == seed);
    Entry { prompt, seed, texts: policies.iter().map(sample).collect() }
}

/// The two policies whose difference is shown: RA-RLHF and RLHF.
fn pair(policies: &[&Policy]) -> Option<(usize, usize)> {
    let place = |key: &str| policies.iter().position(|policy| policy.key == key);
    Some((place("ra_rlhf")?, place("rlhf")?))
}

fn words(run: &Run, is_tail: bool, all: usize, shown: usize) -> String {
    let threshold = run.results.tail.map(|tail| tail.threshold).unwrap_or_default();
    let of = if is_tail {
        format!("Prompts whose own score is at most {}, the lowest first", minus(&threshold.to_string()))
    } else if run.texts.scores().is_some() {
        "The prompts with the lowest scores of their own, the lowest first".to_owned()
    } else {
        "The prompts on which the first policy has its lowest rewards, the lowest first".to_owned()
    };
    let left_out = if shown < all {
        format!(" Of {all} prompts the lowest {shown} are here, to keep the file small.")
    } else {
        String::new()
    };
    format!(
        "{of}, with what each policy made of them. Numbers are scores of the reward model: of the prompt alone, and of prompt and \
         response together; orange is low, blue is high. A heading sorts by its score.{left_out}"
    )
}

fn sort_head(key: &str, label: &str, sorted: Option<&str>) -> Markup {
    html! {
        th scope="col" aria-sort=(sorted.unwrap_or("none")) { button type="button" data-sort=(key) { (label) } }
    }
}

fn row(
    run: &Run,
    policies: &[&Policy],
    entry: &Entry<'_>,
    pair: Option<(usize, usize)>,
    scale: f64,
    first: Option<&u64>,
) -> Markup {
    let prompt = &run.texts.prompts[entry.prompt];
    let reward = |place: usize| entry.texts[place].map(|sample| sample.rewards[entry.prompt]);
    let difference = pair.and_then(|(left, right)| Some(reward(left)? - reward(right)?));
    html! {
        tr data-seed=(entry.seed) hidden[Some(&entry.seed) != first] {
            th scope="row" data-label="Prompt" data-value=[prompt.score] {
                @if let Some(value) = prompt.score { (score(value, scale)) }
                bdi.text dir="auto" { (clean::visible(&prompt.text)) }
            }
            @for (place, policy) in policies.iter().enumerate() {
                td data-label=(clean::line(&policy.label)) data-value=[reward(place)] {
                    @if let Some(sample) = entry.texts[place] {
                        (score(sample.rewards[entry.prompt], scale))
                        bdi.text dir="auto" { (clean::visible(&sample.responses[entry.prompt])) }
                    }
                }
            }
            @if pair.is_some() {
                td.difference data-label="Difference" data-value=[difference] { @if let Some(difference) = difference { (score(difference, scale)) } }
            }
        }
    }
}

/// A score with its sign, on a ground that is the stronger the further it is from 0.
fn score(value: f64, scale: f64) -> Markup {
    let strength = (100.0 * value.abs() / scale).min(100.0);
    html! {
        span.score .low[value < 0.0] style={ "--strength:" (format!("{strength:.0}%")) } { (minus(&format!("{value:+.2}"))) }
    }
}
