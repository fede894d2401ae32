//! The main job on the project's own model, each command shown as a user would type it.

use crate::run::{Outcome, Program, exists, root};

pub(crate) const MODEL: &str = "models/machine_state/machine_state.tflite";
pub(crate) const VECTORS: &str = "models/machine_state/vectors.npz";
const BOARDS: [&str; 3] = ["microbit", "nucleo-f446re", "esp32-c3-devkitm-1"];

/// `cargo xtask demo [--output FOLDER]`
pub(crate) fn demo(args: &[String]) -> Outcome {
    let folder = match args {
        [] => "target/demo",
        [flag, folder] if flag == "--output" => folder,
        _ => return Err("usage: cargo xtask demo [--output FOLDER]".to_owned()),
    };
    println!("Building Kinglet...");
    Program::cargo().args(["build", "--release", "--quiet", "--package", "kinglet"]).run()?;
    std::fs::create_dir_all(root().join(folder))
        .map_err(|error| format!("{folder} cannot be made: {error}"))?;

    println!("\n1. What is in the model?\n");
    kinglet(&["inspect", MODEL])?;

    println!("\n2. Does it fit these boards?\n");
    let mut fit = vec!["fit", MODEL];
    BOARDS.iter().for_each(|board| fit.extend(["--board", board]));
    kinglet(&fit)?;

    println!("\n3. Compile it to a reviewable crate.\n");
    let out = format!("{folder}/machine_state");
    kinglet(&["compile", MODEL, "--board", BOARDS[1], "--output", &out])?;

    println!("\n4. Run the test vectors.\n");
    let results = format!("{folder}/out.npz");
    kinglet(&["run", MODEL, "--input", VECTORS, "--output", &results])?;

    println!("\n5. Prove that it computes what TensorFlow Lite Micro computes.\n");
    kinglet(&["verify", MODEL, "--against", VECTORS, "--engine", "native"])?;
    kinglet(&["verify", MODEL, "--against", VECTORS, "--engine", "crate:nucleo-f446re"])?;
    if exists("qemu-system-arm") {
        let engine = "qemu:nucleo-f446re";
        let status = cli(&["verify", MODEL, "--against", VECTORS, "--engine", engine]).status()?;
        match status {
            0 => {}
            // The emulator is here and the compiler for the board is not: said by the command.
            3 => println!(
                "(the firmware was not run: see above; `kinglet doctor` says what is missing)"
            ),
            status => return Err(format!("the firmware is not equal: status {status}")),
        }
    } else {
        println!("QEMU is not installed: the firmware was not run on an emulated board.");
        println!("Install qemu-system-arm and run this again to see it.");
    }

    println!("\n6. A page for the browser.\n");
    let page = format!("{folder}/report.html");
    let mut report = vec!["report", MODEL, "--output", &page];
    BOARDS.iter().for_each(|board| report.extend(["--board", board]));
    kinglet(&report)?;
    println!("\nOpen {page} in a browser. The crate is in {out}.");
    Ok(())
}

fn cli(args: &[&str]) -> Program {
    Program::cargo().args(["run", "--release", "--quiet", "--package", "kinglet", "--"]).args(args)
}

fn kinglet(args: &[&str]) -> Outcome {
    cli(args).run()
}
