//! MP4 files as ISO/IEC 14496-12 has them, read by the letter: every box has to be where it may be,
//! of a version and with flags that are known, and full to its last byte. Shares no code with what
//! writes them.

mod fragments;

use fragments::{moof, take_runs};

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub struct Movie {
    /// How many bytes in the `mdat` of fragments belong to no sample.
    pub unnamed: usize,
    /// The types of the boxes at the top, in order.
    pub top: Vec<String>,
    pub timescale: u32,
    pub duration: u64,
    pub created: u64,
    pub encoder: Option<String>,
    pub tracks: Vec<Track>,
    /// Fragments that were read.
    pub fragments: usize,
    /// The number of the last one.
    sequence: usize,
    /// Whether some may be missing.
    may_skip: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    pub number: u32,
    pub enabled: bool,
    pub group: u16,
    /// `vide` or `soun`.
    pub handler: String,
    pub timescale: u32,
    pub duration: u64,
    /// Width and height as shown, in pixels with 16 bits of fraction.
    pub shown: [u32; 2],
    /// The one sample entry, whole.
    pub entry: Vec<u8>,
    /// Duration on the movie's clock, and time on the track's own.
    pub edits: Vec<(u64, i64)>,
    pub samples: Vec<Sample>,
    /// How far before a sample a decoder has to begin.
    pub roll: Option<i16>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub decode: u64,
    pub composition: i64,
    pub duration: u32,
    pub is_sync: bool,
    pub data: Vec<u8>,
}

impl Track {
    /// When a sample is shown, in ticks of the track behind the beginning of the movie; the edit list
    /// is followed.
    pub fn shown(&self, sample: &Sample, movie_timescale: u32) -> i64 {
        let time = sample.decode as i64 + sample.composition;
        let mut before = 0;
        for (duration, media_time) in &self.edits {
            if *media_time >= 0 {
                return time - media_time + before;
            }
            let ticks = *duration as i64 * i64::from(self.timescale);
            before += ticks / i64::from(movie_timescale);
        }
        time
    }
}

type Res<T> = Result<T, String>;

/// Fields from the front of a box.
#[derive(Clone, Copy)]
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, len: usize) -> Res<&'a [u8]> {
        if len > self.0.len() {
            return Err(format!("{len} bytes wanted, {} left", self.0.len()));
        }
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(head)
    }

    fn number(&mut self, len: usize) -> Res<u64> {
        let bytes = self.take(len)?.iter();
        Ok(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u32(&mut self) -> Res<u32> {
        Ok(self.number(4)? as u32)
    }

    /// Bytes that have one value only.
    fn expect(&mut self, bytes: &[u8]) -> Res<()> {
        let found = self.take(bytes.len())?;
        if found == bytes {
            return Ok(());
        }
        Err(format!("{found:02x?} where {bytes:02x?} has to be"))
    }

    fn zeros(&mut self, len: usize) -> Res<()> {
        self.expect(&vec![0; len])
    }

    fn end(self) -> Res<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(format!("{} bytes too many", self.0.len()))
    }

    /// Version and flags.
    fn full(&mut self) -> Res<(u8, u32)> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0xff_ffff))
    }

    /// The next box: type and content.
    fn child(&mut self) -> Res<(String, In<'a>)> {
        let size = self.u32()? as usize;
        let kind: String = self.take(4)?.iter().map(|byte| *byte as char).collect();
        let len = size.checked_sub(8).ok_or(format!("{kind}: size {size}"))?;
        let body = self.take(len).map_err(|why| format!("{kind}: {why}"))?;
        Ok((kind, In(body)))
    }

    /// The children of a box, which have to be these and in this order; those with a question mark
    /// may be missing, and those with a star may be many.
    fn children(mut self, names: &[&str]) -> Res<Vec<(String, In<'a>)>> {
        let mut found = Vec::new();
        let mut names = names.iter().peekable();
        while !self.0.is_empty() {
            let (kind, body) = self.child()?;
            loop {
                let name = names.peek().ok_or(format!("{kind} is not expected"))?;
                let bare = name.trim_end_matches(['?', '*']);
                if bare == kind {
                    if !name.ends_with('*') {
                        names.next();
                    }
                    break;
                }
                if bare.len() == name.len() {
                    return Err(format!("{kind} where {bare} has to be"));
                }
                names.next();
            }
            found.push((kind, body));
        }
        match names.find(|name| !name.ends_with(['?', '*'])) {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(found),
        }
    }
}

