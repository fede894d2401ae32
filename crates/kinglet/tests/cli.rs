//! `fit`, `inspect`, `boards`, `report`, `cache`, `completions` and `doctor` as a user meets them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/machine_state.tflite");
const FLOAT_MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/machine_state_f32.tflite");

fn kinglet(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    in_folder(folder.path(), args)
}

fn in_folder(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(args)
        .current_dir(folder)
        .env("KINGLET_CACHE", folder.join("cache"))
        .env("NO_COLOR", "1")
        .output()
        .expect("kinglet starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one object that a command with `--json` prints, whatever its exit status.
fn json(args: &[&str]) -> (Option<i32>, Value) {
    let mut args = args.to_vec();
    args.push("--json");
    let output = kinglet(&args);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}{}", out(&output), err(&output)));
    (output.status.code(), value)
}

fn fails(args: &[&str], status: i32, code: &str) {
    let output = kinglet(args);
    let message = err(&output);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {message}");
    assert!(message.contains(code) && message.contains("help: "), "{args:?}: {message}");
    assert_eq!(out(&output), "", "{args:?} prints no half result");
    let (also, value) = json(args);
    assert_eq!(also, Some(status), "{args:?}");
    assert_eq!(value["schema"], "kinglet.error/1", "{args:?}");
    assert_eq!(value["errors"][0]["code"], code, "{args:?}");
}

/// A model of the conformance set, where it is there.
fn shared(name: &str) -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets/models").join(name);
    if path.is_file() {
        return Some(path);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{} is missing and CI=true", path.display());
    println!("skipped: {} is not here", path.display());
    None
}

/// A board with so many bytes of RAM and flash.
fn small_board(folder: &Path, ram: u64, flash: u64) -> String {
    let path = folder.join("small.toml");
    let text = format!(
        "id = \"small\"\nname = \"Small\"\nvendor = \"V\"\nsoc = \"S\"\nclass = \"microcontroller\"\n\
         core = \"cortex-m4f\"\n\n[[memory]]\nname = \"RAM\"\nkind = \"ram\"\nbytes = {ram}\n\n\
         [[memory]]\nname = \"ROM\"\nkind = \"flash\"\nbytes = {flash}\n"
    );
    std::fs::write(&path, text).expect("a board file");
    path.display().to_string()
}

#[test]
fn fit_says_yes() {
    let output = kinglet(&["fit", MODEL, "--board", "nucleo-f446re"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("nucleo-f446re  fits"), "{text}");
    assert!(text.contains("arena 1,584") && text.contains("peak"), "{text}");
    let (status, value) = json(&["fit", MODEL, "-b", "nucleo-f446re", "-b", "raspberry-pi-5"]);
    assert_eq!(status, Some(0));
    assert_eq!((&value["fits"], value["boards"].as_array().map(Vec::len)), (&true.into(), Some(2)));
    let arena = &value["boards"][0]["ram"]["parts"][0];
    assert_eq!((&arena["name"], &arena["bytes"]), (&"arena".into(), &1584.into()));
}

#[test]
fn fit_says_no_with_the_missing_bytes_and_what_would_help() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = small_board(folder.path(), 2048, 65536);
    let output = in_folder(folder.path(), &["fit", MODEL, "--board", &board]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let text = out(&output);
    assert!(
        text.contains("NO") && text.contains("MISSING") && text.contains("what would help"),
        "{text}"
    );
    let (status, value) = json(&["fit", MODEL, "--board", &board]);
    assert_eq!(status, Some(1));
    let report = &value["boards"][0];
    let missing = report["ram"]["missing"].as_u64().expect("a number");
    assert_eq!(missing, report["ram"]["needed"].as_u64().expect("a number") - 2048);
    assert!(
        report["answer"].as_str().is_some_and(|a| a.contains(&format!("lacks {missing} bytes")))
    );
    let remedies = report["remedies"].as_array().expect("remedies");
    let boards: Vec<_> = remedies.iter().filter(|remedy| remedy["kind"] == "board").collect();
    assert!(!boards.is_empty() && boards.iter().all(|remedy| remedy["enough"] == true));
}

#[test]
fn fit_names_boards_that_it_would_say_yes_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = small_board(folder.path(), 1024, 8192);
    let (_, value) = json(&["fit", MODEL, "--board", &board]);
    let remedies = value["boards"][0]["remedies"].as_array().expect("remedies").clone();
    let named = remedies.iter().filter(|remedy| remedy["kind"] == "board");
    for remedy in named {
        let id = remedy["what"].as_str().and_then(|what| what.split(' ').next()).expect("an id");
        assert_eq!(json(&["fit", MODEL, "--board", id]).0, Some(0), "{id}");
    }
}

#[test]
fn fit_names_the_nearest_miss_where_no_board_has_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = small_board(folder.path(), 1800, 1 << 20);
    let far = folder.path().join("far");
    std::fs::create_dir(&far).expect("a folder");
    let smaller = small_board(&far, 1024, 1 << 20);
    let (status, value) = json(&["fit", MODEL, "-b", &smaller, "-b", &board]);
    assert_eq!(status, Some(1));
    let missing = &value["boards"][1]["ram"]["missing"];
    assert_eq!((&value["nearest_miss"]["missing"], missing.is_u64()), (missing, true));
    let (_, value) = json(&["fit", MODEL, "-b", &smaller, "-b", "nucleo-f446re"]);
    assert!(value["nearest_miss"].is_null());
}

