//! The shim's `src/lib.rs`: the functions of the header, around the model's crate.

use super::Names;
use crate::names::comment;
use crate::{Options, source::rust_type};
use kinglet_program::Program;

const HEAD: &str = "\
//! The C interface of {{what}}, compiled by Kinglet {{version}}; `{{prefix}}.h` declares it.
//!
//! All `unsafe` is here, and is about pointers from C: the model's crate has none.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::ffi::c_void;
use core::ptr;
use model::{Arena, Model, Paused};

// The results of functions, as in the header.
const OK: i32 = 0;
const NO_MEMORY: i32 = -1;
const MISALIGNED: i32 = -2;
const TOO_SMALL: i32 = -3;
const NOT_READY: i32 = -4;

/// `{{prefix}}_model` in C.
#[repr(C)]
pub struct Handle {
    memory: *mut Arena,
    next: Paused,
}

/// The model behind a handle; nothing while the handle or its memory is NULL.
///
/// # Safety
/// The handle is NULL, or points to one that is all zeros or was filled by `{{prefix}}_init`; and
/// nobody else uses it or the memory that it was given as long as the model is in use.
#[inline(always)]
unsafe fn attach<'a>(handle: *const Handle) -> Option<Model<'a>> {
    // SAFETY: it points to a handle, as the caller vouches.
    let handle = unsafe { handle.as_ref() }?;
    // SAFETY: `{{prefix}}_init` leaves NULL, or memory whose length and alignment it has checked; any
    // bytes are an arena, and nobody else uses them, as the caller vouches.
    let arena = unsafe { handle.memory.as_mut() }?;
    Some(Model::attach(arena))
}

/// Takes memory for a model and gives state its start values.
///
/// # Safety
/// `handle` is NULL or points to a handle; `memory` is NULL or points to `bytes` bytes that nobody else
/// uses as long as the model is in use.
#[unsafe(no_mangle)]
{{init}}    // SAFETY: it points to a handle, whose bits mean nothing yet and are valid in any case.
    let Some(handle) = (unsafe { handle.as_mut() }) else {
        return NOT_READY;
    };
    handle.memory = ptr::null_mut();
    let memory = memory.cast::<Arena>();
    if memory.is_null() {
        return NO_MEMORY;
    }
    if !memory.is_aligned() {
        return MISALIGNED;
    }
    if bytes < size_of::<Arena>() {
        return TOO_SMALL;
    }
    // SAFETY: not NULL, aligned and long enough, as was just checked; any bytes are an arena, and nobody
    // else uses them, as the caller vouches.
    let mut model = Model::new(unsafe { &mut *memory });
    handle.next = model.begin().pause();
    handle.memory = memory;
    OK
}

/// Runs the model once.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_run(handle: *mut Handle) -> i32 {
    // SAFETY: as the caller vouches.
    let Some(mut model) = (unsafe { attach(handle) }) else {
        return NOT_READY;
    };
    model.run();
    OK
}

/// Gives state its start values.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_reset(handle: *mut Handle) {
    // SAFETY: as the caller vouches.
    if let Some(mut model) = unsafe { attach(handle) } {
        model.reset();
    }
}

/// Begins a run that is made step by step.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_begin(handle: *mut Handle) -> i32 {
    // SAFETY: as the caller vouches.
    let Some(mut model) = (unsafe { attach(handle) }) else {
        return NOT_READY;
    };
    let next = model.begin().pause();
    // SAFETY: `attach` found a handle there, and borrows only what it points to.
    unsafe { (*handle).next = next };
    OK
}

/// Computes the next step; whether steps are left after it.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_step(handle: *mut Handle) -> bool {
    // SAFETY: as the caller vouches.
    let Some(mut model) = (unsafe { attach(handle) }) else {
        return false;
    };
    // SAFETY: `attach` found a handle there, and borrows only what it points to.
    let next = unsafe { &mut (*handle).next };
    let mut slices = model.resume(*next);
    let more = slices.step();
    *next = slices.pause();
    more
}

/// Computes the steps that are left.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_finish(handle: *mut Handle) {
    // SAFETY: as the caller vouches.
    while unsafe { {{prefix}}_step(handle) } {}
}
";

