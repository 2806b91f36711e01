//! Any messages through chunks of any size, cut anywhere.

use super::{cases, writer};
use crate::support::notation;
use crate::support::readers::strict_chunks as strict;
use proptest::prelude::*;
use rtmp_server::rtmp::chunk::{ChunkStreamId, Decoder, Encoder, Error};
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, aggregate};

/// Chunk streams on both sides of every form of basic header. Few, so that messages meet.
const CSIDS: [u32; 8] = [2, 3, 6, 63, 64, 319, 320, 65599];

fn csid() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(6), 2 => prop::sample::select(&CSIDS[..])]
}

/// Any time, with a liking for the edges: the extended field, the wrap, half the clock.
fn time() -> impl Strategy<Value = u32> {
    let edges = [0, 0xff_ffff, 0x100_0000, 0x8000_0000_u32, u32::MAX];
    let near = (prop::sample::select(edges.to_vec()), -3_i32..4);
    prop_oneof![
        4 => (0..10_u32).prop_map(|steps| 40 * steps),
        4 => near.prop_map(|(edge, off)| edge.wrapping_add_signed(off)),
        1 => any::<u32>(),
    ]
}

/// Everything but the two types that the chunk layer itself obeys.
fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![8 => prop::sample::select(&[8_u8, 9, 18, 20][..]), 1 => 3..=u8::MAX]
}

fn payload(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![2 => Just(0), 2 => Just(128), 4 => 0..300_usize, 2 => 0..len_max];
    (len, any::<u8>()).prop_map(|(len, seed)| (0..len).map(|i| (i as u8) ^ seed).collect())
}

fn message(len_max: usize) -> impl Strategy<Value = (u32, Message)> {
    let stream = prop_oneof![5 => Just(1), 1 => 0..3_u32, 1 => any::<u32>()];
    let fields = (csid(), time(), kind(), stream, payload(len_max));
    fields.prop_map(|(csid, time, kind, stream, payload)| {
        let payload = payload.into();
        let (timestamp, kind, stream) = (Timestamp(time), MessageType(kind), StreamId(stream));
        (
            csid,
            Message {
                timestamp,
                kind,
                stream,
                payload,
            },
        )
    })
}

/// Messages so alike that every format has its chance.
fn alike() -> impl Strategy<Value = (u32, Message)> {
    let few = (
        prop_oneof![6 => Just(6), 1 => Just(2)],
        prop_oneof![6 => Just(1), 1 => Just(0x0102_0304)],
    );
    let len = prop_oneof![4 => Just(5), 1 => Just(300), 1 => Just(0)];
    (few, time(), len, any::<u8>()).prop_map(|((csid, stream), time, len, seed)| {
        let (timestamp, kind, stream) = (Timestamp(time), MessageType::VIDEO, StreamId(stream));
        (
            csid,
            Message {
                timestamp,
                kind,
                stream,
                payload: vec![seed; len].into(),
            },
        )
    })
}

fn chunk_size() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(1), 2 => 1..200_u32, 2 => 1..70_000_u32, 1 => Just(128)]
}

/// Messages, some of them Set Chunk Size, on their chunk streams.
fn messages() -> impl Strategy<Value = Vec<(u32, Message)>> {
    let resize = chunk_size().prop_map(|size| (2, Control::SetChunkSize(size).message()));
    prop::collection::vec(prop_oneof![1 => resize, 6 => message(5000)], 1..12)
}

fn encoded(messages: &[(u32, Message)]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut bytes = Vec::new();
    for (csid, message) in messages {
        encoder.encode_on(ChunkStreamId(*csid), message.stream, message, &mut bytes);
    }
    bytes
}

/// Decodes `bytes` in pieces of the lengths in `pieces`, over and over; what came before an error
/// comes with it.
pub fn decoded(bytes: &[u8], pieces: &[usize]) -> (Vec<Message>, Result<Decoder, Error>) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    let (mut rest, mut pieces) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let len = pieces
            .next()
            .copied()
            .unwrap_or(rest.len())
            .clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(piece.is_empty(), "a piece was not used up");
    }
    (messages, Ok(decoder))
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 1..3000_usize], 0..6)
}

