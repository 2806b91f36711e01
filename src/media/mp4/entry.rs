//! Sample entries: what `stsd` says of a codec.

use super::boxes::Boxes;
use crate::media::colour::Colour;
use crate::media::config::{AudioDetails, Config, Details, SampleFormat};

/// `stsd` with one entry.
pub(super) fn put_stsd(out: &mut Boxes, config: &Config) {
    out.put_full(*b"stsd", 0, 0, |out| {
        out.u32(1);
        match &config.details {
            Details::Video {
                width,
                height,
                pixel_aspect,
                colour,
            } => put_video(out, config, [*width, *height], *pixel_aspect, colour),
            Details::Audio(audio) => put_audio(out, config, audio),
        }
    });
}

fn entry_kind(format: SampleFormat) -> [u8; 4] {
    *match format {
        SampleFormat::Avc => b"avc1",
        SampleFormat::Hevc => b"hvc1",
        SampleFormat::Av1 => b"av01",
        SampleFormat::Vp9 => b"vp09",
        SampleFormat::Vp8 => b"vp08",
        SampleFormat::Aac | SampleFormat::Mp3 => b"mp4a",
        SampleFormat::Opus => b"Opus",
        SampleFormat::Flac => b"fLaC",
        SampleFormat::Ac3 => b"ac-3",
        SampleFormat::Eac3 => b"ec-3",
    }
}

/// VisualSampleEntry (ISO/IEC 14496-12 §12.1.3).
fn put_video(
    out: &mut Boxes,
    config: &Config,
    size: [u16; 2],
    pixel_aspect: Option<[u16; 2]>,
    colour: &Colour,
) {
    /// 72 pixels an inch.
    const RESOLUTION: u32 = 0x0048_0000;
    /// 24 bits a pixel: colours without transparency.
    const DEPTH: u16 = 0x18;
    out.put(entry_kind(config.format), |out| {
        out.zeros(6).u16(1).zeros(16).u16(size[0]).u16(size[1]);
        out.u32(RESOLUTION).u32(RESOLUTION).zeros(4).u16(1);
        out.zeros(32).u16(DEPTH).u16(0xffff);
        put_record(out, config);
        put_colour(out, colour);
        if let Some([width, height]) = pixel_aspect {
            out.put(*b"pasp", |out| {
                out.u32(width.into()).u32(height.into());
            });
        }
    });
}

/// AudioSampleEntry (ISO/IEC 14496-12 §12.2.3).
fn put_audio(out: &mut Boxes, config: &Config, audio: &AudioDetails) {
    // The field has 16 bits for whole numbers; what does not fit is in the record alone.
    let rate = u16::try_from(audio.rate).unwrap_or(0);
    out.put(entry_kind(config.format), |out| {
        out.zeros(6).u16(1).zeros(8);
        out.u16(audio.channels.into()).u16(audio.bits.into());
        out.zeros(4).u16(rate).u16(0);
        put_record(out, config);
    });
}

/// The box with the codec's own configuration.
fn put_record(out: &mut Boxes, config: &Config) {
    let record = &config.record;
    let raw = |out: &mut Boxes| {
        out.raw(record);
    };
    match config.format {
        SampleFormat::Avc => out.put(*b"avcC", raw),
        SampleFormat::Hevc => out.put(*b"hvcC", raw),
        SampleFormat::Av1 => out.put(*b"av1C", raw),
        SampleFormat::Vp9 | SampleFormat::Vp8 => out.put_full(*b"vpcC", 1, 0, raw),
        SampleFormat::Opus => out.put(*b"dOps", raw),
        SampleFormat::Ac3 => out.put(*b"dac3", raw),
        SampleFormat::Eac3 => out.put(*b"dec3", raw),
        SampleFormat::Flac => out.put_full(*b"dfLa", 0, 0, |out| {
            // The one metadata block, and the last: STREAMINFO.
            let len = record.len() as u32;
            out.u32(0x80 << 24 | len).raw(record);
        }),
        SampleFormat::Aac => put_esds(out, MPEG4_AUDIO, record),
        SampleFormat::Mp3 => put_esds(out, record.first().copied().unwrap_or_default(), &[]),
    }
}

/// The object type of AAC in all its forms (ISO/IEC 14496-1 §7.2.6.6).
const MPEG4_AUDIO: u8 = 0x40;

/// The elementary stream descriptor (ISO/IEC 14496-1 §7.2.6, 14496-14 §3.1).
fn put_esds(out: &mut Boxes, object: u8, specific: &[u8]) {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SL_CONFIG: u8 = 6;
    /// Sound, and no upstream.
    const AUDIO_STREAM: u8 = 0x15;
    let mut decoder = vec![object, AUDIO_STREAM];
    // Size of the decoder's buffer, largest and mean bit rate: not known.
    decoder.extend_from_slice(&[0; 3 + 4 + 4]);
    if !specific.is_empty() {
        put_descriptor(&mut decoder, DECODER_SPECIFIC, specific);
    }
    let mut stream = vec![0; 3];
    put_descriptor(&mut stream, DECODER_CONFIG, &decoder);
    put_descriptor(&mut stream, SL_CONFIG, &[2]);
    let mut descriptor = Vec::new();
    put_descriptor(&mut descriptor, ES, &stream);
    out.put_full(*b"esds", 0, 0, |out| {
        out.raw(&descriptor);
    });
}

/// A descriptor whose length has four bytes of 7 bits, as most programs write it.
fn put_descriptor(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    let len = body.len();
    let seven = |shift: usize| (len >> shift & 0x7f) as u8;
    out.extend_from_slice(&[
        tag,
        0x80 | seven(21),
        0x80 | seven(14),
        0x80 | seven(7),
        seven(0),
    ]);
    out.extend_from_slice(body);
}

/// Colours (ISO/IEC 14496-12 §12.1.5 to §12.1.7), as far as the publisher says something.
fn put_colour(out: &mut Boxes, colour: &Colour) {
    if let Some(points) = colour.code_points {
        out.put(*b"colr", |out| {
            out.raw(b"nclx");
            for point in points {
                out.u16(point);
            }
            out.u8(0); // not full range: it is not said
        });
    }
    if let Some(mastering) = colour.mastering {
        out.put(*b"mdcv", |out| {
            for part in mastering.chromaticities.as_flattened() {
                out.u16(*part);
            }
            for luminance in mastering.luminance {
                out.u32(luminance);
            }
        });
    }
    if let Some(level) = colour.light_level {
        out.put(*b"clli", |out| {
            out.u16(level.content).u16(level.average);
        });
    }
}
