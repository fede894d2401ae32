//! The memory of a program as a picture: time to the right, addresses upward, a rectangle for each buffer.

use super::{Role, Timeline, TimelineBuffer};
use crate::markup::{clip, escape};
use crate::table::{bytes, short};
use std::fmt::Write;

/// Pixels left of the plot, for the addresses.
const LEFT: f64 = 76.0;
/// Pixels above the plot, for title and peak.
const TOP: f64 = 64.0;
/// Pixels right of the plot.
const RIGHT: f64 = 24.0;
/// Pixels of the plot's height.
const HEIGHT: f64 = 340.0;
/// Pixels of the plot's width that are aimed at.
const WIDTH: f64 = 880.0;
/// Pixels of the narrowest and the widest step.
const STEP: (f64, f64) = (4.0, 96.0);
/// Pixels of a character of the labels.
const CHARACTER: f64 = 6.2;

/// Both color schemes; the fills are light enough for dark text and the other way round.
const STYLE: &str = "\
.kt{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:11px}\
.kt .bg{fill:#fff}.kt text{fill:#3b4252}.kt .title{font-size:15px;font-weight:600;fill:#1c2330}\
.kt .grid{stroke:#e3e7ee}.kt .axis{stroke:#9aa4b5}.kt .peak{fill:none;stroke:#d0344d;stroke-width:2}\
.kt .peaktext{fill:#b3243c;font-weight:600}.kt .live{fill:none;stroke:#1c2330;stroke-width:1.4;stroke-dasharray:4 3}\
.kt .b path{stroke:#fff;stroke-width:1}.kt .b text{fill:#1c2330}\
.kt .c0{fill:#9ecae8}.kt .c1{fill:#b7dbb0}.kt .c2{fill:#f5cf94}.kt .c3{fill:#d7bde8}.kt .c4{fill:#a8dcd9}\
.kt .c5{fill:#f3b8b0}.kt .in{fill:#7fb2e5}.kt .out{fill:#8fcf8f}.kt .scratch{fill:#c9ced8}\
@media (prefers-color-scheme:dark){.kt .bg{fill:#14181f}.kt text{fill:#b8c1d1}.kt .title{fill:#eef1f6}\
.kt .grid{stroke:#262d38}.kt .axis{stroke:#5b6678}.kt .peaktext{fill:#ff8fa0}.kt .peak{stroke:#ff8fa0}\
.kt .live{stroke:#eef1f6}.kt .b path{stroke:#14181f}.kt .b text{fill:#f3f5f9}.kt .c0{fill:#2f5d7e}.kt .c1{fill:#3d6a39}\
.kt .c2{fill:#80602a}.kt .c3{fill:#5f4675}.kt .c4{fill:#2f6b68}.kt .c5{fill:#84483f}.kt .in{fill:#285a94}\
.kt .out{fill:#2e7036}.kt .scratch{fill:#454d5a}}";

/// A standalone picture of a timeline; `title` is what it is of. It follows the reader's color scheme.
pub fn svg(timeline: &Timeline, title: &str) -> String {
    let steps = timeline.steps.len().max(1);
    let step = (WIDTH / steps as f64).clamp(STEP.0, STEP.1);
    let plot = Plot {
        timeline,
        step,
        width: step * steps as f64,
        scale: HEIGHT / timeline.arena_bytes.max(1) as f64,
        out: String::new(),
    };
    plot.draw(title)
}

struct Plot<'a> {
    timeline: &'a Timeline,
    /// Pixels of a step.
    step: f64,
    width: f64,
    /// Pixels of a byte.
    scale: f64,
    out: String,
}

