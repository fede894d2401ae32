//! Chores: checks, blessing, benchmarks.
fn main() {}
