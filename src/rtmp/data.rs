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
    /// no data message just passes.
    pub fn new(message: Message) -> Data {
        if !matches!(message.kind, MessageType::DATA | MessageType::DATA_AMF3) {
            return Data::Pass(message);
        }
        let format_len = usize::from(message.kind == MessageType::DATA_AMF3);
        let body = message.payload.get(format_len..).unwrap_or_default();
        let mut rest = body;
        match string(&mut rest) {
            Some(b"@setDataFrame") => {
                let mut after = rest;
                let Some(name) = string(&mut after) else {
                    return Data::Pass(message);
                };
                let name = name.to_vec();
                let format = &message.payload[..format_len];
                let payload = [format, rest].concat().into();
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

/// The same data as a publisher sends it to a server that is to keep it: behind `@setDataFrame`.
pub fn set_data_frame(message: &Message) -> Message {
    let format_len = usize::from(message.kind == MessageType::DATA_AMF3);
    let (format, body) = message
        .payload
        .split_at_checked(format_len)
        .unwrap_or_default();
    let mut payload = format.to_vec();
    Value::text("@setDataFrame").encode(&mut payload);
    payload.extend_from_slice(body);
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
        for (kind, format) in [
            (MessageType::DATA, &[][..]),
            (MessageType::DATA_AMF3, &[0][..]),
        ] {
            let body = crate::amf0::encode(&[Value::text("onMetaData"), Value::Number(7.0)]);
            let kept = Message::untimed(kind, StreamId(1), [format, &body].concat());
            let sent = set_data_frame(&kept);
            let name = ON_META_DATA.to_vec();
            let message = kept;
            assert_eq!(Data::new(sent), Data::Retain { name, message });
        }
        let empty = Message::untimed(MessageType::DATA_AMF3, StreamId(1), Vec::new());
        assert!(matches!(Data::new(set_data_frame(&empty)), Data::Pass(_)));
    }
}