/// Reads a file. What is cut off at its end is left out, unless players could not read it then.
pub fn read(file: &[u8]) -> Res<Movie> {
    let movie = read_with_gaps(file)?;
    match movie.unnamed {
        0 => Ok(movie),
        len => Err(format!("{len} bytes of mdat belong to no sample")),
    }
}

/// Reads a stream of fragments from which some may be missing, at the beginning too. Each says when it
/// begins, and what it says is right.
pub fn read_live(stream: &[u8]) -> Res<Movie> {
    let movie = Movie {
        may_skip: true,
        ..Movie::default()
    };
    read_into(movie, stream)
}

/// Reads a file in whose fragments bytes may belong to no sample.
pub fn read_with_gaps(file: &[u8]) -> Res<Movie> {
    read_into(Movie::default(), file)
}

fn read_into(mut movie: Movie, file: &[u8]) -> Res<Movie> {
    let mut at = 0;
    let mut defaults = Vec::new();
    let mut fragment = None;
    while file.len() - at >= 8 {
        let mut header = In(&file[at..]);
        let mut size = u64::from(header.u32()?);
        let kind: String = header.take(4)?.iter().map(|byte| *byte as char).collect();
        if size == 1 {
            if header.0.len() < 8 {
                break;
            }
            size = header.number(8)?;
        }
        let start = file.len() - header.0.len();
        let end = at + usize::try_from(size).map_err(|_| "a size that is no size")?;
        if end < start {
            return Err(format!("{kind}: size {size}"));
        }
        if end > file.len() {
            if kind == "moof" || kind == "moov" || kind == "ftyp" {
                return Err(format!("{kind} is cut off"));
            }
            break;
        }
        movie.top.push(kind.clone());
        let body = In(&file[start..end]);
        let follows = fragment.take();
        match kind.as_str() {
            "ftyp" => body_of_ftyp(body)?,
            "free" => {}
            "moov" if movie.timescale > 0 => return Err("a second moov".to_owned()),
            "moov" => moov(body, file, &mut movie, &mut defaults)?,
            "moof" => fragment = Some((at, moof(body, &mut movie, &defaults)?)),
            "mdat" => {
                if let Some((moof_at, runs)) = follows {
                    take_runs(&mut movie, runs, file, moof_at, start..end)?;
                }
            }
            other => return Err(format!("{other} at the top")),
        }
        at = end;
    }
    Ok(movie)
}

fn body_of_ftyp(mut body: In) -> Res<()> {
    body.expect(b"iso6")?;
    body.zeros(4)?;
    match body.0.len() % 4 {
        0 => Ok(()),
        _ => Err("half a brand".to_owned()),
    }
}

fn moov(body: In, file: &[u8], movie: &mut Movie, defaults: &mut Vec<u32>) -> Res<()> {
    for (kind, body) in body.children(&["mvhd", "trak*", "mvex?", "udta?"])? {
        match kind.as_str() {
            "mvhd" => mvhd(body, movie)?,
            "trak" => {
                let track = trak(body, file).map_err(|why| format!("trak: {why}"))?;
                movie.tracks.push(track);
            }
            "mvex" => {
                for (_, mut trex) in body.children(&["trex*"])? {
                    trex.zeros(4)?;
                    defaults.push(trex.u32()?);
                    trex.expect(&[0, 0, 0, 1])?;
                    trex.zeros(12)?;
                    trex.end()?;
                }
            }
            _ => movie.encoder = Some(udta(body)?),
        }
    }
    let numbers: Vec<u32> = movie.tracks.iter().map(|track| track.number).collect();
    if !defaults.is_empty() && *defaults != numbers {
        return Err(format!("trex of {defaults:?} for {numbers:?}"));
    }
    Ok(())
}

const MATRIX: [u8; 36] = [
    0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x40, 0, 0, 0,
];

fn mvhd(mut body: In, movie: &mut Movie) -> Res<()> {
    body.zeros(4)?;
    movie.created = body.number(4)?;
    body.number(4)?;
    movie.timescale = body.u32()?;
    movie.duration = body.number(4)?;
    body.expect(&[0, 1, 0, 0, 1, 0])?;
    body.zeros(10)?;
    body.expect(&MATRIX)?;
    body.zeros(24)?;
    if body.u32()? < 2 || movie.timescale == 0 {
        return Err("mvhd: no track could be next".to_owned());
    }
    body.end()
}