impl Plot<'_> {
    fn draw(mut self, title: &str) -> String {
        // Names of steps stand slanted under the axis where there is room for them.
        let named = self.step >= 13.0;
        let below = if named { 118.0 } else { 42.0 };
        let width = LEFT + self.width.max(560.0) + RIGHT;
        let height = TOP + HEIGHT + below;
        let _ = writeln!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"kt\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"Memory over time of {}\">",
            escape(title)
        );
        let _ = writeln!(self.out, "<style>{STYLE}</style>");
        let _ = writeln!(self.out, "<rect class=\"bg\" width=\"100%\" height=\"100%\"/>");
        let _ = writeln!(
            self.out,
            "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>\n<text x=\"{LEFT}\" y=\"42\">{}</text>",
            escape(&clip(title, 60)),
            escape(&self.timeline.summary())
        );
        self.legend();
        self.addresses();
        let timeline = self.timeline;
        self.out.push_str("<g class=\"b\">\n");
        for (index, buffer) in timeline.buffers.iter().enumerate() {
            self.buffer(index, buffer);
        }
        for buffer in &timeline.buffers {
            self.label(buffer);
        }
        self.out.push_str("</g>\n");
        self.live();
        self.peak();
        self.steps(named);
        self.out.push_str("</svg>\n");
        self.out
    }

    /// The pixel of an address; addresses grow upward.
    fn y(&self, address: u64) -> f64 {
        TOP + HEIGHT - address as f64 * self.scale
    }

    /// The pixel of a step's left edge.
    fn x(&self, step: usize) -> f64 {
        LEFT + step as f64 * self.step
    }

    /// What the colors and the line mean, at the top right.
    fn legend(&mut self) {
        let mut x = LEFT + self.width.max(560.0) - 232.0;
        for (class, name, room) in [("in", "input", 52.0), ("out", "output", 58.0)] {
            let _ = write!(
                self.out,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"15\" width=\"10\" height=\"10\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"24\">{name}</text>",
                x + 15.0
            );
            x += room;
        }
        let _ = writeln!(
            self.out,
            "<path class=\"live\" d=\"M{x:.1} 20h24\"/><text x=\"{:.1}\" y=\"24\">bytes that are live</text>",
            x + 30.0
        );
    }

    /// Lines at round addresses.
    fn addresses(&mut self) {
        let arena = self.timeline.arena_bytes;
        let mut unit = 16u64;
        while arena / unit > 6 {
            unit = unit.saturating_mul(2);
        }
        let mut address = 0;
        while address <= arena {
            let y = self.y(address);
            let right = LEFT + self.width;
            let _ = writeln!(
                self.out,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 3.5,
                bytes(address)
            );
            address += unit;
        }
        let _ = writeln!(
            self.out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">bytes</text>",
            LEFT - 8.0,
            TOP - 12.0
        );
    }

    fn buffer(&mut self, index: usize, buffer: &TimelineBuffer) {
        let class = match buffer.role {
            Role::Input => "in".to_owned(),
            Role::Output => "out".to_owned(),
            Role::Scratch => "scratch".to_owned(),
            Role::Value => format!("c{}", index % 6),
        };
        let outline = self.outline(buffer);
        let from = if buffer.first == buffer.last {
            format!("step {}", buffer.first)
        } else {
            format!("steps {} to {}", buffer.first, buffer.last)
        };
        let _ = write!(
            self.out,
            "<path class=\"{class}\" d=\"{outline}\"><title>{} bytes at {}, {from}\n{}</title></path>",
            bytes(buffer.bytes),
            bytes(buffer.offset),
            escape(&buffer.tensors.join("\n"))
        );
        self.out.push('\n');
    }

    /// Name and size of a buffer: at its upper left corner, or in the middle where it has no such corner.
    fn label(&mut self, buffer: &TimelineBuffer) {
        let (left, right) = (self.x(buffer.first), self.x(buffer.last + 1));
        let (top, height) =
            (self.y(buffer.offset + buffer.bytes), buffer.bytes as f64 * self.scale);
        let slopes = [(buffer.first, true), (buffer.last, false)]
            .into_iter()
            .filter(|&(step, born)| self.overlapped(buffer, step, born).is_some())
            .count();
        let width = right - left - 0.5 * self.step * slopes as f64;
        let (x, y, anchor) = match slopes {
            0 => (left + 5.0, top + 12.5, "start"),
            _ => (left.midpoint(right), top + 0.5 * height - 2.5, "middle"),
        };
        let room = ((width - 8.0) / CHARACTER) as usize;
        let lines = [
            (14.0, 5, label(buffer, room)),
            (28.0, 7, clip(&format!("{} B", bytes(buffer.bytes)), room)),
        ];
        for (number, (least, letters, text)) in lines.iter().enumerate() {
            if height >= *least && room >= *letters {
                let y = y + 12.5 * number as f64;
                let _ = writeln!(
                    self.out,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
                    escape(text)
                );
            }
        }
    }

    /// The buffer that this one is written over at its first step, or that is written over this one at its last.
    fn overlapped(
        &self,
        buffer: &TimelineBuffer,
        step: usize,
        born: bool,
    ) -> Option<&TimelineBuffer> {
        self.timeline.buffers.iter().find(|other| {
            let meets = if born { other.last == step } else { other.first == step };
            let apart = other.offset >= buffer.offset + buffer.bytes
                || buffer.offset >= other.offset + other.bytes;
            meets && !apart && *other != buffer
        })
    }

    /// A buffer over time: a rectangle, with a slope where it takes over the memory of another row by row, or is
    /// taken over.
    fn outline(&self, buffer: &TimelineBuffer) -> String {
        let (left, right) = (self.x(buffer.first), self.x(buffer.last + 1));
        let (top, bottom) = (self.y(buffer.offset + buffer.bytes), self.y(buffer.offset));
        let mut upper = vec![(left, top), (right, top)];
        let mut lower = vec![(left, bottom), (right, bottom)];
        if let Some(other) = self.overlapped(buffer, buffer.first, true) {
            let full = left + self.step;
            if buffer.offset < other.offset {
                upper.splice(..1, [(left, bottom), (full, top)]);
            } else {
                lower.splice(..1, [(left, top), (full, bottom)]);
            }
        }
        if let Some(other) = self.overlapped(buffer, buffer.last, false) {
            let full = right - self.step;
            if buffer.offset > other.offset {
                lower.splice(lower.len() - 1.., [(full, bottom), (right, top)]);
            } else {
                upper.splice(upper.len() - 1.., [(full, top), (right, bottom)]);
            }
        }
        let points = upper.iter().chain(lower.iter().rev());
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        format!("M{}z", points.join("L"))
    }

    /// The sum of what is live, as a line.
    fn live(&mut self) {
        let mut path = String::new();
        for step in &self.timeline.steps {
            let (left, right) = (self.x(step.step), self.x(step.step + 1));
            let y = self.y(step.live_bytes);
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{left:.1} {y:.1}L{right:.1} {y:.1}");
        }
        if !path.is_empty() {
            let _ = writeln!(
                self.out,
                "<path class=\"live\" d=\"{path}\"><title>bytes that are live</title></path>"
            );
        }
    }

    fn peak(&mut self) {
        let Some(peak) = &self.timeline.peak else { return };
        let x = self.x(peak.step);
        let label = peak.label.split(" \"").next().unwrap_or_default();
        let text = format!("peak: {} bytes at step {}, node {label}", bytes(peak.bytes), peak.step);
        // Where the text would leave the picture on the right, it ends at the step.
        let room = text.chars().count() as f64 * CHARACTER;
        let (at, anchor) = if x + room > LEFT + self.width.max(560.0) {
            (x + self.step, "end")
        } else {
            (x, "start")
        };
        let _ = writeln!(
            self.out,
            "<rect class=\"peak\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\"/>\
             <text class=\"peaktext\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            TOP - 4.0,
            self.step,
            HEIGHT + 4.0,
            TOP - 8.0,
            escape(&text)
        );
    }

    fn steps(&mut self, named: bool) {
        let y = TOP + HEIGHT;
        let _ = writeln!(
            self.out,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
            LEFT + self.width
        );
        // About one number for every 30 pixels where the names do not fit.
        let every = if named { 1 } else { (30.0 / self.step).ceil().max(1.0) as usize };
        for step in self.timeline.steps.iter().step_by(every) {
            let middle = self.x(step.step) + self.step / 2.0;
            if named {
                let label = step.label.split(" \"").next().unwrap_or_default();
                let _ = writeln!(
                    self.out,
                    "<text transform=\"translate({:.1},{:.1}) rotate(-45)\" text-anchor=\"end\">{}\
                     <title>{}</title></text>",
                    middle + 3.0,
                    y + 14.0,
                    escape(&clip(label, 22)),
                    escape(&step.label)
                );
            } else {
                let _ = writeln!(
                    self.out,
                    "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    y + 16.0,
                    step.step
                );
            }
        }
        if !named {
            let _ = writeln!(self.out, "<text x=\"{LEFT}\" y=\"{:.1}\">step</text>", y + 34.0);
        }
    }
}

