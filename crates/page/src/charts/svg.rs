//! A chart as SVG, drawn by plotters.
//!
//! plotters draws in whole pixels, so it is given four for each that is shown. Colours are the
//! page's: see `palette`.

use maud::{Markup, PreEscaped, html};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon};
use plotters::style::{Color, IntoFont, ShapeStyle, TextStyle};

use super::palette::{self, Mark, PROMPT, Role};
use super::{Chart, Draw, Series, Size, plain};
use crate::clean;
use crate::curves::{Point, smooth};
use crate::error::PageError;

/// Pixels drawn for each that is shown.
const SCALE: i32 = 4;
/// Text, in pixels of the chart.
const TEXT: i32 = 12;
/// plotters writes a font size smaller by this.
const SHRINK: f64 = 1.24;
/// Half the width of a mark.
const MARK: i32 = 4;
/// Marks on a line.
const MARKS: usize = 7;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The chart, with its title and its description for those who do not see it.
///
/// # Errors
/// [`PageError::Chart`] if plotters refuses.
pub(crate) fn svg(chart: &Chart) -> Result<Markup, PageError> {
    let (width, height) = match chart.size {
        Size::Large => (440, 290),
        Size::Small => (340, 230),
    };
    let mut text = String::new();
    let failed = |detail: &dyn std::fmt::Display| PageError::Chart {
        chart: chart.title.clone(),
        detail: detail.to_string(),
    };
    {
        let pixels = |size: i32| u32::try_from(size * SCALE).unwrap_or_default();
        let root =
            SVGBackend::with_string(&mut text, (pixels(width), pixels(height))).into_drawing_area();
        draw(chart, &root).map_err(|error| failed(&error))?;
        root.present().map_err(|error| failed(&error))?;
    }
    let inner = text
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map(|(inner, _)| inner);
    let inner = coloured(inner.ok_or_else(|| failed(&"no SVG"))?);
    let (title, about) = (format!("{}-title", chart.id), format!("{}-about", chart.id));
    Ok(html! {
        svg xmlns="http://www.w3.org/2000/svg"
            viewBox={ "0 0 " (width * SCALE) " " (height * SCALE) } role="img"
            aria-labelledby=(title) aria-describedby=(about) {
            title id=(title) { (chart.title) }
            desc id=(about) { (chart.description()) }
            (PreEscaped(inner))
        }
    })
}

/// A short piece of a series' line with its mark, for the key.
pub(crate) fn key_sample(style: usize) -> Markup {
    let dashes: Vec<String> = palette::dashes(style).iter().map(ToString::to_string).collect();
    let points =
        outline(palette::mark(style), (18, 6), MARK).into_iter().map(|(x, y)| format!("{x},{y}"));
    html! {
        svg.sample viewBox="0 0 36 12" width="36" height="12" aria-hidden="true" focusable="false" {
            line x1="1" y1="6" x2="35" y2="6" stroke=(Role::Line(style).shown()) stroke-width="2"
                stroke-dasharray=(dashes.join(" ")) {}
            @match palette::mark(style) {
                Mark::None => {}
                Mark::Circle => circle cx="18" cy="6" r=(MARK) fill=(Role::Fill(style).shown()) {},
                _ => {
                    polygon points=(points.collect::<Vec<_>>().join(" "))
                        fill=(Role::Fill(style).shown()) {}
                }
            }
        }
    }
}

