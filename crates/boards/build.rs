//! Lists the files under `data/`, so that adding a board is adding one file.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let mut code = String::new();
    for (folder, constant) in [("cores", "CORES"), ("boards", "BOARDS")] {
        let path = Path::new(&root).join("data").join(folder);
        println!("cargo:rerun-if-changed={}", path.display());
        // The order of a directory listing is the file system's; ours must not depend on it.
        let mut names = Vec::new();
        for entry in fs::read_dir(&path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(stem) = name.strip_suffix(".toml") {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        code.push_str(&format!("pub(crate) const {constant}: &[(&str, &str)] = &[\n"));
        for stem in names {
            code.push_str(&format!(
                "    ({stem:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/data/{folder}/{stem}.toml\"))),\n"
            ));
        }
        code.push_str("];\n");
    }
    fs::write(Path::new(&out).join("data.rs"), code)
}
