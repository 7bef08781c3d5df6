//! Line charts as SVG: three scales, a legend, and nothing else. What plotting crates would have to be taught, the
//! scale of percentiles, is half of it.

use super::model::System;
use std::fmt::Write as _;

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By powers of ten; what is not above 0 is left out.
    Log,
    /// By nines: 50, 90, 99, 99.9; what is 100 or more is left out.
    Percentile,
}

/// One axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// With its unit.
    pub label: &'static str,
    /// How it runs.
    pub scale: Scale,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Whose it is: sets the colour and the marks.
    pub system: Option<System>,
    /// The second of a system's lines in a chart.
    pub dashed: bool,
    /// Whether the points are marked.
    pub marked: bool,
    /// In the order of x.
    pub points: Vec<(f64, f64)>,
}

/// One picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// File name without its ending.
    pub name: &'static str,
    /// Above it.
    pub title: String,
    /// What it shows and under which load.
    pub caption: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// Its lines; those without points are left out.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 58.0;
const LEGEND_LINE: f64 = 20.0;

/// Of Okabe's and Ito's palette, which the colour-blind can tell apart.
pub fn colour(system: Option<System>) -> &'static str {
    match system {
        Some(System::Corelane) => "#0072B2",
        Some(System::Kafka) => "#D55E00",
        Some(System::KafkaFlushing) => "#CC79A7",
        Some(System::Tansu) => "#009E73",
        None => "#777777",
    }
}

/// Where values are on an axis.
struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

fn transformed(scale: Scale, value: f64) -> Option<f64> {
    match scale {
        Scale::Linear => value.is_finite().then_some(value),
        Scale::Log => (value > 0.0 && value.is_finite()).then(|| value.log10()),
        Scale::Percentile => (0.0..100.0).contains(&value).then(|| -(1.0 - value / 100.0).log10()),
    }
}

impl Ruler {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Ruler {
        let all: Vec<f64> = values.filter_map(|value| transformed(scale, value)).collect();
        let least = all.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = all.iter().copied().reduce(f64::max).unwrap_or(1.0);
        let (low, high) = match scale {
            Scale::Linear => (0.0, most.max(f64::MIN_POSITIVE) * 1.05),
            Scale::Log => (least - 0.05, most.max(least + 0.3) + 0.05),
            Scale::Percentile => (0.0, most.max(1.0)),
        };
        Ruler { scale, low, high, from, to }
    }

    fn at(&self, value: f64) -> Option<f64> {
        let value = transformed(self.scale, value)?;
        let part = (value - self.low) / (self.high - self.low);
        (-0.001..=1.001).contains(&part).then_some(self.from + part * (self.to - self.from))
    }

    /// Values with a line through the chart.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Percentile => vec![0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999],
            Scale::Linear => {
                let rough = self.high / 6.0;
                let power = 10_f64.powf(rough.log10().floor());
                let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
                let step = factor.unwrap_or(10.0) * power;
                (0..=12_u32)
                    .map(|count| f64::from(count) * step)
                    .filter(|value| *value <= self.high)
                    .collect()
            }
            Scale::Log => {
                let decades = self.high - self.low;
                let parts: &[f64] = if decades < 3.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decades = self.low.floor() as i32..=self.high.ceil() as i32;
                decades.flat_map(|power| parts.iter().map(move |part| part * 10_f64.powi(power))).collect()
            }
        }
    }
}

/// A number with three digits that count, thousands grouped.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        0.0 => 0,
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{size:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let mut out = if value < 0.0 { "−".to_owned() } else { String::new() };
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        let _ = write!(out, ".{fraction}");
    }
    out
}

fn tick_text(scale: Scale, value: f64) -> String {
    match scale {
        // As many nines as there are.
        Scale::Percentile => format!("p{value}"),
        Scale::Linear | Scale::Log => number(value),
    }
}