const CHECK: &str = "
/// Runs the stored input and compares with the stored output.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn {{prefix}}_check(handle: *mut Handle) -> bool {
    // SAFETY: as the caller vouches.
    match unsafe { attach(handle) } {
        Some(mut model) => model.check(),
        None => false,
    }
}
";

const BYTES_IN: &str = "
/// An input by position; NULL when there is none.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
{{signature}}    // SAFETY: as the caller vouches.
    let Some(mut model) = (unsafe { attach(handle) }) else {
        return ptr::null_mut();
    };
    let bytes = model.input_bytes_mut(index);
    if bytes.is_empty() {
        return ptr::null_mut();
    }
    bytes.as_mut_ptr().cast()
}
";

const BYTES_OUT: &str = "
/// An output by position; NULL when there is none.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
{{signature}}    // SAFETY: as the caller vouches.
    let Some(model) = (unsafe { attach(handle) }) else {
        return ptr::null();
    };
    let bytes = model.output_bytes(index);
    if bytes.is_empty() {
        return ptr::null();
    }
    bytes.as_ptr().cast()
}
";

const INPUT: &str = "
/// The input `{{name}}`; NULL while there is no model.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
{{signature}}    // SAFETY: as the caller vouches.
    let Some(mut model) = (unsafe { attach(handle) }) else {
        return ptr::null_mut();
    };
    let input = model.input_{{port}}();
    input.as_mut_ptr()
}
";

const OUTPUT: &str = "
/// The output `{{name}}`; NULL while there is no model.
///
/// # Safety
/// As for `attach`.
#[unsafe(no_mangle)]
{{signature}}    // SAFETY: as the caller vouches.
    let Some(model) = (unsafe { attach(handle) }) else {
        return ptr::null();
    };
    let output = model.output_{{port}}();
    output.as_ptr()
}
";

const PANIC: &str = "
/// Asked for by the compiler and never reached: nothing here or in the model can panic, which Kinglet
/// checked in the finished library.
#[panic_handler]
fn never(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
";

/// The first lines of a function, as rustfmt leaves them.
fn signature(name: &str, parameters: &[&str], result: &str) -> String {
    let head = format!("pub unsafe extern \"C\" fn {name}(");
    let line = format!("{head}{}) -> {result} {{\n", parameters.join(", "));
    if line.trim_end().len() <= 100 {
        return line;
    }
    let rows: String = parameters.iter().map(|parameter| format!("    {parameter},\n")).collect();
    format!("{head}\n{rows}) -> {result} {{\n")
}

pub(super) fn text(program: &Program, names: &Names, options: &Options) -> String {
    let prefix = &names.prefix;
    let mut text = HEAD.replace(
        "{{init}}",
        &signature(
            &format!("{prefix}_init"),
            &["handle: *mut Handle", "memory: *mut c_void", "bytes: usize"],
            "i32",
        ),
    );
    if options.golden.is_some() {
        text.push_str(CHECK);
    }
    for (name, pointer) in [("input", "*mut"), ("output", "*const")] {
        let template = if name == "input" { BYTES_IN } else { BYTES_OUT };
        let first = signature(
            &format!("{prefix}_{name}"),
            &[&format!("handle: {pointer} Handle"), "index: usize"],
            &format!("{pointer} c_void"),
        );
        text.push_str(&template.replace("{{signature}}", &first));
    }
    let inputs = program.inputs.iter().zip(&names.inputs);
    let outputs = program.outputs.iter().zip(&names.outputs);
    let inputs = inputs.map(|(port, name)| (INPUT, "input", "*mut", port, name));
    let outputs = outputs.map(|(port, name)| (OUTPUT, "output", "*const", port, name));
    for (template, kind, pointer, port, name) in inputs.chain(outputs) {
        let first = signature(
            &format!("{prefix}_{kind}_{name}"),
            &[&format!("handle: {pointer} Handle")],
            &format!("{pointer} {}", rust_type(port.ty.dtype)),
        );
        text.push_str(
            &template
                .replace("{{signature}}", &first)
                .replace("{{port}}", name)
                .replace("{{name}}", &comment(&port.name)),
        );
    }
    text.push_str(PANIC);
    let model = comment(&program.name);
    let what = if model.is_empty() { "a model".to_owned() } else { format!("the model `{model}`") };
    text.replace("{{what}}", &what)
        .replace("{{version}}", &options.tool_version)
        .replace("{{prefix}}", prefix)
}
