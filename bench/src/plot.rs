//! The plot of what adding one package costs against the size of the repository: SVG with both
//! axes logarithmic, written by hand.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;

/// One program's line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) colour: &'static str,
    /// Packages and CPU seconds.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Whole decades that hold the numbers.
#[derive(Debug, Clone, Copy)]
struct Axis {
    lowest: f64,
    highest: f64,
}

impl Axis {
    fn around(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let lowest = numbers.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let highest = numbers.fold(0.0, f64::max).log10().ceil();
        Self { lowest, highest: highest.max(lowest + 1.0) }
    }

    /// From 0 to 1.
    fn place(self, number: f64) -> f64 {
        (number.log10() - self.lowest) / (self.highest - self.lowest)
    }

    fn decades(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.lowest), |decade| Some(decade + 1.0))
            .take_while(move |decade| *decade <= self.highest)
            .map(|decade| 10_f64.powf(decade))
    }
}

/// The plot; `None` when there is nothing to draw.
pub(crate) fn svg(title: &str, lines: &[Line]) -> Option<String> {
    let points = || lines.iter().flat_map(|line| &line.points).copied().filter(|(x, y)| *x > 0.0 && *y > 0.0);
    points().next()?;
    let (across, up) = (Axis::around(points().map(|(x, _)| x)), Axis::around(points().map(|(_, y)| y)));
    let x = |number: f64| LEFT + across.place(number) * (WIDTH - LEFT - RIGHT);
    let y = |number: f64| HEIGHT - BOTTOM - up.place(number) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{title}</text>\n"
    );
    let mut add = |text: std::fmt::Arguments<'_>| writeln!(svg, "{text}").expect("a String takes any text");
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for decade in across.decades() {
        let at = x(decade);
        add(format_args!("<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>"));
        add(format_args!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade}</text>", bottom + 20.0));
    }
    for decade in up.decades() {
        let (at, label) = (y(decade), rounded(decade));
        add(format_args!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>"));
        add(format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.0));
    }
    let (middle, below) = (f64::midpoint(LEFT, right), HEIGHT - 15.0);
    add(format_args!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">packages in the repository</text>"));
    let half = f64::midpoint(TOP, bottom);
    add(format_args!("<text transform=\"translate(22 {half}) rotate(-90)\" text-anchor=\"middle\">CPU seconds</text>"));
    for line in lines {
        let path: Vec<String> = line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let colour = line.colour;
        let joined = path.join(" ");
        add(format_args!("<polyline points=\"{joined}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        for (a, b) in &line.points {
            add(format_args!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>", x(*a), y(*b)));
        }
        if let Some((a, b)) = line.points.last() {
            let (at, level) = (x(*a) + 10.0, y(*b) + 4.0);
            let label = &line.label;
            add(format_args!("<text x=\"{at:.1}\" y=\"{level:.1}\" fill=\"{colour}\">{label}</text>"));
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// `0.001`, without the tail that floating point leaves.
fn rounded(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_evenly_spaced_and_every_point_is_inside() {
        let points = vec![(1_000.0, 0.002), (10_000.0, 0.02), (100_000.0, 0.2)];
        let svg = svg("x", &[Line { label: "yrm".into(), colour: "#000", points }]).unwrap();
        let line = svg.lines().find(|line| line.starts_with("<polyline")).unwrap();
        let points: Vec<(f64, f64)> = line["<polyline points=\"".len()..line.find("\" fill").unwrap()]
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!((points[1].0 - points[0].0 - (points[2].0 - points[1].0)).abs() < 0.2);
        assert!(points.iter().all(|(x, y)| (LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=HEIGHT - BOTTOM).contains(y)));
    }

    #[test]
    fn nothing_measured_draws_nothing() {
        assert_eq!(svg("x", &[]), None);
    }
}