fn udta(body: In) -> Res<String> {
    let (_, mut meta) = body.children(&["meta"])?[0];
    meta.zeros(4)?;
    let boxes = meta.children(&["hdlr", "ilst"])?;
    let (_, tool) = boxes[1].1.children(&["\u{a9}too"])?[0];
    let (_, mut data) = tool.children(&["data"])?[0];
    data.expect(&[0, 0, 0, 1, 0, 0, 0, 0])?;
    String::from_utf8(data.0.to_vec()).map_err(|why| why.to_string())
}

fn trak(body: In, file: &[u8]) -> Res<Track> {
    let mut track = Track::default();
    for (kind, mut body) in body.children(&["tkhd", "edts?", "mdia"])? {
        match kind.as_str() {
            "tkhd" => {
                let (version, flags) = body.full()?;
                if version != 0 || flags & !3 != 0 || flags & 2 == 0 {
                    return Err(format!("tkhd: version {version}, flags {flags}"));
                }
                track.enabled = flags & 1 == 1;
                body.take(8)?;
                track.number = body.u32()?;
                body.zeros(4)?;
                body.take(4)?;
                body.zeros(8 + 2)?;
                track.group = body.number(2)? as u16;
                body.take(4)?;
                body.expect(&MATRIX)?;
                track.shown = [body.u32()?, body.u32()?];
                body.end()?;
            }
            "edts" => {
                let (_, mut elst) = body.children(&["elst"])?[0];
                elst.zeros(4)?;
                for _ in 0..elst.u32()? {
                    let duration = elst.number(4)?;
                    let media_time = elst.u32()? as i32;
                    elst.expect(&[0, 1, 0, 0])?;
                    track.edits.push((duration, media_time.into()));
                }
                elst.end()?;
            }
            _ => mdia(body, file, &mut track)?,
        }
    }
    Ok(track)
}

fn mdia(body: In, file: &[u8], track: &mut Track) -> Res<()> {
    let boxes = body.children(&["mdhd", "hdlr", "minf"])?;
    let mut mdhd = boxes[0].1;
    let (version, _) = mdhd.full()?;
    let wide = if version == 1 { 8 } else { 4 };
    mdhd.take(2 * wide)?;
    track.timescale = mdhd.u32()?;
    track.duration = mdhd.number(wide)?;
    mdhd.expect(&[0x55, 0xc4, 0, 0])?;
    mdhd.end()?;
    let mut hdlr = boxes[1].1;
    hdlr.zeros(8)?;
    track.handler = String::from_utf8_lossy(hdlr.take(4)?).into_owned();
    let header = match track.handler.as_str() {
        "vide" => "vmhd",
        "soun" => "smhd",
        other => return Err(format!("hdlr: {other}")),
    };
    let minf = boxes[2].1.children(&[header, "dinf", "stbl"])?;
    let (_, mut dref) = minf[1].1.children(&["dref"])?[0];
    dref.expect(&[0, 0, 0, 0, 0, 0, 0, 1])?;
    dref.expect(b"\0\0\0\x0curl \0\0\0\x01")?;
    dref.end()?;
    stbl(minf[2].1, file, track)
}

/// The tables of a track, as they are.
#[derive(Default)]
struct Tables {
    /// How often, and what.
    durations: Vec<(u32, i64)>,
    offsets: Option<Vec<(u32, i64)>>,
    syncs: Option<Vec<usize>>,
    /// From which chunk on, how many samples.
    chunks: Vec<(usize, usize)>,
    sizes: Vec<usize>,
    places: Vec<usize>,
}

impl Tables {
    fn read_row(&mut self, kind: &str, body: &mut In) -> Res<()> {
        match kind {
            "stts" => self.durations.push((body.u32()?, body.u32()?.into())),
            "ctts" => {
                let offsets = self.offsets.get_or_insert_default();
                offsets.push((body.u32()?, (body.u32()? as i32).into()));
            }
            "stss" => {
                let syncs = self.syncs.get_or_insert_default();
                syncs.push(body.u32()? as usize);
            }
            "stsc" => {
                self.chunks
                    .push((body.u32()? as usize, body.u32()? as usize));
                body.expect(&[0, 0, 0, 1])?;
            }
            "stsz" => self.sizes.push(body.u32()? as usize),
            "stco" => self.places.push(body.number(4)? as usize),
            _ => self.places.push(body.number(8)? as usize),
        }
        Ok(())
    }
}