/// For text and attributes of HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Chart {
    /// The picture, or none if there is nothing to show.
    pub fn svg(&self) -> Option<String> {
        let lines: Vec<&Series> = self.series.iter().filter(|series| !series.points.is_empty()).collect();
        if lines.is_empty() {
            return None;
        }
        let height = HEIGHT + LEGEND_LINE * lines.len().div_ceil(2) as f64;
        let points = || lines.iter().flat_map(|series| &series.points);
        let x = Ruler::new(self.x.scale, points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Ruler::new(self.y.scale, points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" role=\"img\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"26\" font-size=\"16\" font-weight=\"bold\" fill=\"#222222\">{}</text>\n",
            escape(&self.title)
        );
        self.grid(&mut out, &x, &y);
        for series in &lines {
            series.draw(&mut out, &x, &y);
        }
        for (place, series) in lines.iter().enumerate() {
            let across = LEFT + if place % 2 == 0 { 0.0 } else { (WIDTH - LEFT - RIGHT) / 2.0 };
            let down = HEIGHT + 6.0 + LEGEND_LINE * (place / 2) as f64;
            series.legend(&mut out, across, down);
        }
        out.push_str("</svg>\n");
        Some(out)
    }

    fn grid(&self, out: &mut String, x: &Ruler, y: &Ruler) {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        for value in y.ticks() {
            let Some(at) = y.at(value) else { continue };
            let text = tick_text(y.scale, value);
            let _ = writeln!(
                out,
                "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#e2e2e2\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\" fill=\"#444444\">{text}</text>",
                left - 8.0,
                at + 4.5
            );
        }
        let mut free = f64::NEG_INFINITY;
        for value in x.ticks() {
            let Some(at) = x.at(value) else { continue };
            let _ = writeln!(out, "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#e2e2e2\"/>");
            let text = tick_text(x.scale, value);
            let half = text.chars().count() as f64 * 4.0;
            if at - half > free {
                let y = bottom + 18.0;
                let _ = writeln!(
                    out,
                    "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#444444\">{text}</text>"
                );
                free = at + half + 4.0;
            }
        }
        let (middle_x, middle_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
        let _ = writeln!(
            out,
            "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#444444\"/>\n\
             <text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222222\">{}</text>\n\
             <text transform=\"translate(18 {middle_y}) rotate(-90)\" text-anchor=\"middle\" fill=\"#222222\">{}</text>",
            bottom + 40.0,
            escape(self.x.label),
            escape(self.y.label)
        );
    }
}

impl Series {
    fn dash(&self) -> &'static str {
        match (self.system, self.dashed) {
            (None, _) => " stroke-dasharray=\"2 4\"",
            (_, true) => " stroke-dasharray=\"8 5\"",
            _ => "",
        }
    }

    fn draw(&self, out: &mut String, x: &Ruler, y: &Ruler) {
        let placed = self.points.iter().filter_map(|point| Some((x.at(point.0)?, y.at(point.1)?)));
        let placed: Vec<(f64, f64)> = placed.collect();
        let path: Vec<String> = placed.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let (ink, dash) = (colour(self.system), self.dash());
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"2.2\" stroke-linejoin=\"round\"{dash}/>",
            path.join("L")
        );
        if self.marked {
            placed.iter().for_each(|(x, y)| self.mark(out, *x, *y));
        }
    }

    /// Another shape for each system, for whoever sees no colours at all.
    fn mark(&self, out: &mut String, x: f64, y: f64) {
        let ink = colour(self.system);
        let fill = if self.dashed { "#ffffff" } else { ink };
        let shape = match self.system {
            Some(System::Corelane) => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\""),
            Some(System::Kafka) => {
                format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7.4\" height=\"7.4\"", x - 3.7, y - 3.7)
            }
            Some(System::KafkaFlushing) => {
                format!("<path d=\"M{:.1} {:.1}l9.6 0l-4.8 -8.6z\"", x - 4.8, y + 3.4)
            }
            Some(System::Tansu) => format!("<path d=\"M{:.1} {y:.1}l5 -5l5 5l-5 5z\"", x - 5.0),
            None => return,
        };
        let _ = writeln!(out, "{shape} fill=\"{fill}\" stroke=\"{ink}\" stroke-width=\"1.5\"/>");
    }

    fn legend(&self, out: &mut String, x: f64, y: f64) {
        let (ink, dash) = (colour(self.system), self.dash());
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {y:.1}h30\" stroke=\"{ink}\" stroke-width=\"2.2\"{dash}/><text x=\"{:.1}\" y=\"{:.1}\" \
             fill=\"#222222\">{}</text>",
            x + 38.0,
            y + 4.5,
            escape(&self.name)
        );
        if self.marked {
            self.mark(out, x + 15.0, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, points: Vec<(f64, f64)>) -> Chart {
        let axis = Axis { label: "MB/s", scale };
        let series =
            Series { name: "a < b".into(), system: Some(System::Kafka), dashed: false, marked: true, points };
        let (title, caption) = ("t".into(), "c".into());
        Chart {
            name: "n",
            title,
            caption,
            x: axis,
            y: Axis { label: "ms", scale: Scale::Log },
            series: vec![series],
        }
    }

    #[test]
    fn numbers_keep_the_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (1_234_567.8, "1,234,568"),
            (45.67, "45.7"),
            (0.5, "0.5"),
            (-0.0123, "−0.0123"),
            (2.0, "2"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_chart_without_points_is_none_and_with_one_it_has_labels_and_escaped_names() {
        assert_eq!(chart(Scale::Log, Vec::new()).svg(), None);
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            let svg = chart(scale, vec![(50.0, 1.5)]).svg().unwrap();
            assert!(svg.contains("MB/s") && svg.contains("a &lt; b") && !svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn what_a_scale_cannot_show_is_left_out() {
        let svg = chart(Scale::Percentile, vec![(50.0, 1.0), (99.0, 2.0), (100.0, 9.0)]).svg().unwrap();
        assert_eq!(svg.matches("width=\"7.4\"").count(), 3, "two points and one in the legend");
    }
}
