//! Big-endian fields in byte slices. All parsers read through [`Cursor`], so that no length from the
//! wire is ever an index.

use std::fmt;

/// The slice ended before the field did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short;

impl std::error::Error for Short {}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the bytes end inside a field")
    }
}

/// Reads big-endian fields from the front of a slice. A read that fails with [`Short`] takes nothing
/// of its field.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor(bytes)
    }

    /// The bytes that have not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes exactly `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Takes the next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// Takes a field of 8 bits.
    pub fn u8(&mut self) -> Result<u8, Short> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Takes a field of 16 bits.
    pub fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Takes a field of 24 bits, as lengths and timestamps have.
    pub fn u24(&mut self) -> Result<u32, Short> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Takes a field of 32 bits.
    pub fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Takes a field of 32 bits, least significant byte first. Only the message stream id is written so.
    pub fn u32_le(&mut self) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes an IEEE 754 double; the bits of a NaN are kept.
    pub fn f64(&mut self) -> Result<f64, Short> {
        Ok(f64::from_bits(u64::from_be_bytes(self.array()?)))
    }
}

/// Appends the low 24 bits of `value`.
pub fn put_u24(out: &mut Vec<u8>, value: u32) {
    let [_, a, b, c] = value.to_be_bytes();
    out.extend_from_slice(&[a, b, c]);
}

/// Appends `value` as 16 bits.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends `value` as 32 bits.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_big_endian_and_end_with_the_slice() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x12, 0x34];
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.u8(), Ok(1));
        assert_eq!(cursor.u16(), Ok(0x0203));
        assert_eq!(cursor.u24(), Ok(0x040506));
        assert_eq!(cursor.u32(), Ok(0x0708_090a));
        assert_eq!(cursor.u24(), Err(Short));
        assert_eq!(cursor.take(2), Ok(&[0x12, 0x34][..]));
        assert!(cursor.is_empty());
        assert_eq!(cursor.u8(), Err(Short));
        assert_eq!(Cursor::new(&bytes).u32_le(), Ok(0x0403_0201));
    }

    #[test]
    fn puts_are_what_the_cursor_reads() {
        let mut out = Vec::new();
        put_u16(&mut out, 0x0102);
        put_u24(&mut out, 0xff03_0405);
        put_u32(&mut out, 0x0607_0809);
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
