//! The playlist of playlists.

use super::rendition::Rendition;
use crate::media::config::{Config, Details, SampleFormat};
use crate::media::sample::MediaType;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The multivariant playlist of these renditions; `query` stands behind each URI.
pub(super) fn multivariant(renditions: &[Rendition], query: &str) -> String {
    let mut out = "#EXTM3U\n#EXT-X-VERSION:9\n".to_owned();
    let is_sound = |rendition: &&Rendition| rendition.config(MediaType::Video).is_none();
    let sounds: Vec<&Rendition> = renditions.iter().filter(is_sound).collect();
    let pictures: Vec<&Rendition> = renditions
        .iter()
        .filter(|rendition| !is_sound(rendition))
        .collect();
    // Sound that comes with the pictures, and sound without any, has no playlist beside.
    let groups: BTreeSet<String> = match renditions.len() {
        0 | 1 => BTreeSet::new(),
        _ => sounds.iter().filter_map(|sound| group(sound)).collect(),
    };
    for (index, sound) in sounds.iter().enumerate() {
        if let Some(group) = group(sound).filter(|group| groups.contains(group)) {
            put_sound(&mut out, sound, &group, index, query);
        }
    }
    let variants = match pictures.is_empty() {
        true => sounds.iter().take(1),
        false => pictures.iter().take(pictures.len()),
    };
    for variant in variants {
        if groups.is_empty() {
            put_variant(&mut out, variant, None, query);
        }
        for name in &groups {
            let of_group = |sound: &&&Rendition| group(sound).as_ref() == Some(name);
            let members: Vec<&Rendition> = sounds.iter().filter(of_group).copied().collect();
            let is_own = pictures.is_empty();
            if !is_own || group(variant).as_ref() == Some(name) {
                put_variant(&mut out, variant, Some((name, &members)), query);
            }
        }
    }
    out
}

/// Sounds of one codec are a group: what is said of a variant's codecs holds for all of it.
fn group(sound: &Rendition) -> Option<String> {
    sound.config(MediaType::Audio).map(codec)
}

/// The codec by the names that playlists use.
fn codec(config: &Config) -> String {
    match config.format {
        SampleFormat::Opus => "Opus".to_owned(),
        SampleFormat::Flac => "fLaC".to_owned(),
        SampleFormat::Mp3 => "mp4a.40.34".to_owned(),
        _ => config.codec_string(),
    }
}

fn put_sound(out: &mut String, sound: &Rendition, group: &str, index: usize, query: &str) {
    let is_first = if index == 0 { "YES" } else { "NO" };
    let channels = sound.config(MediaType::Audio).map(|config| &config.details);
    let channels = match channels {
        Some(Details::Audio(audio)) => audio.channels,
        _ => 2,
    };
    let (name, number) = (&sound.name, index + 1);
    let _ = writeln!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"Sound {number}\",\
         DEFAULT={is_first},AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{name}.m3u8{query}\""
    );
}

/// A variant, and the sounds that go with it, if they have playlists of their own.
fn put_variant(
    out: &mut String,
    variant: &Rendition,
    group: Option<(&String, &[&Rendition])>,
    query: &str,
) {
    let video = variant.config(MediaType::Video);
    let mut codecs: Vec<String> = variant
        .tracks
        .iter()
        .map(|track| codec(&track.config))
        .collect();
    let (mut peak, mut average) = (variant.rates.peak, variant.rates.average());
    let group = group.map(|(name, members)| {
        if video.is_some() {
            codecs.push(name.clone());
            peak += members
                .iter()
                .map(|sound| sound.rates.peak)
                .max()
                .unwrap_or(0);
            let averages = members.iter().map(|sound| sound.rates.average());
            average += averages.max().unwrap_or(0);
        }
        name
    });
    let codecs = codecs.join(",");
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\""
    );
    if let Some(config) = video {
        put_picture(out, config, variant);
    }
    if let Some(group) = group {
        let _ = write!(out, ",AUDIO=\"{group}\"");
    }
    let _ = writeln!(out, "\n{}.m3u8{query}", variant.name);
}

fn put_picture(out: &mut String, config: &Config, variant: &Rendition) {
    let Details::Video {
        width,
        height,
        colour,
        ..
    } = &config.details
    else {
        return;
    };
    let _ = write!(out, ",RESOLUTION={width}x{height}");
    if let Some(rate) = variant.rates.frame_rate() {
        let _ = write!(out, ",FRAME-RATE={}.{:03}", rate / 1000, rate % 1000);
    }
    /// Transfer characteristics of ISO/IEC 23091-2.
    const PQ: u16 = 16;
    const HLG: u16 = 18;
    const UNSPECIFIED: u16 = 2;
    let range = match colour.code_points {
        Some([_, PQ, _]) => "PQ",
        Some([_, HLG, _]) => "HLG",
        Some([_, UNSPECIFIED, _]) | None => return,
        Some(_) => "SDR",
    };
    let _ = write!(out, ",VIDEO-RANGE={range}");
}
