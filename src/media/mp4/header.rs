//! `ftyp` and the boxes of `moov` that do not depend on samples.

use super::boxes::Boxes;
use super::entry::put_stsd;
use super::track::{Movie, Mp4Track};
use crate::media::config::Details;
use crate::media::sample::MediaType;

/// Ticks a second of the movie as a whole.
pub(super) const MOVIE_TIMESCALE: u32 = 1000;

/// Length of `ftyp`, in bytes.
pub(super) const FTYP_LEN: usize = 28;

/// From 1904, where the times of boxes begin, to 1970, in seconds.
const EPOCH: u64 = 2_082_844_800;

const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// `und`: the language is not known.
const LANGUAGE: u16 = 0x55c4;

/// How long something is; all are 0 in a stream of fragments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Durations {
    /// On the movie's clock.
    pub movie: u64,
    /// On the track's own clock.
    pub media: u64,
}

/// `ftyp`, with one brand besides those that always hold.
pub(super) fn put_ftyp(out: &mut Boxes, brand: [u8; 4]) {
    out.put(*b"ftyp", |out| {
        out.raw(b"iso6").u32(0);
        out.raw(b"iso6").raw(&brand).raw(b"mp41");
    });
}

/// `moov` of a stream of fragments: no samples, no durations.
pub(super) fn put_empty_moov(out: &mut Boxes, tracks: &[Mp4Track], movie: &Movie) {
    out.put(*b"moov", |out| {
        put_mvhd(out, movie, tracks.len(), 0);
        for (number, track) in (1..).zip(tracks) {
            let header = TrackHeader::new(tracks, track, number, movie);
            header.put(out, Durations::default(), |_| {}, put_no_samples);
        }
        out.put(*b"mvex", |out| {
            for number in 1..=tracks.len() as u32 {
                out.put_full(*b"trex", 0, 0, |out| {
                    out.u32(number).u32(1).zeros(12);
                });
            }
        });
        put_udta(out, movie);
    });
}

fn put_no_samples(out: &mut Boxes) {
    for kind in [b"stts", b"stsc"] {
        out.put_full(*kind, 0, 0, |out| {
            out.u32(0);
        });
    }
    out.put_full(*b"stsz", 0, 0, |out| {
        out.u32(0).u32(0);
    });
    out.put_full(*b"stco", 0, 0, |out| {
        out.u32(0);
    });
}

/// `mvhd`; `duration` on the movie's clock.
pub(super) fn put_mvhd(out: &mut Boxes, movie: &Movie, tracks: usize, duration: u64) {
    let created = since_1904(movie);
    out.put_full(*b"mvhd", 0, 0, |out| {
        out.u32(created).u32(created);
        out.u32(MOVIE_TIMESCALE).u32(saturated(duration));
        out.u32(0x1_0000).u16(0x100).zeros(10); // rate 1, full volume
        put_matrix(out);
        out.zeros(24).u32(saturated(tracks as u64 + 1));
    });
}

/// Metadata of the file, in the form that players show.
pub(super) fn put_udta(out: &mut Boxes, movie: &Movie) {
    const UTF8: u32 = 1;
    let Some(encoder) = &movie.encoder else {
        return;
    };
    out.put(*b"udta", |out| {
        out.put_full(*b"meta", 0, 0, |out| {
            put_hdlr(out, *b"mdir", b"appl", "");
            out.put(*b"ilst", |out| {
                out.put(*b"\xa9too", |out| {
                    out.put(*b"data", |out| {
                        out.u32(UTF8).u32(0).raw(encoder.as_bytes());
                    });
                });
            });
        });
    });
}

/// The boxes of a track above its samples.
pub(super) struct TrackHeader<'t> {
    track: &'t Mp4Track,
    number: u32,
    /// Players play the first track of each medium.
    is_first: bool,
    /// Of the tracks of one group, one is played. 0: it is in none.
    group: u16,
    created: u32,
}

impl<'t> TrackHeader<'t> {
    /// Of one of the `tracks`, which has this number in the file.
    pub(super) fn new(
        tracks: &[Mp4Track],
        track: &'t Mp4Track,
        number: u32,
        movie: &Movie,
    ) -> Self {
        let medium = track.medium();
        let mut same = tracks.iter().filter(|other| other.medium() == medium);
        let is_first = same.next().is_none_or(|first| first.id == track.id);
        let is_alone = is_first && same.next().is_none();
        TrackHeader {
            track,
            number,
            is_first,
            group: match (is_alone, medium) {
                (true, _) => 0,
                (false, MediaType::Video) => 1,
                (false, MediaType::Audio) => 2,
            },
            created: since_1904(movie),
        }
    }

