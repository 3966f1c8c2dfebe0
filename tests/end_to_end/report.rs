//! The page of a run: in a browser, made again, and of several runs side by side.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tailguard_report::{Comparison, Results, ResultsFile, cell, gain, number};

use crate::browser::{Browser, rewrite};
use crate::program::run;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// A small run in `folder/out`.
fn reproduce(folder: &Path, task: &str, out: &str, words: &[&str]) {
    let small = ["--set", "ppo.iterations=3", "--set", "evaluation.prompts=48"];
    let outcome = run(
        folder,
        &[&["reproduce", task, "--preset", "smoke", "--out", out], &small[..], words].concat(),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains(&format!("report: {out}/report.html")), "{}", outcome.stdout);
}

/// Numbers as the page writes them.
fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

#[test]
fn the_page_shows_the_figures_sorts_searches_unblurs_and_knows_the_dark() {
    let folder = tempfile::tempdir().unwrap();
    reproduce(folder.path(), "jigsaw", "run", &[]);
    let dir = folder.path().join("run");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.len() < 5_000_000 && page.contains("These figures are not on Jigsaw"));
    let Some(browser) = Browser::start((1280, 900)) else { return };
    browser.open(&dir.join("report.html"));
    figures_are_those_of_the_results(&browser, &dir);
    sorts(&browser);
    searches(&browser);
    unblurs(&browser);
    changes_its_theme(&browser);
    fits_a_telephone(&browser);
    assert_eq!(browser.complaints(), Vec::<String>::new(), "the console stays empty");
}

fn figures_are_those_of_the_results(browser: &Browser, dir: &Path) {
    let results = Results::read(&dir.join("results.json")).unwrap();
    for method in ["gpt2", "sft", "rlhf", "ra_rlhf"] {
        for (key, figure) in results.methods[method].figures() {
            let digits = match key {
                "making_tokens" | "making_rewards" => 0,
                "reward" | "tail" | "judge" | "judge_tail" | "kl" | "answer_rewards" => 2,
                "perplexity_human" | "perplexity_generated" | "length" | "answer_tokens" => 1,
                _ => 3,
            };
            let place = format!("td[data-method=\"{method}\"][data-key=\"{key}\"]");
            let shown =
                browser.text(&format!("return document.querySelector('{place}').innerText"));
            let expected = minus(&cell(figure, digits));
            assert_eq!(shown, expected, "{method}: {key}");
        }
    }
    assert_eq!(results.comparisons.len(), 3);
    for comparison in &results.comparisons {
        let Comparison { method, over, prompts, .. } = comparison;
        let cells = format!("document.querySelectorAll('tr[data-gain=\"{method}/{over}\"] td')");
        let shown =
            browser.script(&format!("return Array.from({cells}).map((cell) => cell.innerText)"));
        let differences =
            comparison.differences().map(|(_, _, digits, figure)| minus(&gain(figure, digits)));
        let expected: Vec<String> =
            std::iter::once(prompts.to_string()).chain(differences).collect();
        assert_eq!((shown, expected.len()), (json!(expected), 9), "{method} over {over}");
    }
    let tail =
        browser.script("return document.querySelectorAll('#texts tbody tr:not([hidden])').length");
    assert_eq!(tail, results.tail.prompts, "a row for each prompt of the tail");
    let charts =
        browser.script("return document.querySelectorAll('.chart svg').length").as_u64().unwrap();
    let named = browser
        .script("return document.querySelectorAll('.chart svg[role=img] > title + desc').length");
    assert!(
        charts >= 14 && named == charts,
        "{charts} charts, {named} with a title and a description"
    );
    // what a link saves is what the chart shows
    let csv = browser.text(
        "return decodeURIComponent(document.querySelector('a[download=\"cvar.csv\"]').href\
         .split(/,(.*)/s)[1])",
    );
    assert_eq!(csv.lines().count(), 1 + 4 * 100, "{csv:.300}");
    let last = csv.lines().rfind(|line| line.starts_with("RA-RLHF,1,")).unwrap();
    let mean: f64 = last.split(',').nth(2).unwrap().parse().unwrap();
    assert!(
        (mean - results.methods["ra_rlhf"].reward.mean).abs() < 1e-9,
        "at alpha 1 CVaR is the mean: {last}"
    );
}

