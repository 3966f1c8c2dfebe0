//! The tables of a front, for a terminal.

use crate::figure::{Figure, cell, number};
use crate::front::{Front, FrontPoint};
use crate::grid::{Row, Style, grid};
use crate::table::tail_head;
use crate::terminal::one_line;

/// The tables of a front, with an empty line between them: what each policy reaches, and what it
/// has more than the best policy for the mean at the same KL. What was refused stands beneath.
///
/// Figures of the first table are given without their intervals, which `front.json` has.
#[must_use]
pub fn front_table(front: &Front, style: Style) -> String {
    let rows: Vec<Row<'_, FrontPoint>> =
        front.points().map(|(line, point)| row(line, point)).collect();
    let head = |key: &str| match key {
        "kl" => "KL".to_owned(),
        "tail" => tail_head(front.tail.threshold, Some(front.tail.prompts)),
        other => other.replace("cvar_", "CVaR ").replace('_', " "),
    };
    let keys: Vec<String> =
        front.reference.figures().map(|(key, _)| key).filter(|key| key != "judge_tail").collect();
    let value = |point: &FrontPoint, key: &str| -> Option<Figure> {
        point.figures().find_map(|(name, figure)| (name == key).then_some(figure))
    };
    let mean_cells = |row: &Row<'_, FrontPoint>| {
        let mean = |key: &String| {
            value(row.figures, key).map_or("-".to_owned(), |figure| number(figure.mean, 2))
        };
        keys.iter().map(mean).collect()
    };
    let mut tables =
        vec![grid(style, keys.iter().map(|key| head(key)).collect(), &rows, mean_cells)];
    let gained: Vec<Row<'_, FrontPoint>> =
        rows.into_iter().filter(|row| row.figures.gains.is_some()).collect();
    if !gained.is_empty() {
        let gains: Vec<&String> = keys.iter().filter(|key| *key != "kl").collect();
        let cells = |row: &Row<'_, FrontPoint>| {
            let gain = |key: &&String| {
                value(row.figures, &format!("gain_{key}"))
                    .map_or("-".to_owned(), |figure| cell(figure, 2))
            };
            gains.iter().map(gain).collect()
        };
        let heads = gains.iter().map(|key| head(key)).collect();
        let table = grid(style, heads, &gained, cells);
        tables.push(format!("More than the best policy for the mean at the same KL:\n{table}"));
    }
    let refused: String = front
        .lines
        .iter()
        .flat_map(|line| line.refused.iter().map(move |refused| (line, refused)))
        .map(|(line, refused)| {
            format!(
                "refused: {}, beta {}: the KL where it is spent is {} nats, and {} responses to \
                 a prompt say something up to {}\n",
                one_line(&line.objective),
                refused.beta,
                number(refused.kl_where_spent, 2),
                front.responses,
                number(front.most_kl, 2)
            )
        })
        .collect();
    tables.extend((!refused.is_empty()).then_some(refused));
    tables.join("\n")
}

/// The row of a policy, under its name and that of its line.
fn row<'a>(line: &str, point: &'a FrontPoint) -> Row<'a, FrontPoint> {
    let name = match line {
        "reference" | "best_of" | "policy" => one_line(&point.name),
        line => one_line(&format!("{line}, {}", point.name)),
    };
    Row { name, figures: point }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::front::{FrontGains, FrontKind, FrontLine, FrontRefused};
    use crate::results::Tail;

    fn figure(mean: f64) -> Figure {
        Figure { mean, se: Some(0.1), ci95: Some([mean - 0.2, mean + 0.2]), seeds_std: None }
    }

    fn point(name: &str, kl: f64, beta: Option<f64>) -> FrontPoint {
        FrontPoint {
            name: name.to_owned(),
            beta,
            kl: figure(kl),
            kl_where_spent: Some(kl),
            effective_responses: Some(20.0),
            reward: figure(1.0 + kl),
            tail: Some(figure(kl - 1.0)),
            judge: None,
            judge_tail: None,
            cvar: IndexMap::from([("0.1".to_owned(), figure(kl - 2.0))]),
            gains: None,
        }
    }

    fn front() -> Front {
        let gains = FrontGains {
            beta: 0.4,
            reward: figure(-0.25),
            tail: Some(figure(0.5)),
            judge: None,
            judge_tail: None,
            cvar: IndexMap::from([("0.1".to_owned(), figure(0.75))]),
        };
        let cvar = FrontPoint { gains: Some(gains), ..point("beta 0.15", 0.75, Some(0.15)) };
        Front {
            kind: FrontKind::Front,
            task: "imdb".into(),
            preset: "smoke".into(),
            data: "embedded".into(),
            split: "test".into(),
            notice: None,
            device: "flex".into(),
            seed: 1,
            prompts: 8,
            responses: 4,
            tail: Tail { threshold: -2.5, prompts: 3 },
            most_kl: 0.69,
            reference: point("SFT", 0.0, None),
            lines: vec![
                FrontLine {
                    objective: "mean".into(),
                    points: vec![point("beta 0.5", 0.5, Some(0.5))],
                    refused: vec![],
                },
                FrontLine {
                    objective: "cvar = 0.1".into(),
                    points: vec![cvar],
                    refused: vec![FrontRefused { beta: 0.01, kl: 0.9, kl_where_spent: 1.25 }],
                },
            ],
            best_of: vec![point("best of 2", 0.19, None)],
            policies: vec![point("a|b", 2.0, None)],
        }
    }

    #[test]
    fn each_policy_has_its_row_and_each_gain_its_interval() {
        let text = front_table(&front(), Style::Plain);
        let lines: Vec<&str> = text.lines().collect();
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            cells(lines[0]),
            ["KL", "reward", "tail", "≤", "-2.5", "(3", "prompts)", "CVaR", "0.1"]
        );
        assert_eq!(cells(lines[1]), ["SFT", "0.00", "1.00", "-1.00", "-2.00"]);
        assert_eq!(cells(lines[2])[..3], ["mean,", "beta", "0.5"]);
        assert_eq!(cells(lines[3])[3..], ["beta", "0.15", "0.75", "1.75", "-0.25", "-1.25"]);
        assert_eq!(cells(lines[4])[..3], ["best", "of", "2"]);
        assert_eq!(lines.len(), 12, "{text}");
        assert!(
            lines[9].contains("-0.25 [-0.45, -0.05]") && lines[9].ends_with("0.75 [0.55, 0.95]")
        );
        assert_eq!(
            text.lines().last(),
            Some(
                "refused: cvar = 0.1, beta 0.01: the KL where it is spent is 1.25 nats, and 4 \
                 responses to a prompt say something up to 0.69"
            )
        );
    }

    #[test]
    fn the_file_reads_back_and_holds_no_infinity() {
        let mut front = front();
        let text = front.to_json().unwrap();
        assert_eq!(serde_json::from_str::<Front>(&text).unwrap(), front);
        assert!(text.contains("\"kind\": \"front\""));
        front.best_of[0].reward.mean = f64::NAN;
        let message = front.to_json().unwrap_err().to_string();
        assert_eq!(message, "a figure of best_of, best of 2 is NaN, expected a finite number");
    }
}
