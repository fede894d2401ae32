//! Compares models with the goldens of other runtimes: `conform [--engine E] [SUBSTRING ...]`.

use kinglet::engine::EngineName;
use kinglet_testkit::conform::{Verdict, cases_of, conform, conform_layers, models};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut engines: Vec<EngineName> = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--engine" {
            match args.next().unwrap_or_default().parse() {
                Ok(engine) => engines.push(engine),
                Err(problem) => {
                    eprintln!("{problem}");
                    return ExitCode::from(2);
                }
            }
        } else {
            wanted.push(arg);
        }
    }
    if engines.is_empty() {
        engines = vec![EngineName::Reference, EngineName::Native];
    }
    let Some(assets) = kinglet_testkit::assets() else { return ExitCode::SUCCESS };
    let (mut passed, mut failed, mut refused) = (0, 0, 0);
    for model in models(&assets.join("models")) {
        let shown = model.display().to_string();
        if !wanted.is_empty() && !wanted.iter().any(|part| shown.contains(part.as_str())) {
            continue;
        }
        let name = model.strip_prefix(assets.join("models")).unwrap_or(&model).display();
        let Some(cases) = cases_of(&assets, &model) else { continue };
        let layers = assets.join("cases/layers").join(cases.file_name().unwrap_or_default());
        for engine in &engines {
            let mut verdict = conform(&model, &cases, engine);
            if layers.is_file() && !matches!(verdict, Ok(Verdict::Equal(_))) {
                // The first tensor that differs says more than the output does.
                verdict = match conform_layers(&model, &layers, engine) {
                    different @ Ok(Verdict::Different { .. }) => different,
                    _ => verdict,
                };
            }
            match verdict {
                Ok(Verdict::Equal(values)) => {
                    passed += 1;
                    println!("equal     {name} {engine}: {values} values");
                }
                Ok(Verdict::Different(found)) => {
                    failed += 1;
                    println!(
                        "DIFFERENT {name} {engine}: {} against {}: {} of {}, largest {}",
                        found.name, found.against, found.different, found.values, found.largest
                    );
                }
                Err(failure) => {
                    refused += 1;
                    let all: Vec<_> =
                        failure.diagnostics().iter().map(ToString::to_string).collect();
                    println!("refused   {name} {engine}: {}", all.join("; "));
                }
            }
        }
    }
    println!("{passed} equal, {failed} different, {refused} refused");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
