//! Fields of bits, most significant first, as codecs write their headers.

use crate::bytes::Short;

/// Reads bits from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// How many bits have been read.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bits { bytes, at: 0 }
    }

    /// Takes one bit; `true` is 1.
    pub(super) fn flag(&mut self) -> Result<bool, Short> {
        let byte = self.bytes.get(self.at / 8).ok_or(Short)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// Takes `len` bits, at most 32.
    pub(super) fn take(&mut self, len: u32) -> Result<u32, Short> {
        let mut value = 0;
        for _ in 0..len {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// Leaves `len` bits out.
    pub(super) fn skip(&mut self, len: usize) -> Result<(), Short> {
        self.at = self.at.checked_add(len).ok_or(Short)?;
        match self.at <= self.bytes.len() * 8 {
            true => Ok(()),
            false => Err(Short),
        }
    }

    /// Takes an unsigned Exp-Golomb code, `ue(v)` of H.264 §9.1. AV1's `uvlc()` is the same code.
    pub(super) fn unsigned(&mut self) -> Result<u32, Short> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(Short);
            }
        }
        let rest = self.take(zeros)?;
        Ok((1_u32 << zeros) - 1 + rest)
    }

    /// Takes a signed Exp-Golomb code, `se(v)` of H.264 §9.1.1.
    pub(super) fn signed(&mut self) -> Result<i32, Short> {
        let code = self.unsigned()?;
        let half = i32::try_from(code.div_ceil(2)).map_err(|_| Short)?;
        Ok(if code % 2 == 1 { half } else { -half })
    }
}

/// Appends fields of bits to whole bytes.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    value: u64,
    len: u32,
}

impl BitWriter {
    /// Appends the low `len` bits of `value`; 64 bits fit in all.
    pub(super) fn put(mut self, len: u32, value: u32) -> Self {
        let mask = (1_u64 << len) - 1;
        self.value = self.value << len | u64::from(value) & mask;
        self.len += len;
        self
    }

    /// The bits as bytes; those that are left of the last byte are 0.
    pub(super) fn bytes(self) -> Vec<u8> {
        let len = self.len.div_ceil(8);
        let value = self.value << (len * 8 - self.len);
        value.to_be_bytes()[8 - len as usize..].to_vec()
    }
}

/// What a NAL unit means, without the bytes that keep start codes out of it (H.264 §7.4.1). At most
/// `max` bytes of it.
pub(super) fn unescaped(nal: &[u8], max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len().min(max));
    let mut zeros = 0;
    for byte in nal.iter().copied() {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
        if out.len() == max {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_to_the_end_and_not_beyond() {
        // 1 010 011 00100 00101 0…: 0 1 2 3 4, then a code that does not end.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = (0..6).map(|_| bits.unsigned()).collect();
        assert_eq!(codes, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4), Err(Short)]);
        let mut bits = Bits::new(&[0b0100_1100, 0b1000_0101]);
        let codes: Vec<_> = (0..4).map(|_| bits.signed()).collect();
        assert_eq!(codes, [Ok(1), Ok(-1), Ok(2), Ok(-2)]);
        assert_eq!(Bits::new(&[0; 9]).unsigned(), Err(Short));
        assert_eq!(Bits::new(&[0xff]).skip(9), Err(Short));
        assert_eq!(Bits::new(&[0xff]).skip(usize::MAX), Err(Short));
    }

    #[test]
    fn bits_are_written_from_the_left() {
        let bytes = BitWriter::default().put(3, 5).put(7, 1).bytes();
        assert_eq!(bytes, [0b1010_0000, 0b0100_0000]);
    }

    #[test]
    fn escapes_are_left_out() {
        let nal = [1, 0, 0, 3, 1, 0, 0, 0, 3, 0, 0, 3, 3];
        assert_eq!(unescaped(&nal, 99), [1, 0, 0, 1, 0, 0, 0, 0, 0, 3]);
        assert_eq!(unescaped(&nal, 3), [1, 0, 0]);
    }
}
