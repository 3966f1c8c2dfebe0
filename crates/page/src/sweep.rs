//! A sweep: the policies of all its runs, each with the settings of the grid that concern it, as a
//! table for a terminal, for spreadsheets and for programs.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use tailguard_report::{Figure, cell, csv_cell, table_columns};

use crate::clean;
use crate::error::PageError;
use crate::policies::Policy;
use crate::run::Run;
use crate::tail_against_kl::{WORST_HEAD, WORST_KEY, place};

/// A run of a sweep.
#[derive(Clone, Debug)]
pub struct SweptRun {
    /// The run, called as its directory.
    pub run: Run,
    /// The keys of the grid and their values at this point.
    pub values: Vec<(String, String)>,
}

/// The policies of a sweep: of each point of the grid those that it has made for itself.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The keys of the grid, in its order.
    pub(crate) keys: Vec<String>,
    pub(crate) runs: Vec<SweptRun>,
    pub(crate) rows: Vec<Row>,
}

/// A policy of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) policy: Policy,
    /// The values of the keys; nothing for one that does not concern it.
    pub(crate) values: Vec<Option<String>>,
    /// Which of the runs has it, the first where several have.
    pub(crate) run: usize,
    /// The mean of its worst texts.
    pub(crate) worst: Option<Figure>,
}

/// A column: its key, what stands over it, digits behind the point.
pub(crate) struct Column {
    pub(crate) key: String,
    pub(crate) head: String,
    pub(crate) digits: usize,
}

impl Sweep {
    /// The policies of these runs; `concerned` says of an arm which keys of the grid concern it. Of
    /// others it has one policy, whatever their values.
    ///
    /// # Errors
    /// [`PageError::Metrics`] for texts whose numbers are none.
    pub fn new(
        keys: Vec<String>,
        runs: Vec<SweptRun>,
        concerned: impl Fn(&str) -> Vec<String>,
    ) -> Result<Self, PageError> {
        let mut rows: Vec<Row> = Vec::new();
        for (nth, SweptRun { run, values }) in runs.iter().enumerate() {
            for policy in &run.methods {
                let of_arm = concerned(&policy.key);
                let value = |key: &String| {
                    let (_, value) = values.iter().find(|(of_point, _)| of_point == key)?;
                    of_arm.contains(key).then(|| value.clone())
                };
                let values: Vec<Option<String>> = keys.iter().map(value).collect();
                let is_there = |row: &Row| row.policy.key == policy.key && row.values == values;
                if rows.iter().any(is_there) {
                    continue;
                }
                let worst = place(run, policy)?.and_then(|place| place.cvar);
                rows.push(Row { policy: policy.clone(), values, run: nth, worst });
            }
        }
        // arm by arm, and within it in the order of the grid
        let first = |key: &str| rows.iter().position(|row| row.policy.key == key);
        let order: Vec<Option<usize>> = rows.iter().map(|row| first(&row.policy.key)).collect();
        let mut sorted: Vec<(Option<usize>, Row)> = order.into_iter().zip(rows).collect();
        sorted.sort_by_key(|(place, _)| *place);
        let rows = sorted.into_iter().map(|(_, row)| row).collect();
        Ok(Self { keys, runs, rows })
    }

    /// A figure of a policy.
    pub(crate) fn figure(&self, row: &Row, key: &str) -> Option<Figure> {
        if key == WORST_KEY {
            return row.worst;
        }
        self.runs[row.run].run.results.figure(&row.policy.key, key)
    }

