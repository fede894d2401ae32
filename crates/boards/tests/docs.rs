//! `docs/boards.md` is what the data says.

use std::{env, fs, path::Path};

#[test]
fn docs_boards_md_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/boards.md");
    let fresh = kinglet_boards::render_docs();
    if env::var_os("KINGLET_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &fresh).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == fresh,
        "docs/boards.md is stale: KINGLET_BLESS=1 cargo test -p kinglet-boards"
    );
}

#[test]
fn the_page_has_a_row_for_every_board_and_core() {
    let page = kinglet_boards::render_docs();
    for board in kinglet_boards::all() {
        assert!(page.contains(&format!("| `{}` |", board.id)), "{}", board.id);
        assert!(page.contains(&format!("### {}\n", board.id)), "{}", board.id);
        let mut rows = page.lines().filter(|line| line.starts_with(&format!("| {}", board.name)));
        let row = rows.find(|line| line.contains(&format!("| `{}` |", board.id)));
        let marked = row.is_some_and(|row| row.contains('†'));
        assert_eq!(marked, !board.unverified.is_empty() && !board.is_emulated(), "{}", board.id);
    }
    for core in kinglet_boards::cores() {
        assert!(page.contains(&format!("| `{}` |", core.id)), "{}", core.id);
    }
}