#[test]
fn cm_05_fit_refuses_floats_without_a_unit_for_them() {
    let (status, value) = json(&["fit", FLOAT_MODEL, "--board", "raspberry-pi-pico"]);
    assert_eq!((status, &value["boards"][0]["verdict"]), (Some(1), &"refused".into()));
    let output = kinglet(&["fit", FLOAT_MODEL, "--board", "raspberry-pi-pico", "--soft-float"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("K0624"), "{}", err(&output));
}

#[test]
fn fit_refuses_what_it_cannot_read() {
    fails(&["fit", MODEL, "--board", "nucleo-f466re"], 2, "K0601");
    fails(&["fit", MODEL, "--board", "no/such.toml"], 2, "K0606");
    fails(&["fit", "no-such-model.tflite", "--board", "microbit"], 2, "K0801");
}

#[test]
fn a_request_that_cannot_be_parsed_is_an_error_for_programs_too() {
    let output = kinglet(&["fit", MODEL]);
    assert_eq!(output.status.code(), Some(2));
    let (status, value) = json(&["fit", MODEL]);
    assert_eq!(status, Some(2));
    assert_eq!(value["errors"][0]["code"], "K0812");
    assert!(value["errors"][0]["message"].as_str().is_some_and(|text| text.contains("--board")));
}

#[test]
fn inspect_shows_what_is_in_the_model() {
    let output = kinglet(&["inspect", MODEL]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    for part in ["acceleration i8[1,512,1,3]", "looseness", "153,072", "depthwise_conv2d", "< peak"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let (_, value) = json(&["inspect", MODEL]);
    assert_eq!((&value["supported"], &value["totals"]["macs"]), (&true.into(), &153_072.into()));
    assert_eq!(value["memory"]["arena_bytes"], 1584);
    assert_eq!(value["inputs"][0]["scale"], 0.015625);
}

#[test]
fn inspect_prints_the_graph_and_the_program() {
    let graph = out(&kinglet(&["inspect", MODEL, "--text"]));
    assert!(graph.starts_with("graph \"machine_state\""), "{graph}");
    let program = out(&kinglet(&["inspect", MODEL, "--program", "--board", "nucleo-f446re"]));
    assert!(program.starts_with("program \"machine_state\" arena 1584"), "{program}");
    let (_, value) = json(&["inspect", MODEL, "--program"]);
    assert!(value["program"].as_str().is_some_and(|text| text.starts_with("program ")));
}

#[test]
fn inspect_draws_memory_over_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = in_folder(folder.path(), &["inspect", MODEL, "--svg", "memory.svg"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let svg = std::fs::read_to_string(folder.path().join("memory.svg")).expect("the picture");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("peak: 1,584 bytes"), "{svg}");
    fails(&["inspect", MODEL, "--svg", "no/such/folder/x.svg"], 3, "K0807");
}

#[test]
fn inspect_describes_what_cannot_be_run() {
    let Some(path) = shared("movenet_single_pose_lightning_ptq.tflite") else { return };
    let path = path.display().to_string();
    let (status, value) = json(&["inspect", &path]);
    assert_eq!((status, &value["supported"]), (Some(0), &false.into()));
    assert_eq!(value["totals"]["nodes"], 157);
    assert_eq!(value["inputs"][0]["type"], "u8[1,192,192,3]");
    assert!(value["problems"].as_array().is_some_and(|list| list.len() > 1), "all at once");
    assert!(value["memory"].is_null());
    fails(&["inspect", &path, "--program"], 2, "K0201");
}

#[test]
fn tflm_06_inspect_lists_free_axes() {
    let Some(path) = shared("kws_ref_model.tflite") else { return };
    let (_, value) = json(&["inspect", &path.display().to_string()]);
    let axis = &value["free_axes"][0];
    assert_eq!((&axis["axis"], &axis["value"]), (&0.into(), &1.into()));
    assert_eq!(
        (&value["totals"]["macs"], &value["totals"]["parameters"]),
        (&2_656_768.into(), &22_604.into())
    );
}

#[test]
fn inspect_refuses_what_is_no_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(MODEL).expect("the model");
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        let path = folder.path().join("cut.tflite");
        std::fs::write(&path, &whole[..length]).expect("a file");
        let output = kinglet(&["inspect", &path.display().to_string()]);
        let code = output.status.code();
        // A byte may be missing from padding at the end.
        assert!(
            code == Some(2) || (code == Some(0) && length == whole.len() - 1),
            "{length}: {code:?}"
        );
    }
    fails(&["inspect", "."], 2, "K0801");
}

#[test]
fn boards_are_found_by_words() {
    let output = kinglet(&["boards", "cortex-m7", "st"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("nucleo-h743zi2"), "{}", out(&output));
    assert!(!out(&output).contains("nucleo-f446re"));
    let (_, value) = json(&["boards", "emulated"]);
    assert_eq!(value["boards"].as_array().map(Vec::len), Some(8));
    fails(&["boards", "nothing-is-called-so"], 2, "K0810");
}

#[test]
fn a_board_is_shown_with_its_sources_and_its_file_can_be_used() {
    let text = out(&kinglet(&["boards", "show", "nucleo-f446re"]));
    for part in ["STM32F446RE", "131,072 bytes", "probe-rs", "mps2-an386"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let toml = out(&kinglet(&["boards", "show", "nucleo-f446re", "--toml"]));
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, toml.replace("131_072", "1_024")).expect("a board file");
    let path = path.display().to_string();
    assert_eq!(json(&["fit", MODEL, "--board", &path]).0, Some(1), "its RAM is too small now");
    assert!(out(&kinglet(&["boards", "show", &path, "--toml"])).contains("1_024"));
    fails(&["boards", "show", "nucleo-f466re"], 2, "K0601");
}

#[test]
fn the_report_is_one_file_that_loads_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["report", MODEL, "-b", "microbit", "-b", "nucleo-f446re", "-o", "page.html"];
    let output = in_folder(folder.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let page = std::fs::read_to_string(folder.path().join("page.html")).expect("the page");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in ["<svg ", "looseness", "NUCLEO-F446RE", "equal to the bit", "prefers-color-scheme"]
    {
        assert!(page.contains(part), "{part} is not in the page");
    }
    let loads = ["<script", "<link", "<img", "@import", "url(", "src="];
    assert!(loads.iter().all(|part| !page.contains(part)));
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
    fails(&["report", MODEL, "-b", "microbit", "-o", "p.html", "--engine", "gpu"], 2, "K0805");
}

#[test]
fn a_report_says_what_could_not_be_run() {
    // An engine that needs an emulated machine, for a board that has none.
    let (status, value) = json(&[
        "report",
        MODEL,
        "-b",
        "raspberry-pi-5",
        "-o",
        "p.html",
        "-e",
        "qemu:raspberry-pi-5",
    ]);
    assert_eq!(status, Some(0));
    assert_eq!(value["checks"][0]["equal"], false);
    assert_eq!(value["checks"][0]["error"]["code"], "K0717");
}

#[test]
fn the_cache_is_shown_and_emptied() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    assert!(in_folder(folder.path(), &["cache"]).status.success());
    let build = cache.join("firmware").join("old");
    std::fs::create_dir_all(&build).expect("a folder");
    std::fs::write(build.join("firmware.elf"), [0; 1000]).expect("a file");
    let output = in_folder(folder.path(), &["cache", "--clear", "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&value["freed_bytes"], &value["firmware_count"]), (&1000.into(), &0.into()));
    assert!(!build.exists());
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = kinglet(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = out(&output);
        for command in ["inspect", "fit", "profile", "report", "doctor"] {
            assert!(script.contains(command), "{command} is not in the script for {shell}");
        }
    }
    assert_eq!(kinglet(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn doctor_ends_with_3_exactly_when_something_is_missing() {
    let (status, value) = json(&["doctor", "--board", "nucleo-f446re"]);
    let checks = value["checks"].as_array().expect("checks");
    let missing = checks.iter().filter(|check| check["state"] == "missing").count();
    assert_eq!(status, Some(if missing > 0 { 3 } else { 0 }));
    assert_eq!(value["ok"], missing == 0);
    for check in checks.iter().filter(|check| check["state"] == "missing") {
        assert!(check["remedy"].is_string(), "{check}");
    }
}

#[test]
fn warnings_can_be_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    // Room for what is needed and hardly anything else.
    let (_, value) = json(&["fit", MODEL, "--board", "nucleo-f446re"]);
    let needed = value["boards"][0]["ram"]["needed"].as_u64().expect("a number");
    let board = small_board(folder.path(), needed + needed / 20, 1 << 20);
    let fit = ["fit", MODEL, "--board", &board];
    let plain = in_folder(folder.path(), &fit);
    assert_eq!(plain.status.code(), Some(0), "{}{}", out(&plain), err(&plain));
    assert!(err(&plain).contains("1 warning"), "{}", err(&plain));
    let denied = in_folder(folder.path(), &[&fit[..], &["--deny", "warnings"]].concat());
    assert_eq!(denied.status.code(), Some(1));
}
