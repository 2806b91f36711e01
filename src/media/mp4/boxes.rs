//! Boxes: a size, a type, and what is in them (ISO/IEC 14496-12 §4.2).

use super::sample_table::SampleTable;

/// Boxes that are being written. Tables of samples may be large, so they are not among the bytes:
/// each stands for what it will be.
#[derive(Debug, Default)]
pub(super) struct Boxes<'a> {
    bytes: Vec<u8>,
    /// Where among the bytes each table belongs.
    tables: Vec<(usize, SampleTable<'a>)>,
    /// The length of all tables.
    tables_len: u64,
}

impl<'a> Boxes<'a> {
    /// A box with what `body` puts into it.
    pub(super) fn put(&mut self, kind: [u8; 4], body: impl FnOnce(&mut Self)) {
        let (start, len) = (self.bytes.len(), self.len());
        self.u32(0).raw(&kind);
        body(self);
        let size = u32::try_from(self.len() - len).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&size.to_be_bytes());
        }
    }

    /// A box that has a version and 24 bits of flags.
    pub(super) fn put_full(
        &mut self,
        kind: [u8; 4],
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        self.put(kind, |out| {
            out.u32(u32::from(version) << 24 | flags & 0xff_ffff);
            body(out);
        });
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends `len` bytes of 0, as reserved fields have them.
    pub(super) fn zeros(&mut self, len: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + len, 0);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// A table, in the place of its bytes.
    pub(super) fn table(&mut self, table: SampleTable<'a>) {
        self.tables_len += table.len();
        self.tables.push((self.bytes.len(), table));
    }

    /// The length of everything, tables too.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.tables_len
    }

    /// The bytes, where there are no tables.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Passes everything to `sink`, in order and in pieces, until `sink` fails.
    pub(super) fn write<E>(&self, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut start = 0;
        for (at, table) in &self.tables {
            sink(self.bytes.get(start..*at).unwrap_or_default())?;
            table.write(sink)?;
            start = *at;
        }
        sink(self.bytes.get(start..).unwrap_or_default())
    }
}
