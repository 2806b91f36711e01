//! Which codecs of a stream have no place in live MP4.

use crate::log;
use crate::media::tracks::TRACKS_MAX;
use crate::rtmp::stream_key::StreamKey;

/// The codecs that are left out of a publication, as texts. Each is logged once, whatever the choices of
/// tracks that lack it; publishers can name as many as they like, so that there is a limit:
/// [`TRACKS_MAX`].
#[derive(Default)]
pub(super) struct LeftOut(Vec<String>);

impl LeftOut {
    /// Takes note of a codec of this stream.
    pub(super) fn note(&mut self, codec: String, key: &StreamKey) {
        if self.0.len() < TRACKS_MAX && !self.0.contains(&codec) {
            log!(Info, "track left out"; stream_key = key, format = "mp4", codec = codec);
            self.0.push(codec);
        }
    }

    /// All of them, in order.
    pub(super) fn codecs(&self) -> Vec<String> {
        let mut codecs = self.0.clone();
        codecs.sort();
        codecs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_noted_once_up_to_the_limit() {
        let key = StreamKey::new("live/x").expect("a key");
        let mut left_out = LeftOut::default();
        for number in (0..1000).rev().chain(0..1000) {
            left_out.note(format!("{:03}", number % 500), &key);
        }
        let want: Vec<String> = (500 - TRACKS_MAX..500).map(|n| format!("{n:03}")).collect();
        assert_eq!(left_out.codecs(), want);
    }
}
