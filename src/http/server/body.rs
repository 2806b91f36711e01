//! Bodies in pieces that come one by one.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long a stream is asked for a piece before its client is looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A source of the pieces of a body.
///
/// It is asked by the thread of its connection, and only once the socket has taken the piece
/// before: a slow client holds up its own source and nothing else. It is dropped when the body is
/// complete, or when the client is gone.
pub trait BodyStream: Send {
    /// Waits for the next piece until `end`.
    fn next(&mut self, end: Instant) -> Piece<'_>;
}

/// What a source of pieces has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes. They are sent at once, in a chunk of their own.
    Bytes(&'a [u8]),
    /// Nothing yet; the source is asked again.
    Pending,
    /// The body is complete.
    End,
    /// The body will never be complete: the connection is closed so that the client sees it.
    Broken,
}

/// How a client finds the end of a stream (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// Each piece is a chunk, and an empty one is last.
    Chunked,
    /// The connection ends: HTTP/1.0 has no chunks.
    UntilClose,
}

/// How sending a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum StreamEnd {
    /// The client has all of it.
    Complete,
    /// The client lacks the rest of it: the connection is of no use any more.
    CutShort,
}

/// Sends all pieces of `stream` by `write`, as long as `is_wanted`.
///
/// # Errors
///
/// Those of `write`.
pub(super) fn send(
    stream: &mut dyn BodyStream,
    framing: StreamFraming,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
    mut is_wanted: impl FnMut() -> bool,
) -> io::Result<StreamEnd> {
    let mut chunk = Vec::new();
    loop {
        match stream.next(Instant::now() + LOOK_INTERVAL) {
            // An empty chunk would be the last.
            Piece::Bytes([]) => {}
            Piece::Bytes(bytes) if framing == StreamFraming::UntilClose => {
                write(bytes)?;
            }
            Piece::Bytes(bytes) => {
                chunk.clear();
                write!(chunk, "{:x}\r\n", bytes.len())?;
                chunk.extend_from_slice(bytes);
                chunk.extend_from_slice(b"\r\n");
                write(&chunk)?;
            }
            Piece::Pending if is_wanted() => {}
            Piece::Pending | Piece::Broken => return Ok(StreamEnd::CutShort),
            Piece::End => {
                if framing == StreamFraming::Chunked {
                    write(b"0\r\n\r\n")?;
                }
                return Ok(StreamEnd::Complete);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has these pieces, the last of them again and again.
    struct Pieces(&'static [Piece<'static>]);

    impl BodyStream for Pieces {
        fn next(&mut self, _: Instant) -> Piece<'_> {
            match self.0 {
                [last] => *last,
                [first, rest @ ..] => {
                    self.0 = rest;
                    *first
                }
                [] => Piece::End,
            }
        }
    }

    #[test]
    fn pieces_are_framed_as_they_come() {
        use Piece::{Broken, Bytes, End, Pending};
        use StreamEnd::{Complete, CutShort};
        type Row = (
            &'static [Piece<'static>],
            &'static str,
            &'static str,
            StreamEnd,
        );
        let rows: [Row; 5] = [
            (&[End], "0\r\n\r\n", "", Complete),
            (
                &[
                    Bytes(b"ab"),
                    Pending,
                    Bytes(b""),
                    Bytes(b"0123456789abcdef"),
                    End,
                ],
                "2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
                "ab0123456789abcdef",
                Complete,
            ),
            (&[Bytes(b"a"), Broken], "1\r\na\r\n", "a", CutShort),
            (&[Bytes(b"a"), Pending], "1\r\na\r\n", "a", CutShort),
            (&[Pending], "", "", CutShort),
        ];
        for (pieces, chunked, plain, end) in rows {
            for (framing, want) in [
                (StreamFraming::Chunked, chunked),
                (StreamFraming::UntilClose, plain),
            ] {
                let (mut output, mut looks) = (Vec::new(), 3);
                let is_wanted = || {
                    looks -= 1;
                    looks > 0
                };
                let got = send(
                    &mut Pieces(pieces),
                    framing,
                    |bytes| output.write_all(bytes),
                    is_wanted,
                );
                assert_eq!(got.unwrap(), end, "{pieces:?}");
                assert_eq!(str::from_utf8(&output).unwrap(), want, "{pieces:?}");
            }
        }
    }

    #[test]
    fn a_source_is_not_asked_again_when_its_client_is_gone() {
        let mut full = &mut [0; 10][..];
        let pieces = &[Piece::Bytes(b"0123")];
        let result = send(
            &mut Pieces(pieces),
            StreamFraming::UntilClose,
            |bytes| full.write_all(bytes),
            || true,
        );
        assert!(result.is_err());
    }
}
