//! The header: C99 and C++, nothing but declarations and numbers.

use super::Names;
use crate::names::comment;
use crate::{Options, source::rust_type};
use kinglet_graph::Quantization;
use kinglet_program::{Port, Program};

const HEAD: &str = "\
/* {{what}}, compiled by Kinglet {{version}}.
{{digest}} *
 *     static {{prefix}}_memory memory;
 *     static {{prefix}}_model model;
 *
 *     if ({{prefix}}_init(&model, &memory, sizeof memory) != {{PREFIX}}_OK) { ... }
{{example}} *
 * Nothing is allocated, nothing waits, nothing is kept but in the caller's memory; no other library is
 * needed. Models do not know of each other. A function may be called from any context, but not while
 * another works on the same model.
 */
#ifndef {{PREFIX}}_H
#define {{PREFIX}}_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif

/* SHA-256 of the model file. */
#define {{PREFIX}}_MODEL_SHA256 \"{{sha256}}\"

/* Memory of one model in bytes: state, which outlives a run, and the arena. */
#define {{PREFIX}}_STATE_BYTES {{state}}u
#define {{PREFIX}}_ARENA_BYTES {{arena}}u
#define {{PREFIX}}_MEMORY_BYTES {{memory}}u
#define {{PREFIX}}_MEMORY_ALIGNMENT 16u
/* Weights and tables in flash, bytes. */
#define {{PREFIX}}_WEIGHTS_BYTES {{weights}}u
/* Steps of one run. */
#define {{PREFIX}}_STEPS {{steps}}u

#if defined(__GNUC__) || defined(__clang__)
#define {{PREFIX}}_ALIGNED __attribute__((aligned(16)))
#elif defined(__cplusplus) && __cplusplus >= 201103L
#define {{PREFIX}}_ALIGNED alignas(16)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define {{PREFIX}}_ALIGNED _Alignas(16)
#else
#error \"this compiler needs its own way to align {{prefix}}_memory to 16 bytes\"
#endif

/* Memory of one model, as large and as aligned as it must be. Any other block that is will do. */
typedef struct {{prefix}}_memory {
    {{PREFIX}}_ALIGNED unsigned char bytes[{{PREFIX}}_MEMORY_BYTES];
} {{prefix}}_memory;

/* {{PREFIX}}_ASSERT_FITS(pool); does not compile where the object `pool`, an array or a struct and no
 * pointer, is smaller than a model's memory. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define {{PREFIX}}_ASSERT_FITS(object) \\
    static_assert(sizeof(object) >= {{PREFIX}}_MEMORY_BYTES, \"too small for {{prefix}}\")
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define {{PREFIX}}_ASSERT_FITS(object) \\
    _Static_assert(sizeof(object) >= {{PREFIX}}_MEMORY_BYTES, \"too small for {{prefix}}\")
#else
#define {{PREFIX}}_ASSERT_FITS(object) \\
    extern char {{prefix}}_fits[sizeof(object) >= {{PREFIX}}_MEMORY_BYTES ? 1 : -1]
#endif

/* A model. `next_step` is the next step of a run made step by step, to be read; `memory` is the
 * library's own. */
typedef struct {{prefix}}_model {
    void *memory;
    uint32_t next_step;
} {{prefix}}_model;

/* Results. */
#define {{PREFIX}}_OK 0
/* The memory is NULL. */
#define {{PREFIX}}_NO_MEMORY (-1)
/* The memory does not start at a multiple of 16 bytes. */
#define {{PREFIX}}_MISALIGNED (-2)
/* The memory is smaller than {{PREFIX}}_MEMORY_BYTES. */
#define {{PREFIX}}_TOO_SMALL (-3)
/* The model is NULL, or all zeros: {{prefix}}_init has not succeeded. */
#define {{PREFIX}}_NOT_READY (-4)

/* Takes memory for a model and gives state its start values. On failure the model stays unusable, and
 * every other function does nothing, or gives NULL, false or {{PREFIX}}_NOT_READY. */
int32_t {{prefix}}_init({{prefix}}_model *model, void *memory, size_t bytes);

/* Gives state its start values. */
void {{prefix}}_reset({{prefix}}_model *model);

/* Runs once: from the inputs, and the state, to the outputs and the new state. */
int32_t {{prefix}}_run({{prefix}}_model *model);

/* Begins a run that is made step by step, after the inputs are set:
 *
 *     {{prefix}}_begin(&model);
 *     while ({{prefix}}_step(&model)) { ... whatever has a deadline ... }
 *
 * A run that is not finished leaves state between its old value and its new one: reset then. */
int32_t {{prefix}}_begin({{prefix}}_model *model);

/* Computes the next step; true while steps are left after it. */
bool {{prefix}}_step({{prefix}}_model *model);

/* Computes the steps that are left. */
void {{prefix}}_finish({{prefix}}_model *model);
";

const CHECK: &str = "
/* Runs the model on a stored input and compares with the stored output: a production test. State is
 * reset before and after. */
bool {{prefix}}_check({{prefix}}_model *model);
";

const PORTS: &str = "
/* Inputs and outputs by position; NULL when there is none. Outputs are valid until the next run or
 * access to an input. */
#define {{PREFIX}}_INPUTS {{inputs}}u
#define {{PREFIX}}_OUTPUTS {{outputs}}u
void *{{prefix}}_input({{prefix}}_model *model, size_t index);
const void *{{prefix}}_output(const {{prefix}}_model *model, size_t index);
";

