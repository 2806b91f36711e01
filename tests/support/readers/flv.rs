//! A reader of live FLV that takes nothing but what annex E of the specification has.

use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::io::{self, Read};

/// A stream of tags.
pub struct FlvReader<R> {
    input: R,
    /// The flags of the header: 4 for sound, 1 for pictures.
    pub flags: u8,
}

impl<R: Read> FlvReader<R> {
    /// Reads the header.
    pub fn new(mut input: R) -> FlvReader<R> {
        let mut header = [0; 13];
        input.read_exact(&mut header).expect("a header");
        assert_eq!(&header[..4], b"FLV\x01");
        assert_eq!(header[4] & !5, 0, "unknown flags");
        assert_eq!(header[5..], [0, 0, 0, 9, 0, 0, 0, 0]);
        FlvReader {
            input,
            flags: header[4],
        }
    }

    /// The next tag as the message that it was; `None` at the end, which is between two tags.
    pub fn next(&mut self) -> io::Result<Option<Message>> {
        let mut header = [0; 11];
        if self.input.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.input.read_exact(&mut header[1..])?;
        let [kind, l0, l1, l2, t0, t1, t2, t3, stream @ ..] = header;
        assert!([8, 9, 18].contains(&kind), "tag of type {kind}");
        assert_eq!(stream, [0; 3], "stream id");
        let len = u32::from_be_bytes([0, l0, l1, l2]);
        let mut payload = vec![0; len as usize];
        self.input.read_exact(&mut payload)?;
        let mut size = [0; 4];
        self.input.read_exact(&mut size)?;
        assert_eq!(u32::from_be_bytes(size), 11 + len, "size of the tag before");
        Ok(Some(Message {
            timestamp: Timestamp(u32::from_be_bytes([t3, t0, t1, t2])),
            kind: MessageType(kind),
            stream: StreamId(1),
            payload: payload.into(),
        }))
    }

    /// What it is read from.
    pub fn into_inner(self) -> R {
        self.input
    }
}
