//! The growth as a picture: both axes logarithmic, so that a straight line is a power and the grey
//! one is in proportion.

use anyhow::{Result, anyhow};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement};
use plotters::style::{BLACK, Color, RGBColor, WHITE};

use super::growth::{Growth, Point};

/// Pixels.
const SIZE: (u32, u32) = (720, 440);
/// Okabe and Ito's colours, which colour-blind people can tell apart.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Time of an iteration against size, both as multiples of the second point's.
///
/// # Errors
/// What plotters refuses.
pub fn svg(growths: &[Growth]) -> Result<String> {
    let mut text = String::new();
    draw(growths, &mut text).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    Ok(text)
}

fn draw(growths: &[Growth], text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let lines: Vec<Vec<(f64, f64)>> = growths.iter().map(|(_, points)| multiples(points)).collect();
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let values = lines.iter().flatten().map(of);
        values.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (low, high)) = (ends(|point| point.0), ends(|point| point.1));
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (left * 0.95..right * 1.05).log_scale().base(2.0),
            (low * 0.9..high * 1.1).log_scale().base(2.0),
        )?;
    let multiple = |value: &f64| format!("{}×", (value * 100.0).round() / 100.0);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("size, in multiples of xs's")
        .y_desc("time of an iteration, in multiples of xs's")
        .x_label_formatter(&multiple)
        .y_label_formatter(&multiple)
        .label_style(("sans-serif", 14))
        .draw()?;
    let (from, to) = (left.max(low), right.min(high));
    chart
        .draw_series([PathElement::new([(from, from), (to, to)], BLACK.mix(0.4))])?
        .label("in proportion")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK.mix(0.4)));
    for (((quantity, points), line), colour) in growths.iter().zip(&lines).zip(COLOURS) {
        let base = points.get(1).map_or(0, |point| point.size);
        chart
            .draw_series([PathElement::new(line.clone(), colour.stroke_width(2))])?
            .label(format!("{} (1×: {base})", quantity.name()))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        chart.draw_series(line.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Sizes and times as multiples of the second point's, which is `xs`.
fn multiples(points: &[Point]) -> Vec<(f64, f64)> {
    let Some(base) = points.get(1) else { return Vec::new() };
    points
        .iter()
        .map(|point| (point.size as f64 / base.size as f64, point.iteration / base.iteration))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::growth::Quantity;
    use super::*;

    #[test]
    fn the_plot_names_each_quantity_and_its_base() {
        let points = |first: usize| {
            let time = |at: usize| Point {
                size: first << at,
                generate: 0.1,
                reference: 0.1,
                update: 0.5,
                iteration: 2.0 + at as f64,
                gflops: 9.0,
            };
            (0..4).map(time).collect::<Vec<_>>()
        };
        let text =
            svg(&Quantity::ALL.map(|quantity| (quantity, points(quantity.sizes()[0])))).unwrap();
        for expected in [
            "episodes (1×: 64)",
            "tokens of an episode (1×: 112)",
            "width (1×: 128)",
            "vocabulary (1×: 4096)",
            "in proportion",
        ] {
            assert!(text.contains(expected), "{expected}");
        }
        assert!(
            text.starts_with("<svg")
                && text.trim_end().ends_with("</svg>")
                && text.matches("<circle").count() == 16
        );
    }
}
