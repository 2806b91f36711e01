//! What a decoder has to know of a track before its first frame.
//!
//! A publisher sends it as a header of its own, or it stands in every frame. Here it becomes a
//! [`Config`]: the record that MP4 keeps of it, and the figures that stand beside it there. The
//! codecs' own languages are in the modules below, one each.

mod aac;
mod ac3;
pub(super) mod av1;
mod avc;
mod details;
mod flac;
mod hevc;
mod mpeg_audio;
mod opus;
mod vpx;

pub(super) use details::SoundFrame;
pub use details::{AudioDetails, Details};

use super::Codec;
use super::sample::MediaType;
use details::hex;

/// Longest configuration of a track, in bytes. Real ones have up to 2.5 kB; most of that
/// is the encoder's name and settings.
pub(crate) const CONFIG_LEN_MAX: usize = 64 << 10;

/// A codec whose frames have a place in MP4, whether it came in a legacy or an enhanced message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// H.264 (ISO/IEC 14496-10), entry `avc1`.
    Avc,
    /// H.265 (ISO/IEC 23008-2), entry `hvc1`.
    Hevc,
    /// AV1 (AV1 Bitstream & Decoding Process Specification), entry `av01`.
    Av1,
    /// VP9 of all profiles, entry `vp09`.
    Vp9,
    /// VP8, entry `vp08`; no browser plays it.
    Vp8,
    /// AAC of all profiles.
    Aac,
    /// MPEG-1 and MPEG-2 audio, layers I to III.
    Mp3,
    /// Opus (RFC 6716), entry `Opus`.
    Opus,
    /// FLAC (RFC 9639), entry `fLaC`.
    Flac,
    /// AC-3 (ETSI TS 102 366), entry `ac-3`.
    Ac3,
    /// E-AC-3 (ETSI TS 102 366 annex E), entry `ec-3`.
    Eac3,
}

impl SampleFormat {
    /// The format of a codec; `None` if MP4 has no place for it.
    pub fn new(codec: Codec) -> Option<SampleFormat> {
        Some(match codec {
            Codec::LegacyVideo(7) => SampleFormat::Avc,
            Codec::LegacyVideo(12) => SampleFormat::Hevc,
            Codec::LegacyAudio(10) => SampleFormat::Aac,
            Codec::LegacyAudio(2 | 14) => SampleFormat::Mp3,
            Codec::LegacyVideo(_) | Codec::LegacyAudio(_) => return None,
            Codec::FourCc(code) => match &code {
                b"avc1" => SampleFormat::Avc,
                b"hvc1" => SampleFormat::Hevc,
                b"av01" => SampleFormat::Av1,
                b"vp09" => SampleFormat::Vp9,
                b"vp08" => SampleFormat::Vp8,
                b"mp4a" => SampleFormat::Aac,
                b".mp3" => SampleFormat::Mp3,
                b"Opus" => SampleFormat::Opus,
                b"fLaC" => SampleFormat::Flac,
                b"ac-3" => SampleFormat::Ac3,
                b"ec-3" => SampleFormat::Eac3,
                _ => return None,
            },
        })
    }

    /// Whether its samples are sound or pictures.
    pub fn medium(self) -> MediaType {
        match self {
            SampleFormat::Avc
            | SampleFormat::Hevc
            | SampleFormat::Av1
            | SampleFormat::Vp9
            | SampleFormat::Vp8 => MediaType::Video,
            _ => MediaType::Audio,
        }
    }

    /// Whether a header alone may say too little.
    pub(super) fn needs_frame(self) -> bool {
        matches!(
            self,
            SampleFormat::Av1
                | SampleFormat::Vp9
                | SampleFormat::Vp8
                | SampleFormat::Mp3
                | SampleFormat::Ac3
                | SampleFormat::Eac3
        )
    }
}

/// The configuration of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The codec of the track.
    pub format: SampleFormat,
    /// The record that MP4 keeps: avcC, hvcC, av1C; of vpcC what follows version and flags; the
    /// AudioSpecificConfig; dOps; STREAMINFO; dac3; dec3; of MP3 one byte, 0x6b (MPEG-1) or
    /// 0x69 (MPEG-2).
    pub record: Box<[u8]>,
    /// What depends on the medium.
    pub details: Details,
}

