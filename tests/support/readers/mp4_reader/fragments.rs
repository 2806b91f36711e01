//! Fragments: `moof`, and the samples in the `mdat` behind it.

use super::{In, Movie, Res, Sample};

/// The samples of a track in a fragment: its number, and offset of the data from the `moof`.
pub(super) type Run = (u32, usize, Vec<(Sample, usize)>);

pub(super) fn moof(body: In, movie: &mut Movie, defaults: &[u32]) -> Res<Vec<Run>> {
    let mut runs = Vec::new();
    for (kind, mut body) in body.children(&["mfhd", "traf*"])? {
        if kind == "mfhd" {
            body.zeros(4)?;
            let sequence = body.u32()? as usize;
            let next = movie.sequence + 1;
            if sequence < next || sequence > next && !movie.may_skip {
                return Err("fragments out of order".to_owned());
            }
            movie.sequence = sequence;
            body.end()?;
            continue;
        }
        let run = traf(body).map_err(|why| format!("traf: {why}"))?;
        if !defaults.contains(&run.0) {
            return Err(format!("track {} is in no trex", run.0));
        }
        runs.push(run);
    }
    if runs.is_empty() {
        return Err("an empty fragment".to_owned());
    }
    Ok(runs)
}

fn traf(body: In) -> Res<Run> {
    let boxes = body.children(&["tfhd", "tfdt", "trun"])?;
    let mut tfhd = boxes[0].1;
    let (_, flags) = tfhd.full()?;
    if flags & !0x2_0028 != 0 || flags & 0x2_0000 == 0 {
        return Err(format!("tfhd: flags {flags:x}"));
    }
    let number = tfhd.u32()?;
    let mut when = |flag: u32| (flags & flag != 0).then(|| tfhd.u32()).transpose();
    let (duration, default_flags) = (when(0x8)?, when(0x20)?);
    tfhd.end()?;
    let mut tfdt = boxes[1].1;
    tfdt.expect(&[1, 0, 0, 0])?;
    let mut decode = tfdt.number(8)?;
    tfdt.end()?;
    let mut trun = boxes[2].1;
    let (version, flags) = trun.full()?;
    if version != 1 || flags & !0xf05 != 0 || flags & 0x201 != 0x201 {
        return Err(format!("trun: version {version}, flags {flags:x}"));
    }
    let count = trun.u32()?;
    let offset = trun.u32()? as usize;
    let first_flags = (flags & 4 != 0).then(|| trun.u32()).transpose()?;
    let mut samples = Vec::new();
    for index in 0..count {
        let mut when = |flag: u32| (flags & flag != 0).then(|| trun.u32()).transpose();
        let own_duration = when(0x100)?;
        let size = when(0x200)?.unwrap_or_default() as usize;
        let own_flags = when(0x400)?.or(first_flags.filter(|_| index == 0));
        let composition = when(0x800)?.unwrap_or_default() as i32;
        let duration = own_duration.or(duration).ok_or("no duration")?;
        let is_sync = match own_flags.or(default_flags) {
            Some(0x0200_0000) => true,
            Some(0x0101_0000) => false,
            other => return Err(format!("sample flags {other:x?}")),
        };
        let sample = Sample {
            decode,
            composition: composition.into(),
            duration,
            is_sync,
            data: Vec::new(),
        };
        samples.push((sample, size));
        decode += u64::from(duration);
    }
    trun.end()?;
    Ok((number, offset, samples))
}

/// Adds the samples of a fragment, whose data has to fill its `mdat`.
pub(super) fn take_runs(
    movie: &mut Movie,
    runs: Vec<Run>,
    file: &[u8],
    moof_at: usize,
    mdat: std::ops::Range<usize>,
) -> Res<()> {
    let mut at = mdat.start;
    for (number, offset, samples) in runs {
        if moof_at + offset != at {
            return Err(format!(
                "data offset {offset} where {} has to be",
                at - moof_at
            ));
        }
        let mut tracks = movie.tracks.iter_mut();
        let track = tracks
            .find(|track| track.number == number)
            .ok_or("no such track")?;
        for (mut sample, size) in samples {
            sample.data = file[at..at + size].to_vec();
            at += size;
            track.samples.push(sample);
        }
    }
    movie.fragments += 1;
    movie.unnamed += mdat.end.checked_sub(at).ok_or("samples beyond mdat")?;
    Ok(())
}
