//! Big-endian fields of headers.
//!
//! A header whose fixed part is present is an array, and the offset of a field in it is a constant.
//! The compiler checks that the field lies within the array, so reading it cannot fail.

/// Fields of a header of constant length, by the offset of their first byte.
pub(crate) trait Fields {
    /// The `N` bytes from offset `AT` on.
    fn field<const AT: usize, const N: usize>(&self) -> [u8; N];

    /// Writes `field` from offset `AT` on.
    fn put<const AT: usize, const N: usize>(&mut self, field: [u8; N]);

    /// The 16-bit field at offset `AT`.
    #[inline]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be_bytes(self.field::<AT, 2>())
    }

    /// The 32-bit field at offset `AT`.
    #[inline]
    fn be32<const AT: usize>(&self) -> u32 {
        u32::from_be_bytes(self.field::<AT, 4>())
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "constants, which `const` blocks compare with the length"
)]
impl<const LEN: usize> Fields for [u8; LEN] {
    #[inline]
    fn field<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= LEN, "a field beyond its header") };
        let mut field = [0; N];
        field.copy_from_slice(&self[AT..AT + N]);
        field
    }

    #[inline]
    fn put<const AT: usize, const N: usize>(&mut self, field: [u8; N]) {
        const { assert!(AT + N <= LEN, "a field beyond its header") };
        self[AT..AT + N].copy_from_slice(&field);
    }
}

/// The first `N` bytes of a buffer to which a header is written, and the bytes after them.
///
/// # Panics
/// If `buf` is shorter, which every `emit` documents.
#[inline]
#[expect(
    clippy::expect_used,
    reason = "the caller's buffer, which no packet has a say in"
)]
pub(crate) fn room<const N: usize>(buf: &mut [u8]) -> (&mut [u8; N], &mut [u8]) {
    buf.split_first_chunk_mut()
        .expect("a buffer that is shorter than the header")
}
