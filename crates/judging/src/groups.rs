//! Rows that belong together: those of one method and one seed.

use std::collections::BTreeMap;

use tailguard_data::Generations;
use tailguard_report::by_name;

use crate::error::JudgingError;

/// The column that names the seed.
pub(crate) const SEED: &str = "seed";

/// The rows of one method and seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the method is called.
    pub method: String,
    /// The seed; `None` where the texts name none.
    pub seed: Option<u64>,
    /// Places in the table, from 0.
    pub rows: Vec<usize>,
}

/// What tells groups apart: the method and the seed.
type Key = (String, Option<u64>);

/// Puts rows of a method and seed together, in the order of the tables; `names` are the names of
/// the columns of `texts.groups`, and without any all rows are of `otherwise`.
///
/// # Errors
/// A seed that is no whole number.
pub(crate) fn groups(
    texts: &Generations,
    names: &[String],
    otherwise: &str,
) -> Result<Vec<Group>, JudgingError> {
    let mut groups: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    // neighbours are mostly of one group
    let mut last: Option<(Vec<&str>, Key)> = None;
    for row in 0..texts.responses.len() {
        let values: Vec<&str> = texts.groups.iter().filter_map(|labels| labels.get(row)).collect();
        let key = match &last {
            Some((same, key)) if *same == values => key.clone(),
            _ => key(&values, names, otherwise, row)?,
        };
        last = Some((values, key.clone()));
        groups.entry(key).or_default().push(row);
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|((method, seed), rows)| Group { method, seed, rows }).collect();
    groups.sort_by(|left, right| {
        by_name(&left.method, &right.method).then(left.seed.cmp(&right.seed))
    });
    Ok(groups)
}

fn key(
    values: &[&str],
    names: &[String],
    otherwise: &str,
    row: usize,
) -> Result<Key, JudgingError> {
    let is_seed = |place: usize, name: &String| place > 0 && name == SEED;
    let mut method = Vec::new();
    let mut seed = None;
    for (place, (name, value)) in names.iter().zip(values).enumerate() {
        if is_seed(place, name) {
            let wrong = || {
                JudgingError::failed(format!(
                    "column {SEED:?}, row {}: found {value:?}, expected a whole number",
                    row + 1
                ))
                .with_hint("fill it in, or name other columns with --group-by")
            };
            seed = Some(whole(value.trim()).ok_or_else(wrong)?);
        } else if place == 0 {
            method.push((*value).to_owned());
        } else {
            method.push(format!("{name} {value}"));
        }
    }
    Ok((if method.is_empty() { otherwise.to_owned() } else { method.join(", ") }, seed))
}

/// The seed that a field says. What Python's data frames make of a column with a gap is 1.0, the
/// same seed as 1.
fn whole(text: &str) -> Option<u64> {
    let digits = text
        .split_once('.')
        .filter(|(_, zeros)| zeros.bytes().all(|digit| digit == b'0'))
        .map_or(text, |(digits, _)| digits);
    digits.parse().ok()
}

/// The different seeds, in order.
pub(crate) fn seeds(groups: &[Group]) -> Vec<u64> {
    let mut seeds: Vec<u64> = groups.iter().filter_map(|group| group.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailguard_data::Labels;

    fn texts(columns: &[&[&str]]) -> Generations {
        let labels = |values: &&[&str]| {
            let mut labels = Labels::default();
            values.iter().for_each(|value| labels.push(value));
            labels
        };
        let responses = columns[0].iter().map(|_| Some("a")).collect();
        Generations {
            responses,
            groups: columns.iter().map(labels).collect(),
            ..Generations::default()
        }
    }

    #[test]
    fn rows_go_to_their_method_and_seed_in_any_order() {
        let texts = texts(&[&["b", "a", "b", "a"], &["2", "1", "10", "1"], &["x", "x", "y", "x"]]);
        let names = ["model", "seed", "data"].map(str::to_owned);
        let found = groups(&texts, &names, "file").unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|group| (group.method.as_str(), group.seed, group.rows.as_slice()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a, data x", Some(1), &[1, 3][..]),
                ("b, data x", Some(2), &[0]),
                ("b, data y", Some(10), &[2])
            ]
        );
        assert_eq!(seeds(&found), [1, 2, 10]);
    }

    #[test]
    fn methods_whose_names_are_numbers_are_ordered_by_them() {
        let found =
            groups(&texts(&[&["100", "20", "5", "10", "20"]]), &["step".to_owned()], "file")
                .unwrap();
        assert_eq!(
            found.iter().map(|group| group.method.as_str()).collect::<Vec<_>>(),
            ["5", "10", "20", "100"]
        );
    }

    #[test]
    fn without_columns_all_rows_are_of_the_file() {
        let mut all = texts(&[&["a", "b"]]);
        all.groups.clear();
        assert_eq!(
            groups(&all, &[], "file").unwrap(),
            [Group { method: "file".into(), seed: None, rows: vec![0, 1] }]
        );
    }

    #[test]
    fn a_seed_that_is_none_is_named_with_its_row() {
        let texts = texts(&[&["a", "a"], &["1", "x"]]);
        let message =
            groups(&texts, &["model".into(), "seed".into()], "file").unwrap_err().to_string();
        assert!(
            message.starts_with("column \"seed\", row 2: found \"x\", expected a whole number"),
            "{message}"
        );
        assert_eq!(
            ["7", "7.0", "7.", "7.5", "-1.0", ""].map(whole),
            [Some(7), Some(7), Some(7), None, None, None]
        );
    }
}
