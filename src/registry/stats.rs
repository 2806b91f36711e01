//! What can be told of a stream without looking at its media.

use crate::amf0;
use crate::rtmp::{Message, MessageType};
use crate::stats::{Metadata, QUEUE_DEPTHS};

/// What the publisher's onMetaData says, as far as it can be read.
pub(super) fn metadata(message: Option<&Message>) -> Metadata {
    let Some(message) = message else {
        return Metadata::default();
    };
    let format_len = usize::from(message.kind == MessageType::DATA_AMF3);
    let body = message.payload.get(format_len..).unwrap_or_default();
    let values = amf0::decode(body).unwrap_or_default();
    let number = |key| values.get(1)?.get(key)?.as_number();
    Metadata {
        width: number("width"),
        height: number("height"),
        frame_rate: number("framerate"),
    }
}

/// How many of the queues are so deep; see [`QUEUE_DEPTHS`].
pub(super) fn depths(queues: impl Iterator<Item = usize>) -> [u64; QUEUE_DEPTHS.len() + 1] {
    let mut depths = [0; QUEUE_DEPTHS.len() + 1];
    for waiting in queues {
        depths[QUEUE_DEPTHS.partition_point(|bound| *bound < waiting)] += 1;
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::Value;
    use crate::rtmp::StreamId;

    #[test]
    fn metadata_is_read_as_far_as_it_goes() {
        let size = Value::object([("width", Value::Number(640.0)), ("height", Value::Null)]);
        let body = amf0::encode(&[Value::text("onMetaData"), size]);
        let wide = Metadata {
            width: Some(640.0),
            ..Metadata::default()
        };
        let rows = [
            (MessageType::DATA, body.clone(), wide),
            (MessageType::DATA_AMF3, [&[0], &body[..]].concat(), wide),
            (MessageType::DATA, body[..20].to_vec(), Metadata::default()),
            (MessageType::DATA_AMF3, Vec::new(), Metadata::default()),
        ];
        for (kind, payload, want) in rows {
            let message = Message::untimed(kind, StreamId(1), payload);
            assert_eq!(metadata(Some(&message)), want);
        }
        assert_eq!(metadata(None), Metadata::default());
    }

    #[test]
    fn queues_are_counted_by_their_depth() {
        let queues = [0, 0, 1, 2, 5, 6, 50, 51, 100];
        assert_eq!(depths(queues.into_iter()), [2, 1, 2, 1, 0, 1, 2]);
    }
}
