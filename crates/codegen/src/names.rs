//! Names from models as Rust identifiers.

/// The longest identifier: names that converters join out of a dozen layers stay callable.
const LONGEST: usize = 40;

/// A name as a snake-case identifier: letters, digits and underscores, never empty, never starting with
/// a digit, at most 40 characters.
pub fn identifier(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            text.push(c.to_ascii_lowercase());
        } else if !text.is_empty() && !text.ends_with('_') {
            text.push('_');
        }
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, 'n');
    }
    // Only ASCII: every position is a character's.
    text.truncate(LONGEST);
    match text.trim_end_matches('_') {
        "" => "unnamed".to_owned(),
        text => text.to_owned(),
    }
}

/// Names made different from each other by a number at the end.
pub(crate) fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for name in names {
        let mut candidate = name.clone();
        let mut number = 1;
        while taken.contains(&candidate) {
            number += 1;
            candidate = format!("{name}_{number}");
        }
        taken.push(candidate);
    }
    taken
}

/// Text from a model as one line of a comment: nothing that could end it or look like code.
pub(crate) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        assert_eq!(identifier("serving_default_input:0"), "serving_default_input_0");
        assert_eq!(identifier("3D input"), "n3d_input");
        assert_eq!(identifier("\u{4f60}"), "unnamed");
        assert_eq!(identifier(&"layer/".repeat(50)).len(), LONGEST);
    }

    #[test]
    fn equal_names_are_told_apart() {
        let names = ["a", "a", "b", "a"].map(str::to_owned);
        assert_eq!(distinct(names.into_iter()), ["a", "a_2", "b", "a_3"]);
    }
}
