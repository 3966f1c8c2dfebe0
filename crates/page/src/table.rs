//! The tables of a run: the columns of those on standard output, with spreads.

use maud::{Markup, html};
use tailguard_report::{Figure, TableColumn, cell, table_columns};

use crate::clean;
use crate::model::{Policy, Run};

/// What a column is, for those who do not know it.
fn meaning(key: &str) -> &'static str {
    match key {
        "reward" => "mean raw logit of the reward model for prompt and response, over all prompts",
        "tail" => "the same over the prompts of the tail",
        "judge" => "mean score by the judge, a second model that no policy was trained on",
        "judge_tail" => "the same over the prompts of the tail",
        "perplexity_human" => "perplexity of the policy on human texts of the good class; lower is better",
        "perplexity_generated" => "perplexity of the policy’s texts under the base model",
        "kl" => "estimated KL divergence to SFT, nats per response",
        "distinct_1" => "different words as a share of all words of the policy’s texts",
        "distinct_2" => "different pairs of words as a share of all pairs",
        "distinct_3" => "different triples of words as a share of all triples",
        "length" => "tokens per response",
        "repeated_4gram" => "share of responses in which four words in a row come twice",
        "empty" => "share of responses that are blank",
        "duplicate" => "share of responses that equal another",
        _ => "",
    }
}

/// Columns in which the highest mean is set in bold.
const HIGHEST_IS_BEST: [&str; 4] = ["reward", "tail", "judge", "judge_tail"];

/// The figure of a policy, if it has it.
type Cell<'a> = dyn Fn(&Policy) -> Option<Figure> + 'a;

/// A column, and what it holds for a policy.
struct Column<'a> {
    key: String,
    head: String,
    digits: usize,
    figure: Box<Cell<'a>>,
}

/// The tables: how good the texts are, what they look like, the tails by other thresholds. Columns without a figure are left out.
pub(crate) fn tables(run: &Run) -> Markup {
    let results = &run.results;
    let column = |TableColumn { key, head, digits }: TableColumn| {
        let head = match (&results.tail, key) {
            (Some(tail), "tail") => minus(&tail_head(tail.threshold, tail.prompts)),
            _ => head.to_owned(),
        };
        let figure = move |policy: &Policy| results.figure(&policy.key, key);
        Column { key: key.to_owned(), head, digits, figure: Box::new(figure) }
    };
    let mut tables: Vec<Vec<Column<'_>>> =
        table_columns().into_iter().map(|columns| columns.into_iter().map(column).collect()).collect();
    // what this program does not know it can still show
    let known: Vec<String> = tables.iter().flatten().map(|column| column.key.clone()).collect();
    let unknown = |key: &str| {
        let own = key.to_owned();
        let figure = move |policy: &Policy| results.figure(&policy.key, &own);
        Column { key: key.to_owned(), head: clean::line(key), digits: 2, figure: Box::new(figure) }
    };
    tables.push(results.keys().into_iter().filter(|key| !known.iter().any(|known| known == key)).map(unknown).collect());
    let first = run.methods.first().map(|policy| results.other_tails(&policy.key)).unwrap_or_default();
    let other = |(place, tail): (usize, &tailguard_report::OtherTail)| Column {
        key: format!("other_tails.{place}"),
        head: minus(&tail_head(tail.threshold, tail.prompts)),
        digits: 2,
        figure: Box::new(move |policy: &Policy| results.other_tails(&policy.key).get(place)?.reward),
    };
    tables.push(first.iter().enumerate().map(other).collect());
    for columns in &mut tables {
        columns.retain(|column| run.methods.iter().any(|policy| (column.figure)(policy).is_some()));
    }
    tables.retain(|columns| !columns.is_empty());
    let spread = if results.over_seeds() {
        format!("Cells are the mean over {} seeds ± their standard deviation.", results.seeds.len())
    } else {
        "Cells are the mean and its 95 % bootstrap interval over prompts (or texts); with one seed nothing is known about other seeds.".to_owned()
    };
    html! {
        @for columns in &tables { (table(run, columns)) }
        p.caption {
            (spread) " Bold: the highest mean of a column in which higher is better, however close the others are. "
            "Pointing at a heading says what it is; so does the list below."
        }
        details.meanings {
            summary { "What the columns are" }
            dl {
                @for column in tables.iter().flatten().filter(|column| !meaning(&column.key).is_empty()) {
                    dt { (column.head) } dd { (meaning(&column.key)) }
                }
            }
        }
    }
}

fn table(run: &Run, columns: &[Column<'_>]) -> Markup {
    let best = |column: &Column<'_>| {
        let counts = HIGHEST_IS_BEST.contains(&column.key.as_str()) || column.key.starts_with("other_tails");
        let means = run.methods.iter().filter_map(|policy| (column.figure)(policy)).map(|figure| figure.mean);
        means.max_by(f64::total_cmp).filter(|_| counts)
    };
    let shown = |column: &Column<'_>, policy: &Policy| {
        let figure = (column.figure)(policy)?;
        let text = cell(figure, column.digits, run.results.seeds.len());
        let (mean, spread) =
            text.split_once(' ').map_or((text.clone(), String::new()), |(mean, spread)| (mean.into(), spread.into()));
        let is_best = best(column).is_some_and(|best| figure.mean.total_cmp(&best).is_eq());
        Some(html! {
            @if is_best { b { (minus(&mean)) } } @else { (minus(&mean)) }
            " " span.spread { (minus(&spread)) }
        })
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of figures" {
            table.figures {
                thead { tr {
                    th scope="col" { span.unseen { "policy" } }
                    @for column in columns {
                        th scope="col" title=[Some(meaning(&column.key)).filter(|text| !text.is_empty())] { (column.head) }
                    }
                } }
                tbody {
                    @for policy in &run.methods {
                        tr {
                            th scope="row" { (clean::line(&policy.label)) }
                            @for column in columns {
                                td data-method=(clean::line(&policy.key)) data-key=(column.key) {
                                    @if let Some(cell) = shown(column, policy) { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What stands over the mean reward of a tail, as in the tables on standard output.
pub(crate) fn tail_head(threshold: f64, prompts: usize) -> String {
    format!("tail ≤ {threshold} ({prompts} prompts)")
}

/// The number with a true minus sign.
pub(crate) fn minus(number: &str) -> String {
    number.replace('-', "\u{2212}")
}
