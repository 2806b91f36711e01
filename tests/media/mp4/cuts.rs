//! What a crash leaves: a file that was cut off at any byte, while it was written or being finished.

use super::files::{frame, header};
use super::messages::Message;
use super::recording::{Recording, Write};
use crate::media::mp4_reader::{self, Movie};

/// Three seconds with B-frames and sound.
fn stream() -> Vec<Message> {
    let mut messages = [header("avc"), header("aac")].concat();
    for number in 0..75_u64 {
        let key = number.is_multiple_of(25);
        let offset = [80, 200, 80, 0, 40][number as usize % 5];
        let bytes = vec![number as u8; 20 + number as usize % 7];
        messages.push(frame("avc", number * 40, offset, key, &bytes));
        messages.push(frame("aac", number * 40 + 5, 0, true, &bytes[..9]));
    }
    messages
}

/// Samples of each track, number by number.
fn counts(movie: &Movie) -> Vec<usize> {
    movie
        .tracks
        .iter()
        .map(|track| track.samples.len())
        .collect()
}

/// Each write may be done in part, if it is an append; a few bytes within a page are written whole
/// or not at all.
#[test]
fn a_crash_costs_one_fragment_at_most() {
    let recording = Recording::new(&stream());
    let mut file = Vec::new();
    // What the file has to have in it, whatever becomes of the write that follows.
    let mut whole: Option<Movie> = None;
    let mut fragments = Vec::new();
    for write in &recording.writes {
        if let (Write::Append(bytes), Some(whole)) = (write, &whole) {
            for len in 0..=bytes.len() {
                let cut = [&file[..], &bytes[..len]].concat();
                let read = mp4_reader::read(&cut).unwrap_or_else(|why| panic!("{len}: {why}"));
                assert_eq!(read.tracks, whole.tracks, "{len}");
            }
        }
        write.apply(&mut file);
        let read = mp4_reader::read(&file).expect("a file");
        fragments.push(read.fragments);
        whole = Some(read);
    }
    // The end has no fragments, but all that is in them.
    let all = whole.expect("a file");
    assert_eq!(counts(&all), [75, 75]);
    assert_eq!(fragments, [0, 0, 1, 1, 2, 2, 3, 3, 0]);
    let before_end = mp4_reader::read(&recording.unfinished()).expect("a file");
    assert_eq!(counts(&before_end), [75, 75]);
}

/// A power failure may leave less of a file than was written, to the end of a page.
#[test]
fn a_file_that_ends_with_a_page_is_readable() {
    let mut messages = stream();
    // Long enough that fragments are all over their pages.
    for number in 75..3000_u64 {
        let bytes = vec![1; 31 + number as usize * 37 % 90];
        messages.push(frame(
            "avc",
            number * 40,
            0,
            number.is_multiple_of(25),
            &bytes,
        ));
    }
    let file = Recording::new(&messages).unfinished();
    let mut last = 0;
    for page in (4096..file.len()).step_by(4096) {
        let read = mp4_reader::read(&file[..page]).unwrap_or_else(|why| panic!("{page}: {why}"));
        assert!(read.fragments >= last);
        last = read.fragments;
    }
    assert!(last > 100, "{last} fragments");
}
