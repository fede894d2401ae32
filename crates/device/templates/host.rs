//! Written by Kinglet: feeds cases to a model's crate on the machine that built it.
//!
//! The only argument is the folder with `in.bin`, in which `out.bin` and `taps.bin` are written. The
//! protocol is the one of the emulated boards.

#![forbid(unsafe_code)]

use model::{Arena, INPUTS, Model, OUTPUTS};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

const IN_MAGIC: u32 = 0x3149_474B;
#[cfg(feature = "taps")]
const FLAG_TAPS: u32 = 2;

/// A static, so that an arena of any size never passes over the stack.
static ARENA: Mutex<Arena> = Mutex::new(Arena::ZERO);

fn read_u32(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn run(folder: &Path) -> io::Result<()> {
    let mut input = BufReader::new(File::open(folder.join("in.bin"))?);
    let mut output = BufWriter::new(File::create(folder.join("out.bin"))?);
    if read_u32(&mut input)? != IN_MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "in.bin is of another version"));
    }
    let cases = read_u32(&mut input)?;
    let steps = read_u32(&mut input)?;
    let flags = read_u32(&mut input)?;
    #[cfg(feature = "taps")]
    let mut taps = match flags & FLAG_TAPS {
        0 => None,
        _ => Some(BufWriter::new(File::create(folder.join("taps.bin"))?)),
    };
    #[cfg(not(feature = "taps"))]
    let _ = flags;
    let mut arena = ARENA.lock().map_err(|_| io::ErrorKind::Other)?;
    let mut model = Model::new(&mut arena);
    for _ in 0..cases {
        model.reset();
        for _ in 0..steps {
            for index in 0..INPUTS {
                input.read_exact(model.input_bytes_mut(index))?;
            }
            #[cfg(feature = "taps")]
            if let Some(file) = &mut taps {
                let mut result = file.write_all(&[255, 255, 255, 255, 0, 0, 0, 0]);
                model.run_tapped(&mut |tensor: u32, bytes: &[u8]| {
                    let head = [tensor.to_le_bytes(), (bytes.len() as u32).to_le_bytes()];
                    if result.is_ok() {
                        result = file
                            .write_all(head.as_flattened())
                            .and_then(|()| file.write_all(bytes));
                    }
                });
                result?;
            } else {
                model.run();
            }
            #[cfg(not(feature = "taps"))]
            model.run();
            for index in 0..OUTPUTS {
                output.write_all(model.output_bytes(index))?;
            }
        }
    }
    #[cfg(feature = "taps")]
    if let Some(file) = &mut taps {
        file.flush()?;
    }
    output.flush()
}

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match run(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(64)
        }
    }
}
