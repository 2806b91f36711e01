//! What becomes of media around a change of tracks.

use super::stream::{
    aac_header, avc_end, avc_header, of_track, other_aac_header, other_avc_header, picture, sound,
    sound_ms,
};
use crate::support::readers::listener::{Listener, ids};
use rtmp_server::rtmp::Message;

/// Pictures from one moment on up to another, 30 a second with a keyframe each second; their ids are
/// their times.
fn pictures(from_ms: u32, to_ms: u32) -> Vec<Message> {
    let pictures = (0..).map(|index| (from_ms + index * 1000 / 30, index % 30 == 0));
    let pictures = pictures.take_while(|(ms, _)| *ms < to_ms);
    pictures
        .map(|(ms, is_key)| picture(ms, is_key, ms))
        .collect()
}

/// Sound in the same way.
fn sounds(from_ms: u32, to_ms: u32) -> Vec<Message> {
    let times = (0..).map(|index| from_ms + sound_ms(index));
    let times = times.take_while(|ms| *ms < to_ms);
    times.map(|ms| sound(ms, ms)).collect()
}

/// In the order of their times; what is first of two at the same time stays first.
fn in_order(messages: &[Vec<Message>]) -> Vec<Message> {
    let mut all = messages.concat();
    all.sort_by_key(|message| message.timestamp.0);
    all
}

/// How many pictures there are of each configuration.
fn picture_counts(listener: &Listener) -> Vec<usize> {
    let movies = listener.movies().into_iter();
    movies.map(|movie| ids(&[movie], "vide").len()).collect()
}

/// Sound that comes or changes is left out up to a keyframe, but not for ever.
#[test]
fn sound_does_not_wait_for_pictures_that_do_not_come() {
    let never = u32::MAX;
    #[rustfmt::skip]
    let rows = [
        // What, when sound begins and changes, when the pictures end, what of the sound is left out; in ms.
        ("pictures are over, sound changes", 0, 3000, avc_end(2500), 0..0),
        ("sound changes, pictures are over", 0, 2100, avc_end(2500), 2100..2500),
        ("sound changes, pictures stop", 0, 2100, aac_header(0), 2100..7470),
        ("pictures are over, sound comes", 3000, never, avc_end(2500), 0..0),
        ("sound comes, pictures are over", 2100, never, avc_end(2500), 2100..2500),
        ("sound comes, pictures stop", 2100, never, aac_header(0), 2100..7450),
    ];
    for (what, from, changes, end, left_out) in rows {
        let mut listener = Listener::new(Some(1000));
        let sounds = sounds(from, 15_000);
        let changed = (changes < never).then(|| other_aac_header(changes));
        let headers = vec![avc_header(0), aac_header(from)];
        listener.push(&in_order(&[
            headers,
            changed.into_iter().collect(),
            pictures(0, 2500),
            vec![end],
            sounds.clone(),
        ]));
        listener.end();
        let movies = listener.movies();
        assert_eq!(ids(&movies, "vide").len(), 75, "{what}");
        let came = ids(&movies, "soun");
        let times = sounds.iter().map(|sound| sound.timestamp.0);
        let lacks: Vec<u32> = times.clone().filter(|ms| !came.contains(ms)).collect();
        let want: Vec<u32> = times.filter(|ms| left_out.contains(ms)).collect();
        assert_eq!(lacks, want, "{what}");
    }
}

/// What waits until all tracks are known is packaged as it was configured when it came, and also if
/// its track is over by then.
#[test]
fn what_waits_is_packaged_as_it_came() {
    let change = |ms| [vec![other_avc_header(ms)], pictures(ms, ms + 300)].concat();
    #[rustfmt::skip]
    let rows = [
        // What, what comes at the end, and how many pictures of which movies there are then.
        ("over before sound has come", [change(2000), vec![avc_end(2300)]].concat(), vec![60, 9]),
        ("over, and sound comes", [change(2000), vec![avc_end(2300)], sounds(2300, 5000)].concat(), vec![60, 9]),
        ("changed before sound has come", [change(2000), vec![avc_header(2300)], pictures(2300, 2600)].concat(), vec![60, 9, 9]),
    ];
    for (what, end, want) in rows {
        let mut listener = Listener::new(Some(1000));
        let headers = vec![avc_header(0), aac_header(0)];
        listener.push(&in_order(&[headers, pictures(0, 2000), sounds(0, 2000)]));
        listener.push(&end);
        listener.end();
        assert_eq!(picture_counts(&listener), want, "{what}");
    }
}