/// The values that the rows show in a column, from the first to the last.
fn column(browser: &Browser, number: usize) -> Vec<f64> {
    let script = format!(
        "return Array.from(document.querySelectorAll('#texts tbody tr:not([hidden])')).map((row) \
         => Number(row.cells[{number}].dataset.value))"
    );
    browser
        .script(&script)
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

fn sorts(browser: &Browser) {
    assert!(column(browser, 0).is_sorted(), "the lowest prompt comes first");
    for (number, key) in ["prompt", "m0", "m1", "m2", "m3", "difference"].into_iter().enumerate() {
        let head = format!("#texts button[data-sort={key}]");
        let direction = || {
            browser.text(&format!("return document.querySelector('{head}').parentElement.ariaSort"))
        };
        browser.click(&head);
        // the prompts are in ascending order to begin with
        let first_descends = key == "prompt";
        assert_eq!(direction(), if first_descends { "descending" } else { "ascending" }, "{key}");
        let values = column(browser, number);
        assert!(
            values.iter().any(|value| value.to_bits() != values[0].to_bits()),
            "{key}: all are alike"
        );
        assert!(
            if first_descends { values.iter().rev().is_sorted() } else { values.is_sorted() },
            "{key}: {values:?}"
        );
        browser.click(&head);
        let values = column(browser, number);
        assert!(
            if first_descends { values.is_sorted() } else { values.iter().rev().is_sorted() },
            "{key}: {values:?}"
        );
    }
    // by the keyboard: from the search field on to the first heading
    browser.script("document.getElementById('blur').focus()");
    browser.press(TAB);
    assert_eq!(browser.text("return document.activeElement.dataset.sort"), "prompt");
    browser.press(ENTER);
    assert!(column(browser, 0).is_sorted());
}

fn searches(browser: &Browser) {
    let rows = "document.querySelectorAll('#texts tbody tr:not([hidden])')";
    let all = browser.script(&format!("return {rows}.length")).as_u64().unwrap();
    // a word of the first row that its last row lacks
    let word = browser.text(&format!(
        "const text = (row) => row.textContent.toLowerCase(); const all = Array.from({rows}); \
         return text(all[0]).match(/[a-z]{{4,}}/g).find((word) => !text(all[all.length - \
         1]).includes(word))"
    ));
    browser.type_into("#search", &word.to_uppercase());
    let found = browser
        .script(&format!("return Array.from({rows}).map((row) => row.textContent.toLowerCase())"));
    let found: Vec<&str> =
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(!found.is_empty() && (found.len() as u64) < all, "{word}: {} of {all}", found.len());
    assert!(found.iter().all(|text| text.contains(&word)), "{word}: {found:?}");
    assert_eq!(
        browser.text("return document.getElementById('count').innerText"),
        format!("{} of {all} shown", found.len())
    );
    browser.type_into("#search", " nosuchwordanywhere");
    assert_eq!(browser.script("return document.getElementById('nothing').hidden"), false);
    browser.script(
        "const search = document.getElementById('search'); search.value = ''; \
            search.dispatchEvent(new Event('input'))",
    );
    assert_eq!(browser.script(&format!("return {rows}.length")), all);
    // the other seed's texts are there, too
    browser.script(
        "const seed = document.getElementById('seed'); seed.value = ''; \
        seed.dispatchEvent(new Event('change'))",
    );
    assert_eq!(browser.script(&format!("return {rows}.length")), 2 * all);
    browser.script(
        "const seed = document.getElementById('seed'); seed.value = '1'; \
        seed.dispatchEvent(new Event('change'))",
    );
}

fn unblurs(browser: &Browser) {
    let filter =
        || browser.text("return getComputedStyle(document.querySelector('#texts .text')).filter");
    let read_aloud = || {
        browser.script("return document.querySelector('#texts .text').getAttribute('aria-hidden')")
            == Value::Null
    };
    assert_eq!((filter(), read_aloud()), ("blur(6px)".to_owned(), false));
    browser.click("#blur");
    assert_eq!((filter(), read_aloud()), ("none".to_owned(), true));
    assert_eq!(browser.text("return document.getElementById('blur').innerText"), "Blur texts");
    browser.click("#blur");
    assert_eq!(filter(), "blur(6px)");
}

fn changes_its_theme(browser: &Browser) {
    let lightness = |what: &str, of: &str| {
        let colour = browser
            .text(&format!("return getComputedStyle(document.querySelector('{of}')).{what}"));
        let numbers: Vec<f64> = colour
            .split(|sign: char| !sign.is_ascii_digit() && sign != '.')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        assert!(colour.starts_with("rgb"), "{colour}");
        numbers[..3].iter().sum::<f64>() / (3.0 * 255.0)
    };
    let is_dark = || {
        let (ground, ink) = (lightness("backgroundColor", "body"), lightness("color", "body"));
        let axis = lightness("fill", ".chart text");
        assert_eq!(
            ground < ink,
            ground < axis,
            "the charts go along: ground {ground}, text {ink}, axis {axis}"
        );
        assert!(
            (ground - ink).abs() > 0.5 && (ground - axis).abs() > 0.35,
            "ground {ground}, text {ink}, axis {axis}"
        );
        ground < ink
    };
    browser.prefer("light");
    assert!(!is_dark());
    browser.prefer("dark");
    assert!(is_dark(), "as the system says");
    browser.click("#theme");
    assert!(!is_dark(), "as the reader says");
    browser.click("#theme");
    assert!(is_dark());
    browser.prefer("light");
    assert!(is_dark(), "the reader has said so");
}

fn fits_a_telephone(browser: &Browser) {
    browser.resize((390, 844));
    let [inner, wide] = ["innerWidth", "document.documentElement.scrollWidth"]
        .map(|of| browser.script(&format!("return {of}")));
    assert_eq!(
        (inner.as_u64(), wide.as_u64().map(|wide| wide <= 390)),
        (Some(390), Some(true)),
        "{wide} pixels wide"
    );
}

#[test]
fn hostile_texts_run_nothing_and_stay_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    reproduce(folder.path(), "imdb", "run", &["--set", "run.seeds=1"]);
    let dir = folder.path().join("run");
    let hostile = "</script><script>document.title='taken'</script><img src=x \
        onerror=\\\"document.title='taken'\\\">";
    let long = "w".repeat(10_000);
    rewrite(&dir.join("results.json"), |text| {
        text.replacen("\"notice\": null", &format!("\"notice\": \"{hostile} \u{202e} {long}\""), 1)
    });
    let outcome = run(folder.path(), &["report", "run"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), "run/report.html\n"),
        "{}",
        outcome.stderr
    );
    let Some(browser) = Browser::start((1280, 900)) else { return };
    browser.open(&dir.join("report.html"));
    assert!(browser.text("return document.title").contains("IMDB-Gen"));
    assert!(
        browser
            .text("return document.querySelector('.notice').innerText")
            .contains("<script>document.title='taken'</script>")
    );
    assert_eq!(
        browser.script("return document.querySelectorAll('main script, main img').length"),
        0
    );
    assert_eq!(
        browser.script("return document.documentElement.scrollWidth <= innerWidth"),
        true,
        "the long word wraps"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_page_is_made_again_of_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    reproduce(folder.path(), "imdb", "run", &["--set", "run.seeds=1"]);
    let dir = folder.path().join("run");
    let whole = fs::read_to_string(dir.join("report.html")).unwrap();
    fs::remove_file(dir.join("report.html")).unwrap();
    assert_eq!(run(folder.path(), &["report", "run"]).code, Some(0));
    assert_eq!(
        fs::read_to_string(dir.join("report.html")).unwrap(),
        whole,
        "nothing but the files of the run is in it"
    );
    for word in
        ["processes.json", "metrics.parquet", "run.json", "config.toml", "generations.parquet"]
    {
        fs::remove_file(dir.join(word)).unwrap();
        let outcome = run(folder.path(), &["report", "run"]);
        assert_eq!(outcome.code, Some(0), "without {word}: {}", outcome.stderr);
    }
    assert!(
        fs::read_to_string(dir.join("report.html")).unwrap().contains("no generations.parquet")
    );
    fs::write(dir.join("generations.parquet"), "PAR1, and no more").unwrap();
    run(folder.path(), &["report", "run"]).refused(1, &["generations.parquet"]);
    fs::remove_file(dir.join("generations.parquet")).unwrap();
    fs::write(dir.join("report.html"), "my own notes").unwrap();
    run(folder.path(), &["report", "run"]).refused(2, &["report.html", "no page of tailguard"]);
    assert_eq!(fs::read_to_string(dir.join("report.html")).unwrap(), "my own notes");
    fs::remove_file(dir.join("results.json")).unwrap();
    run(folder.path(), &["report", "run"]).refused(2, &["run holds no results.json"]);
}

