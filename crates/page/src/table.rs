//! The tables of a run: the columns of those on standard output, with spreads, and what one policy
//! gains over another.

use maud::{Markup, html};
use tailguard_report::{
    Comparison, EvaluatedTail, Figure, LengthUnit, OtherTail, TableColumn, cell, gain, number,
    percent, table_columns,
};

use crate::charts::plain;
use crate::clean;
use crate::policies::Policy;
use crate::run::{Run, Summary};

/// What a column is, for those who do not know it; empty where nobody knows.
fn meaning(key: &str, results: &Summary) -> String {
    let text = match key {
        "reward" if results.is_evaluation => "mean score of the texts",
        "reward" => "mean raw logit of the reward model for prompt and response, over all prompts",
        "tail" => {
            return results.tail.map_or_else(String::new, |tail| {
                format!("mean reward in the tail: {}", tail_words(tail))
            });
        }
        "cvar" => {
            let share = results.cvar_share.map_or_else(|| "a share".to_owned(), percent);
            return format!(
                "mean of the lowest {share} of the policy’s own rewards, whatever their prompts"
            );
        }
        "judge" if results.is_evaluation => "mean score by the judge, a second scorer",
        "judge" => "mean score by the judge, a second model that no policy was trained on",
        "judge_tail" => "the same in the tail",
        "perplexity_human" if results.is_evaluation => {
            "perplexity of the policy on human texts; lower is better"
        }
        "perplexity_human" => {
            "perplexity of the policy on human texts of the good class; lower is better"
        }
        "perplexity_generated" => "perplexity of the policy’s texts under the base model",
        "kl" => {
            return format!(
                "estimated KL divergence to {}, nats per response",
                results.reference()
            );
        }
        "distinct_1" => "different words as a share of all words of the policy’s texts",
        "distinct_2" => "different pairs of words as a share of all pairs",
        "distinct_3" => "different triples of words as a share of all triples",
        "length" if results.length_unit == LengthUnit::Words => "words per response",
        "length" => "tokens per response",
        "repeated_4gram" => "share of responses in which four words in a row come twice",
        "empty" => "share of responses that are blank",
        "duplicate" => "share of responses that equal another",
        "making_tokens" => {
            "tokens that were sampled to make the policy and all that it was made from"
        }
        "making_rewards" => "texts that the reward model has scored to make these",
        "answer_tokens" => "tokens that are sampled for an answer, kept or not",
        "answer_rewards" => "texts that the reward model scores for an answer",
        "kl_bound" => {
            return format!(
                "what KL to {} does not exceed, in nats per response: known, not measured",
                results.reference()
            );
        }
        _ => "",
    };
    text.to_owned()
}

/// What the tail is.
pub(crate) fn tail_words(tail: EvaluatedTail) -> String {
    let text = match tail {
        EvaluatedTail::PromptScores { threshold, share, prompts } => {
            let prompts = match prompts {
                None => "the prompts".to_owned(),
                Some(1) => "the one prompt".to_owned(),
                Some(prompts) => format!("the {prompts} prompts"),
            };
            // a quantile has more digits than one wants to read
            let threshold =
                if share.is_some() { plain(threshold, 3) } else { threshold.to_string() };
            let share = share
                .map(|share| format!(" (the lowest {} of all)", percent(share)))
                .unwrap_or_default();
            format!("{prompts} whose own score is at most {threshold}{share}")
        }
        EvaluatedTail::OwnScores { threshold } => {
            format!("each policy’s texts that themselves score at most {threshold}")
        }
        EvaluatedTail::LowestScores { share } => {
            format!("each policy’s texts with the lowest {} of its scores", percent(share))
        }
    };
    minus(&text)
}

/// Columns in which the highest mean is set in bold.
const HIGHEST_IS_BEST: [&str; 5] = ["reward", "tail", "cvar", "judge", "judge_tail"];

/// The figure of a policy, if it has it.
type Cell<'a> = dyn Fn(&Policy) -> Option<Figure> + 'a;

/// A column, and what it holds for a policy.
struct Column<'a> {
    key: String,
    head: String,
    digits: usize,
    figure: Box<Cell<'a>>,
}

