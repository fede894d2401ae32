//! `kinglet cache`

use super::{Done, Show};
use crate::table::bytes;
use kinglet_device::Cache;
use kinglet_diag::Result;
use serde_json::json;

/// Show the build cache, or empty it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The cache lies in KINGLET_CACHE, else in the platform's folder for caches; KINGLET_CACHE_LIMIT bounds it.

Examples:
  kinglet cache
  kinglet cache --clear")]
pub struct Args {
    /// Remove everything in it
    #[arg(long)]
    clear: bool,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let cache = Cache::open()?;
    let freed = if args.clear { Some(cache.clear()) } else { None };
    let info = cache.info();
    let mut text = format!(
        "{}\n  firmware  {} in {} builds\n  compiler  {} in {} folders\n  limit     {}\n",
        info.path.display(),
        bytes(info.firmware_bytes),
        info.firmware_count,
        bytes(info.build_bytes),
        info.build_count,
        bytes(info.limit_bytes)
    );
    if let Some(freed) = freed {
        text.push_str(&format!("freed {}\n", bytes(freed)));
    }
    show.text(&text);
    show.object(
        "kinglet.cache/1",
        json!({
            "path": info.path.display().to_string(),
            "firmware_bytes": info.firmware_bytes,
            "firmware_count": info.firmware_count,
            "build_bytes": info.build_bytes,
            "build_count": info.build_count,
            "limit_bytes": info.limit_bytes,
            "freed_bytes": freed,
        }),
    );
    Ok(Done::default())
}
