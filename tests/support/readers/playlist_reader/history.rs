//! What may not change from one reading of a playlist to the next.

use super::{Playlist, Res, Segment};
use std::collections::BTreeMap;

/// All readings of a playlist up to now.
#[derive(Debug, Default)]
pub struct History {
    last: Option<Playlist>,
    /// Every segment that ever was whole, by its number.
    pub segments: BTreeMap<u64, Segment>,
    /// What each name has stood for: the number of a segment, and of a part.
    names: BTreeMap<String, (u64, Option<usize>)>,
}

impl History {
    pub fn last(&self) -> &Playlist {
        self.last.as_ref().expect("a playlist")
    }

    /// Takes the next reading.
    pub fn add(&mut self, playlist: Playlist) -> Res<()> {
        self.names(&playlist)?;
        if let Some(last) = &self.last {
            follows(last, &playlist)?;
        }
        for (number, segment) in (playlist.media_sequence..).zip(&playlist.segments) {
            let known = self
                .segments
                .entry(number)
                .or_insert_with(|| segment.clone());
            // Parts of old segments are not named any more.
            if !segment.parts.is_empty() && known.parts.len() <= segment.parts.len() {
                known.parts.clone_from(&segment.parts);
            }
            let same = Segment {
                parts: known.parts.clone(),
                ..segment.clone()
            };
            if *known != same {
                return Err(format!("segment {number}: {segment:?} was {known:?}"));
            }
        }
        self.last = Some(playlist);
        Ok(())
    }

    fn names(&mut self, playlist: &Playlist) -> Res<()> {
        for (number, segment) in (playlist.media_sequence..).zip(playlist.all()) {
            let parts = segment.parts.iter().enumerate();
            let parts = parts.map(|(index, part)| (&part.uri, (number, Some(index))));
            let own = (!segment.uri.is_empty()).then_some((&segment.uri, (number, None)));
            for (uri, place) in parts.chain(own) {
                let known = *self.names.entry(uri.clone()).or_insert(place);
                if known != place {
                    return Err(format!("{uri} is {place:?} and was {known:?}"));
                }
            }
        }
        Ok(())
    }
}

fn follows(last: &Playlist, next: &Playlist) -> Res<()> {
    let constants = |playlist: &Playlist| {
        let Playlist {
            target,
            part_target,
            hold_back,
            part_hold_back,
            ..
        } = playlist;
        (*target, *part_target, *hold_back, *part_hold_back)
    };
    if constants(last) != constants(next) {
        return Err(format!(
            "{:?} became {:?}",
            constants(last),
            constants(next)
        ));
    }
    let gone = next.media_sequence.checked_sub(last.media_sequence);
    let gone = gone.ok_or("the media sequence runs backward")? as usize;
    if gone > last.all().count() {
        return Err("segments that nobody saw are gone".to_owned());
    }
    let breaks = last
        .all()
        .take(gone)
        .filter(|segment| segment.is_discontinuity);
    let discontinuities = last.discontinuity_sequence + breaks.count() as u64;
    if next.discontinuity_sequence != discontinuities {
        return Err(format!(
            "{discontinuities} discontinuities, not {}",
            next.discontinuity_sequence
        ));
    }
    if last.open_sequence() > next.open_sequence() || last.is_over && last != next {
        return Err("what was there is not".to_owned());
    }
    // The segment that grew has the same beginning, and what was hinted at comes next.
    let grown = next
        .all()
        .nth((last.open_sequence() - next.media_sequence) as usize);
    let old = last.open.as_ref().map_or(&[][..], |open| &open.parts);
    let new = grown.map_or(&[][..], |grown| &grown.parts);
    let has_parts = grown.is_none_or(|grown| !grown.parts.is_empty());
    if has_parts && !new.starts_with(old) {
        return Err(format!("{old:?} became {new:?}"));
    }
    let first = new.get(old.len()).map(|part| &part.uri);
    let hint = last.hint.as_ref();
    if first.is_some() && first != hint {
        return Err(format!("{first:?} came where {hint:?} was announced"));
    }
    Ok(())
}
