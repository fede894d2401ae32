//! Cases in files: a graph in text form, then what it computes, how it is refused, or what passes make
//! of it. `tests/ops/README.md` describes the format.
//!
//! A file is checked by [`check`], which gives back the text with every expectation as it came out: the
//! same text when all is as expected.

mod run;

use kinglet_diag::Failure;
use kinglet_graph::text::print;
use kinglet_graph::verify::verify;
use kinglet_ops::Graph;
use kinglet_ops::text::parse_graph;
use kinglet_program::{Options, lower};
use kinglet_target::Target;
use run::Runners;
use std::fmt::Write;

/// What came of a case.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The file's text with the expectations that hold.
    pub blessed: String,
    /// What is not as expected: one entry each, with its section.
    pub faults: Vec<String>,
}

/// A section of a file: its heading, `--- run`, and the lines below.
#[derive(Clone, Debug)]
struct Section<'s> {
    line: usize,
    heading: &'s str,
    body: String,
}

/// Checks a file's text. Faults of the file itself (a graph that does not read, a section that does not
/// exist) are among the faults too.
pub fn check(source: &str) -> Outcome {
    let (head, mut sections) = split(source);
    let mut faults = Vec::new();
    if sections.is_empty() {
        faults.push("the file has no section, so that it tests nothing".to_owned());
    }
    let graph = parse_graph(head).and_then(|graph| verify(&graph).map(|()| graph));
    let mut runners = None;
    for section in &mut sections {
        let line = section.line;
        let result = match (section.heading, &graph) {
            ("error", _) => refused(&graph, section),
            (_, Err(failure)) => Err(format!("the graph is refused:\n{}", lines(failure))),
            ("run" | "run after passes", Ok(graph)) => {
                Runners::new(graph, section.heading != "run")
                    .and_then(|fresh| run::run(graph, section, runners.insert(fresh)))
            }
            ("then", Ok(graph)) => match &mut runners {
                None => Err("there is no run before it".to_owned()),
                Some(runners) => run::run(graph, section, runners),
            },
            (heading, Ok(graph)) => match heading.strip_prefix("pass ") {
                Some(names) => passes(graph, names, section),
                None => Err(format!("there is no section {heading}")),
            },
        };
        if let Err(fault) = result {
            faults.push(format!("line {line}, --- {}: {fault}", section.heading));
        }
    }
    if let Ok(graph) = &graph {
        faults.extend(comes_back(graph));
    }
    let mut blessed = head.to_owned();
    for section in &sections {
        let _ = write!(blessed, "--- {}\n{}", section.heading, section.body);
    }
    Outcome { blessed, faults }
}

fn split(source: &str) -> (&str, Vec<Section<'_>>) {
    let mut head = source.len();
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut offset = 0;
    for (line, text) in (1..).zip(source.split_inclusive('\n')) {
        if let Some(heading) = text.strip_prefix("---") {
            head = head.min(offset);
            sections.push(Section { line, heading: heading.trim(), body: String::new() });
        } else if let Some(section) = sections.last_mut() {
            section.body.push_str(text);
        }
        offset += text.len();
    }
    (source.get(..head).unwrap_or(source), sections)
}

/// One diagnostic a line.
fn lines(failure: &Failure) -> String {
    failure.diagnostics().iter().fold(String::new(), |mut text, diagnostic| {
        let _ = writeln!(text, "{}: {diagnostic}", diagnostic.code);
        text
    })
}

/// Replaces the body of a section by what came out, and complains if that is something else. Comments
/// at the start stay.
fn settle(section: &mut Section<'_>, actual: &str) -> Result<(), String> {
    let is_comment = |line: &&str| line.starts_with('#');
    let comments: String = section.body.split_inclusive('\n').take_while(is_comment).collect();
    let rest = section.body.get(comments.len()..).unwrap_or("");
    let (expected, actual) = (rest.trim(), actual.trim_end());
    let result = if expected == actual {
        Ok(())
    } else {
        Err(format!("expected\n{expected}\nbut it is\n{actual}"))
    };
    let blank =
        section.body.get(comments.len()..).map_or("", |rest| &rest[rest.trim_end().len()..]);
    section.body = format!("{comments}{actual}{}", if blank.is_empty() { "\n" } else { blank });
    result
}

/// The graph must be refused where it is read, verified or lowered.
fn refused(graph: &Result<Graph, Failure>, section: &mut Section<'_>) -> Result<(), String> {
    let failure = match graph {
        Err(failure) => failure.clone(),
        Ok(graph) => match lower(graph, &Target::host(), &Options::default()) {
            Err(failure) => failure,
            Ok(_) => return Err("nothing is wrong with the graph".to_owned()),
        },
    };
    settle(section, &lines(&failure))
}

/// What passes make of the graph, which must still compute the same.
fn passes(graph: &Graph, names: &str, section: &mut Section<'_>) -> Result<(), String> {
    let mut after = graph.clone();
    for name in names.split(',').map(str::trim) {
        let result = match (name, kinglet_passes::by_name(name)) {
            ("standard", _) => kinglet_passes::standard(after),
            (_, Some(pass)) => pass.apply(after),
            (_, None) => return Err(format!("there is no pass {name}")),
        };
        after = result.map_err(|failure| lines(&failure))?;
    }
    settle(section, &print(&after))?;
    run::same_results(graph, &after)
}

/// The graph and its text form say the same.
fn comes_back(graph: &Graph) -> Option<String> {
    let text = print(graph);
    match parse_graph(&text) {
        Ok(back) if print(&back) == text => None,
        Ok(back) => {
            Some(format!("the graph comes back from its text as\n{}\nfrom\n{text}", print(&back)))
        }
        Err(failure) => Some(format!("the graph's text is refused: {failure}\n{text}")),
    }
}

#[cfg(test)]
mod tests;
