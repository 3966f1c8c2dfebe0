//! The growth as Markdown.

use std::fmt::Write;

use serde_json::Value;

use super::growth::{Growth, Point};

/// One table for all quantities; the first of the lines says on what machine.
#[must_use]
pub fn markdown(growths: &[Growth], lines: &[Value]) -> String {
    let first = lines.first().unwrap_or(&Value::Null);
    let others =
        lines.iter().filter_map(|line| line["other_processes_cores"].as_f64()).fold(0.0, f64::max);
    let mut page = format!(
        "{} threads on {}; share of the episodes kept: {}. The power is that with which the \
         iteration grows from the row above. Other processes took at most {others:.2} cores.\n\n| \
         | generate | reference | update | iteration | power | update, GFLOP/s \
         |\n|---|--:|--:|--:|--:|--:|--:|\n",
        first["threads"],
        first["machine"]["cpu"].as_str().unwrap_or("an unknown CPU"),
        first["config"]["alpha_keep"],
    );
    for (quantity, points) in growths {
        let mut above: Option<&Point> = None;
        for point in points {
            let power =
                above.map_or_else(String::new, |above| format!("{:.2}", power(above, point)));
            let Point { size, generate, reference, update, iteration, gflops } = point;
            let name = quantity.name();
            // a string takes whatever is written
            let _ = writeln!(
                page,
                "| {name}: {size} | {generate:.2} s | {reference:.2} s | {update:.2} s | \
                 {iteration:.2} s | {power} | {gflops:.0} |"
            );
            above = Some(point);
        }
    }
    page
}

/// The exponent `p` of `time ~ size^p` between two points.
fn power(one: &Point, other: &Point) -> f64 {
    (other.iteration / one.iteration).ln() / (other.size as f64 / one.size as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::super::growth::Quantity;
    use super::*;

    fn point(size: usize, iteration: f64) -> Point {
        Point {
            size,
            generate: 0.1,
            reference: 0.2,
            update: iteration - 0.3,
            iteration,
            gflops: 123.4,
        }
    }

    #[test]
    fn the_power_is_that_of_the_growth() {
        assert!((power(&point(2, 1.0), &point(4, 4.0)) - 2.0).abs() < 1e-12);
        assert!(power(&point(10, 3.0), &point(80, 3.0)).abs() < 1e-12);
    }

    #[test]
    fn rows_say_the_size_and_the_power_from_the_row_above() {
        let lines = [serde_json::json!({
            "threads": 2,
            "machine": {"cpu": "a CPU"},
            "config": {"alpha_keep": 0.4},
            "other_processes_cores": 0.25,
        })];
        let page = markdown(&[(Quantity::Width, vec![point(64, 1.0), point(128, 2.0)])], &lines);
        assert!(
            page.contains("2 threads on a CPU; share of the episodes kept: 0.4")
                && page.contains("0.25 cores"),
            "{page}"
        );
        assert!(
            page.contains("| width: 64 | 0.10 s | 0.20 s | 0.70 s | 1.00 s |  | 123 |\n"),
            "{page}"
        );
        assert!(
            page.contains("| width: 128 | 0.10 s | 0.20 s | 1.70 s | 2.00 s | 1.00 | 123 |\n"),
            "{page}"
        );
    }
}