/// What a buffer is called in the picture: the first tensor's shape and, if there is room, the end of its
/// name.
fn label(buffer: &TimelineBuffer, room: usize) -> String {
    let Some(first) = buffer.tensors.first() else { return clip("scratch", room) };
    let Some((name, ty)) = first.rsplit_once(' ') else { return clip(first, room) };
    let shape = dimensions(ty);
    let name = short(name);
    let last = name.trim_end_matches(";…").rsplit('/').find(|part| !part.is_empty());
    let whole = format!("{shape} {}", last.unwrap_or_default());
    // A name of two letters and a mark says nothing.
    if shape.chars().count() + 4 > room { clip(&shape, room) } else { clip(&whole, room) }
}

/// `48×48×16` of `i8[1,48,48,16]`: leading ones say nothing.
fn dimensions(ty: &str) -> String {
    let Some((element, rest)) = ty.split_once('[') else { return ty.to_owned() };
    let mut lengths: Vec<&str> = rest.trim_end_matches(']').split(',').collect();
    while lengths.len() > 1 && lengths.first() == Some(&"1") {
        lengths.remove(0);
    }
    if lengths == [""] { element.to_owned() } else { lengths.join("×") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(offset: u64, bytes: u64, first: usize, last: usize, name: &str) -> TimelineBuffer {
        TimelineBuffer { offset, bytes, first, last, role: Role::Value, tensors: vec![name.into()] }
    }

    #[test]
    fn shapes_are_short() {
        let shapes = ["i8[1,48,48,16]", "f32[1,1]", "i8[]", "i32[5]"].map(dimensions);
        assert_eq!(shapes, ["48×48×16", "1", "i8", "5"]);
    }

    #[test]
    fn a_buffer_slopes_where_another_takes_its_memory_over() {
        let step = |step| super::super::TimelineStep {
            step,
            label: String::new(),
            kernel: "",
            live_bytes: 96,
        };
        let timeline = Timeline {
            arena_bytes: 96,
            state_bytes: 0,
            lower_bound: 96,
            optimal: true,
            peak: None,
            steps: (0..2).map(step).collect(),
            // The second one is written from below while the first one is read.
            buffers: vec![buffer(0, 64, 0, 1, "output"), buffer(32, 64, 0, 0, "input")],
        };
        let picture = svg(&timeline, "");
        let outline = |class: &str| {
            let at = picture.find(&format!("<path class=\"{class}\" d=\"")).expect("a path");
            picture[at..].split('"').nth(3).expect("an outline").to_owned()
        };
        let points = |path: &str| -> Vec<(f64, f64)> {
            let points = path.trim_matches(['M', 'z']).split('L');
            points
                .map(|point| {
                    let (x, y) = point.split_once(' ').expect("two numbers");
                    (x.parse().expect("a number"), y.parse().expect("a number"))
                })
                .collect()
        };
        let output = points(&outline("c0"));
        // Up from its lower left corner, then a rectangle.
        let (left, bottom) = output[0];
        assert_eq!(output[4], (left, bottom));
        assert!(output[1].0 > left && output[1].1 < bottom && output[2].1 == output[1].1);
        let input = points(&outline("c1"));
        // Its lower edge ends in its upper right corner.
        assert_eq!(input[1], input[2]);
    }

    #[test]
    fn the_picture_is_well_formed_whatever_the_names() {
        let steps = (0..3).map(|step| super::super::TimelineStep {
            step,
            label: format!("{step} conv2d \"a<b&c\""),
            kernel: "conv2d_i8",
            live_bytes: 64,
        });
        let timeline = Timeline {
            arena_bytes: 96,
            state_bytes: 0,
            lower_bound: 96,
            optimal: true,
            peak: None,
            steps: steps.collect(),
            buffers: vec![
                buffer(0, 64, 0, 2, "a/<script>\u{1} i8[1,64]"),
                buffer(64, 32, 1, 1, "x"),
            ],
        };
        let picture = svg(&timeline, "<&>");
        assert!(!picture.contains("<script>") && !picture.contains('\u{1}'));
        // The ground and two in the legend; two buffers.
        assert_eq!(picture.matches("<rect").count(), 3);
        assert_eq!(picture.matches("<path class=\"c").count(), 2);
        assert_eq!(picture.matches("<g ").count(), picture.matches("</g>").count());
        assert!(picture.contains("a&lt;b&amp;c"));
        // One number of an attribute that is no number would break it.
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }
}