fn plain(messages: Vec<(u32, Message)>) -> Vec<Message> {
    messages.into_iter().map(|(_, message)| message).collect()
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_is_encoded_is_decoded(messages in messages(), pieces in pieces()) {
        let bytes = encoded(&messages);
        let (got, decoder) = decoded(&bytes, &pieces);
        let decoder = decoder.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(decoder.is_between_messages());
        prop_assert_eq!(decoder.tolerated().told().count(), 0);
        prop_assert_eq!(got, plain(messages));
    }

    #[test]
    fn what_is_encoded_breaks_no_rule(messages in messages()) {
        let got = strict::decode(&encoded(&messages));
        prop_assert_eq!(got, Ok(plain(messages)));
    }

    #[test]
    fn mixed_chunks_are_told_apart(
        messages in prop::collection::vec(message(2000), 1..10),
        size in 1..600_u32,
        picks in prop::collection::vec(any::<u8>(), 1..40),
        pieces in pieces(),
    ) {
        let resize = Control::SetChunkSize(size).message();
        let mut bytes = writer::chunks(&resize, 2, 128, false).concat();
        let (mixed, whole) = writer::mixed(&messages, size as usize, &picks);
        bytes.extend(mixed);
        let (got, decoder) = decoded(&bytes, &pieces);
        prop_assert!(decoder.is_ok_and(|decoder| decoder.is_between_messages()));
        prop_assert_eq!(&got[0], &resize);
        prop_assert_eq!(&got[1..], &whole[..]);
    }

    /// All formats where they may stand, steps of any size, extended or not.
    #[test]
    fn any_header_is_understood(
        messages in prop::collection::vec((alike(), 0..4_u8), 1..16),
        pieces in pieces(),
    ) {
        let mut writer = writer::AnyHeader::default();
        let chunks = messages.iter().map(|((csid, message), wish)| {
            writer.chunks(message, *csid, *wish, 128)
        });
        let bytes = chunks.collect::<Vec<_>>().concat();
        let (got, decoder) = decoded(&bytes, &pieces);
        prop_assert!(decoder.is_ok_and(|decoder| decoder.is_between_messages()));
        let want: Vec<Message> = messages.into_iter().map(|((_, message), _)| message).collect();
        prop_assert_eq!(got, want);
    }

    /// The times of an aggregate's parts are kept apart, and the first is the aggregate's.
    #[test]
    fn aggregates_are_taken_apart(time in time(), parts in prop::collection::vec((time(), payload(300)), 0..6)) {
        let first = parts.first().map_or(0, |(time, _)| *time);
        let kinds = [8, 9, 18, 15].map(MessageType);
        let part = |(at, payload): (u32, Vec<u8>), kind| Message {
            timestamp: Timestamp(at),
            kind,
            stream: StreamId(1),
            payload: payload.into(),
        };
        let parts: Vec<Message> = parts.into_iter().zip(kinds.into_iter().cycle()).map(|(fields, kind)| part(fields, kind)).collect();
        let body = parts.iter().flat_map(notation::tag).collect::<Vec<u8>>();
        let whole = Message { timestamp: Timestamp(time), ..part((time, body), MessageType::AGGREGATE) };
        let moved = |part: Message| Message {
            timestamp: Timestamp(part.timestamp.0.wrapping_sub(first).wrapping_add(time)),
            ..part
        };
        prop_assert_eq!(aggregate::split(&whole), Ok(parts.into_iter().map(moved).collect()));
    }

    #[test]
    fn an_abort_drops_one_message_and_no_other(
        kept in message(2000),
        dropped in message(2000),
        chunks in 1..20_usize,
    ) {
        let (csid, dropped) = (7, Message { payload: [0; 3000].into(), ..dropped.1 });
        let partial = writer::chunks(&dropped, csid, 128, false);
        let mut bytes = writer::chunks(&kept.1, kept.0, 128, false).concat();
        bytes.extend(partial[..chunks].concat());
        bytes.extend(writer::chunks(&Control::Abort(csid).message(), 2, 128, false).concat());
        bytes.extend(partial.concat());
        let (got, decoder) = decoded(&bytes, &[]);
        prop_assert!(decoder.is_ok_and(|decoder| decoder.is_between_messages()));
        prop_assert_eq!(got, [kept.1, Control::Abort(csid).message(), dropped]);
    }
}
