//! The picture in the README: what three commands print on the project's own model.

use crate::demo::{MODEL, VECTORS};
use crate::run::{Outcome, Program, root};

/// Most lines a command shows; the rest is cut with an ellipsis.
const LINES: usize = 14;
/// Most characters of a line.
const COLUMNS: usize = 96;

pub(crate) fn picture() -> Outcome {
    let boards =
        ["--board", "microbit", "--board", "nucleo-f446re", "--board", "esp32-c3-devkitm-1"];
    let fit: Vec<&str> = ["fit", MODEL].into_iter().chain(boards).collect();
    let compile =
        ["compile", MODEL, "--board", "nucleo-f446re", "--output", "target/demo/machine_state"];
    let verify = ["verify", MODEL, "--against", VECTORS, "--engine", "crate:nucleo-f446re"];
    let commands: [&[&str]; 3] = [&fit, &compile, &verify];
    let mut lines: Vec<(bool, String)> = Vec::new();
    for args in commands {
        let shown = args.join(" ").replace("models/machine_state/", "");
        lines.push((true, format!("$ kinglet {shown}")));
        let said = Program::cargo()
            .args(["run", "--release", "--quiet", "--package", "kinglet", "--"])
            .args(args)
            .output()
            .ok_or_else(|| format!("`kinglet {shown}` failed"))?;
        let said: Vec<&str> = said.lines().collect();
        for line in said.iter().take(LINES) {
            let line = line.replace("models/machine_state/", "");
            lines.push((false, line.chars().take(COLUMNS).collect()));
        }
        if said.len() > LINES {
            lines.push((false, "...".to_owned()));
        }
        lines.push((false, String::new()));
    }
    std::fs::write(root().join("docs/demo.svg"), svg(&lines)).map_err(|error| error.to_string())
}

fn svg(lines: &[(bool, String)]) -> String {
    let (width, line_height) = (880, 19);
    let height = 52 + lines.len() * line_height;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13.5\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"9\" fill=\"#10161d\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"5.5\" fill=\"#ec6a5e\"/><circle cx=\"38\" cy=\"18\" r=\"5.5\" fill=\"#f4bf4f\"/>\
         <circle cx=\"56\" cy=\"18\" r=\"5.5\" fill=\"#61c554\"/>\n"
    );
    for (index, (is_command, line)) in lines.iter().enumerate() {
        let y = 50 + index * line_height;
        let color = if *is_command {
            "#7cc7ff"
        } else if line.contains("equal to the bit") || line.contains(" fits ") {
            "#8fe388"
        } else {
            "#d6dee6"
        };
        let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.push_str(&format!(
            "<text x=\"16\" y=\"{y}\" fill=\"{color}\" xml:space=\"preserve\">{escaped}</text>\n"
        ));
    }
    text.push_str("</svg>\n");
    text
}
