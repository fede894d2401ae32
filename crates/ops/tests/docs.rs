//! `docs/operators.md` and `docs/numerics.md` are what the operators say.

use kinglet_ops::docs::{Kernels, numerics_page, operators_page};
use kinglet_ops::lower::Lower;
use kinglet_ops::{OPERATORS, text};
use kinglet_target::Target;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The kernels that the cases of each operator are lowered to, in any form.
fn kernels() -> Kernels {
    let mut kernels = Kernels::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for operator in fs::read_dir(root().join("tests/ops")).unwrap().flatten() {
        let Ok(cases) = fs::read_dir(operator.path()) else { continue };
        files.extend(cases.flatten().map(|case| case.path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "kgt"));
    assert!(!files.is_empty(), "there are no cases under tests/ops");
    let target = Target::host();
    for file in files {
        let case = fs::read_to_string(&file).unwrap();
        // The graph ends where the first section starts.
        let lines: Vec<&str> = case.lines().take_while(|line| !line.starts_with("---")).collect();
        // A case may be there to be refused.
        let Ok(graph) = text::parse_graph(&lines.join("\n")) else { continue };
        for node in &graph.nodes {
            let tensor = |id| graph.tensor(id);
            let inputs = node.inputs.iter().map(|id| id.map(tensor)).collect();
            let outputs = node.outputs.iter().copied().map(tensor).collect();
            let mut lower = Lower::new(&target, inputs, outputs);
            if node.op.lower(&mut lower).is_err() {
                continue;
            }
            let found = kernels.entry(node.op.name().to_owned()).or_default();
            for call in lower.finish().calls {
                found.insert(call.kernel.declaration().name.to_owned());
                found.extend(call.in_place.map(|form| form.kernel.declaration().name.to_owned()));
            }
        }
    }
    kernels
}

fn check(name: &str, fresh: &str) {
    let path = root().join("docs").join(name);
    if env::var_os("KINGLET_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, fresh).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == fresh, "docs/{name} is stale: KINGLET_BLESS=1 cargo test -p kinglet-ops");
}

#[test]
fn docs_operators_md_is_fresh() {
    check("operators.md", &operators_page(OPERATORS, &kernels()));
}

#[test]
fn docs_numerics_md_is_fresh() {
    check("numerics.md", &numerics_page(OPERATORS));
}

#[test]
fn every_operator_says_all_that_the_pages_show() {
    let (operators, numerics) = (operators_page(OPERATORS, &kernels()), numerics_page(OPERATORS));
    for operator in OPERATORS {
        let name = operator.name;
        assert!(operators.contains(&format!("| [`{name}`](numerics.md#{name}) |")), "{name}");
        assert!(numerics.contains(&format!("\n### {name}\n")), "{name}");
        assert!(!operator.types.is_empty() && !operator.numerics.is_empty(), "{name}");
        for spelling in operator.tflite {
            assert!(operators.contains(spelling.code), "{name}");
            assert!(!spelling.versions.is_empty(), "{name}");
        }
        for row in operator.numerics {
            for cell in [row.types, row.rounding, row.widths, row.tables] {
                assert!(!cell.is_empty() && !cell.contains('\n'), "{name}: {cell:?}");
            }
        }
    }
}
