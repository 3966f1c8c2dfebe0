//! A chart: axes, lines, bands and marks; as SVG that takes its colours from the page, and as CSV.

mod csv;
pub(crate) mod palette;
mod svg;

#[cfg(test)]
pub(crate) use csv::csv;
pub(crate) use csv::data_link;
pub(crate) use svg::{key_sample, svg};

use crate::curves::{Point, extent};

/// A line, its band and its marks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// What it is of.
    pub(crate) name: String,
    /// One of `palette`'s styles.
    pub(crate) style: usize,
    pub(crate) points: Vec<Point>,
    pub(crate) draw: Draw,
}

/// How points become a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Neighbours are joined, ranges are a band.
    Joined,
    /// The same, thin, under the mean over so many neighbours, this one in their middle.
    Smoothed(usize),
    /// Each point stands alone, with its range as a bar.
    Apart,
    /// Each range is along the x axis, a bar without a mark: what belongs to a point of another
    /// series.
    Across,
    /// Each point stands alone and is small: what a point of another series is the mean of.
    Faint,
}

impl Draw {
    /// Whether neighbours are joined.
    fn is_line(self) -> bool {
        matches!(self, Self::Joined | Self::Smoothed(_))
    }
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    /// What it shows, and in what unit.
    pub(crate) label: String,
    /// From where to where; by the data if nothing is said.
    pub(crate) range: Option<[f64; 2]>,
    /// What stands at 1, 2, 3, ... where those are no numbers.
    pub(crate) names: Vec<String>,
    /// Whether there is nothing between whole numbers.
    pub(crate) whole: bool,
}

impl Axis {
    /// An axis that is as long as the data.
    pub(crate) fn new(label: &str) -> Self {
        Self { label: label.to_owned(), range: None, names: Vec::new(), whole: false }
    }

    /// An axis of a fixed length.
    pub(crate) fn from_to(label: &str, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..Self::new(label) }
    }
}

/// How large it is drawn, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Two in a row.
    Large,
    /// Three in a row.
    Small,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// Names the chart in the page, in small letters: for links and files.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) size: Size,
}

impl Chart {
    /// Whether there is anything to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// The series that have a name of their own: not what belongs to another one.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| !matches!(series.draw, Draw::Across | Draw::Faint))
    }

    /// The extent of the axes: the fixed one, or that of the data with a little room.
    fn ranges(&self) -> ([f64; 2], [f64; 2]) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let xs = extent(points().map(|point| point.x)).unwrap_or([0.0, 1.0]);
        let upright = |series: &Series| series.draw != Draw::Across;
        let ranges = self.series.iter().filter(|series| upright(series));
        let ends = ranges.flat_map(|series| &series.points).filter_map(|point| point.range);
        let ys = extent(points().map(|point| point.y).chain(ends.flatten())).unwrap_or([0.0, 1.0]);
        let roomy = |[low, high]: [f64; 2]| {
            let span = high - low;
            let size = low.abs().max(high.abs());
            let room = match (span > 1e-9 * size, size > 0.0) {
                (true, _) => 0.05 * span,
                (false, true) => 0.1 * size,
                (false, false) => 0.5,
            };
            [low - room, high + room]
        };
        let xs = if xs[0] < xs[1] { xs } else { roomy(xs) };
        (self.x.range.unwrap_or(xs), self.y.range.unwrap_or_else(|| roomy(ys)))
    }

    /// What the chart shows, for those who do not see it.
    pub(crate) fn description(&self) -> String {
        let [x, y] = [&self.x, &self.y].map(|axis| axis.label.clone());
        let of_series = |series: &Series| {
            let (first, last) = (series.points.first()?, series.points.last()?);
            let [low, high] = extent(series.points.iter().map(|point| point.y))?;
            let [from, to, low, high] = [first.y, last.y, low, high].map(significant);
            let [begin, end] =
                [first.x, last.x].map(|x| self.name_of(x).unwrap_or_else(|| significant(x)));
            Some(format!(
                "{}: {from} at {begin}, {to} at {end}, lowest {low}, highest {high}.",
                series.name
            ))
        };
        let series: Vec<String> = self.named().filter_map(of_series).collect();
        format!("{y} against {x}. {}", series.join(" "))
    }

    /// What stands at a place of the x axis, if it has names.
    fn name_of(&self, x: f64) -> Option<String> {
        let names = self.x.names.iter().zip(1_u32..);
        names
            .into_iter()
            .find(|(_, place)| (f64::from(*place) - x).abs() < 0.5)
            .map(|(name, _)| name.clone())
    }
}

/// A number with three digits that count, or as many as it has before the point.
fn significant(value: f64) -> String {
    let digits = (0..12).find(|&digits| value.abs() * 10_f64.powi(digits) >= 99.95).unwrap_or(12);
    plain(value, usize::try_from(digits).unwrap_or_default())
}

/// A number with at most so many digits after the point.
pub(crate) fn plain(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn chart() -> Chart {
        let point = |x: f64, y: f64| Point { x, y, range: Some([y - 0.5, y + 0.5]) };
        Chart {
            id: "cvar".into(),
            title: "CVaR <of> \"rewards\"".into(),
            x: Axis::new("alpha"),
            y: Axis::new("reward & more"),
            series: vec![
                Series {
                    name: "SFT".into(),
                    style: 1,
                    points: vec![point(0.0, -1.0), point(1.0, 2.0)],
                    draw: Draw::Joined,
                },
                Series {
                    name: "a,\"b\"".into(),
                    style: 2,
                    points: vec![Point { x: 0.5, y: 1.25, range: None }],
                    draw: Draw::Apart,
                },
            ],
            size: Size::Large,
        }
    }

    #[test]
    fn axes_hold_the_bands_and_are_never_flat() {
        let (xs, ys) = chart().ranges();
        assert_eq!((xs[0], xs[1]), (0.0, 1.0));
        assert!(ys[0] < -1.5 && ys[1] > 2.5, "{ys:?}");
        let mut flat = chart();
        flat.series
            .iter_mut()
            .for_each(|series| series.points = vec![Point { x: 3.0, y: 24.0, range: None }]);
        let (xs, ys) = flat.ranges();
        assert!(xs[0] < 3.0 && 3.0 < xs[1] && ys[0] < 24.0 && 24.0 < ys[1]);
        flat.series
            .iter_mut()
            .for_each(|series| series.points = vec![Point { x: 3.0, y: -1e-4, range: None }]);
        let (_, ys) = flat.ranges();
        assert!(ys[0] < -1e-4 && -1e-4 < ys[1] && ys[1] < 0.0, "{ys:?}");
    }

    #[test]
    fn the_description_says_where_each_line_begins_and_ends() {
        let said = chart().description();
        assert!(
            said.starts_with(
                "reward & more against alpha. SFT: -1 at 0, 2 at 1, lowest -1, highest 2."
            ),
            "{said}"
        );
        let numbers = [0.0, 0.000_123_4, -0.1, 99.96, 1_234.5, 100.0].map(significant);
        assert_eq!(numbers, ["0", "0.000123", "-0.1", "100", "1234", "100"]);
        assert_eq!(
            (plain(1.250, 3), plain(-0.0001, 2), plain(100.0, 0)),
            ("1.25".into(), "0".into(), "100".into())
        );
    }
}