/// The tables: how good the texts are, what they look like, what they cost, what else there is, the
/// tails by other thresholds, and what one policy gains over another. Columns without a figure are
/// left out.
pub(crate) fn tables(run: &Run) -> Markup {
    let results = &run.results;
    let column = |column: TableColumn| {
        let TableColumn { key, digits, .. } = column;
        let figure = move |policy: &Policy| results.figure(&policy.key, key);
        Column {
            key: key.to_owned(),
            head: head(results, &column),
            digits,
            figure: Box::new(figure),
        }
    };
    let [quality, texts, costs] =
        table_columns().map(|columns| columns.into_iter().map(column).collect::<Vec<_>>());
    // what this program does not know it can still show
    let known: Vec<String> =
        [&quality, &texts, &costs].into_iter().flatten().map(|column| column.key.clone()).collect();
    let unknown = |key: &str| {
        let own = key.to_owned();
        let figure = move |policy: &Policy| results.figure(&policy.key, &own);
        Column { key: key.to_owned(), head: clean::line(key), digits: 2, figure: Box::new(figure) }
    };
    let others = results
        .keys()
        .into_iter()
        .filter(|key| !known.iter().any(|known| known == key))
        .map(unknown)
        .collect();
    let first =
        run.methods.first().map(|policy| results.other_tails(&policy.key)).unwrap_or_default();
    let other_tail = |(place, &OtherTail { threshold, prompts, .. }): (usize, &OtherTail)| Column {
        key: format!("other_tails.{place}"),
        head: minus(
            &EvaluatedTail::PromptScores { threshold, share: None, prompts: Some(prompts) }.head(),
        ),
        digits: 2,
        figure: Box::new(move |policy: &Policy| {
            results.other_tails(&policy.key).get(place)?.reward
        }),
    };
    let other_tails = first.iter().enumerate().map(other_tail).collect();
    let mut tables: [(&str, Vec<Column<'_>>); 5] = [
        ("How good the texts are", quality),
        ("What the texts look like", texts),
        ("What the policies cost", costs),
        ("Other figures", others),
        ("Tails by other thresholds", other_tails),
    ];
    // where the tail is CVaR it stands there already
    let is_tail = |key: &str| {
        key == "cvar" && matches!(results.tail, Some(EvaluatedTail::LowestScores { .. }))
    };
    for (_, columns) in &mut tables {
        columns.retain(|column| {
            !is_tail(&column.key)
                && run.methods.iter().any(|policy| (column.figure)(policy).is_some())
        });
    }
    let meanings = tables
        .iter()
        .flat_map(|(_, columns)| columns)
        .map(|column| (&column.head, meaning(&column.key, results)));
    let spread = if results.has_seeds() {
        format!(
            "Cells are the mean over {} seeds and its 95 % interval, over prompts (or texts) and \
             seeds.",
            results.seeds.len()
        )
    } else {
        "Cells are the mean and its 95 % interval over prompts (or texts); with one seed nothing \
         is known about other seeds."
            .to_owned()
    };
    html! {
        @for (name, columns) in tables.iter().filter(|(_, columns)| !columns.is_empty()) {
            (table(run, name, columns))
        }
        p.caption {
            (spread) " Bold: the highest mean of a column in which higher is better, however \
                close the others are. "
            "Pointing at a heading says what it is, as does the list below; pointing at a cell, \
             its standard error."
        }
        details.meanings {
            summary { "What the columns are" }
            dl {
                @for (head, meaning) in meanings.filter(|(_, meaning)| !meaning.is_empty()) {
                    dt { (head) }
                    dd { (meaning) }
                }
            }
        }
        (gains(run))
    }
}

/// What stands over a column, as a page writes it.
fn head(results: &Summary, column: &TableColumn) -> String {
    let head = results.head(column);
    // other heads have hyphens
    if column.key == "tail" { minus(&head) } else { head }
}

fn table(run: &Run, name: &str, columns: &[Column<'_>]) -> Markup {
    let best = |column: &Column<'_>| {
        let counts =
            HIGHEST_IS_BEST.contains(&column.key.as_str()) || column.key.starts_with("other_tails");
        let means = run
            .methods
            .iter()
            .filter_map(|policy| (column.figure)(policy))
            .map(|figure| figure.mean);
        means.max_by(f64::total_cmp).filter(|_| counts)
    };
    let is_best = |column: &Column<'_>, figure: Figure| {
        best(column).is_some_and(|best| figure.mean.total_cmp(&best).is_eq())
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table.figures {
                thead { tr {
                    th scope="col" { span.unseen { "policy" } }
                    @for column in columns {
                        @let meaning = meaning(&column.key, &run.results);
                        th scope="col" title=[Some(meaning).filter(|text| !text.is_empty())] {
                            (column.head)
                        }
                    }
                } }
                tbody {
                    @for policy in &run.methods {
                        tr {
                            th scope="row" { span.name { (clean::line(&policy.label)) } }
                            @for column in columns {
                                @let figure = (column.figure)(policy);
                                @let title =
                                    figure.and_then(|figure| errors(figure, column.digits));
                                td data-method=(clean::line(&policy.key)) data-key=(column.key)
                                    title=[title] {
                                    @if let Some(figure) = figure {
                                        (shown(
                                            &cell(figure, column.digits),
                                            is_best(column, figure),
                                        ))
                                    } @else { (NOTHING) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What a figure's cell has no room for.
fn errors(figure: Figure, digits: usize) -> Option<String> {
    // one more digit, as they are smaller
    let said =
        |what: &str, size: Option<f64>| Some(format!("{what} {}", number(size?, digits + 1)));
    let all = [
        said("standard error", figure.se),
        said("standard deviation of the seeds", figure.seeds_std),
    ];
    Some(all.into_iter().flatten().collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

/// What stands where there is no figure.
pub(crate) const NOTHING: &str = "–";

/// A figure in its cell: the mean, and its spread smaller.
pub(crate) fn shown(text: &str, is_best: bool) -> Markup {
    let (mean, spread) = text.split_once(' ').unwrap_or((text, ""));
    html! {
        @if is_best { b { (minus(mean)) } } @else { (minus(mean)) }
        " " span.spread { (minus(spread)) }
    }
}

/// What one policy gains over another, prompt by prompt.
fn gains(run: &Run) -> Markup {
    let comparisons = &run.results.comparisons;
    let label = |key: &str| {
        run.policy(key).map_or_else(|| clean::line(key), |policy| clean::line(&policy.label))
    };
    let all = |comparison: &Comparison| comparison.differences().collect::<Vec<_>>();
    let mut heads: Vec<(&str, String)> = Vec::new();
    for (key, name, ..) in comparisons.iter().flat_map(all) {
        if !heads.iter().any(|(known, _)| *known == key) {
            heads.push((key, name));
        }
    }
    html! {
        @if !comparisons.is_empty() {
            h3 { "What one gains over another" }
            div.scroll tabindex="0" role="region" aria-label="What one gains over another" {
                table.figures.gains {
                    thead { tr {
                        th scope="col" { span.unseen { "policies" } }
                        th scope="col" { "prompts" }
                        @for (_, head) in &heads { th scope="col" { (head) } }
                    } }
                    tbody {
                        @for comparison in comparisons {
                            @let Comparison { method, over, .. } = comparison;
                            tr data-gain={ (clean::line(method)) "/" (clean::line(over)) } {
                                th scope="row" { span.name { (label(method)) " − " (label(over)) } }
                                td { (comparison.prompts) }
                                @for (head, _) in &heads {
                                    @match comparison.differences().find(|(key, ..)| key == head) {
                                        Some((key, _, digits, figure)) => {
                                            td data-key=(key) title=[errors(figure, digits)] {
                                                (shown(&gain(figure, digits), false))
                                            }
                                        }
                                        None => { td { (NOTHING) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p.caption {
                "Mean differences on the same prompts (of ppl human, on the same texts), with \
                 their 95 % intervals "
                @if run.results.has_seeds() { "over prompts and seeds." }
                @else { "over prompts, given the policies that this seed has trained." }
            }
        } @else if run.methods.len() > 1 {
            p.remark { "The policies were not compared prompt by prompt (results.json has no \
                comparisons), so nothing is said of what one gains over another." }
        }
    }
}

/// The number with a true minus sign.
pub(crate) fn minus(number: &str) -> String {
    number.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files, run};

    #[test]
    fn gains_stand_beneath_the_tables_with_their_intervals() {
        let text = tables(&run(Kind::Gain)).into_string();
        assert!(
            text.contains("RA-RLHF − RLHF")
                && text.contains("+0.50 <span class=\"spread\">[0.40, 0.60]</span>"),
            "{text}"
        );
        assert!(
            text.contains(">judge in the tail</th>")
                && !text.contains(">ppl human</th><th scope=\"col\">KL"),
            "{text}"
        );
        assert!(
            text.contains("title=\"standard error 0.050\"")
                && text.contains("given the policies that this seed"),
            "{text}"
        );
        let text = tables(&run(Kind::Seeds)).into_string();
        assert!(
            text.contains("[−4.00, 5.00]") && text.contains("over prompts and seeds."),
            "{text}"
        );
        let text = tables(&run(Kind::Others)).into_string();
        assert!(
            !text.contains("What one gains over another")
                && text.contains("results.json has no comparisons"),
            "{text}"
        );
    }

    #[test]
    fn an_evaluation_says_which_tail_and_which_unit_and_shows_a_dash_for_what_is_unknown() {
        let mut files = files(Kind::Gain);
        let mut results: serde_json::Value = serde_json::from_str(&files.results).unwrap();
        results["kind"] = "evaluation".into();
        results["tail"] = serde_json::json!({"by": "own_scores", "threshold": -2.5});
        results["length_unit"] = "words".into();
        results["cvar_share"] = 0.125.into();
        results["methods"]["sft"]["length"] = results["methods"]["sft"]["reward"].clone();
        results["methods"]["sft"]["cvar"] = results["methods"]["sft"]["reward"].clone();
        results["methods"]["gpt2"]["reward"] = serde_json::Value::Null;
        files.results = results.to_string();
        let text = tables(&Run::new(files.clone()).unwrap()).into_string();
        for said in [
            "tail: rewards ≤ −2.5",
            "CVaR 12.5 %",
            "length (words)",
            "words per response",
            "mean score of the texts",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(text.contains("data-method=\"gpt2\" data-key=\"reward\">–</td>"), "{text}");
        results["tail"] = serde_json::json!({"by": "lowest_scores", "share": 0.125});
        files.results = results.to_string();
        let text = tables(&Run::new(files).unwrap()).into_string();
        assert!(
            text.contains("tail: CVaR 12.5 % of the rewards")
                && !text.contains("data-key=\"cvar\""),
            "{text}"
        );
    }
}
