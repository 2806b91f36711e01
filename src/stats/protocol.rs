//! The protocols that streams go to viewers by.

/// How a client is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP, also of publishers.
    #[default]
    Rtmp,
    /// FLV in the body of an HTTP response.
    HttpFlv,
    /// Fragmented MP4 in the body of an HTTP response.
    HttpMp4,
    /// Playlists and segments over HTTP.
    Hls,
}

impl Protocol {
    /// `rtmp`, `http-flv`, `http-mp4` or `hls`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Rtmp => "rtmp",
            Protocol::HttpFlv => "http-flv",
            Protocol::HttpMp4 => "http-mp4",
            Protocol::Hls => "hls",
        }
    }
}