    /// `trak`, with what `edits` puts beside and `samples` puts into it.
    pub(super) fn put<'a>(
        &self,
        out: &mut Boxes<'a>,
        durations: Durations,
        edits: impl FnOnce(&mut Boxes<'a>),
        samples: impl FnOnce(&mut Boxes<'a>),
    ) {
        out.put(*b"trak", |out| {
            self.put_tkhd(out, durations.movie);
            edits(out);
            out.put(*b"mdia", |out| {
                self.put_mdhd(out, durations.media);
                self.put_media(out, samples);
            });
        });
    }

    fn put_tkhd(&self, out: &mut Boxes, duration: u64) {
        const ENABLED: u32 = 1;
        const IN_MOVIE: u32 = 2;
        let flags = if self.is_first { ENABLED } else { 0 } | IN_MOVIE;
        let (volume, width, height) = match &self.track.config.details {
            Details::Audio(_) => (0x100, 0, 0),
            Details::Video {
                width,
                height,
                pixel_aspect,
                ..
            } => (
                0,
                shown_width(*width, *pixel_aspect),
                u32::from(*height) << 16,
            ),
        };
        out.put_full(*b"tkhd", 0, flags, |out| {
            out.u32(self.created).u32(self.created);
            out.u32(self.number).u32(0).u32(saturated(duration));
            out.zeros(8).u16(0).u16(self.group).u16(volume).u16(0);
            put_matrix(out);
            out.u32(width).u32(height);
        });
    }

    fn put_mdhd(&self, out: &mut Boxes, duration: u64) {
        let timescale = self.track.config.timescale();
        let short = u32::try_from(duration);
        out.put_full(*b"mdhd", u8::from(short.is_err()), 0, |out| {
            match short {
                Ok(short) => out
                    .u32(self.created)
                    .u32(self.created)
                    .u32(timescale)
                    .u32(short),
                Err(_) => {
                    let created = self.created.into();
                    out.u64(created).u64(created).u32(timescale).u64(duration)
                }
            };
            out.u16(LANGUAGE).u16(0);
        });
    }

    fn put_media<'a>(&self, out: &mut Boxes<'a>, samples: impl FnOnce(&mut Boxes<'a>)) {
        let medium = self.track.medium();
        match medium {
            MediaType::Video => put_hdlr(out, *b"vide", &[0; 4], "Video"),
            MediaType::Audio => put_hdlr(out, *b"soun", &[0; 4], "Sound"),
        }
        out.put(*b"minf", |out| {
            match medium {
                MediaType::Video => out.put_full(*b"vmhd", 0, 1, |out| {
                    out.zeros(8);
                }),
                MediaType::Audio => out.put_full(*b"smhd", 0, 0, |out| {
                    out.zeros(4);
                }),
            }
            out.put(*b"dinf", |out| {
                out.put_full(*b"dref", 0, 0, |out| {
                    out.u32(1);
                    // The media is in this file.
                    out.put_full(*b"url ", 0, 1, |_| {});
                });
            });
            out.put(*b"stbl", |out| {
                put_stsd(out, &self.track.config);
                samples(out);
            });
        });
    }
}

/// How wide pictures are shown, in pixels as wide as they are high, with 16 bits of fraction.
fn shown_width(width: u16, pixel_aspect: Option<[u16; 2]>) -> u32 {
    let [wide, high] = pixel_aspect.unwrap_or([1, 1]);
    saturated((u64::from(width) << 16) * u64::from(wide) / u64::from(high).max(1))
}

fn put_hdlr(out: &mut Boxes, kind: [u8; 4], manufacturer: &[u8; 4], name: &str) {
    out.put_full(*b"hdlr", 0, 0, |out| {
        out.u32(0).raw(&kind).raw(manufacturer).zeros(8);
        out.raw(name.as_bytes()).u8(0);
    });
}

fn put_matrix(out: &mut Boxes) {
    for value in UNITY_MATRIX {
        out.u32(value);
    }
}

fn since_1904(movie: &Movie) -> u32 {
    match movie.created {
        0 => 0,
        created => saturated(created.saturating_add(EPOCH)),
    }
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
