//! The build cache: where it is, who may use it now, what must go.
//!
//! ```text
//! version                      layout version
//! firmware/KEY/                one finished build: firmware.elf or the host program
//! build/IDENTITY/              one toolchain: lock, work (projects), target (cargo's), sysroot (its `core`)
//! plugin/KEY.so                the counting plug-in
//! ```
//!
//! A finished build appears by renaming, so that a reader sees all of it or nothing. The time of an
//! entry's `used` file is when it was last asked for.

use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use serde::Serialize;
use std::fs::{File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The size that the cache is kept below unless told otherwise: 4 GiB.
pub const DEFAULT_LIMIT_BYTES: u64 = 4 << 30;

/// A folder of finished builds and of what makes further builds fast.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    limit: u64,
}

/// What the cache holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheInfo {
    /// Its folder.
    pub path: PathBuf,
    /// The size it is kept below, bytes.
    pub limit_bytes: u64,
    /// Bytes in finished builds.
    pub firmware_bytes: u64,
    /// How many finished builds.
    pub firmware_count: usize,
    /// Bytes in cargo's own folders, one a toolchain.
    pub build_bytes: u64,
    /// How many of those.
    pub build_count: usize,
}

/// Something the cache may drop.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    build: bool,
}

impl Cache {
    /// The cache at `KINGLET_CACHE`, or the platform's place for caches. Its limit is
    /// `KINGLET_CACHE_LIMIT` in bytes, or [`DEFAULT_LIMIT_BYTES`].
    ///
    /// # Errors
    /// K0705 if there is no such place or it cannot be written.
    pub fn open() -> Result<Self> {
        let root = match std::env::var_os("KINGLET_CACHE").filter(|path| !path.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => {
                use etcetera::BaseStrategy;
                let base = etcetera::choose_base_strategy().map_err(|_| {
                    Diagnostic::error(
                        code::CACHE_UNUSABLE,
                        "there is no home folder to keep the build cache in",
                    )
                    .help("set KINGLET_CACHE to a folder that can be written")
                })?;
                base.cache_dir().join("kinglet")
            }
        };
        let limit = std::env::var("KINGLET_CACHE_LIMIT").ok().and_then(|text| text.parse().ok());
        Self::at(root, limit.unwrap_or(DEFAULT_LIMIT_BYTES))
    }

