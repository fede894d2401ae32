//! The text of a crate, as files in memory.

use kinglet_diag::{Diagnostic, Place, Result, code};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Files of one or more crates by path, separated by `/`, under a common root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTree {
    files: BTreeMap<String, Vec<u8>>,
}

impl SourceTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file; the path is relative and separated by `/`.
    pub fn insert(&mut self, path: impl Into<String>, contents: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), contents.into());
    }

    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Paths and contents in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// Puts another tree below `prefix`.
    pub fn graft(&mut self, prefix: &str, other: &SourceTree) {
        for (path, bytes) in &other.files {
            self.files.insert(format!("{prefix}/{path}"), bytes.clone());
        }
    }

    /// Reads every file below a folder but `target` folders, `Cargo.lock` and names that begin with a
    /// dot.
    ///
    /// # Errors
    /// K0706 if the folder or a file in it cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut tree = Self::new();
        tree.read_below(folder, "")?;
        Ok(tree)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let unreadable = |path: &Path, error: &std::io::Error| {
            Diagnostic::error(
                code::SOURCE_UNUSABLE,
                format!("the crate's source cannot be read: {error}"),
            )
            .at(Place::File(path.display().to_string()))
            .help("name the folder that holds the crate's `Cargo.toml`")
        };
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') || name == "target" || name == "Cargo.lock" {
                continue;
            }
            if path.is_dir() {
                self.read_below(&path, &format!("{prefix}{name}/"))?;
            } else {
                let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
                self.insert(format!("{prefix}{name}"), bytes);
            }
        }
        Ok(())
    }

    /// SHA-256 over all paths and contents, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (path, bytes) in &self.files {
            hash_field(&mut hash, path.as_bytes());
            hash_field(&mut hash, bytes);
        }
        hex(&hash.finalize())
    }

    /// Makes `folder` hold exactly these files below it, touching none that is already right, so that
    /// the compiler's own notion of what changed stays true. `Cargo.lock` files are left alone.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let inside = |path: &String| {
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        };
        if !self.files.keys().all(inside) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "a file's path leads outside of its crate",
            ));
        }
        std::fs::create_dir_all(folder)?;
        remove_strangers(folder, "", &self.files)?;
        for (path, bytes) in &self.files {
            let to = folder.join(path);
            if std::fs::read(&to).is_ok_and(|old| old == *bytes) {
                continue;
            }
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&to, bytes)?;
        }
        Ok(())
    }
}

fn remove_strangers(
    folder: &Path,
    prefix: &str,
    wanted: &BTreeMap<String, Vec<u8>>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            let below = format!("{relative}/");
            if wanted
                .range(below.clone()..)
                .next()
                .is_some_and(|(path, _)| path.starts_with(&below))
            {
                remove_strangers(&path, &below, wanted)?;
            } else {
                std::fs::remove_dir_all(&path)?;
            }
        } else if !wanted.contains_key(&relative) && name != "Cargo.lock" {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// From paths and contents, as `kinglet-codegen` prints them.
impl FromIterator<(String, Vec<u8>)> for SourceTree {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self { files: files.into_iter().collect() }
    }
}

/// A library crate that offers the printed crate's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCrate {
    /// Its files, with those of the crates that it names by path.
    pub tree: SourceTree,
    /// The folder of its `Cargo.toml` in the tree; empty for the top.
    pub folder: String,
}

impl ModelCrate {
    /// A crate whose `Cargo.toml` stands at the top of the tree.
    pub fn at_top(tree: SourceTree) -> Self {
        Self { tree, folder: String::new() }
    }

    /// The package's name, from its `Cargo.toml`.
    ///
    /// # Errors
    /// K0706 if there is no `Cargo.toml` there, or none with a package name that cargo would take.
    pub fn package_name(&self) -> Result<String> {
        let path = if self.folder.is_empty() {
            "Cargo.toml".into()
        } else {
            format!("{}/Cargo.toml", self.folder)
        };
        let fault = |what: &str| {
            Diagnostic::error(code::SOURCE_UNUSABLE, format!("the crate's `Cargo.toml` {what}"))
                .at(Place::File(path.clone()))
                .help("`kinglet compile` prints a crate that can be built; name its folder")
        };
        let bytes = self.tree.get(&path).ok_or_else(|| fault("is missing"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| fault("is not UTF-8"))?;
        let table: toml::Table = text.parse().map_err(|_| fault("is not TOML"))?;
        let name = table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str);
        let name = name.ok_or_else(|| fault("names no package"))?;
        if name.is_empty()
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            return Err(fault("names a package with characters that cargo refuses").into());
        }
        Ok(name.to_owned())
    }
}

pub(crate) fn hash_field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> SourceTree {
        let mut tree = SourceTree::new();
        for (path, text) in files {
            tree.insert(*path, *text);
        }
        tree
    }

    #[test]
    fn writing_leaves_right_files_alone_and_removes_strangers() {
        let folder = tempfile::tempdir().unwrap();
        tree(&[("a", "1"), ("b/c", "2"), ("gone/d", "3")]).write(folder.path()).unwrap();
        std::fs::write(folder.path().join("Cargo.lock"), "lock").unwrap();
        let before = std::fs::metadata(folder.path().join("a")).unwrap().modified().unwrap();
        let second = tree(&[("a", "1"), ("b/c", "changed")]);
        second.write(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(folder.path().join("a")).unwrap().modified().unwrap(), before);
        assert!(folder.path().join("Cargo.lock").exists());
        assert!(!folder.path().join("gone").exists());
        assert_eq!(SourceTree::read(folder.path()).unwrap(), second);
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x"] {
            assert!(tree(&[(path, "")]).write(folder.path()).is_err(), "{path}");
        }
    }

    #[test]
    fn digest_tells_paths_from_contents() {
        assert_ne!(tree(&[("ab", "c")]).digest(), tree(&[("a", "bc")]).digest());
        assert_eq!(
            tree(&[("a", "1"), ("b", "2")]).digest(),
            tree(&[("b", "2"), ("a", "1")]).digest()
        );
    }

    #[test]
    fn a_crate_without_a_usable_manifest_is_refused() {
        let crates = [
            tree(&[("src/lib.rs", "")]),
            tree(&[("Cargo.toml", "[package")]),
            tree(&[("Cargo.toml", "[package]\nname = \"a b\"")]),
            tree(&[("Cargo.toml", "[workspace]")]),
        ];
        for tree in crates {
            let failure = ModelCrate::at_top(tree).package_name().unwrap_err();
            assert_eq!(failure.first().code, code::SOURCE_UNUSABLE);
        }
        let good = ModelCrate {
            tree: tree(&[("m/Cargo.toml", "[package]\nname = \"kws\"")]),
            folder: "m".into(),
        };
        assert_eq!(good.package_name().unwrap(), "kws");
        assert_eq!(
            SourceTree::read(Path::new("no/such/folder")).unwrap_err().first().code,
            code::SOURCE_UNUSABLE
        );
    }
}
