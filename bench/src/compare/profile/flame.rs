//! A flame graph as SVG: each box a function, on top of its caller, as wide as its part of the samples. It moves by itself
//! nowhere; a pointer that rests on a box is told its whole name and part.

use super::super::plot::escape;
use std::{collections::BTreeMap, fmt::Write as _};

/// What the names of the kernel's functions end with.
pub const KERNEL: &str = " (kernel)";

const WIDTH: f64 = 1040.0;
const ROW: f64 = 17.0;
const TITLE: f64 = 34.0;
const MARGIN: f64 = 8.0;

/// Of a letter, at the size of the labels.
const LETTER: f64 = 6.1;

/// Boxes that would be narrower are left out, in pixels.
const NARROWEST: f64 = 0.4;

/// One function called by one stack of callers.
#[derive(Default)]
struct Frame<'a> {
    samples: u64,
    callees: BTreeMap<&'a str, Frame<'a>>,
}

impl<'a> Frame<'a> {
    fn of(stacks: &'a BTreeMap<String, u64>) -> Frame<'a> {
        let mut root = Frame::default();
        for (stack, samples) in stacks {
            root.samples += samples;
            let mut frame = &mut root;
            for name in stack.split(';') {
                frame = frame.callees.entry(name).or_default();
                frame.samples += samples;
            }
        }
        root
    }

    /// Boxes on top of each other, of those that are drawn.
    fn height(&self, narrowest: u64) -> u32 {
        let drawn = self.callees.values().filter(|callee| callee.samples >= narrowest);
        drawn.map(|callee| 1 + callee.height(narrowest)).max().unwrap_or(0)
    }
}

/// Draws folded stacks; none where there are none.
pub fn svg(title: &str, stacks: &BTreeMap<String, u64>) -> Option<String> {
    let root = Frame::of(stacks);
    if root.samples == 0 {
        return None;
    }
    let scale = (WIDTH - 2.0 * MARGIN) / root.samples as f64;
    let narrowest = ((NARROWEST / scale).ceil() as u64).max(1);
    let height = TITLE + f64::from(root.height(narrowest)) * ROW + MARGIN;
    let mut canvas =
        Canvas { out: String::new(), scale, all: root.samples, narrowest, bottom: height - MARGIN };
    let _ = write!(
        canvas.out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"Helvetica,Arial,sans-serif\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"21\" font-size=\"15\" fill=\"#222222\">{}</text>\n",
        escape(title)
    );
    canvas.callees(&root, MARGIN, 0);
    canvas.out.push_str("</svg>\n");
    Some(canvas.out)
}

struct Canvas {
    out: String,
    /// Pixels for each sample.
    scale: f64,
    all: u64,
    narrowest: u64,
    bottom: f64,
}

impl Canvas {
    fn callees(&mut self, frame: &Frame<'_>, mut x: f64, level: u32) {
        for (name, callee) in &frame.callees {
            let width = callee.samples as f64 * self.scale;
            if callee.samples >= self.narrowest {
                self.draw(name, callee.samples, (x, width), level);
                self.callees(callee, x, level + 1);
            }
            x += width;
        }
    }

    fn draw(&mut self, name: &str, samples: u64, (x, width): (f64, f64), level: u32) {
        let y = self.bottom - f64::from(level + 1) * ROW;
        let part = 100.0 * samples as f64 / self.all as f64;
        let _ = write!(
            self.out,
            "<g><title>{} – {part:.1} %</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
             fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"0.5\"/>",
            escape(name),
            ROW - 1.0,
            colour(name),
        );
        let letters = ((width - 4.0) / LETTER).max(0.0) as usize;
        if letters >= 3 {
            let _ = write!(
                self.out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#222222\">{}</text>",
                x + 2.0,
                y + 12.0,
                escape(&label(name, letters))
            );
        }
        self.out.push_str("</g>\n");
    }
}

/// The end of a path says more than its beginning; whose function it is the colour says.
fn label(name: &str, letters: usize) -> String {
    let name = name.trim_end_matches(KERNEL);
    let count = name.chars().count();
    if count <= letters {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - (letters - 1)).collect();
    format!("…{end}")
}

/// Whose function it is: the broker's own crates one by one, other crates, and the kernel. Of Okabe's and Ito's palette, light
/// enough to be written on.
fn colour(name: &str) -> &'static str {
    let ours = |part: &str| name.trim_start_matches(['<', '&']).starts_with(part);
    match name {
        _ if name.ends_with(KERNEL) => "#d6d6d6",
        _ if ours("corelane_core") => "#7fc4ea",
        _ if ours("corelane_shard") || ours("corelane_seam") => "#8fd6b8",
        _ if ours("corelane_io") || ours("glommio") => "#f5cf7f",
        _ if ours("corelane") => "#e6b3d0",
        _ => "#f0b08a",
    }
}

/// The functions in which most samples were, the callees' own not counted: name and part of all, most first.
pub fn busiest(stacks: &BTreeMap<String, u64>, count: usize) -> Vec<(&str, f64)> {
    let all: u64 = stacks.values().sum();
    let mut own: BTreeMap<&str, u64> = BTreeMap::new();
    for (stack, samples) in stacks {
        let name = stack.rsplit(';').next().unwrap_or_default();
        *own.entry(name).or_default() += samples;
    }
    let mut own: Vec<(&str, u64)> = own.into_iter().collect();
    own.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    own.truncate(count);
    own.into_iter().map(|(name, samples)| (name, samples as f64 / all.max(1) as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks() -> BTreeMap<String, u64> {
        let stacks = [
            ("data;corelane_core::a;memcpy", 50),
            ("data;corelane_core::a", 30),
            ("data;<corelane_io::b as C>::d;write (kernel)", 19),
            ("quorum;memcpy", 1),
        ];
        stacks.into_iter().map(|(stack, samples)| (stack.to_owned(), samples)).collect()
    }

    #[test]
    fn a_box_is_as_wide_as_its_part_and_stands_on_its_caller() {
        let svg = svg("produce & more", &stacks()).expect("there are samples");
        assert!(svg.contains("produce &amp; more"));
        for (name, part) in [("corelane_core::a", "80.0"), ("data", "99.0"), ("write (kernel)", "19.0")] {
            assert!(svg.contains(&format!("<title>{name} – {part} %</title>")), "{name} in {svg}");
        }
        let full = WIDTH - 2.0 * MARGIN;
        assert!(svg.contains(&format!("width=\"{:.1}\"", 0.8 * full)), "{svg}");
        assert!(svg.contains("&lt;corelane_io::b as C&gt;::d"));
    }

    #[test]
    fn without_samples_there_is_no_graph() {
        assert_eq!(svg("t", &BTreeMap::new()), None);
    }

    #[test]
    fn the_busiest_are_counted_over_all_callers_and_without_their_callees() {
        assert_eq!(busiest(&stacks(), 2), [("memcpy", 0.51), ("corelane_core::a", 0.3)]);
    }

    #[test]
    fn a_long_name_loses_its_beginning() {
        assert_eq!(label("corelane_core::engine::handle", 8), "…:handle");
        assert_eq!(label("short", 8), "short");
        assert_eq!(label("vfs_read (kernel)", 8), "vfs_read");
    }
}