    /// The cache in this folder, which is made, kept below `limit` bytes.
    ///
    /// # Errors
    /// K0705 if the folder cannot be made or written.
    pub fn at(root: impl Into<PathBuf>, limit: u64) -> Result<Self> {
        let cache = Self { root: std::path::absolute(root.into()).unwrap_or_default(), limit };
        let make = || -> io::Result<()> {
            for folder in ["firmware", "build", "plugin"] {
                std::fs::create_dir_all(cache.root.join(folder))?;
            }
            if !cache.root.join("CACHEDIR.TAG").exists() {
                let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Kinglet's build cache; `kinglet cache --clear` empties it.\n";
                std::fs::write(cache.root.join("CACHEDIR.TAG"), tag)?;
            }
            Ok(())
        };
        make().map_err(|error| cache.unusable(&error))?;
        Ok(cache)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn unusable(&self, error: &io::Error) -> Failure {
        Diagnostic::error(code::CACHE_UNUSABLE, format!("the build cache cannot be used: {error}"))
            .at(Place::File(self.root.display().to_string()))
            .help("make room there, or set KINGLET_CACHE to a folder that can be written")
            .into()
    }

    /// The file `name` of the finished build `key`, if it is there; marks it as used.
    pub(crate) fn find(&self, key: &str, name: &str) -> Option<PathBuf> {
        let folder = self.root.join("firmware").join(key);
        let file = folder.join(name);
        if !file.is_file() {
            return None;
        }
        touch(&folder);
        Some(file)
    }

    /// Puts `from` into the cache as file `name` of the finished build `key`.
    pub(crate) fn store(&self, key: &str, name: &str, from: &Path) -> io::Result<PathBuf> {
        let firmware = self.root.join("firmware");
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(&firmware)?;
        std::fs::copy(from, beside.path().join(name))?;
        touch(beside.path());
        let folder = firmware.join(key);
        let new = beside.keep();
        if std::fs::rename(&new, &folder).is_err() {
            // Somebody else stored the same build meanwhile.
            let _ = std::fs::remove_dir_all(&new);
        }
        let file = folder.join(name);
        if file.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// The folder in which one toolchain builds, alone until the guard is dropped.
    pub(crate) fn lock_build(&self, identity: &str) -> io::Result<BuildFolder> {
        let folder = self.root.join("build").join(identity);
        loop {
            std::fs::create_dir_all(&folder)?;
            let lock = File::create(folder.join("lock"))?;
            lock.lock()?;
            // An eviction may have removed the folder between opening and locking.
            if same_file(&folder.join("lock"), &lock) {
                touch(&folder);
                return Ok(BuildFolder { folder, _lock: lock });
            }
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (folder, build) in [("firmware", false), ("build", true)] {
            let Ok(found) = std::fs::read_dir(self.root.join(folder)) else { continue };
            for entry in found.flatten() {
                let path = entry.path();
                let used = last_used(&path);
                entries.push(Entry { bytes: tree_bytes(&path), path, used, build });
            }
        }
        entries
    }

    /// What it holds.
    pub fn info(&self) -> CacheInfo {
        let entries = self.entries();
        let sum = |build: bool| {
            let of_kind = entries.iter().filter(|entry| entry.build == build);
            of_kind.fold((0, 0), |(bytes, count), entry| (bytes + entry.bytes, count + 1))
        };
        let ((firmware_bytes, firmware_count), (build_bytes, build_count)) =
            (sum(false), sum(true));
        CacheInfo {
            path: self.root.clone(),
            limit_bytes: self.limit,
            firmware_bytes,
            firmware_count,
            build_bytes,
            build_count,
        }
    }

    /// Drops what was not used for longest until the cache is below its limit, and says how many bytes
    /// that freed. A toolchain's folder in use by anyone stays.
    pub fn evict(&self) -> u64 {
        self.shrink(self.limit)
    }

    /// Drops everything that nobody uses now, and says how many bytes that freed.
    pub fn clear(&self) -> u64 {
        let freed = self.shrink(0);
        let plugins = self.root.join("plugin");
        let bytes = tree_bytes(&plugins);
        let _ = std::fs::remove_dir_all(&plugins);
        let _ = std::fs::create_dir_all(&plugins);
        freed + bytes
    }

    fn shrink(&self, limit: u64) -> u64 {
        let mut entries = self.entries();
        entries.sort_by_key(|entry| entry.used);
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut freed = 0;
        for entry in entries {
            if total <= limit {
                break;
            }
            if remove_entry(&entry) {
                total -= entry.bytes;
                freed += entry.bytes;
            }
        }
        freed
    }
}

/// A toolchain's folder, locked.
pub(crate) struct BuildFolder {
    folder: PathBuf,
    _lock: File,
}

impl BuildFolder {
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.folder.join("work").join(name)
    }

    pub(crate) fn sysroot(&self) -> PathBuf {
        self.folder.join("sysroot")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }
}

fn remove_entry(entry: &Entry) -> bool {
    if entry.build {
        let Ok(lock) = File::create(entry.path.join("lock")) else { return false };
        if lock.try_lock().is_err() {
            return false;
        }
        // The lock file goes last and while it is held: who waits on it then sees that it is gone.
        let Ok(children) = std::fs::read_dir(&entry.path) else { return false };
        for child in children.flatten().filter(|child| child.file_name() != "lock") {
            let path = child.path();
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
        return std::fs::remove_dir_all(&entry.path).is_ok();
    }
    std::fs::remove_dir_all(&entry.path).is_ok()
}

#[cfg(unix)]
fn same_file(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(named), Ok(held)) = (std::fs::metadata(path), file.metadata()) else { return false };
    named.ino() == held.ino() && named.dev() == held.dev()
}

#[cfg(not(unix))]
fn same_file(path: &Path, _file: &File) -> bool {
    path.exists()
}

fn touch(folder: &Path) {
    let now = SystemTime::now();
    if let Ok(file) = File::create(folder.join("used")) {
        let _ = file.set_times(FileTimes::new().set_modified(now));
    }
}

fn last_used(folder: &Path) -> SystemTime {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified());
    modified(&folder.join("used")).or_else(|_| modified(folder)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn tree_bytes(path: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| tree_bytes(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn store(cache: &Cache, key: &str, bytes: usize, age: u64) {
        let file = cache.path().join("source");
        std::fs::write(&file, vec![0; bytes]).unwrap();
        cache.store(key, "firmware.elf", &file).unwrap();
        let used = File::options()
            .write(true)
            .open(cache.path().join("firmware").join(key).join("used"))
            .unwrap();
        used.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(age)))
            .unwrap();
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 2500).unwrap();
        store(&cache, "old", 1000, 300);
        store(&cache, "middle", 1000, 200);
        store(&cache, "new", 1000, 100);
        assert!(cache.find("old", "firmware.elf").is_some(), "asking for it makes it the newest");
        assert_eq!(cache.info().firmware_count, 3);
        assert_eq!(cache.evict(), 1000);
        assert!(cache.find("middle", "firmware.elf").is_none());
        assert!(cache.find("old", "firmware.elf").is_some());
        assert!(cache.find("new", "firmware.elf").is_some());
    }

    #[test]
    fn a_folder_in_use_is_not_evicted() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 0).unwrap();
        let held = cache.lock_build("abc").unwrap();
        std::fs::create_dir_all(held.target()).unwrap();
        std::fs::write(held.target().join("x"), [0; 10]).unwrap();
        assert_eq!(cache.evict(), 0);
        assert!(held.target().join("x").exists());
        drop(held);
        assert_eq!(cache.clear(), 10);
        assert_eq!(cache.info().build_count, 0);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let failure = Cache::at(file.join("cache"), 0).unwrap_err();
        assert_eq!(failure.first().code, code::CACHE_UNUSABLE);
        assert!(failure.first().help.as_ref().unwrap().contains("KINGLET_CACHE"));
    }
}
