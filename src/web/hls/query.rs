//! The queries of requests for playlists.

use super::names::is_name;
use crate::media::hls::Reload;
use crate::web::directives::{DIRECTIVE, SESSION};
use std::fmt::Write;

/// A query: what it says to us, and what goes into the URIs of a playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PlaylistQuery {
    pub reload: Reload,
    pub session: Option<String>,
    /// The rest, as it was sent.
    carried: String,
}

/// A directive is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl PlaylistQuery {
    /// Reads a query as it was sent.
    pub(super) fn new(query: &str) -> Result<PlaylistQuery, Malformed> {
        let mut read = PlaylistQuery::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.starts_with(DIRECTIVE) {
                let number = || value.parse().map_err(|_| Malformed);
                match name {
                    "_HLS_msn" => read.reload.segment = Some(number()?),
                    "_HLS_part" => read.reload.part = Some(number()?),
                    _ => {}
                }
            } else if name == SESSION {
                read.session = Some(value.to_owned()).filter(|id| is_name(id));
            } else {
                let separator = if read.carried.is_empty() { "" } else { "&" };
                read.carried.push_str(separator);
                put_plain(&mut read.carried, pair);
            }
        }
        Ok(read)
    }

    /// Whether it is for one version of the playlist: the same URI is not asked for again.
    pub(super) fn names_segment(&self) -> bool {
        self.reload.segment.is_some()
    }

    /// What stands behind the URIs of playlists, its question mark included.
    pub(super) fn for_uris(&self) -> String {
        let mut text = self.carried.clone();
        if let Some(session) = &self.session {
            let separator = if text.is_empty() { "" } else { "&" };
            let _ = write!(text, "{separator}{SESSION}={session}");
        }
        match text.is_empty() {
            true => text,
            false => format!("?{text}"),
        }
    }
}

/// Appends what can stand in the quotes of a playlist as it is, and the rest escaped.
fn put_plain(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | 0..=b' ' | 0x7f.. => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_taken_out_and_the_rest_is_carried() {
        let session = "00112233445566778899aabbccddeeff";
        #[rustfmt::skip]
        let rows = [
            ("", None, None, ""),
            ("token=a%20b", None, None, "?token=a%20b"),
            ("_HLS_msn=7&token=x&_HLS_part=2&y", Some(7), Some(2), "?token=x&y"),
            ("_HLS_skip=YES&_HLS_push=1", None, None, ""),
            ("&&a=1&&b=2&", None, None, "?a=1&b=2"),
            ("a=\"\n\u{e9}", None, None, "?a=%22%0A%C3%A9"),
            ("_session=short&a=1", None, None, "?a=1"),
        ];
        for (query, segment, part, uris) in rows {
            let read = PlaylistQuery::new(query).unwrap();
            assert_eq!(read.reload, Reload { segment, part }, "{query}");
            assert_eq!(read.for_uris(), uris, "{query}");
            assert_eq!(read.names_segment(), segment.is_some(), "{query}");
        }
        let read = PlaylistQuery::new(&format!("_session={session}&a=1")).unwrap();
        assert_eq!(read.for_uris(), format!("?a=1&_session={session}"));
        for query in [
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_part=x",
            "_HLS_msn=1&_HLS_part=1.5",
        ] {
            assert_eq!(PlaylistQuery::new(query), Err(Malformed), "{query}");
        }
    }
}
