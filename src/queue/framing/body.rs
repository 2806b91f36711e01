//! The body of an HTTP response, in chunks (RFC 9112 §7.1) or not.

use std::io::Write;

/// Appends the line before a chunk of this length.
pub(in crate::queue) fn put_chunk_len(len: usize, out: &mut Vec<u8>) {
    let _ = write!(out, "{len:x}\r\n"); // to a Vec: cannot fail
}

pub(in crate::queue) const CHUNK_END: &[u8] = b"\r\n";

/// The chunk that says that the body is complete.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What a peer has been sent that gets bytes which others have made.
#[derive(Clone, Debug)]
pub struct BodyFraming {
    /// The head of the response until it is sent, and the media type that it names.
    head: Option<(Vec<u8>, &'static str)>,
    chunked: bool,
}

impl BodyFraming {
    /// For a peer that is to be sent this head first, which names this media type.
    pub(super) fn new(head: Vec<u8>, content_type: &'static str, chunked: bool) -> BodyFraming {
        BodyFraming {
            head: Some((head, content_type)),
            chunked,
        }
    }

    pub(in crate::queue) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// What is to be sent before all bytes, if it was not sent yet, with `content_type` as the media
    /// type.
    pub(in crate::queue) fn head(&self, content_type: &str) -> Vec<u8> {
        let Some((head, named)) = &self.head else {
            return Vec::new();
        };
        let mut windows = head.windows(named.len());
        match windows.position(|window| window == named.as_bytes()) {
            Some(at) => {
                let (before, behind) = (&head[..at], &head[at + named.len()..]);
                [before, content_type.as_bytes(), behind].concat()
            }
            None => head.clone(),
        }
    }

    /// The head is on its way.
    pub(in crate::queue) fn begin(&mut self) {
        self.head = None;
    }

    /// Appends what says that the body is complete, if it has begun.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if self.chunked && self.head.is_none() {
            out.extend_from_slice(LAST_CHUNK);
        }
    }
}