/// Every value as often as it says.
fn repeated(rows: &[(u32, i64)]) -> Vec<i64> {
    let rows = rows.iter();
    rows.flat_map(|(times, value)| std::iter::repeat_n(*value, *times as usize))
        .collect()
}

fn stbl(body: In, file: &[u8], track: &mut Track) -> Res<()> {
    let names = [
        "stsd", "stts", "ctts?", "stss?", "stsc", "stsz", "stco?", "co64?", "sgpd?", "sbgp?",
    ];
    let mut tables = Tables::default();
    for (kind, mut body) in body.children(&names)? {
        let (version, flags) = body.full()?;
        if flags != 0 || version != u8::from(kind == "ctts" || kind == "sgpd") {
            return Err(format!("{kind}: version {version}, flags {flags}"));
        }
        if kind == "stsd" {
            body.expect(&[0, 0, 0, 1])?;
            track.entry = body.0.to_vec();
            let (_, mut entry) = body.child()?;
            body.end()?;
            entry.expect(&[0, 0, 0, 0, 0, 0, 0, 1])?;
            continue;
        }
        if kind == "sgpd" {
            body.expect(b"roll\0\0\0\x02\0\0\0\x01")?;
            track.roll = Some(body.number(2)? as u16 as i16);
            body.end()?;
            continue;
        }
        if kind == "sbgp" {
            body.expect(b"roll\0\0\0\x01")?;
            if body.u32()? as usize != tables.sizes.len() {
                return Err("sbgp: not all samples".to_owned());
            }
            body.expect(&[0, 0, 0, 1])?;
            body.end()?;
            continue;
        }
        if kind == "stsz" {
            body.zeros(4)?;
        }
        if kind == "stss" {
            tables.syncs.get_or_insert_default();
        }
        for _ in 0..body.u32()? {
            tables.read_row(&kind, &mut body)?;
        }
        body.end().map_err(|why| format!("{kind}: {why}"))?;
    }
    take_tables(&tables, file, track)
}

fn take_tables(tables: &Tables, file: &[u8], track: &mut Track) -> Res<()> {
    let sizes = &tables.sizes;
    let durations = repeated(&tables.durations);
    let offsets = tables.offsets.as_ref().map(|rows| repeated(rows));
    let offsets = offsets.unwrap_or(vec![0; sizes.len()]);
    if durations.len() != sizes.len() || offsets.len() != sizes.len() {
        return Err("tables of different lengths".to_owned());
    }
    let syncs = tables.syncs.as_ref();
    let mut decode = 0;
    let positions = positions(&tables.chunks, &tables.places, sizes)?;
    for (index, position) in positions.into_iter().enumerate() {
        let end = position + sizes[index];
        let data = file.get(position..end);
        let duration = durations[index] as u32;
        track.samples.push(Sample {
            decode,
            composition: offsets[index],
            duration,
            is_sync: syncs.is_none_or(|syncs| syncs.contains(&(index + 1))),
            data: data.ok_or("a sample outside the file")?.to_vec(),
        });
        decode += u64::from(duration);
    }
    if decode != track.duration {
        return Err(format!("a duration of {} for {decode}", track.duration));
    }
    Ok(())
}

/// Where each sample is, by `stsc`, `stco` and `stsz`.
fn positions(chunks: &[(usize, usize)], places: &[usize], sizes: &[usize]) -> Res<Vec<usize>> {
    let mut positions = Vec::new();
    for (number, place) in (1..).zip(places) {
        let row = chunks.iter().rfind(|(first, _)| *first <= number);
        let (_, count) = row.ok_or("a chunk without samples")?;
        let mut at = *place;
        for _ in 0..*count {
            let size = sizes
                .get(positions.len())
                .ok_or("more samples in chunks than sizes")?;
            positions.push(at);
            at += size;
        }
    }
    if positions.len() != sizes.len() {
        return Err(format!(
            "{} samples in chunks, {} sizes",
            positions.len(),
            sizes.len()
        ));
    }
    Ok(positions)
}
