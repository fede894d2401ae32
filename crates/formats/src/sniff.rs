//! What a file is, by its content: never by its name.

use kinglet_diag::{Code, Diagnostic, Place, code};
use std::io::Cursor;
use zip::ZipArchive;

/// A kind of file that people hand to a model tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A TensorFlow Lite model.
    TfLite,
    /// A TensorFlow Lite model of another schema version, or a relative with its own identifier.
    TfLiteRelative,
    /// An ONNX model.
    Onnx,
    /// An ONNX Runtime model (`.ort`).
    Ort,
    /// An ExecuTorch program (`.pte`).
    ExecuTorch,
    /// A TensorFlow SavedModel's graph.
    SavedModel,
    /// A Keras model in the `.keras` format.
    Keras,
    /// A PyTorch file.
    PyTorch,
    /// NumPy arrays in an archive.
    Npz,
    /// One NumPy array.
    Npy,
    /// Another ZIP archive.
    Zip,
    /// An HDF5 file: a Keras model in the old format, as a rule.
    Hdf5,
    /// A GGUF language model.
    Gguf,
    /// Weights in the safetensors format.
    Safetensors,
    /// A TensorFlow.js description, or other JSON.
    Json,
    /// A model as a C array.
    CSource,
    /// The pointer that Git LFS leaves in place of a large file.
    LfsPointer,
    /// A web page.
    Html,
    /// Something in a compressed wrapper (gzip, xz, zstd, tar).
    Compressed,
    /// Nothing at all.
    Empty,
    /// None of these.
    Unknown,
}

/// Looks at the first bytes, and at the names in it if it is an archive.
pub fn format(bytes: &[u8]) -> Format {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    match bytes.get(4..8) {
        Some(b"TFL3") => return Format::TfLite,
        Some([b'T', b'F', b'L', _] | b"CIR0" | b"TOSA") => return Format::TfLiteRelative,
        Some(b"ORTM") => return Format::Ort,
        Some([b'E', b'T', b'0'..=b'9', b'0'..=b'9']) => return Format::ExecuTorch,
        _ => {}
    }
    let text = text_start(bytes);
    match () {
        () if bytes.is_empty() => Format::Empty,
        () if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") => archive(bytes),
        () if starts(b"\x93NUMPY") => Format::Npy,
        () if starts(b"\x89HDF\r\n\x1a\n") => Format::Hdf5,
        () if starts(b"GGUF") => Format::Gguf,
        () if starts(b"version https://git-lfs") => Format::LfsPointer,
        () if starts(b"\x1f\x8b") || starts(b"\xfd7zXZ\0") || starts(b"\x28\xb5\x2f\xfd") => {
            Format::Compressed
        }
        () if bytes.get(257..262) == Some(b"ustar") => Format::Compressed,
        // A pickle of protocol 2 or later, as torch.save wrote before version 1.6.
        () if matches!(bytes, [0x80, 2..=5, ..]) => Format::PyTorch,
        () if bytes.get(8..10) == Some(b"{\"") => Format::Safetensors,
        () if text.starts_with("<!doctype") || text.starts_with("<html") => Format::Html,
        () if text.starts_with('{') => Format::Json,
        () if text.contains("unsigned char") || text.starts_with("#include") => Format::CSource,
        () if starts(b"\x08\x01\x12") => Format::SavedModel,
        () if is_onnx(bytes) => Format::Onnx,
        () => Format::Unknown,
    }
}

/// The first bytes in lower case, white space in front removed; empty if they are no text.
fn text_start(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    if start.contains(&0) {
        return String::new();
    }
    String::from_utf8_lossy(start)
        .trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
        .to_lowercase()
}