const TAIL: &str = "
#ifdef __cplusplus
}
#endif

#endif /* {{PREFIX}}_H */
";

pub(super) fn text(program: &Program, names: &Names, options: &Options) -> String {
    let mut example = String::new();
    for name in &names.inputs {
        example.push_str(&format!(" *     fill({{{{prefix}}}}_input_{name}(&model));\n"));
    }
    example.push_str(" *     {{prefix}}_run(&model);\n");
    for name in &names.outputs {
        example.push_str(&format!(" *     use({{{{prefix}}}}_output_{name}(&model));\n"));
    }
    let mut text = HEAD.replace("{{example}}", &example);
    if options.golden.is_some() {
        text.push_str(CHECK);
    }
    text.push_str(PORTS);
    for (port, name) in program.inputs.iter().zip(&names.inputs) {
        text.push_str(&port_text("input", port, name));
    }
    for (port, name) in program.outputs.iter().zip(&names.outputs) {
        text.push_str(&port_text("output", port, name));
    }
    text.push_str(TAIL);
    let model = c_comment(&program.name);
    let what = if model.is_empty() { "A model".to_owned() } else { format!("The model `{model}`") };
    let digest = match options.model_digest.as_str() {
        "" => String::new(),
        digest => format!(" * SHA-256 of the model file: {digest}\n"),
    };
    let memory = program.state_bytes + program.arena_bytes;
    let weights = crate::Weights::of(program).bytes.len();
    for (key, value) in [
        ("state", program.state_bytes),
        ("arena", program.arena_bytes),
        ("memory", memory),
        ("weights", weights),
        ("steps", program.steps.len()),
        ("inputs", program.inputs.len()),
        ("outputs", program.outputs.len()),
    ] {
        text = text.replace(&format!("{{{{{key}}}}}"), &value.to_string());
    }
    text.replace("{{digest}}", &digest)
        .replace("{{sha256}}", &options.model_digest)
        .replace("{{version}}", &options.tool_version)
        .replace("{{prefix}}", &names.prefix)
        .replace("{{PREFIX}}", &names.prefix.to_uppercase())
        .replace("{{what}}", &what)
}

/// What the header says of one input or output; `kind` is `input` or `output`.
fn port_text(kind: &str, port: &Port, name: &str) -> String {
    let ty = c_type(rust_type(port.ty.dtype));
    let macros = format!("{{{{PREFIX}}}}_{}_{}", kind.to_uppercase(), name.to_uppercase());
    let bytes = port.ty.bytes();
    let len = bytes / rust_bytes(rust_type(port.ty.dtype));
    let mut text = format!("\n/* The {kind} `{}`, {}. */\n", c_comment(&port.name), port.ty);
    let mut define = |what: &str, value: String| {
        text.push_str(&format!("#define {macros}_{what} {value}\n"));
    };
    define("LEN", format!("{len}u"));
    define("BYTES", format!("{bytes}u"));
    let shape: Vec<String> = port.ty.shape.iter().map(|dim| dim.to_string()).collect();
    define("RANK", format!("{}u", shape.len()));
    if !shape.is_empty() {
        define("SHAPE", format!("{{{}}}", shape.join(", ")));
    }
    if let Some((scale, zero_point)) = port.quantization.as_ref().and_then(Quantization::single)
        && scale.is_finite()
    {
        define("SCALE", format!("{scale:?}f"));
        define("ZERO_POINT", format!("({zero_point})"));
    }
    if !port.labels.is_empty() {
        define("CLASSES", format!("{}u", port.labels.len()));
        let labels: Vec<String> = port.labels.iter().map(|label| c_string(label)).collect();
        define("LABELS", format!("{{ \\\n    {} }}", labels.join(", \\\n    ")));
    }
    text.push_str(&match kind {
        "input" => format!("{ty} *{{{{prefix}}}}_input_{name}({{{{prefix}}}}_model *model);\n"),
        _ => format!(
            "const {ty} *{{{{prefix}}}}_output_{name}(const {{{{prefix}}}}_model *model);\n"
        ),
    });
    text
}

fn c_type(rust: &str) -> &'static str {
    match rust {
        "i8" => "int8_t",
        "i16" => "int16_t",
        "i32" => "int32_t",
        "i64" => "int64_t",
        "f32" => "float",
        _ => "uint8_t",
    }
}

fn rust_bytes(rust: &str) -> usize {
    match rust {
        "i16" => 2,
        "i32" | "f32" => 4,
        "i64" => 8,
        _ => 1,
    }
}

/// Text from a model inside a comment in C: nothing that ends it, begins another, or is no ASCII.
fn c_comment(text: &str) -> String {
    let text = comment(text).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?");
    text.chars().map(|c| if c.is_ascii() && c != '\\' { c } else { '.' }).collect()
}

/// A text as a string literal in C; bytes beyond ASCII are octal, which ends after three digits.
fn c_string(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => {
                literal.push('\\');
                literal.push(char::from(byte));
            }
            b' '..=b'~' => literal.push(char::from(byte)),
            _ => literal.push_str(&format!("\\{byte:03o}")),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_model_stays_text() {
        assert_eq!(c_comment("a */ int x; /* \\ ??/ \u{4f60}"), "a * / int x; / * . ? ?/ .");
        assert_eq!(c_comment("*/*"), "* / *");
        assert_eq!(c_string("a\"b\\n??/\n\u{e9}1"), "\"a\\\"b\\\\n\\?\\?/\\012\\303\\2511\"");
    }
}
