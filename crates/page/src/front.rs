//! The page and the CSV of a front.

use maud::{Markup, html};
use tailguard_report::{Figure as Value, Front, FrontPoint, cell, csv_cell};

use crate::charts::palette::style;
use crate::charts::{Axis, Chart, Draw, Series, Size};
use crate::clean;
use crate::curves::Point;
use crate::error::PageError;
use crate::figures::{Figure, section};
use crate::page::frame;
use crate::table::{NOTHING, minus, shown};

/// The page of a front: one file of HTML that needs no other and no network.
///
/// # Errors
/// [`PageError::Chart`] for a chart that cannot be drawn.
pub fn front_page(front: &Front) -> Result<String, PageError> {
    let figure = Figure {
        id: "front",
        heading: "The front",
        caption: "What the best policy for each objective reaches at each KL to the reference, \
            from reweighted responses of the reference; no policy was trained for that. Bands and \
            bars are 95 % intervals over prompts. A line ends where the responses say no more. \
            Points that stand alone are trained policies, each by one response to each prompt; \
            those below a line leave something to win at their KL."
            .to_owned(),
        charts: charts(front),
    };
    let keys = keys(front);
    let body = html! {
        @if let Some(notice) = &front.notice {
            aside.notice role="note" { b { "Notice. " } (clean::line(notice)) }
        }
        (section(1, &figure)?)
        section #table {
            h2 { "Table" }
            (table(front, &keys, "", "What each policy reaches"))
            p.caption { "Means and their 95 % intervals over prompts, of the policies as they are. \
                The tail are the prompts whose own score is at most "
                (minus(&front.tail.threshold.to_string())) ": " (front.tail.prompts) "." }
        }
        section #gains {
            h2 { "Against the mean at the same KL" }
            (table(front, &keys, "gain_", "More than the best policy for the mean"))
            p.caption { "What each policy has more than the best policy for the mean reward that \
                is just as far from the reference, prompt by prompt." }
        }
        (limits(front))
    };
    let under = format!(
        "preset {} · {} prompts · {} responses to each · seed {}",
        clean::line(&front.preset),
        front.prompts,
        front.responses,
        front.seed
    );
    let links = [
        ("front", "The front"),
        ("table", "Table"),
        ("gains", "Against the mean"),
        ("limits", "Limits"),
    ];
    Ok(frame(&format!("Front of {}", clean::line(&front.task)), &under, &links, &body))
}

