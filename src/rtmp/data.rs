//! Data messages (RTMP §7.1.2): what is kept for late joiners and what just passes.

use super::{Message, MessageType};
use crate::amf0::Value;
use crate::bytes::Cursor;

/// What a publisher's data message means to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// To be kept for late joiners under `name`, and relayed.
    Retain {
        /// The first string, `onMetaData` mostly.
        name: Vec<u8>,
        /// The message as players get it.
        message: Message,
    },
    /// What is kept under this name is to be dropped. Not relayed.
    Clear(Vec<u8>),
    /// To be relayed and forgotten: cue points, captions, time codes.
    Pass(Message),
}

/// The name under which stream metadata is kept.
pub const ON_META_DATA: &[u8] = b"onMetaData";

impl Data {
    /// Reads only as much of the message as it takes to tell; the bytes themselves stay.
    ///
    /// `@setDataFrame` is cut off, and nothing else; a bare `onMetaData` is kept as well. What is
    /// no data message in AMF0 just passes: see [`in_amf0`].
    pub fn new(message: Message) -> Data {
        if message.kind != MessageType::DATA {
            return Data::Pass(message);
        }
        let mut rest = &*message.payload;
        match string(&mut rest) {
            Some(b"@setDataFrame") => {
                let mut after = rest;
                let Some(name) = string(&mut after) else {
                    return Data::Pass(message);
                };
                let name = name.to_vec();
                let payload = rest.into();
                Data::Retain {
                    name,
                    message: Message { payload, ..message },
                }
            }
            Some(b"@clearDataFrame") => match string(&mut rest) {
                Some(name) => Data::Clear(name.to_vec()),
                None => Data::Pass(message),
            },
            Some(name) if name == ON_META_DATA => Data::Retain {
                name: name.to_vec(),
                message,
            },
            _ => Data::Pass(message),
        }
    }
}

/// The message as peers know it that were told of AMF0 alone: of data in AMF3's message the AMF0 behind the
/// format byte, of anything else the message itself. `None` where the format is one that nobody knows.
pub fn in_amf0(message: Message) -> Option<Message> {
    if message.kind != MessageType::DATA_AMF3 {
        return Some(message);
    }
    let body = message.payload.strip_prefix(&[0])?;
    Some(Message {
        kind: MessageType::DATA,
        payload: body.into(),
        ..message
    })
}

/// The same data as a publisher sends it to a server that is to keep it: behind `@setDataFrame`.
pub fn set_data_frame(message: &Message) -> Message {
    let mut payload = Vec::new();
    Value::text("@setDataFrame").encode(&mut payload);
    payload.extend_from_slice(&message.payload);
    Message {
        payload: payload.into(),
        ..message.clone()
    }
}

/// Takes an AMF0 string from the front of `bytes`.
fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u8().ok()? != 0x02 {
        return None;
    }
    let len = cursor.u16().ok()?;
    let text = cursor.take(usize::from(len)).ok()?;
    *bytes = cursor.rest();
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::StreamId;

    #[test]
    fn what_is_set_is_what_was_kept() {
        let body = crate::amf0::encode(&[Value::text("onMetaData"), Value::Number(7.0)]);
        let message = Message::untimed(MessageType::DATA, StreamId(1), body);
        let name = ON_META_DATA.to_vec();
        let sent = set_data_frame(&message);
        assert_eq!(Data::new(sent), Data::Retain { name, message });
    }

    /// A type, its payload, and what of that is AMF0.
    type Row = (MessageType, &'static [u8], Option<&'static [u8]>);

    #[test]
    fn data_is_amf0_whatever_message_it_comes_in() {
        let (data, data3) = (MessageType::DATA, MessageType::DATA_AMF3);
        let rows: [Row; 6] = [
            (data, b"\x02\0\x01a", Some(b"\x02\0\x01a")),
            (data, b"", Some(b"")),
            (data3, b"\0\x02\0\x01a", Some(b"\x02\0\x01a")),
            (data3, b"\0", Some(b"")),
            (data3, b"\x01\x02\0\x01a", None),
            (data3, b"", None),
        ];
        for (kind, payload, want) in rows {
            let message = Message::untimed(kind, StreamId(1), payload.to_vec());
            let want = want.map(|body| Message::untimed(data, StreamId(1), body.to_vec()));
            assert_eq!(in_amf0(message), want, "{kind:?} {payload:02x?}");
        }
    }
}
