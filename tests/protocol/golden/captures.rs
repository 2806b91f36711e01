//! What real programs sent, byte for byte: read whole, byte by byte, and cut anywhere.

use super::chunks::all;
use super::handshake::packet_at;
use super::table::{names, read, testdata};
use crate::support::render;
use rtmp_server::rtmp::chunk::Decoder;
use rtmp_server::rtmp::handshake;
use rtmp_server::rtmp::session::{Session, SessionEvent};
use rtmp_server::rtmp::{Message, MessageType};
use std::collections::BTreeMap;

/// Where the first chunk begins: behind version, C1 and C2.
const HANDSHAKE_LEN: usize = 1 + 2 * handshake::PACKET_LEN;

fn capture(name: &str) -> Vec<u8> {
    read(&testdata().join(format!("captures/{name}.bin")))
}

/// The chunk stream of a capture.
fn chunks(name: &str) -> Vec<u8> {
    capture(name).split_off(HANDSHAKE_LEN)
}

fn decoded(name: &str, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> (Vec<Message>, Decoder) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        let read = all(&mut decoder, piece.as_ref());
        messages.extend(read.unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    (messages, decoder)
}

fn whole(name: &str) -> Vec<Message> {
    decoded(name, std::iter::once(chunks(name))).0
}

/// One row of `messages.txt` for these messages.
fn counted(name: &str, messages: &[Message]) -> String {
    let count = |kinds: &[u8]| {
        messages
            .iter()
            .filter(|m| kinds.contains(&m.kind.0))
            .count()
    };
    let counts = [&[20][..], &[1, 2, 3, 4, 5, 6], &[18], &[8], &[9]].map(count);
    let words: Vec<String> = counts.iter().map(usize::to_string).collect();
    format!(
        "{name} {} {} {:016x}",
        messages.len(),
        words.join(" "),
        hash(messages)
    )
}

/// FNV-1a over every field.
fn hash(messages: &[Message]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for message in messages {
        let numbers = [
            message.timestamp.0,
            message.stream.0,
            message.payload.len() as u32,
        ];
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        let bytes = [message.kind.0]
            .into_iter()
            .chain(numbers)
            .chain(message.payload.iter().copied());
        hash = bytes.fold(hash, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    }
    hash
}

#[test]
fn captures_hold_the_messages_that_another_decoder_found() {
    let text = String::from_utf8(read(&testdata().join("captures/messages.txt"))).expect("UTF-8");
    let rows: BTreeMap<&str, &str> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter_map(|line| Some((line.split_once(' ')?.0, line)))
        .collect();
    let captures = names("captures", ".bin");
    assert_eq!(captures, rows.keys().copied().collect::<Vec<_>>());
    for name in captures {
        let row: Vec<&str> = rows[&*name].split_whitespace().collect();
        assert_eq!(counted(&name, &whole(&name)), row.join(" "));
    }
}

#[test]
fn only_two_captures_are_odd() {
    for name in names("captures", ".bin") {
        let (_, decoder) = decoded(&name, std::iter::once(chunks(&name)));
        // librtmp opens csid 2 with format 1 when its first message there is an acknowledgement.
        assert_eq!(
            decoder.tolerated().told().count(),
            usize::from(name == "librtmp_publish_with_ack.c2s"),
            "{name}"
        );
        // The capture of OBS was cut off inside a chunk.
        assert_eq!(
            decoder.is_between_messages(),
            name != "obs29_publish.c2s",
            "{name}"
        );
    }
}

#[test]
fn byte_by_byte_is_the_same() {
    for name in names("captures", ".bin") {
        let bytes = chunks(&name);
        assert_eq!(decoded(&name, bytes.chunks(1)).0, whole(&name), "{name}");
    }
}

/// Nothing before a cut is undone and a cut is forgotten after the chunk it is in, so streams that
/// are cut every so many bytes, from each offset in turn, have a cut at every position between them.
#[test]
fn cut_anywhere_is_the_same() {
    const APART: usize = 149;
    for name in names("captures", ".bin") {
        let (bytes, want) = (chunks(&name), whole(&name));
        for offset in 0..APART.min(bytes.len()) {
            let (first, rest) = bytes.split_at(offset);
            let pieces = std::iter::once(first).chain(rest.chunks(APART));
            assert!(decoded(&name, pieces).0 == want, "{name} from {offset}");
        }
    }
}

/// One cut alone: at every position of the beginning, where all kinds of messages are, and at some
/// of the whole.
#[test]
fn cut_once_is_the_same() {
    const BEGINNING: usize = 2500;
    for name in names("captures", ".bin") {
        let bytes = chunks(&name);
        let beginning = &bytes[..bytes.len().min(BEGINNING)];
        cut_once(&name, beginning, 1);
        cut_once(&name, &bytes, 397);
    }
}

fn cut_once(name: &str, bytes: &[u8], step: usize) {
    let want = decoded(name, std::iter::once(bytes)).0;
    for at in (0..bytes.len()).step_by(step) {
        let (first, rest) = bytes.split_at(at);
        assert!(
            decoded(name, [first, rest].iter()).0 == want,
            "{name} cut at {at}"
        );
    }
}

/// Name, whether C2 echoes S1, whether S2 echoes C1. ffmpeg's C1 carries a digest; its server
/// answered in kind, with an S2 that is signed instead of echoed, and so did ffmpeg when it plays.
const ECHOES: [(&str, bool, bool); 13] = [
    ("ffmpeg8_av1_opus_publish", true, false),
    ("ffmpeg8_hevc_aac_publish", true, false),
    ("ffmpeg8_multitrack_publish", true, false),
    ("ffmpeg8_vp9_flac_publish", true, false),
    ("ffmpeg_play", false, false),
    ("ffmpeg_play_live", false, false),
    ("ffmpeg_publish", true, false),
    ("gst_librtmp_rtmpsink_publish", true, true),
    ("gst_rtmp2sink_publish", true, true),
    ("gst_rtmp2src_play", true, true),
    ("librtmp_publish_with_ack", true, true),
    ("rtmpdump_play", true, true),
    ("rtmpdump_play_live", true, true),
];

#[test]
fn handshakes_are_read() {
    for (name, client_echoes, server_echoes) in ECHOES {
        let (client, server) = (
            capture(&format!("{name}.c2s")),
            capture(&format!("{name}.s2c")),
        );
        let second = 1 + handshake::PACKET_LEN;
        let (c1, c2) = (packet_at(&client, 1), packet_at(&client, second));
        let (s1, s2) = (packet_at(&server, 1), packet_at(&server, second));
        assert_eq!(
            handshake::check_echo(&s1, &c2).is_ok(),
            client_echoes,
            "{name}"
        );
        assert_eq!(
            handshake::check_echo(&c1, &s2).is_ok(),
            server_echoes,
            "{name}"
        );
    }
    for name in names("captures", ".bin") {
        assert_eq!(
            handshake::check_version(capture(&name)[0]),
            Ok(()),
            "{name}"
        );
        let paired = ECHOES
            .iter()
            .any(|(pair, ..)| name.starts_with(&format!("{pair}.")));
        let alone = [
            "librtmp_fmt3_same_timestamp.c2s",
            "obs29_publish.c2s",
            "vlc3_play.c2s",
        ];
        assert!(
            paired || alone.contains(&name.as_str()),
            "{name} has no row"
        );
    }
}

/// What a server says to a client that sends these messages, when it grants every request.
fn transcript(name: &str) -> String {
    let mut session = Session::new(4096);
    session.count_received(capture(name).len());
    let mut lines = Vec::new();
    let mut relayed = Relayed::default();
    for message in whole(name) {
        let mut events = Vec::new();
        let handled = session.handle(message.clone(), &mut events);
        handled.unwrap_or_else(|error| panic!("{name}: {error}"));
        if events == [SessionEvent::Media(message.clone())] {
            relayed.count(&message);
            continue;
        }
        lines.extend(std::mem::take(&mut relayed).line());
        lines.push(format!("< {}", render::message(&message)));
        for event in events {
            lines.push(render::event(&event));
            let granted = match event {
                SessionEvent::Connect(_) => session.accept_connect(None),
                SessionEvent::Publish(request) | SessionEvent::Play(request) => {
                    session.accept(request.stream)
                }
                _ => continue,
            };
            lines.extend(
                granted
                    .into_iter()
                    .map(|sent| render::event(&SessionEvent::Send(sent))),
            );
        }
    }
    lines.extend(relayed.line());
    // All captures together are smaller than the windows in them.
    assert_eq!(session.acknowledgement(), None, "{name}");
    lines.join("\n") + "\n"
}

/// Media messages that came one after the other and were passed on unchanged.
#[derive(Default)]
struct Relayed {
    counts: BTreeMap<&'static str, usize>,
    stream: u32,
}

impl Relayed {
    fn count(&mut self, message: &Message) {
        let word = match message.kind {
            MessageType::AUDIO => "audio",
            MessageType::VIDEO => "video",
            _ => "data",
        };
        *self.counts.entry(word).or_default() += 1;
        self.stream = message.stream.0;
    }

    fn line(self) -> Option<String> {
        let order = ["data", "audio", "video"].into_iter();
        let counts = order.filter_map(|word| Some(format!("{} {word}", self.counts.get(word)?)));
        let counts: Vec<String> = counts.collect();
        let line = format!("< {} on {}: relayed", counts.join(", "), self.stream);
        (!counts.is_empty()).then_some(line)
    }
}

#[test]
fn sessions_follow_their_transcripts() {
    let clients = names("captures", ".c2s.bin");
    assert_eq!(clients.len(), 16);
    for name in clients {
        let want = read(&testdata().join(format!("captures/{name}.txt")));
        let want = String::from_utf8(want).expect("UTF-8");
        let got = transcript(&format!("{name}.c2s"));
        for (at, (got, want)) in got.lines().zip(want.lines()).enumerate() {
            assert_eq!(got, want, "{name}.txt, line {}", at + 1);
        }
        assert_eq!(got, want, "{name}");
    }
}
