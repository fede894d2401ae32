//! Rust text as rustfmt leaves it: the few shapes that printed crates use.

/// The widest argument list rustfmt keeps on one line.
const CALL_WIDTH: usize = 60;
/// The widest body of a struct literal that rustfmt keeps on one line.
const STRUCT_WIDTH: usize = 18;
/// The widest line.
const LINE_WIDTH: usize = 100;

/// A call statement at this indentation: `callee(args);`.
pub(crate) fn call(indent: usize, callee: &str, args: &[String]) -> String {
    let pad = " ".repeat(indent);
    let joined = args.join(", ");
    if joined.len() <= CALL_WIDTH && indent + callee.len() + joined.len() + 3 <= LINE_WIDTH {
        return format!("{pad}{callee}({joined});\n");
    }
    let mut text = format!("{pad}{callee}(\n");
    for arg in args {
        text.push_str(&format!("{pad}    {arg},\n"));
    }
    text.push_str(&format!("{pad});\n"));
    text
}

/// A struct expression as kernels print it (`Name { a: 1, b: Inner { c: 2, }, }`), broken into lines
/// at this indentation.
pub(crate) fn structure(indent: usize, text: &str) -> String {
    let mut out = String::new();
    structure_into(&mut out, indent, text.trim());
    out
}

fn structure_into(out: &mut String, indent: usize, text: &str) {
    let Some((name, body)) = text.split_once(" { ") else {
        // No fields, or no struct.
        out.push_str(&text.replace(" { }", " {}"));
        return;
    };
    let body = body.strip_suffix('}').unwrap_or(body).trim_end().trim_end_matches(',');
    let fields = split_fields(body);
    if fields.is_empty() {
        out.push_str(&format!("{name} {{}}"));
        return;
    }
    let joined = fields.join(", ");
    if joined.len() <= STRUCT_WIDTH && !joined.contains('{') {
        out.push_str(&format!("{name} {{ {joined} }}"));
        return;
    }
    let pad = " ".repeat(indent);
    out.push_str(&format!("{name} {{\n"));
    for field in fields {
        let (key, value) = field.split_once(": ").unwrap_or((field, ""));
        out.push_str(&format!("{pad}    {key}: "));
        if value.contains(" { ") {
            structure_into(out, indent + 4, value);
        } else {
            out.push_str(&value.replace(", ]", "]"));
        }
        out.push_str(",\n");
    }
    out.push_str(&format!("{pad}}}"));
}

/// Splits at commas outside braces and brackets.
fn split_fields(body: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (index, c) in body.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(body[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    let last = body[start..].trim();
    if !last.is_empty() {
        fields.push(last);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_broken_into_lines() {
        let text =
            "Conv { window: Window { height: 10, width: 20, }, shape: [1, 2, ], min: -128, }";
        let expected = "Conv {\n    window: Window {\n        height: 10,\n        width: 20,\n    },\n    shape: [1, 2],\n    min: -128,\n}";
        assert_eq!(structure(0, text), expected);
        assert_eq!(structure(0, "CopyBytes { }"), "CopyBytes {}");
        // A body of at most 18 characters stays on its line, as rustfmt's default has it.
        assert_eq!(structure(0, "Stride { a: 1, b: 2, }"), "Stride { a: 1, b: 2 }");
        assert_eq!(structure(0, "Softmax { depth: 12, }"), "Softmax { depth: 12 }");
    }

    #[test]
    fn long_calls_are_broken_into_lines() {
        assert_eq!(call(4, "f", &["a".to_owned()]), "    f(a);\n");
        let long = vec!["x".repeat(40), "y".repeat(40)];
        assert_eq!(call(0, "f", &long).lines().count(), 4);
    }
}