fn archive(bytes: &[u8]) -> Format {
    let Ok(archive) = ZipArchive::new(Cursor::new(bytes)) else { return Format::Zip };
    let names: Vec<_> = archive.file_names().take(1000).filter_map(Result::ok).collect();
    let any = |test: fn(&str) -> bool| names.iter().any(|name| test(name));
    match () {
        () if any(|n| n == "config.json") && any(|n| n.ends_with(".weights.h5")) => Format::Keras,
        () if any(|n| n.ends_with("data.pkl")) => Format::PyTorch,
        () if any(|n| n.ends_with(".npy")) => Format::Npz,
        () if any(|n| n.ends_with("saved_model.pb")) => Format::SavedModel,
        () => Format::Zip,
    }
}

/// Whether the bytes read as the head of an ONNX ModelProto, which has no magic number: the IR
/// version first, then only fields the message has, each with the right wire type.
fn is_onnx(bytes: &[u8]) -> bool {
    let [0x08, 1..=30, rest @ ..] = bytes else { return false };
    // (field << 3) | wire type of: producer name and version, domain, model version, doc string,
    // graph, opset import, metadata, training info, functions.
    const KNOWN: [u8; 10] = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xa2, 0xca];
    rest.first().is_some_and(|tag| KNOWN.contains(tag))
}

impl Format {
    /// What the file is, to complete "the file is ...".
    pub fn describe(self) -> &'static str {
        match self {
            Format::TfLite => "a TensorFlow Lite model",
            Format::TfLiteRelative => "a relative of TensorFlow Lite with another identifier",
            Format::Onnx => "an ONNX model, or looks like one",
            Format::Ort => "an ONNX Runtime model (.ort)",
            Format::ExecuTorch => "an ExecuTorch program (.pte)",
            Format::SavedModel => "a TensorFlow SavedModel",
            Format::Keras => "a Keras model (.keras)",
            Format::PyTorch => "a PyTorch file",
            Format::Npz => "an archive of NumPy arrays (.npz)",
            Format::Npy => "a NumPy array (.npy)",
            Format::Zip => "a ZIP archive",
            Format::Hdf5 => "an HDF5 file, such as a Keras .h5 model",
            Format::Gguf => "a GGUF language model",
            Format::Safetensors => "a safetensors file: weights without a network",
            Format::Json => "JSON text",
            Format::CSource => "source text, such as a model as a C array",
            Format::LfsPointer => "a Git LFS pointer, not the file it stands for",
            Format::Html => "a web page",
            Format::Compressed => "a compressed archive",
            Format::Empty => "empty",
            Format::Unknown => "no model format that Kinglet knows",
        }
    }

    /// What to do to get a `.tflite` file out of it.
    fn remedy(self) -> &'static str {
        match self {
            Format::TfLite => "read it as a TensorFlow Lite model",
            Format::TfLiteRelative => {
                "convert the model again with a current TensorFlow Lite converter, which writes TFL3"
            }
            Format::Onnx => {
                "this command reads TensorFlow Lite: convert the model, for example with onnx2tf, and pass the .tflite file"
            }
            Format::Ort => "pass the model the .ort file was made from, converted to .tflite",
            Format::ExecuTorch => {
                "export the PyTorch model with ai-edge-torch (litert-torch) to .tflite instead"
            }
            Format::SavedModel => {
                "convert it: tf.lite.TFLiteConverter.from_saved_model(DIR).convert()"
            }
            Format::Keras | Format::Hdf5 => {
                "convert it: tf.lite.TFLiteConverter.from_keras_model(model).convert()"
            }
            Format::PyTorch => {
                "export the model with ai-edge-torch (litert-torch) to .tflite; a file of weights alone has no network"
            }
            Format::Npz | Format::Npy => "this is data, not a model: it goes with --input",
            Format::Zip | Format::Compressed => "unpack it and pass the .tflite file inside",
            Format::Gguf => {
                "Kinglet is for networks exported to .tflite; language models in GGUF are not among them"
            }
            Format::Safetensors => "export the whole model, network and weights, to .tflite",
            Format::Json => {
                "convert the original model to .tflite; TensorFlow.js models cannot be read"
            }
            Format::CSource => "pass the .tflite file that the array was made from",
            Format::LfsPointer => "fetch the file itself: git lfs pull",
            Format::Html => {
                "the download gave a page in place of the file: use the address of the raw file"
            }
            Format::Empty => {
                "the file has 0 bytes: the download or export did not finish, or the disk was full"
            }
            Format::Unknown => {
                "pass a .tflite file; if this is one, it is damaged from its first bytes on: fetch it again"
            }
        }
    }

    fn code(self) -> Code {
        match self {
            Format::TfLite | Format::TfLiteRelative => code::TFLITE_VERSION,
            Format::Empty => code::FILE_EMPTY,
            Format::LfsPointer | Format::Html => code::FILE_NOT_FETCHED,
            Format::Unknown => code::FILE_UNKNOWN,
            _ => code::FILE_OTHER_FORMAT,
        }
    }
}