impl Config {
    /// Of a track whose header, if any, is `header`, and whose first frame is `frame`. `None` as
    /// long as something is missing, or where these bytes are not the codec's.
    pub(super) fn new(
        format: SampleFormat,
        header: Option<&[u8]>,
        frame: Option<&[u8]>,
    ) -> Option<Config> {
        let (record, details) = match format {
            SampleFormat::Avc => avc::read(header?)?,
            SampleFormat::Hevc => hevc::read(header?)?,
            SampleFormat::Av1 => av1::read(header?, frame)?,
            SampleFormat::Vp9 => vpx::read(header?, vpx::vp9_size(frame?)?)?,
            SampleFormat::Vp8 => vpx::read(header?, vpx::vp8_size(frame?)?)?,
            SampleFormat::Aac => aac::read(header?)?,
            SampleFormat::Mp3 => mpeg_audio::read(frame?)?,
            SampleFormat::Opus => opus::read(header.unwrap_or_default())?,
            SampleFormat::Flac => flac::read(header?)?,
            SampleFormat::Ac3 => ac3::read_ac3(frame?)?,
            SampleFormat::Eac3 => ac3::read_eac3(frame?)?,
        };
        Some(Config {
            format,
            record: record.into(),
            details,
        })
    }

    /// Reads the header of a frame of sound; `None` for pictures, and for bytes that are no frame.
    pub(super) fn sound_frame(&self, frame: &[u8]) -> Option<SoundFrame> {
        match self.format {
            SampleFormat::Mp3 => mpeg_audio::frame(frame),
            SampleFormat::Ac3 => ac3::ac3_frame(frame),
            SampleFormat::Eac3 => ac3::eac3_frame(frame),
            SampleFormat::Opus => opus::frame(frame),
            SampleFormat::Flac => flac::frame(frame),
            _ => match &self.details {
                Details::Audio(audio) => {
                    audio.frame_len.map(|len| SoundFrame { len, stream: None })
                }
                Details::Video { .. } => None,
            },
        }
    }

    /// Whether a frame is of this configuration, as far as frames say so.
    pub(super) fn has(&self, frame: SoundFrame) -> bool {
        match (&self.details, frame.stream) {
            (Details::Audio(audio), Some(stream)) => (audio.rate, audio.channels) == stream,
            _ => true,
        }
    }

    /// Whether a decoder that was set up for this one also decodes `other`. A FLAC encoder sends
    /// its header once more at the end, with what it knows by then.
    pub(super) fn is_same(&self, other: &Config) -> bool {
        let flac = self.format == SampleFormat::Flac && other.format == SampleFormat::Flac;
        let record = flac || self.record == other.record;
        self.format == other.format && self.details == other.details && record
    }

    /// Ticks of the track's clock a second: of sound its samples, of pictures 90,000.
    pub fn timescale(&self) -> u32 {
        match &self.details {
            Details::Audio(audio) => audio.rate,
            Details::Video { .. } => VIDEO_TIMESCALE,
        }
    }

    /// The codec as browsers and playlists want it said (RFC 6381).
    pub fn codec_string(&self) -> String {
        match self.format {
            SampleFormat::Avc => avc::codec_string(&self.record),
            SampleFormat::Hevc => hevc::codec_string(&self.record),
            SampleFormat::Av1 => av1::codec_string(&self.record),
            SampleFormat::Vp9 => vpx::codec_string("vp09", &self.record),
            SampleFormat::Vp8 => vpx::codec_string("vp08", &self.record),
            SampleFormat::Aac => aac::codec_string(&self.record),
            SampleFormat::Mp3 => format!("mp4a.{}", hex(&self.record)),
            SampleFormat::Opus => "opus".to_owned(),
            SampleFormat::Flac => "flac".to_owned(),
            SampleFormat::Ac3 => "ac-3".to_owned(),
            SampleFormat::Eac3 => "ec-3".to_owned(),
        }
    }
}

/// Ticks a second of pictures: a millisecond is a whole number of them, and a nanosecond offset is
/// at most 6 µs off.
pub(crate) const VIDEO_TIMESCALE: u32 = 90_000;