/// Sentinel colours become the page's, and lines get their dashes.
fn coloured(svg: &str) -> String {
    let mut svg = svg.replace("font-family=\"sans-serif\" ", "");
    for role in Role::ALL {
        let colour = role.sentinel();
        let sentinel = format!("\"#{:02X}{:02X}{:02X}\"", colour.0, colour.1, colour.2);
        let mut stroke = format!("stroke=\"{}\"", role.shown());
        if let Role::Line(style) = role {
            let dashes: Vec<String> =
                palette::dashes(style).iter().map(|dash| (dash * SCALE).to_string()).collect();
            if !dashes.is_empty() {
                stroke += &format!(" stroke-dasharray=\"{}\"", dashes.join(" "));
            }
            stroke += " stroke-linejoin=\"round\"";
        }
        svg = svg.replace(&format!("stroke={sentinel}"), &stroke);
        svg = svg.replace(&format!("fill={sentinel}"), &format!("fill=\"{}\"", role.shown()));
    }
    svg
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(chart: &Chart, root: &Area<'_>) -> Drawn {
    let ([left, right], [bottom, top]) = chart.ranges();
    let mut plot = ChartBuilder::on(root)
        .margin_top(8 * SCALE)
        .margin_right(14 * SCALE)
        .margin_bottom(2 * SCALE)
        .x_label_area_size(42 * SCALE)
        .y_label_area_size(58 * SCALE)
        .build_cartesian_2d(left..right, bottom..top)?;
    let ink = Role::Ink.sentinel();
    let words = || {
        TextStyle::from(("sans-serif", f64::from(TEXT * SCALE) * SHRINK).into_font()).color(&ink)
    };
    // so many digits that neighbours differ
    let number_of = |value: f64, [low, high]: [f64; 2]| {
        let digits = (0..8).find(|&digits| (high - low) * 10_f64.powi(digits) >= 8.0).unwrap_or(8);
        plain(value, usize::try_from(digits).unwrap_or_default()).replace('-', "\u{2212}")
    };
    let is_whole = |value: f64| (value - value.round()).abs() < 1e-6;
    let x_text = |value: &f64| match chart.x.names.is_empty() {
        true if chart.x.whole && !is_whole(*value) => String::new(),
        true => number_of(*value, [left, right]),
        false => chart.name_of(*value).filter(|_| is_whole(*value)).unwrap_or_default(),
    };
    let y_text = |value: &f64| number_of(*value, [bottom, top]);
    let (x_label, y_label) = (clean::line(&chart.x.label), clean::line(&chart.y.label));
    let mut mesh = plot.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(Role::Grid.sentinel().mix(0.0))
        .bold_line_style(ShapeStyle::from(Role::Grid.sentinel()).stroke_width(SCALE.unsigned_abs()))
        .axis_style(ShapeStyle::from(Role::Ink.sentinel()).stroke_width(SCALE.unsigned_abs()))
        .x_labels(if chart.x.names.is_empty() { 7 } else { 2 * chart.x.names.len() + 1 })
        .y_labels(6)
        .set_all_tick_mark_size(5 * SCALE)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .label_style(words())
        .axis_desc_style(words())
        .x_desc(x_label)
        .y_desc(y_label);
    mesh.draw()?;
    // what is pale first, so that no line is under it
    for series in &chart.series {
        if series.draw.is_line() {
            band(&mut plot, series)?;
        }
        if let Draw::Smoothed(_) = series.draw {
            let pale = ShapeStyle::from(Role::Fill(series.style).sentinel().mix(0.35))
                .stroke_width(SCALE.unsigned_abs());
            line(&mut plot, &series.points, pale, [bottom, top])?;
        }
    }
    for (place, series) in chart.series.iter().enumerate() {
        let points = match series.draw {
            Draw::Smoothed(over) => smooth(&series.points, over),
            _ => series.points.clone(),
        };
        if !series.draw.is_line() {
            bars(&plot, root, series)?;
        } else {
            let style = ShapeStyle::from(Role::Line(series.style).sentinel())
                .stroke_width(width(series.style));
            line(&mut plot, &points, style, [bottom, top])?;
        }
        marks(&plot, root, &Series { points, ..series.clone() }, (place, chart.series.len()))?;
    }
    Ok(())
}

fn width(style: usize) -> u32 {
    SCALE.unsigned_abs() * if style == PROMPT { 1 } else { 2 }
}

fn band(plot: &mut Plot<'_, '_>, Series { points, style, .. }: &Series) -> Drawn {
    let end = |which: usize| move |point: &Point| point.range.map(|range| (point.x, range[which]));
    let lower = points.iter().filter_map(end(0));
    let outline: Vec<(f64, f64)> = lower.chain(points.iter().rev().filter_map(end(1))).collect();
    if outline.len() > 3 {
        plot.draw_series([Polygon::new(outline, Role::Fill(*style).sentinel().mix(0.16))])?;
    }
    Ok(())
}

/// A line; what is above or below the chart goes along its edge.
fn line(
    plot: &mut Plot<'_, '_>,
    points: &[Point],
    style: ShapeStyle,
    [bottom, top]: [f64; 2],
) -> Drawn {
    let path: Vec<(f64, f64)> =
        points.iter().map(|point| (point.x, point.y.clamp(bottom, top))).collect();
    plot.draw_series([PathElement::new(path, style)])?;
    Ok(())
}

/// A bar from the low end to the high end of each point: upright, or along the x axis.
fn bars(
    plot: &Plot<'_, '_>,
    root: &Area<'_>,
    Series { points, style, draw, .. }: &Series,
) -> Drawn {
    let stroke = ShapeStyle::from(Role::Fill(*style).sentinel()).stroke_width(width(*style));
    for Point { x, y, range } in points {
        if let Some(ends) = range {
            let ends = ends.map(|end| {
                let at = if *draw == Draw::Across { (end, *y) } else { (*x, end) };
                plot.backend_coord(&at)
            });
            root.draw(&PathElement::new(ends.to_vec(), stroke))?;
        }
    }
    Ok(())
}

/// Marks on a few of a line's points, at other places on each line, or on every point that stands
/// alone.
fn marks(
    plot: &Plot<'_, '_>,
    root: &Area<'_>,
    series: &Series,
    (place, lines): (usize, usize),
) -> Drawn {
    let Series { points, style, draw, .. } = series;
    let mark = if *draw == Draw::Across { Mark::None } else { palette::mark(*style) };
    let every = if draw.is_line() { (points.len() / MARKS).max(1) } else { 1 };
    let (colour, size) = (Role::Fill(*style).sentinel(), MARK * SCALE);
    let (fill, size) = match draw {
        Draw::Faint => (ShapeStyle::from(colour.mix(0.5)).filled(), size / 2),
        _ => (ShapeStyle::from(colour).filled(), size),
    };
    for point in points.iter().skip(every * (2 * place + 1) / (2 * lines.max(1))).step_by(every) {
        let centre = plot.backend_coord(&(point.x, point.y));
        match mark {
            Mark::None => {}
            Mark::Circle => root.draw(&Circle::new(centre, size - size / 8, fill))?,
            _ => root.draw(&Polygon::new(outline(mark, centre, size), fill))?,
        }
    }
    Ok(())
}

/// The corners of a mark.
fn outline(mark: Mark, (x, y): (i32, i32), size: i32) -> Vec<(i32, i32)> {
    let corners: &[(i32, i32)] = match mark {
        Mark::Triangle => &[(-5, 4), (5, 4), (0, -5)],
        Mark::Square => &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        Mark::Diamond => &[(-5, 0), (0, -6), (5, 0), (0, 6)],
        Mark::Circle | Mark::None => &[],
    };
    corners.iter().map(|(right, down)| (x + right * size / 4, y + down * size / 4)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::tests::chart;

    #[test]
    fn a_chart_is_drawn_in_the_colours_of_the_page_with_its_text_escaped() {
        let mut chart = chart();
        chart.y.label = "<script>alert(\"x\")</script> \u{0}".into();
        let text = svg(&chart).unwrap().into_string();
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        assert!(
            text.contains("<title id=\"cvar-title\">CVaR &lt;of&gt; &quot;rewards&quot;</title>"),
            "{text}"
        );
        assert!(
            text.contains("var(--s1, #009e73)") && text.contains("stroke-dasharray=\"32 12 8 12\""),
            "{text}"
        );
        assert!(!text.contains("#FE"), "a sentinel was left: {text}");
        assert!(text.contains("<polyline") && text.contains("opacity=\"0.16\""), "{text}");
        assert_eq!(text.matches("<svg").count(), 1);
    }

    #[test]
    fn a_chart_of_nothing_and_one_of_one_point_can_be_drawn() {
        let mut empty = chart();
        empty.series.clear();
        assert!(svg(&empty).unwrap().into_string().contains("<svg"));
        let mut one = chart();
        one.series.iter_mut().for_each(|series| series.points.truncate(1));
        one.x.names = vec!["A".into()];
        assert!(svg(&one).is_ok());
    }

    #[test]
    fn the_samples_of_the_key_differ() {
        let samples: Vec<_> =
            (0..=palette::STYLES).map(|style| key_sample(style).into_string()).collect();
        assert!(
            samples.iter().enumerate().all(|(place, sample)| !samples[..place].contains(sample))
        );
    }
}
