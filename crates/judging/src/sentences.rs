//! Sentences about many methods, and lists of many names.

/// A line each is said of so many methods; of more, one line for all.
const LINES: usize = 3;
/// Names that stand for a long list of them.
const NAMES: usize = 3;

/// What is said of methods, all of it of one kind: the method, and a whole sentence about it. Where
/// it is said of many, the first sentence stands for all.
pub(crate) fn folded<M: AsRef<str>>(said: &[(M, String)]) -> Vec<String> {
    match said {
        [(_, first), others @ ..] if said.len() > LINES => {
            vec![format!(
                "{first}; likewise, with numbers of their own, {}",
                some(others.iter().map(|(method, _)| method))
            )]
        }
        _ => said.iter().map(|(_, sentence)| sentence.clone()).collect(),
    }
}

/// The first of these names, and how many more there are.
pub(crate) fn some<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(NAMES).map(|name| name.as_ref().to_owned()).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_many_methods_is_one_line() {
        let said = |count: usize| -> Vec<_> {
            (0..count).map(|step| (step.to_string(), format!("{step}: no figure"))).collect()
        };
        assert_eq!(folded(&said(0)), Vec::<String>::new());
        assert_eq!(folded(&said(3)), ["0: no figure", "1: no figure", "2: no figure"]);
        assert_eq!(
            folded(&said(4)),
            ["0: no figure; likewise, with numbers of their own, 1, 2, 3"]
        );
        assert_eq!(
            folded(&said(5_000)),
            ["0: no figure; likewise, with numbers of their own, 1, 2, 3 and 4996 more"]
        );
    }
}
