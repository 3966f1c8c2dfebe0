//! The numbers of a chart as CSV, and as a link that saves them.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Chart;
use crate::curves::Point;

/// What need not be encoded in the address, although it is neither letter nor digit.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b',').remove(b'.').remove(b'-').remove(b'_').remove(b'+');

/// One row per point: `series,x,y,low,high`; the last two are the lowest and the highest of the
/// seeds, or the interval.
pub(crate) fn csv(chart: &Chart) -> String {
    let mut text = format!("series,{},{},low,high\n", cell(&chart.x.label), cell(&chart.y.label));
    for series in &chart.series {
        for Point { x, y, range } in &series.points {
            let x = chart.name_of(*x).map_or_else(|| x.to_string(), |name| cell(&name));
            let [low, high] =
                range.map_or_else(Default::default, |range| range.map(|end| end.to_string()));
            text += &format!("{},{x},{y},{low},{high}\n", cell(&series.name));
        }
    }
    text
}

/// A cell of text, in quotation marks where it needs them. What a spreadsheet would take for a
/// formula gets an apostrophe before it.
pub(crate) fn cell(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let text = format!("{formula}{text}");
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A link that saves the numbers of the chart.
pub(crate) fn data_link(chart: &Chart) -> Markup {
    let address =
        format!("data:text/csv;charset=utf-8,{}", utf8_percent_encode(&csv(chart), ENCODED));
    html! {
        a.data href=(address) download={ (chart.id) ".csv" }
            aria-label={ "Data of the chart “" (chart.title) "” as CSV" } { "CSV" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::tests::chart;

    #[test]
    fn there_is_a_row_per_point() {
        let expected = "series,alpha,reward & \
            more,low,high\nSFT,0,-1,-1.5,-0.5\nSFT,1,2,1.5,2.5\n\"a,\"\"b\"\"\",0.5,1.25,,\n";
        assert_eq!(csv(&chart()), expected);
    }

    #[test]
    fn a_name_is_no_formula_and_a_negative_number_stays_one() {
        let mut chart = chart();
        chart.series[0].name = "=HYPERLINK(\"a\", 1)".into();
        chart.x.label = "@x".into();
        let text = csv(&chart);
        assert!(
            text.starts_with("series,'@x,")
                && text.contains("\n\"'=HYPERLINK(\"\"a\"\", 1)\",0,-1,-1.5,-0.5\n"),
            "{text}"
        );
    }

    #[test]
    fn the_link_decodes_to_the_rows() {
        let link = data_link(&chart()).into_string();
        let address = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
        let data = address.strip_prefix("data:text/csv;charset=utf-8,").unwrap();
        assert_eq!(
            percent_encoding::percent_decode_str(data).decode_utf8().unwrap(),
            csv(&chart())
        );
    }
}
