//! Paths of media over HTTP, and what is found there.

use super::directives::query_of_stream;
use crate::rtmp::stream_key::{Error, StreamPath, split_at_query};
use std::borrow::Cow;

/// What a path stands for. Whether there is such a stream is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// A page that plays the stream.
    Page(StreamPath),
    /// The stream as FLV.
    Flv(StreamPath),
    /// The stream as fragmented MP4.
    Mp4(StreamPath),
    /// The entry to the stream as HLS.
    Playlist(StreamPath),
    /// Another playlist, or a segment, of this name.
    HlsFile(StreamPath, String),
}

/// Why a path stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResource {
    /// No stream is called so, and nothing else is here.
    NotFound,
    /// No stream can be called so.
    Invalid(Error),
}

/// Names that browsers and robots ask for by themselves, where a stream could have them.
const NOT_STREAMS: [&str; 2] = ["favicon.ico", "robots.txt"];

/// The name of the entry to a stream as HLS.
const INDEX: &str = "index.m3u8";

impl Resource {
    /// What is at `path`, which begins with a slash; `query` belongs to the stream, as a token does.
    /// The last segment says what it is.
    pub(super) fn at(path: &str, query: &str) -> Result<Resource, NoResource> {
        // One that was encoded with the path is in front.
        let (path, behind) = split_at_query(path).unwrap_or((path, Cow::Borrowed("")));
        let query = &match behind.is_empty() {
            true => query.to_owned(),
            false => format!("{behind}&{query}"),
        };
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let (last, before) = match &segments[..] {
            [] => return Err(NoResource::NotFound),
            [only] if NOT_STREAMS.contains(only) => return Err(NoResource::NotFound),
            [before @ .., last] => (*last, before),
        };
        if let [app @ .., name] = before {
            if last == INDEX {
                let path = stream(app, name, &query_of_stream(query))?;
                return Ok(Resource::Playlist(path));
            }
            if is_hls_file(last) {
                let path = stream(app, name, &query_of_stream(query))?;
                return Ok(Resource::HlsFile(path, last.to_owned()));
            }
        }
        let stream = |name: &str| stream(before, name, query);
        Ok(match stem(last, ".mp4") {
            // The rules for names take `.flv` off by themselves.
            _ if stem(last, ".flv").is_some() => Resource::Flv(stream(last)?),
            Some(stem) => Resource::Mp4(stream(stem)?),
            None => Resource::Page(stream(last)?),
        })
    }
}

/// What stands before an ending that is not all.
fn stem<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    name.strip_suffix(ending).filter(|stem| !stem.is_empty())
}

fn is_hls_file(name: &str) -> bool {
    stem(name, ".m3u8").is_some() || stem(name, ".m4s").is_some()
}

fn stream(app: &[&str], name: &str, query: &str) -> Result<StreamPath, NoResource> {
    let path = StreamPath::new(&app.join("/"), &format!("{name}?{query}"));
    path.map_err(NoResource::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_says_what_it_is() {
        let rows = [
            ("/live/cam", "page live/cam"),
            ("/live/cam/", "page live/cam"),
            ("//live//cam", "page live/cam"),
            ("/cam", "page cam"),
            ("/a/b/c", "page a/b/c"),
            ("/live/cam.flv", "flv live/cam"),
            ("/cam.flv", "flv cam"),
            ("/live/my%20cam.flv", "flv live/my cam"),
            ("/live/cam.mp4.flv", "flv live/cam.mp4"),
            ("/live/cam.mp4", "mp4 live/cam"),
            ("/live/cam/index.m3u8", "playlist live/cam"),
            ("/cam/index.m3u8", "playlist cam"),
            ("/live/cam/v7.m3u8", "file live/cam v7.m3u8"),
            ("/live/cam/abc.m4s", "file live/cam abc.m4s"),
            ("/index.m3u8", "page index.m3u8"),
            ("/.flv", "page .flv"),
            ("/live/.mp4", "page live/.mp4"),
            ("/live/x.M4S", "page live/x.M4S"),
            ("/", "not found"),
            ("//", "not found"),
            ("/favicon.ico", "not found"),
            ("/robots.txt", "not found"),
            ("/live/robots.txt", "page live/robots.txt"),
            ("/../x.flv", "stream name has a segment . or .."),
            ("/live/%2e%2e/x", "stream name has a segment . or .."),
            ("/live/cam%3Ftoken=x", "page live/cam"),
            ("/live/cam.flv%3ftoken=x/y.mp4", "flv live/cam"),
            ("/live/cam/index.m3u8%3Ftoken%3Dx", "playlist live/cam"),
            ("/%3Ftoken=x", "not found"),
            ("/live/%00.flv", "stream name has a control character"),
        ];
        for (path, want) in rows {
            let got = match Resource::at(path, "") {
                Ok(Resource::Page(path)) => format!("page {}", path.key),
                Ok(Resource::Flv(path)) => format!("flv {}", path.key),
                Ok(Resource::Mp4(path)) => format!("mp4 {}", path.key),
                Ok(Resource::Playlist(path)) => format!("playlist {}", path.key),
                Ok(Resource::HlsFile(path, name)) => format!("file {} {name}", path.key),
                Err(NoResource::NotFound) => "not found".to_owned(),
                Err(NoResource::Invalid(error)) => error.to_string(),
            };
            assert_eq!(got, want, "{path}");
        }
    }

    #[test]
    fn the_query_belongs_to_the_stream() {
        for path in [
            "/live/cam",
            "/live/cam.flv",
            "/live/cam.mp4",
            "/live/cam/index.m3u8",
        ] {
            let resource = Resource::at(path, "token=s%20t?&x").unwrap();
            let (Resource::Page(stream)
            | Resource::Flv(stream)
            | Resource::Mp4(stream)
            | Resource::Playlist(stream)
            | Resource::HlsFile(stream, _)) = resource;
            assert_eq!(stream.query("token").as_deref(), Some("s t?"), "{path}");
            assert_eq!((stream.app.as_str(), stream.name.as_str()), ("live", "cam"));
        }
        for (path, query) in [
            ("/live/cam.flv%3Ftoken=s%20t%253F", "x"),
            ("/live/cam.flv%3ftoken%3Ds%2520t%25253F", ""),
        ] {
            let Ok(Resource::Flv(stream)) = Resource::at(path, query) else {
                panic!("{path}")
            };
            let token = stream.query("token");
            assert_eq!(token.as_deref(), Some("s t%3F"), "{path}");
        }
    }
}