/// Says what the file is, if it is not a TensorFlow Lite model.
pub(crate) fn expect_tflite(bytes: &[u8]) -> kinglet_diag::Result<()> {
    let format = format(bytes);
    if format == Format::TfLite {
        return Ok(());
    }
    let mut message = format!("the file is {}", format.describe());
    if format == Format::TfLiteRelative
        && let Some(identifier) = bytes.get(4..8)
    {
        message =
            format!("{message}: {:?} in place of \"TFL3\"", String::from_utf8_lossy(identifier));
    }
    let at = if format == Format::TfLiteRelative { 4 } else { 0 };
    Err(Diagnostic::error(format.code(), message).at(Place::Byte(at)).help(format.remedy()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        let cases: [(&[u8], Format); 18] = [
            (b"", Format::Empty),
            (b"\x1c\0\0\0TFL3", Format::TfLite),
            (b"\x1c\0\0\0TFL9", Format::TfLiteRelative),
            (b"\x1c\0\0\0ORTM", Format::Ort),
            (b"\x1c\0\0\0ET12", Format::ExecuTorch),
            (b"\x08\x08\x12\x07tf2onnx", Format::Onnx),
            (b"\x08\x01\x12\xff\xff", Format::SavedModel),
            (b"\x89HDF\r\n\x1a\n\0\0", Format::Hdf5),
            (b"GGUF\x03\0\0\0", Format::Gguf),
            (b"\x93NUMPY\x01\0", Format::Npy),
            (b"\x80\x02\x8a\x0al\xfc", Format::PyTorch),
            (b"\x40\0\0\0\0\0\0\0{\"w\":", Format::Safetensors),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", Format::LfsPointer),
            (b"\n<!DOCTYPE html><html>", Format::Html),
            (b"{\"format\": \"layers-model\"}", Format::Json),
            (b"// model\nconst unsigned char g_model[] = {0x1c,", Format::CSource),
            (b"\x1f\x8b\x08\0", Format::Compressed),
            (b"hello", Format::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(format(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_other_format_has_its_code_and_remedy() {
        let cases: [(&[u8], Code, &str); 6] = [
            (b"", code::FILE_EMPTY, "0 bytes"),
            (b"\x1c\0\0\0TFL9", code::TFLITE_VERSION, "TFL3"),
            (b"GGUF\x03\0\0\0", code::FILE_OTHER_FORMAT, "GGUF"),
            (b"<html>", code::FILE_NOT_FETCHED, "raw file"),
            (b"version https://git-lfs.github.com/spec/v1", code::FILE_NOT_FETCHED, "git lfs pull"),
            (b"????????", code::FILE_UNKNOWN, ".tflite"),
        ];
        for (bytes, expected, help) in cases {
            let failure = expect_tflite(bytes).unwrap_err();
            let first = failure.first();
            assert_eq!(first.code, expected);
            assert!(first.help.as_ref().unwrap().contains(help), "{first:?}");
        }
    }
}
