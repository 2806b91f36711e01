//! Playlists of `testdata/hls`, to the letter.

use super::stream::{
    aac_header, avc_header, of_track, other_avc_header, picture, sound, sound_ms, steady,
};
use crate::support::readers::listener::{Listener, SETTINGS, START_MS, names};
use rtmp_server::media::hls::{Packager, Reload, Reply};
use rtmp_server::rtmp::Message;
use std::path::Path;

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/hls")
        .join(name);
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{name} is:\n{text}");
}

fn made(messages: &[Message]) -> Packager {
    let mut packager = Packager::new(SETTINGS, Some(1000), names());
    packager.begin();
    for message in messages {
        packager.push(
            std::slice::from_ref(message),
            START_MS + i64::from(message.timestamp.0),
        );
    }
    packager
}

fn playlist(packager: &Packager, name: &str, query: &str) -> String {
    match packager.playlist(name, Reload::default(), query) {
        Reply::Playlist(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_and_a_sound_share_a_playlist() {
    let packager = made(&steady(30, 30, 7));
    check(
        "muxed-index.m3u8",
        &packager.multivariant("").expect("a playlist"),
    );
    check("muxed.m3u8", &playlist(&packager, "stream", ""));
}

#[test]
fn sound_alone() {
    let sounds = (0..300).map(|index| sound(sound_ms(index), index));
    let packager = made(&[vec![aac_header(0)], sounds.collect()].concat());
    check(
        "sound-index.m3u8",
        &packager.multivariant("").expect("a playlist"),
    );
    check("sound.m3u8", &playlist(&packager, "stream", ""));
}

#[test]
fn of_several_tracks_each_has_its_own() {
    let media = steady(30, 60, 5);
    let both = media
        .iter()
        .flat_map(|message| [message.clone(), of_track(message, 1)]);
    let packager = made(&both.collect::<Vec<_>>());
    let query = "?token=a%20b";
    check(
        "tracks-index.m3u8",
        &packager.multivariant(query).expect("a playlist"),
    );
    for name in ["video0", "video1", "audio0", "audio1"] {
        check(
            &format!("tracks-{name}.m3u8"),
            &playlist(&packager, name, query),
        );
    }
}

#[test]
fn a_break_and_the_end() {
    let mut listener = Listener::new(Some(2000));
    let media: Vec<Message> = steady(25, 50, 3);
    listener.push(&media);
    let later = |message: &Message| Message {
        timestamp: message.timestamp.plus(3000),
        ..message.clone()
    };
    let again = [other_avc_header(0), aac_header(0)];
    let again = again
        .iter()
        .chain(&media[2..])
        .map(later)
        .collect::<Vec<_>>();
    listener.push(&again);
    check("break.m3u8", &listener.text().expect("a playlist"));
    listener.end();
    check("end.m3u8", &listener.text().expect("a playlist"));
}

#[test]
fn a_keyframe_alone_is_no_stream() {
    let packager = made(&[avc_header(0), picture(0, true, 0)]);
    assert_eq!(packager.multivariant(""), None);
    assert_eq!(
        packager.playlist("stream", Reload::default(), ""),
        Reply::Waits
    );
}
