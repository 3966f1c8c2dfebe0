//! `results.json` as older versions wrote it.

use serde_json::Value;

/// Makes a `results.json` of an older version one of today, as far as it says what is wanted, and
/// says whether some of its intervals are not what they would be today.
///
/// Its figures have one `std`: with one seed the standard error, `se`; with several the deviation
/// of the seeds, `seeds_std`, beside a `ci95` over seeds that forgets the prompts, and no standard
/// error. Its differences have two intervals where there are several seeds, over prompts and over
/// seeds; both together are taken.
///
/// ```
/// # use serde_json::json;
/// # use tailguard_report::upgrade;
/// let reward = json!({"mean": 1.0, "std": 0.5, "ci95": [0.5, 1.5]});
/// let mut results = json!({"seeds": [1, 2], "methods": {"dpo": {"reward": reward}}});
/// assert!(upgrade(&mut results));
/// let reward = json!({"mean": 1.0, "se": null, "ci95": [0.5, 1.5], "seeds_std": 0.5});
/// assert_eq!(results["methods"]["dpo"]["reward"], reward);
/// ```
pub fn upgrade(results: &mut Value) -> bool {
    let seeds = results["seeds"].as_array().map_or(0, Vec::len);
    let mut differ = false;
    for method in results
        .get_mut("methods")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|methods| methods.values_mut())
    {
        let own = method["seeds"].as_u64().filter(|seeds| *seeds > 0);
        let has_several = own.map_or(seeds > 1, |seeds| seeds > 1);
        for_each_figure(method, &mut |figure| differ |= upgrade_figure(figure, has_several));
    }
    if let Some(comparisons) = results.get_mut("comparisons") {
        for_each_figure(comparisons, &mut |figure| differ |= upgrade_figure(figure, false));
    }
    differ
}

/// [`upgrade`] of a text; of one that is no JSON, or has nothing old, nothing is changed.
pub(crate) fn upgraded(text: String) -> String {
    // nothing of today has such a key
    if !text.contains("\"std\"") {
        return text;
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            upgrade(&mut value);
            value.to_string()
        }
        Err(_) => text,
    }
}

/// Every object that has a `mean` and a `std`, however deep.
fn for_each_figure(
    value: &mut Value,
    change: &mut impl FnMut(&mut serde_json::Map<String, Value>),
) {
    match value {
        Value::Object(object) if object.contains_key("mean") && object.contains_key("std") => {
            change(object)
        }
        Value::Object(object) => {
            object.values_mut().for_each(|value| for_each_figure(value, change))
        }
        Value::Array(list) => list.iter_mut().for_each(|value| for_each_figure(value, change)),
        _ => {}
    }
}

fn upgrade_figure(figure: &mut serde_json::Map<String, Value>, has_several_seeds: bool) -> bool {
    let std = figure.remove("std").unwrap_or_default();
    let over_seeds = figure.remove("seeds_ci95").unwrap_or_default();
    let end = |interval: &Value, end: usize| interval.get(end).and_then(Value::as_f64);
    let ends = |interval: &Value| Some([end(interval, 0)?, end(interval, 1)?]);
    let both = figure.get("ci95").and_then(ends).zip(ends(&over_seeds));
    if let Some(([low, high], [lower, higher])) = both {
        figure.insert("ci95".to_owned(), vec![low.min(lower), high.max(higher)].into());
    }
    let is_known = !has_several_seeds && both.is_none();
    figure.insert("se".to_owned(), if is_known { std.clone() } else { Value::Null });
    if has_several_seeds {
        figure.insert("seeds_std".to_owned(), std);
    }
    !is_known
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::tests::results;
    use crate::{Comparison, Figure, Results, ResultsFile};

    /// The file of an older run.
    fn older(seeds: &[u64], seeds_ci95: &Value) -> Value {
        let mut file = serde_json::to_value(results(seeds)).unwrap();
        let figures = file["methods"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .flat_map(|method| method.as_object_mut().unwrap());
        for (key, figure) in figures {
            let figure = if key == "other_tails" { &mut figure[0]["reward"] } else { figure };
            let figure = figure.as_object_mut().unwrap();
            let std = figure.remove("se").unwrap();
            figure.insert("std".to_owned(), std);
        }
        let difference =
            json!({"mean": 0.25, "std": 0.02, "ci95": [0.2, 0.3], "seeds_ci95": seeds_ci95});
        file["comparisons"] = json!([{
            "method": "ra_rlhf",
            "over": "rlhf",
            "prompts": 9,
            "reward": difference,
            "tail": null,
        }]);
        file
    }

    fn read(file: &Value) -> Results {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, file.to_string()).unwrap();
        Results::read(&path).unwrap()
    }

    #[test]
    fn an_older_file_of_one_seed_is_read_whole() {
        let file = older(&[1], &Value::Null);
        let Results { methods, comparisons, .. } = read(&file);
        assert_eq!(methods, results(&[1]).methods);
        let gain = Figure { mean: 0.25, se: Some(0.02), ci95: Some([0.2, 0.3]), seeds_std: None };
        assert!(matches!(
            comparisons[..],
            [Comparison { reward, tail: None, judge: None, .. }] if reward == gain
        ));
        assert!(!upgrade(&mut file.clone()), "its intervals are over prompts, as today");
    }

    #[test]
    fn of_an_older_file_of_several_seeds_is_said_what_is_known() {
        let file = older(&[1, 2], &json!([0.1, 0.25]));
        let Results { methods, comparisons, .. } = read(&file);
        let reward = Figure { mean: 0.0, se: None, ci95: Some([-0.5, 0.5]), seeds_std: Some(0.25) };
        assert_eq!(methods["gpt2"].reward, reward);
        assert_eq!(methods["gpt2"].other_tails[0].reward.unwrap().seeds_std, Some(0.25));
        assert_eq!(
            (comparisons[0].reward.ci95, comparisons[0].reward.se),
            (Some([0.1, 0.3]), None)
        );
        assert!(upgrade(&mut file.clone()));
    }

    #[test]
    fn a_method_of_one_seed_among_others_of_several_has_a_standard_error() {
        let figure = || json!({"mean": 1.0, "std": 0.5, "ci95": [0.5, 1.5]});
        let mut file = json!({
            "seeds": [1, 2],
            "methods": {
                "a": {"seeds": 1, "reward": figure()},
                "b": {"seeds": 2, "reward": figure()},
            },
        });
        assert!(upgrade(&mut file));
        assert_eq!(
            (&file["methods"]["a"]["reward"]["se"], &file["methods"]["b"]["reward"]["seeds_std"]),
            (&json!(0.5), &json!(0.5))
        );
    }

    #[test]
    fn a_file_of_today_is_left_as_it_is() {
        let json = results(&[1, 2]).to_json().unwrap();
        assert_eq!(upgraded(json.clone()), json);
        assert_eq!(upgraded("{ \"std\"".to_owned()), "{ \"std\"");
    }
}
