//! Wide tables, which have a row per prompt, and columns of responses and of scores for each
//! method.

use std::str::FromStr;

use tailguard_data::{GenerationColumns, Generations, Labels, Texts};

use crate::error::JudgingError;

/// The columns of a method of a wide table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodColumns {
    /// What the method is called.
    pub name: String,
    /// The column of its responses.
    pub response: String,
    /// The column of their scores, unless a model scores them.
    pub score: Option<String>,
}

impl FromStr for MethodColumns {
    type Err = &'static str;

    /// Reads `NAME=RESPONSE` or `NAME=RESPONSE:SCORE`: up to the first `=`, and from the last `:`
    /// on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected NAME=RESPONSE:SCORE or NAME=RESPONSE, a name and columns of the file";
        let (name, columns) = text.split_once('=').ok_or(wrong)?;
        let (response, score) = columns
            .rsplit_once(':')
            .map_or((columns, None), |(response, score)| (response, Some(score)));
        if name.is_empty() || response.is_empty() || score.is_some_and(str::is_empty) {
            return Err(wrong);
        }
        Ok(Self {
            name: name.to_owned(),
            response: response.to_owned(),
            score: score.map(str::to_owned),
        })
    }
}

/// Refuses a column of responses that a method is given twice, and scores that are given twice or
/// to some of the methods alone. A method with several columns has several texts of each prompt.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn check(
    methods: &[MethodColumns],
    has_model: bool,
    is_negated: bool,
) -> Result<(), JudgingError> {
    let mut columns: Vec<(&str, &str)> =
        methods.iter().map(|method| (method.name.as_str(), method.response.as_str())).collect();
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        let (name, column) = twice[0];
        let message = format!("--method {name} names the column {column:?} twice");
        return Err(JudgingError::refused(message));
    }
    let scored = methods.iter().filter(|method| method.score.is_some()).count();
    if scored > 0 && scored < methods.len() {
        let without =
            methods.iter().find(|method| method.score.is_none()).map_or("", |method| &method.name);
        let message = format!("--method {without} has no column of scores, and others have one");
        return Err(JudgingError::refused(message)
            .with_hint("name one for each method, as in NAME=RESPONSE:SCORE, or for none"));
    }
    if scored > 0 && has_model {
        let message = "--reward scores the texts, and --method names columns of scores";
        return Err(JudgingError::refused(message)
            .with_hint("leave --reward out, or the columns: --method NAME=RESPONSE"));
    }
    if is_negated && !methods.is_empty() && scored == 0 && !has_model {
        let message = "--negate is about scores, and --method names no column of them";
        return Err(JudgingError::refused(message)
            .with_hint("name it, as in NAME=RESPONSE:SCORE, or pass --reward"));
    }
    Ok(())
}

/// What is read of a file for one of its methods.
pub(crate) fn columns(method: &MethodColumns, common: &GenerationColumns) -> GenerationColumns {
    GenerationColumns {
        response: method.response.clone(),
        score: method.score.clone(),
        ..common.clone()
    }
}

/// One long table of the tables of several methods, which come one after the other; the first
/// column of groups is the method's name.
pub(crate) fn stacked(tables: Vec<(&str, Generations)>) -> Generations {
    let mut all = Generations::default();
    let mut names = Labels::default();
    for (place, (name, table)) in tables.into_iter().enumerate() {
        let rows = table.responses.len();
        (0..rows).for_each(|_| names.push(name));
        extend(&mut all.responses, &table.responses);
        if let Some(prompts) = &table.prompts {
            extend(all.prompts.get_or_insert_default(), prompts);
        }
        // said of each method of the same file
        let notes: Vec<String> =
            table.notes.into_iter().filter(|note| !all.notes.contains(note)).collect();
        all.notes.extend(notes);
        let scores = [
            (&mut all.scores, table.scores),
            (&mut all.prompt_scores, table.prompt_scores),
            (&mut all.judge, table.judge),
        ];
        for (to, from) in scores {
            if let Some(from) = from {
                to.get_or_insert_default().extend(from);
            }
        }
        if place == 0 {
            all.groups = vec![Labels::default(); table.groups.len()];
        }
        for (to, from) in all.groups.iter_mut().zip(&table.groups) {
            (0..rows).filter_map(|row| from.get(row)).for_each(|name| to.push(name));
        }
    }
    all.groups.insert(0, names);
    all
}

fn extend(to: &mut Texts, from: &Texts) {
    (0..from.len()).for_each(|row| to.push(from.get(row)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(text: &str) -> MethodColumns {
        text.parse().unwrap()
    }

    #[test]
    fn a_method_is_read_from_its_name_and_its_columns() {
        let parts = |text: &str| {
            text.parse().map(|MethodColumns { name, response, score }| (name, response, score)).ok()
        };
        let three = |a: &str, b: &str, c: Option<&str>| {
            Some((a.to_owned(), b.to_owned(), c.map(str::to_owned)))
        };
        assert_eq!(
            parts("RLHF=rlhf text:rlhf score"),
            three("RLHF", "rlhf text", Some("rlhf score"))
        );
        assert_eq!(parts("a=b"), three("a", "b", None));
        assert_eq!(parts("a=b=c:d:e"), three("a", "b=c:d", Some("e")));
        for wrong in ["", "a", "=b", "a=", "a=:c", "a=b:"] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn methods_have_names_of_their_own_and_scores_from_one_place() {
        let said = |methods: &[&str], has_model, is_negated| {
            let methods: Vec<_> = methods.iter().map(|text| method(text)).collect();
            check(&methods, has_model, is_negated)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(said(&[], true, true), "");
        assert_eq!(said(&["a=x:y", "b=z:w"], false, true), "");
        assert_eq!(said(&["a=x", "b=z"], true, true), "");
        assert_eq!(said(&["a=x", "b=x", "a=z"], false, false), "", "two texts a prompt");
        assert_eq!(
            said(&["a=x", "b=y", "a=x"], false, false),
            "--method a names the column \"x\" twice"
        );
        assert_eq!(
            said(&["a=x:y", "b=z"], false, false),
            "--method b has no column of scores, and others have one"
        );
        assert!(said(&["a=x:y"], true, false).starts_with("--reward scores the texts"));
        assert!(said(&["a=x"], false, true).starts_with("--negate is about scores"));
    }

    #[test]
    fn tables_are_stacked_in_order() {
        let table = |score: f64| {
            let mut seeds = Labels::default();
            ["1", "2"].iter().for_each(|seed| seeds.push(seed));
            Generations {
                prompts: Some([Some("p"), None].into_iter().collect()),
                responses: [None, Some("r")].into_iter().collect(),
                scores: Some(vec![Some(score), None]),
                groups: vec![seeds],
                ..Generations::default()
            }
        };
        let all = stacked(vec![("b", table(1.0)), ("a", table(2.0))]);
        assert_eq!(all.scores, Some(vec![Some(1.0), None, Some(2.0), None]));
        assert_eq!((all.judge, all.responses.len(), all.responses.get(3)), (None, 4, Some("r")));
        let prompts = all.prompts.unwrap();
        assert_eq!((prompts.get(2), prompts.get(3)), (Some("p"), None));
        let labels = |place: usize| {
            (0..4).map(|row| all.groups[place].get(row).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((labels(0), labels(1)), (vec!["b", "b", "a", "a"], vec!["1", "2", "1", "2"]));
    }
}