    /// The columns of the first table of a run for which there is a figure, and the worst texts
    /// behind the tail.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let [quality, ..] = table_columns();
        let mut columns: Vec<Column> = quality
            .into_iter()
            .map(|column| Column {
                key: column.key.to_owned(),
                head: self.runs.first().map_or_else(
                    || column.head.to_owned(),
                    |swept| swept.run.results.head(&column),
                ),
                digits: column.digits,
            })
            .collect();
        let worst = Column { key: WORST_KEY.to_owned(), head: WORST_HEAD.to_owned(), digits: 2 };
        columns.insert(2.min(columns.len()), worst);
        columns
            .retain(|column| self.rows.iter().any(|row| self.figure(row, &column.key).is_some()));
        columns
    }

    /// A row for each policy, as text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let columns = self.columns();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let keys = self.keys.iter().map(|key| right(clean::line(key)));
        let heads = columns.iter().map(|column| right(column.head.clone()));
        table.set_header([Cell::new("")].into_iter().chain(keys).chain(heads));
        for row in &self.rows {
            let values = row.values.iter().map(|value| right(shown(value.as_deref())));
            let cells = columns.iter().map(|column| {
                let figure = self.figure(row, &column.key);
                right(figure.map_or_else(|| "-".to_owned(), |figure| cell(figure, column.digits)))
            });
            let name = Cell::new(clean::line(&row.policy.label));
            table.add_row([name].into_iter().chain(values).chain(cells));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }

    /// A row for each policy: arm, title, the keys, the run, and of each figure the mean and the
    /// ends of its 95 % interval.
    #[must_use]
    pub fn csv(&self) -> String {
        let columns = self.columns();
        let keys = self.keys.iter().map(|key| csv_cell(key));
        let figures = columns.iter().flat_map(|Column { key, .. }| {
            [key.clone(), format!("{key}_low"), format!("{key}_high")]
        });
        let mut head = vec!["arm".to_owned(), "title".to_owned()];
        head.extend(keys.chain(["run".to_owned()]).chain(figures));
        let mut text = head.join(",") + "\n";
        for row in &self.rows {
            let mut cells = vec![csv_cell(&row.policy.key), csv_cell(&row.policy.label)];
            cells.extend(
                row.values.iter().map(|value| value.as_deref().map(csv_cell).unwrap_or_default()),
            );
            cells.push(csv_cell(&self.runs[row.run].run.name));
            for Column { key, .. } in &columns {
                let figure = self.figure(row, key);
                let ends = figure.and_then(|figure| figure.ci95);
                cells.push(figure.map(|figure| figure.mean.to_string()).unwrap_or_default());
                for end in 0..2 {
                    cells.push(ends.map(|ends| ends[end].to_string()).unwrap_or_default());
                }
            }
            text += &(cells.join(",") + "\n");
        }
        text
    }

    /// The grid, its runs, and a row for each policy with its figures by the keys of
    /// `results.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let named = |values: &[Option<String>]| -> Map<String, Value> {
            let named = self.keys.iter().zip(values);
            named.filter_map(|(key, value)| Some((key.clone(), json!(value.as_ref()?)))).collect()
        };
        let columns = self.columns();
        let row = |row: &Row| {
            let figures: Map<String, Value> = columns
                .iter()
                .filter_map(|column| {
                    Some((column.key.clone(), json!(self.figure(row, &column.key)?)))
                })
                .collect();
            json!({
                "arm": row.policy.key,
                "title": row.policy.label,
                "over": named(&row.values),
                "run": self.runs[row.run].run.name,
                "figures": figures,
            })
        };
        let runs = self.runs.iter().map(|SweptRun { run, values }| {
            let values: Map<String, Value> =
                values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            json!({ "run": run.name, "over": values })
        });
        json!({
            "keys": self.keys,
            "runs": runs.collect::<Vec<_>>(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// A value of the grid as tables show it.
pub(crate) fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "-".to_owned(), clean::line)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fixtures::{Kind, files};

    /// Two points over a key that concerns the two arms of PPO: RA-RLHF is ahead at the first and
    /// behind at the second.
    pub(crate) fn sweep() -> Sweep {
        let point = |name: &str, kind, value: &str| {
            let mut files = files(kind);
            files.name = name.to_owned();
            SweptRun {
                run: Run::new(files).unwrap(),
                values: vec![("ppo.kl_coef".to_owned(), value.to_owned())],
            }
        };
        let runs = vec![point("point-1", Kind::Gain, "0.1"), point("point-2", Kind::Loss, "0.2")];
        let concerned = |arm: &str| match arm {
            "rlhf" | "ra_rlhf" => vec!["ppo.kl_coef".to_owned()],
            _ => Vec::new(),
        };
        Sweep::new(vec!["ppo.kl_coef".to_owned()], runs, concerned).unwrap()
    }

    #[test]
    fn an_arm_that_no_key_concerns_has_one_row() {
        let sweep = sweep();
        let rows: Vec<(&str, Option<&str>, usize)> = sweep
            .rows
            .iter()
            .map(|row| (row.policy.key.as_str(), row.values[0].as_deref(), row.run))
            .collect();
        assert_eq!(
            rows,
            [
                ("gpt2", None, 0),
                ("sft", None, 0),
                ("rlhf", Some("0.1"), 0),
                ("rlhf", Some("0.2"), 1),
                ("ra_rlhf", Some("0.1"), 0),
                ("ra_rlhf", Some("0.2"), 1),
            ]
        );
    }

    #[test]
    fn the_table_has_the_grid_and_the_figures_of_each_run() {
        let text = sweep().table();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("ppo.kl_coef") && lines[0].contains("CVaR 10 %"), "{text}");
        // the reward, the tail and the four lowest of 40 rewards
        let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(2)[..3], ["SFT", "-", "0.50"]);
        assert_eq!(words(5)[..3], ["RA-RLHF", "0.1", "1.50"]);
        assert_eq!(words(6)[..3], ["RA-RLHF", "0.2", "0.50"]);
        assert_eq!(words(6)[8], "0.00", "CVaR of the second: {text}");
    }

    #[test]
    fn the_spreadsheet_has_a_row_per_policy_and_three_cells_per_figure() {
        let text = sweep().csv();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(
            rows[0][..7],
            ["arm", "title", "ppo.kl_coef", "run", "reward", "reward_low", "reward_high"]
        );
        assert_eq!(rows[6][..7], ["ra_rlhf", "RA-RLHF", "0.2", "point-2", "0.5", "0.25", "0.75"]);
        assert_eq!(rows[1][2..4], ["", "point-1"]);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let json = sweep().to_json();
        assert_eq!(json["keys"], json!(["ppo.kl_coef"]));
        assert_eq!(json["runs"][1], json!({"run": "point-2", "over": {"ppo.kl_coef": "0.2"}}));
        let row = &json["rows"][5];
        assert_eq!((&row["arm"], &row["run"]), (&json!("ra_rlhf"), &json!("point-2")));
        assert_eq!(row["over"], json!({"ppo.kl_coef": "0.2"}));
        assert_eq!(row["figures"]["reward"]["mean"], json!(0.5));
        assert_eq!(row["figures"][WORST_KEY]["mean"], json!(0.0));
        assert_eq!(json["rows"][1]["over"], json!({}));
    }
}