#[test]
fn an_evaluation_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "prompt,response,model,score,alone\n".to_owned();
    for (model, gain) in [("=dpo", 1.0), ("ppo", 0.0)] {
        for place in 0..30 {
            // a text without a score takes its prompt from what is shown side by side, and nothing
            // else
            let score = if (model, place) == ("ppo", 3) {
                String::new()
            } else {
                (f64::from(place) / 10.0 + gain).to_string()
            };
            table += &format!("prompt {place},a text of {model},{model},{score},{}\n", place - 20);
        }
    }
    fs::write(folder.path().join("texts.csv"), table).unwrap();
    let columns = "--prompt-column prompt --response-column response --score-column score \
        --prompt-score-column alone";
    let words = format!(
        "evaluate --generations texts.csv {columns} --group-by model --tail-share 0.2 --baseline \
         ppo --out judged"
    );
    let outcome = run(folder.path(), &words.split(' ').collect::<Vec<_>>());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(run(folder.path(), &["report", "judged"]).code, Some(0));
    let page = fs::read_to_string(folder.path().join("judged/report.html")).unwrap();
    let gain = "<tr data-gain=\"=dpo/ppo\"><th scope=\"row\"><span class=\"name\">=dpo − \
        ppo</span></th><td>29</td><td data-key=\"reward\"";
    for said in [
        gain,
        ">+1.00 <span",
        "lowest 20\u{a0}% of prompts",
        "CVaR 20\u{a0}%",
        "length (words)",
        "ppo: of 30 rows, 1 have no score",
        "of the 29 prompts that all have",
        "29 to 30 prompts",
        "<section class=\"blurred\" id=\"prompts\">",
        "%0A%27%3Ddpo,",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn runs_are_compared_on_the_same_prompts_alone() {
    let folder = tempfile::tempdir().unwrap();
    let one_seed = ["--set", "run.seeds=1"];
    reproduce(folder.path(), "imdb", "a", &one_seed);
    reproduce(folder.path(), "imdb", "b", &[&one_seed[..], &["--set", "risk.alpha=0.2"]].concat());
    reproduce(
        folder.path(),
        "imdb",
        "c",
        &[&one_seed[..], &["--set", "evaluation.tail_threshold=0.5"]].concat(),
    );
    let outcome = run(folder.path(), &["compare", "a", "b"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("A: a (risk.alpha = 0.4)\nB: b (risk.alpha = 0.2)\n"),
        "{}",
        outcome.stdout
    );
    let results = Results::read(&folder.path().join("b/results.json")).unwrap();
    let tail = number(results.methods["ra_rlhf"].tail.mean, 2);
    let row = outcome
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with("B ") && line.contains("RA-RLHF"))
        .unwrap();
    assert!(row.contains(&format!(" {tail} [")), "{row}");
    let path = folder.path().join("compare.html");
    let page = fs::read_to_string(&path).unwrap();
    let gain = "RA-RLHF of run B against that of run A, on the ";
    let sentence = outcome.stdout.lines().find(|line| line.starts_with(gain)).unwrap();
    assert!(
        page.contains(
            &minus(sentence).replace("RA\u{2212}RLHF", "RA-RLHF").replace(" %", "\u{a0}%")
        ),
        "{sentence}"
    );
    assert!(
        outcome.stdout.contains("GPT-2, SFT and RLHF of run B: the same texts"),
        "{}",
        outcome.stdout
    );
    assert!(
        page.contains("Comparison of 2 runs")
            && page.contains("risk.alpha")
            && !page.contains("not on the same prompts")
    );

    let refused = run(folder.path(), &["compare", "a", "b", "c", "--out", "other.html"]);
    refused.refused(
        2,
        &[
            "not on the same prompts",
            "the tail is ≤ 0 in a and ≤ 0.5 in c",
            "--allow-different-prompts",
        ],
    );
    assert!(!folder.path().join("other.html").exists());
    let allowed = run(
        folder.path(),
        &["compare", "a", "c", "--allow-different-prompts", "--out", "other.html"],
    );
    assert_eq!(allowed.code, Some(0), "{}", allowed.stderr);
    assert!(allowed.stdout.contains("not on the same prompts: the tail is"), "{}", allowed.stdout);
    assert!(
        fs::read_to_string(folder.path().join("other.html"))
            .unwrap()
            .contains("These runs are not on the same prompts")
    );
    run(folder.path(), &["compare", "a"]).refused(2, &["2"]);

    let Some(browser) = Browser::start((1280, 900)) else { return };
    browser.open(&path);
    let cell = "td[data-run=\"B\"][data-method=\"ra_rlhf\"][data-key=\"tail\"]";
    let shown = browser.text(&format!("return document.querySelector('{cell}').innerText"));
    assert!(shown.starts_with(&minus(&format!("{tail} ["))), "{shown}");
    browser.click("#theme");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
