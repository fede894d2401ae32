//! Moving bytes.

kernel! {
    /// Copies bytes of any element type; as many as the shorter side has.
    copy_bytes version 1
    params CopyBytes {}
    operands (input input: u8, output output: u8)
}

#[inline(always)]
fn copy_bytes(_p: &CopyBytes, input: &[u8], output: &mut [u8]) {
    for (to, from) in output.iter_mut().zip(input) {
        *to = *from;
    }
}
