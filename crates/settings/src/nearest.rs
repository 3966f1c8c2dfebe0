//! What a mistyped key may have meant.

/// Keys that a mistyped one may have meant: of more it is unclear.
const MOST_MEANT: usize = 4;
/// How much alike two keys must be spelt.
const ALIKE: f64 = 0.8;

/// The names that a mistyped one may have meant, as [`Schema::nearest`](crate::Schema::nearest)
/// says it of keys; none where none is like it.
#[must_use]
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Vec<&'a str> {
    let in_section = |name: &str| {
        key.rsplit_once('.').is_some_and(|(section, _)| name.starts_with(&format!("{section}.")))
    };
    let typed = last(key);
    let is_word = |name: &str| {
        last(name).split('_').any(|word| word == typed)
            || (typed.len() > 2 && last(name).starts_with(typed))
    };
    let abbreviated = |name: &str| {
        abbreviates(&typed.replace('_', ""), &last(name).split('_').collect::<Vec<_>>())
    };
    let fits: [&dyn Fn(&str) -> bool; 4] = [
        &|name| in_section(name) && abbreviated(name),
        &|name| in_section(name) && is_word(name),
        &|name| last(name) == typed,
        &|name| typed.len() > 1 && abbreviated(name),
    ];
    for fits in fits {
        let found: Vec<&str> = known.iter().copied().filter(|name| fits(name)).collect();
        if (1..=MOST_MEANT).contains(&found.len()) {
            return found;
        }
    }
    let likeness = |name: &str| {
        let whole = strsim::jaro_winkler(name, key);
        if key.contains('.') { whole } else { whole.max(strsim::jaro_winkler(last(name), key)) }
    };
    let best = known.iter().map(|name| (likeness(name), *name)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, name)| name).into_iter().collect()
}

/// A key without its section.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Whether letters are made of the beginnings of all these words, in their order: "lr" and
/// "learnrate" of "learning", "rate".
fn abbreviates(letters: &str, words: &[&str]) -> bool {
    let [word, others @ ..] = words else { return letters.is_empty() };
    let common =
        letters.bytes().zip(word.bytes()).take_while(|(letter, of_word)| letter == of_word).count();
    (1..=common).any(|length| letters.get(length..).is_some_and(|rest| abbreviates(rest, others)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 12] = [
        "sft.learning_rate",
        "sft.batch_size",
        "ppo.learning_rate",
        "ppo.value_learning_rate",
        "ppo.batch_size",
        "ppo.kl_coef",
        "ppo.kl_target",
        "ppo.kl_horizon",
        "risk.alpha",
        "sampling.temperature",
        "evaluation.tail_threshold",
        "data.threshold",
    ];

    #[test]
    fn a_mistyped_key_finds_its_neighbour() {
        assert_eq!(nearest("ppo.learnin_rate", &KEYS), ["ppo.learning_rate"]);
        assert_eq!(nearest("ppo.alpha", &KEYS), ["risk.alpha"]);
        assert_eq!(nearest("learning_rate", &KEYS), ["sft.learning_rate", "ppo.learning_rate"]);
        assert_eq!(nearest("alhpa", &KEYS), ["risk.alpha"]);
        assert_eq!(nearest("zzzzzz", &KEYS), Vec::<&str>::new());
    }

    #[test]
    fn an_abbreviated_key_is_understood() {
        assert_eq!(nearest("ppo.lr", &KEYS), ["ppo.learning_rate"]);
        assert_eq!(nearest("ppo.value_lr", &KEYS), ["ppo.value_learning_rate"]);
        assert_eq!(nearest("lr", &KEYS), ["sft.learning_rate", "ppo.learning_rate"]);
        assert_eq!(nearest("ppo.bs", &KEYS), ["ppo.batch_size"]);
        assert_eq!(nearest("ppo.kl", &KEYS), ["ppo.kl_coef", "ppo.kl_target", "ppo.kl_horizon"]);
        assert_eq!(nearest("sampling.temp", &KEYS), ["sampling.temperature"]);
        assert_eq!(nearest("evaluation.threshold", &KEYS), ["evaluation.tail_threshold"]);
        assert!(
            abbreviates("learnrate", &["learning", "rate"])
                && !abbreviates("rl", &["learning", "rate"])
        );
    }
}
