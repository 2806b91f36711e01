//! Fields from the front of an input. What is missing at its end is zero, so that every input means
//! something.

/// The rest of an input.
pub struct Draw<'a>(pub &'a [u8]);

impl<'a> Draw<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// Bytes behind their length, which is one byte, or three if the first is 255.
    pub fn blob(&mut self) -> &'a [u8] {
        let len = match self.u8() {
            255 => usize::from(self.u16()),
            len => usize::from(len),
        };
        self.take(len)
    }

    /// A blob as text; what is no UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.blob()).into_owned()
    }
}

/// The same as [`Draw::blob`] reads it.
pub fn blob(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len().min(usize::from(u16::MAX));
    let mut out = match len {
        0..255 => vec![len as u8],
        _ => [&[255][..], &(len as u16).to_be_bytes()].concat(),
    };
    out.extend_from_slice(&bytes[..len]);
    out
}

/// Cuts `bytes` into pieces whose lengths `cuts` names, over and over; without any, into one.
pub fn pieces<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let len = cuts.next().map_or(rest.len(), |len| usize::from(*len) + 1);
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