/// A playlist of one track of pictures has the first, if that comes: of a publication of two, another
/// only where the first has had no keyframe for long.
#[test]
fn a_playlist_keeps_to_the_first_track() {
    let first = |to_ms: u32| {
        let pictures = pictures(0, 9000).into_iter();
        let kept = pictures.filter(|picture| (7000..to_ms).contains(&picture.timestamp.0));
        kept.collect::<Vec<_>>()
    };
    #[rustfmt::skip]
    let rows = [
        // What, pictures of the second track up to, of the first from 7 s up to, in ms, how many there are then.
        ("over before its keyframe", 500, 0, vec![60]),
        ("its keyframe comes late", 9000, 9000, vec![60, 211, 60]),
        ("no keyframe", 9000, 0, vec![60, 270]),
    ];
    for (what, second_ms, first_ms, want) in rows {
        let mut listener = Listener::new(Some(1000));
        listener.push(&in_order(&[vec![avc_header(0)], pictures(0, 2000)]));
        listener.begin();
        let second = [vec![avc_header(0)], pictures(0, second_ms)].concat();
        let second = second.iter().map(|message| of_track(message, 1)).collect();
        let media = in_order(&[vec![avc_header(0)], second, first(first_ms)]);
        let later = |message: &Message| Message {
            timestamp: message.timestamp.plus(2500),
            ..message.clone()
        };
        listener.push(&media.iter().map(later).collect::<Vec<_>>());
        listener.end();
        assert_eq!(picture_counts(&listener), want, "{what}");
    }
}

/// Pictures in front of the first keyframe are left out. Sound that comes with the keyframe is not late.
#[test]
fn sound_comes_with_the_first_keyframe() {
    let mut listener = Listener::new(Some(1000));
    let headers = vec![avc_header(0), aac_header(0)];
    let before = (1..40).map(|index| picture(index * 40, false, index));
    let sounds = sounds(1605, 4000);
    let media = [
        headers,
        before.collect(),
        pictures(1600, 4000),
        sounds.clone(),
    ];
    listener.push(&in_order(&media));
    listener.end();
    let movies = listener.movies();
    assert_eq!(movies.len(), 1);
    assert_eq!(ids(&movies, "soun").len(), sounds.len());
}

/// Pictures that end and are announced again by a header are waited for: sound in front of their keyframe does
/// not begin alone.
#[test]
fn sound_waits_for_pictures_that_a_header_announces() {
    let rows = [
        ("another header", other_avc_header(2500)),
        ("the same header", avc_header(2500)),
    ];
    for (what, header) in rows {
        let mut listener = Listener::new(Some(1000));
        let headers = vec![avc_header(0), aac_header(0)];
        listener.push(&in_order(&[headers, pictures(0, 2500), sounds(0, 2500)]));
        let changes = vec![avc_end(2499), header, other_aac_header(2500)];
        let sounds = sounds(2500, 4000);
        listener.push(&in_order(&[changes, sounds, pictures(2550, 4000)]));
        listener.end();
        assert_eq!(picture_counts(&listener), [75, 44], "{what}");
    }
}

/// Before there is a playlist, what was configured otherwise is left out.
#[test]
fn a_change_before_all_else_leaves_nothing_of_before() {
    let mut listener = Listener::new(Some(1000));
    let headers = vec![avc_header(0), aac_header(0)];
    let other = vec![other_avc_header(400)];
    let media = [
        headers,
        pictures(0, 400),
        other,
        pictures(400, 3000),
        sounds(0, 3000),
    ];
    listener.push(&in_order(&media));
    listener.end();
    let movies = listener.movies();
    assert_eq!(movies.len(), 1);
    assert_eq!(ids(&movies, "vide")[0], 400);
}
