//! The order in which methods are listed: by their names, with numbers in them by size.

use std::cmp::Ordering;

/// Compares two names as people sort them: `step 5` comes before `step 10`, and 0.25 before 0.5.
/// Names that differ in how a number is written alone (1 and 1.0) are compared as texts, so that
/// different names are never equal.
///
/// ```
/// # use tailguard_report::by_name;
/// let mut steps = ["step 100", "step 20", "step 5"];
/// steps.sort_by(|a, b| by_name(a, b));
/// assert_eq!(steps, ["step 5", "step 20", "step 100"]);
/// ```
#[must_use]
pub fn by_name(left: &str, right: &str) -> Ordering {
    parts(left).cmp(parts(right)).then_with(|| left.cmp(right))
}

/// A piece of a name; numbers come before letters.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Number(f64),
    Text(&'a str),
}

impl Ord for Part<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Part<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part<'_> {}

/// The pieces of a name, in turn.
fn parts(name: &str) -> impl Iterator<Item = Part<'_>> {
    let (mut rest, mut at_word) = (name, true);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = match number(rest, at_word) {
            Some((number, length)) => {
                rest = &rest[length..];
                Part::Number(number)
            }
            None => {
                // up to where the next number may begin
                let next = rest.char_indices().skip(1).find(|(at, next)| {
                    next.is_ascii_digit()
                        || rest[..*at].ends_with(char::is_whitespace) && matches!(next, '-' | '+')
                });
                let (text, others) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
                rest = others;
                Part::Text(text)
            }
        };
        at_word = match part {
            Part::Text(text) => text.ends_with(char::is_whitespace),
            Part::Number(_) => false,
        };
        Some(part)
    })
}

/// The number that a text begins with, and its length in bytes. A sign belongs to it where a word
/// begins: in `a-1` it is a hyphen.
fn number(text: &str, at_word: bool) -> Option<(f64, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(at_word && text.starts_with(['-', '+']));
    let whole = digits(&text[sign..]);
    if whole == 0 {
        return None;
    }
    let mut end = sign + whole;
    if text[end..].starts_with('.') {
        let fraction = digits(&text[end + 1..]);
        end += if fraction > 0 { 1 + fraction } else { 0 };
    }
    if text[end..].starts_with(['e', 'E']) {
        let signed = end + 1 + usize::from(text[end + 1..].starts_with(['-', '+']));
        let exponent = digits(&text[signed..]);
        end = if exponent > 0 { signed + exponent } else { end };
    }
    Some((text[..end].parse().ok()?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<const N: usize>(mut names: [&str; N]) -> [&str; N] {
        names.sort_by(|a, b| by_name(a, b));
        names
    }

    #[test]
    fn numbers_are_sorted_by_size_wherever_they_stand() {
        assert_eq!(sorted(["100", "20", "5", "10"]), ["5", "10", "20", "100"]);
        assert_eq!(
            sorted(["0.5", "0.25", "-1", "1e-5", "3e-6"]),
            ["-1", "3e-6", "1e-5", "0.25", "0.5"]
        );
        assert_eq!(
            sorted(["ra, step 10", "ra, step 5", "base", "ra, step -1"]),
            ["base", "ra, step -1", "ra, step 5", "ra, step 10"]
        );
        assert_eq!(
            sorted(["seed-10-rlhf", "seed-2-rlhf", "seed-2"]),
            ["seed-2", "seed-2-rlhf", "seed-10-rlhf"]
        );
        assert_eq!(
            sorted(["ü2", "ü10", "", "日本 3", "日本 20"]),
            ["", "ü2", "ü10", "日本 3", "日本 20"]
        );
    }

    #[test]
    fn it_is_an_order_and_only_a_name_equals_itself() {
        let letters = ["-", "+", ".", "e", "0", "1", "2", " ", "a"];
        let pairs = letters.iter().flat_map(|a| letters.map(|b| format!("{a}{b}")));
        let names: Vec<String> = pairs
            .chain(
                ["", "1.0", "1e0", "01", "a -1", "a-1", "a 1", "1e", "1.", "-.5"]
                    .map(str::to_owned),
            )
            .collect();
        for a in &names {
            for b in &names {
                assert_eq!(by_name(a, b), by_name(b, a).reverse(), "{a:?} {b:?}");
                assert_eq!(by_name(a, b) == Ordering::Equal, a == b, "{a:?} {b:?}");
                for c in &names {
                    let holds =
                        by_name(a, b).is_gt() || by_name(b, c).is_gt() || by_name(a, c).is_le();
                    assert!(holds, "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}
