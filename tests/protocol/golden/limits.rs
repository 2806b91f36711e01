//! How much a peer may leave with the chunk layer.

use super::chunks::all;
use rtmp_server::rtmp::chunk::{Decoder, Error};

/// A chunk of format 0 on stream 1, and as much of its payload as is given.
fn open(csid: u8, kind: u8, len: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = len.to_be_bytes();
    let header = [0, csid - 64, 0, 0, 0, a, b, c, kind, 1, 0, 0, 0];
    [&header, payload].concat()
}

const LONG_CHUNKS: [u8; 16] = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff];

/// A message type, the longest message of it, and the error for one byte more.
#[test]
fn messages_are_as_long_as_their_type_may_be() {
    const COMMAND: u32 = 64 << 10;
    const DATA: u32 = 1 << 20;
    let rows = [
        (1, COMMAND),
        (4, COMMAND),
        (17, COMMAND),
        (20, COMMAND),
        (0, COMMAND),
        (7, COMMAND),
    ];
    let rows =
        rows.into_iter()
            .chain([(15, DATA), (18, DATA), (16, DATA), (19, DATA), (255, DATA)]);
    for (kind, max) in rows {
        let fits = all(&mut Decoder::default(), &open(64, kind, max, &[]));
        assert_eq!(fits, Ok(vec![]), "type {kind}");
        let too_long = all(&mut Decoder::default(), &open(64, kind, max + 1, &[]));
        assert_eq!(
            too_long,
            Err(Error::TooLong {
                kind,
                len: max + 1,
                max
            }),
            "type {kind}"
        );
    }
    for kind in [8, 9, 22] {
        let whole = [
            &LONG_CHUNKS[..],
            &open(64, kind, 0xff_ffff, &vec![7; 0xff_ffff]),
        ]
        .concat();
        let messages = all(&mut Decoder::default(), &whole).expect("no limit but 24 bits");
        assert_eq!(messages[1].payload.len(), 0xff_ffff, "type {kind}");
    }
}

#[test]
fn chunk_streams_are_64_at_most() {
    let mut decoder = Decoder::default();
    for csid in 64..128 {
        assert_eq!(
            count(&mut decoder, &open(csid, 8, 9, &[0])),
            Ok(0),
            "{csid}"
        );
        assert_eq!(count(&mut decoder, &[0; 8]), Ok(1));
    }
    assert_eq!(
        count(&mut decoder, &open(64, 8, 9, &[0; 9])),
        Ok(1),
        "a known one"
    );
    assert_eq!(
        count(&mut decoder, &open(128, 8, 9, &[])),
        Err(Error::TooManyChunkStreams)
    );
}

const MIB: usize = 1 << 20;

/// A decoder that was told to expect chunks of 1 MiB.
fn with_long_chunks() -> Decoder {
    let mut decoder = Decoder::default();
    let set = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 16, 0, 0];
    assert_eq!(count(&mut decoder, &set), Ok(1));
    decoder
}

/// How many messages come of `bytes`.
fn count(decoder: &mut Decoder, bytes: &[u8]) -> Result<usize, Error> {
    all(decoder, bytes).map(|messages| messages.len())
}

#[test]
fn unfinished_messages_are_32_mib_at_most() {
    let mut decoder = with_long_chunks();
    let part = vec![0; MIB];
    for csid in 64..96 {
        let half = open(csid, 9, 2 * MIB as u32, &part);
        assert_eq!(count(&mut decoder, &half), Ok(0), "{csid}");
    }
    let one_more = open(96, 9, 2 * MIB as u32, &[0]);
    assert_eq!(
        count(&mut decoder, &one_more),
        Err(Error::TooManyPartialBytes)
    );
}

/// Messages that were aborted or finished weigh nothing.
#[test]
fn finished_and_aborted_messages_make_room() {
    let mut decoder = with_long_chunks();
    let part = vec![0; MIB];
    for _ in 0..40 {
        // One chunk of two, given up.
        assert_eq!(
            count(&mut decoder, &open(64, 9, 2 * MIB as u32, &part)),
            Ok(0)
        );
        let abort = [2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 64];
        assert_eq!(count(&mut decoder, &abort), Ok(1));
        // Two chunks of two.
        assert_eq!(
            count(&mut decoder, &open(65, 9, 2 * MIB as u32, &part)),
            Ok(0)
        );
        let last = [&[0xc0, 1][..], &part].concat();
        assert_eq!(count(&mut decoder, &last), Ok(1));
    }
    assert!(decoder.is_between_messages());
}