/// The rows of a front as CSV: `line,name,beta` and, of each figure, mean and interval.
#[must_use]
pub fn front_csv(front: &Front) -> String {
    let keys: Vec<String> = {
        let mut keys: Vec<String> = Vec::new();
        for (key, _) in front.points().flat_map(|(_, point)| point.figures()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    };
    let heads = keys.iter().map(|key| format!(",{key},{key}_low,{key}_high")).collect::<String>();
    let mut text = format!("line,name,beta,kl_where_spent,effective_responses{heads}\n");
    for (line, point) in front.points() {
        let number = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        text += &[
            csv_cell(line),
            csv_cell(&point.name),
            number(point.beta),
            number(point.kl_where_spent),
            number(point.effective_responses),
        ]
        .join(",");
        for key in &keys {
            let figure = value(point, key);
            let [low, high] =
                figure.and_then(|figure| figure.ci95).map_or([None; 2], |ci| ci.map(Some));
            let cells = [figure.map(|figure| figure.mean), low, high].map(number);
            text += &format!(",{}", cells.join(","));
        }
        text += "\n";
    }
    text
}

fn value(point: &FrontPoint, key: &str) -> Option<Value> {
    point.figures().find_map(|(name, figure)| (name == key).then_some(figure))
}

/// The figures of the reference, but for the KL.
fn keys(front: &Front) -> Vec<String> {
    front.reference.figures().map(|(key, _)| key).filter(|key| key != "kl").collect()
}

/// A chart for each figure.
fn charts(front: &Front) -> Vec<Chart> {
    let chart =
        |key: &String| {
            let at = |point: &FrontPoint| {
                let Value { mean: y, ci95: range, .. } = value(point, key)?;
                // the estimate of none may be a hair off
                Some(Point { x: point.kl.mean.max(0.0), y, range })
            };
            let joined = |points: &[FrontPoint]| -> Vec<Point> {
                std::iter::once(&front.reference).chain(points).filter_map(at).collect()
            };
            let line =
                |(name, points): (String, &[FrontPoint])| (name, joined(points), Draw::Joined);
            let lines = front
                .lines
                .iter()
                .map(|line| (clean::line(&line.objective), line.points.as_slice()))
                .chain([("best of n".to_owned(), front.best_of.as_slice())])
                .filter(|(_, points)| !points.is_empty())
                .map(line);
            let policies = front.policies.iter().map(|point| {
                (clean::line(&point.name), at(point).into_iter().collect(), Draw::Apart)
            });
            let series = (0..).zip(lines.chain(policies)).map(|(place, (name, points, draw))| {
                Series { name, style: style(place), points, draw }
            });
            Chart {
                id: format!("front-{}", key.replace(['_', '.'], "-")),
                title: title(key),
                x: Axis::new("KL to the reference, nats per response"),
                y: Axis::new("reward"),
                series: series.collect(),
                size: Size::Large,
            }
        };
    keys(front).iter().map(chart).collect()
}

fn title(key: &str) -> String {
    match key {
        "kl" => "KL".to_owned(),
        "reward" => "Mean reward".to_owned(),
        "tail" => "Mean reward in the tail".to_owned(),
        "judge" => "Judge’s score".to_owned(),
        "judge_tail" => "Judge’s score in the tail".to_owned(),
        other => other.replace("cvar_", "CVaR "),
    }
}

/// All policies that have these figures.
fn table(front: &Front, keys: &[String], prefix: &str, label: &str) -> Markup {
    let all: Vec<String> = match prefix {
        "" => std::iter::once("kl".to_owned()).chain(keys.iter().cloned()).collect(),
        _ => keys.to_vec(),
    };
    let keyed = |key: &String| format!("{prefix}{key}");
    let rows: Vec<_> = front
        .points()
        .filter(|(_, point)| value(point, &format!("{prefix}reward")).is_some())
        .collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.figures {
                thead { tr {
                    th.word scope="col" { "policy" }
                    @for key in &all { th scope="col" { (title(key)) } }
                } }
                tbody { @for (line, point) in &rows {
                    tr {
                        td.word { span.name {
                            @if !["reference", "best_of", "policy"].contains(line) {
                                (clean::line(line)) ", "
                            }
                            (clean::line(&point.name))
                        } }
                        @for key in &all {
                            td data-line=(clean::line(line)) data-key=(keyed(key)) {
                                @if let Some(figure) = value(point, &keyed(key)) {
                                    (shown(&cell(figure, 2), false))
                                } @else { (NOTHING) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// What the front does not say.
fn limits(front: &Front) -> Markup {
    let refused: Vec<String> = front
        .lines
        .iter()
        .flat_map(|line| {
            line.refused
                .iter()
                .map(|refused| format!("{}, beta {}", clean::line(&line.objective), refused.beta))
        })
        .collect();
    html! {
        section #limits {
            h2 { "Limits" }
            p { "With " (front.responses) " responses to a prompt, nothing is said of policies \
                that spend more than " (minus(&format!("{:.2}", front.most_kl)))
                " nats where they spend them: the best responses of so few are not as good as the \
                best of all, and gains would be understated. Up to there they are understated \
                little: by 5 % with 32 responses, and by 15 % with 8." }
            @if !refused.is_empty() {
                p { "Refused for that: " (refused.join("; ")) "." }
            }
            p { "A best policy is the best there is for these scores. No training need reach it, \
                and what pleases the reward model need not please anybody else: the judge’s \
                scores say how much of a gain a second scorer sees." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::front;

    #[test]
    fn the_page_has_a_line_for_each_objective_and_a_mark_for_each_policy() {
        let front = front();
        let page = front_page(&front).unwrap();
        assert_eq!(page.matches("<figure class=\"chart\">").count(), keys(&front).len());
        let chart = &charts(&front)[0];
        let drawn: Vec<(&str, usize, Draw)> = chart
            .series
            .iter()
            .map(|series| (series.name.as_str(), series.points.len(), series.draw))
            .collect();
        assert_eq!(
            drawn,
            [
                ("mean", 2, Draw::Joined),
                ("cvar = 0.1", 2, Draw::Joined),
                ("best of n", 2, Draw::Joined),
                ("<b>|\"x\"", 1, Draw::Apart)
            ]
        );
        assert!(page.contains("&lt;b&gt;|") && !page.contains("<b>|"), "a name is no markup");
        assert!(page.contains("data-line=\"cvar = 0.1\" data-key=\"gain_cvar_0.1\""));
        assert!(page.contains("Refused for that: cvar = 0.1, beta 0.01."));
    }

    #[test]
    fn the_csv_has_a_row_for_each_policy_and_a_cell_for_each_end() {
        let front = front();
        let text = front_csv(&front);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + front.points().count());
        assert!(
            lines[0].starts_with("line,name,beta,kl_where_spent,effective_responses,kl,kl_low,"),
            "{text}"
        );
        assert!(lines[0].contains(",gain_cvar_0.1,gain_cvar_0.1_low,gain_cvar_0.1_high"));
        assert!(lines[1].starts_with("reference,SFT,,0,20,0,-0.2,0.2,1,0.8,1.2,"), "{text}");
        assert!(lines[3].starts_with("cvar = 0.1,beta 0.15,0.15,"), "{text}");
        let of_policy = lines.last().unwrap();
        assert!(of_policy.starts_with("policy,\"<b>|\"\"x\"\"\",,"), "{of_policy}");
        // as many cells in every row, and none of a policy's gains
        assert!(of_policy.ends_with(",,,,,,"), "{of_policy}");
    }
}
