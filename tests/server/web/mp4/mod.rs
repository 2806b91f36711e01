//! What viewers of live MP4 are sent.

mod changed;
mod slow;
mod wide;

use super::{finish, real, send, settle, start};
use crate::support::http::{HttpBody, HttpReply};
use crate::support::readers::mp4_reader::{self, Track};
use crate::support::{Client, TestServer, wait_until};
use rtmp_server::admin::AdminSource;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use rtmp_server::stats::Protocol;
use std::io::{self, Read};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const AVC: &str = "avc1.42C00A";

/// A viewer of MP4, which takes no byte that the specification does not have.
pub struct Mp4Viewer {
    body: HttpBody,
    content_type: String,
    initialization: Vec<u8>,
}

impl Mp4Viewer {
    /// Plays what is at `path`, once there is something.
    fn playing(server: &TestServer, path: &str) -> Mp4Viewer {
        Mp4Viewer::of(HttpReply::get(server.media_addr(), path))
    }

    /// The same, while somebody publishes what it begins with.
    pub(super) fn joining(server: &TestServer, path: &str) -> JoinHandle<Mp4Viewer> {
        let (addr, path) = (server.media_addr(), path.to_owned());
        let viewers = server.server().count().2;
        let joining = thread::spawn(move || Mp4Viewer::of(HttpReply::get(addr, &path)));
        wait_until("the viewer", || server.server().count().2 > viewers);
        joining
    }

    fn of(reply: HttpReply) -> Mp4Viewer {
        assert_eq!(reply.status, 200);
        let content_type = reply.header("Content-Type").expect("a type").to_owned();
        let mut viewer = Mp4Viewer {
            body: reply.body,
            content_type,
            initialization: Vec::new(),
        };
        for kind in ["ftyp", "moov"] {
            let (found, bytes) = viewer.next_box().expect("a box").expect("a box");
            assert_eq!(found, kind);
            viewer.initialization.extend(bytes);
        }
        viewer
    }

    /// The next box, whole; `None` at the end of the response, which is between two boxes.
    fn next_box(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let mut header = [0; 8];
        if self.body.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.body.read_exact(&mut header[1..])?;
        let [s0, s1, s2, s3, kind @ ..] = header;
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        let mut bytes = header.to_vec();
        bytes.resize(size, 0);
        self.body.read_exact(&mut bytes[8..])?;
        Ok(Some((String::from_utf8_lossy(&kind).into_owned(), bytes)))
    }

    /// The tracks of the next fragment, with its samples.
    fn fragment(&mut self) -> io::Result<Option<Vec<Track>>> {
        let Some((kind, moof)) = self.next_box()? else {
            return Ok(None);
        };
        assert_eq!(kind, "moof");
        let mdat = self.next_box()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        assert_eq!(mdat.0, "mdat");
        let bytes = [&self.initialization[..], &moof, &mdat.1].concat();
        let movie = mp4_reader::read_live(&bytes).expect("a fragment");
        Ok(Some(movie.tracks))
    }

    /// The next fragment in words: of each track in it the medium, `!` for a keyframe, when its first
    /// sample is shown, and the bytes of each.
    fn describe(&mut self) -> String {
        let tracks = self.fragment().expect("a fragment");
        let tracks = tracks.expect("another fragment");
        let words: Vec<String> = tracks.iter().filter_map(word).collect();
        words.join(" ")
    }

    /// The next pictures are decoded at these times, in ms, in as many fragments as they like.
    pub(super) fn expect_times(&mut self, want: &[u64]) {
        let mut times = Vec::new();
        while times.len() < want.len() {
            let tracks = self.fragment().expect("a fragment").expect("another");
            let pictures = tracks.iter().filter(|track| track.handler == "vide");
            times.extend(pictures.flat_map(|track| {
                let scale = u64::from(track.timescale);
                let samples = track.samples.iter();
                samples.map(move |sample| sample.decode * 1000 / scale - 10_000)
            }));
        }
        assert_eq!(times[..want.len()], *want);
    }

    fn expect(&mut self, fragments: &[&str]) {
        for fragment in fragments {
            assert_eq!(self.describe(), *fragment);
        }
    }

    /// The response is complete, and the connection closed.
    fn expect_end(mut self) {
        assert_eq!(self.fragment().expect("a whole response"), None);
        self.body.expect_closed();
    }
}

fn word(track: &Track) -> Option<String> {
    let first = track.samples.first()?;
    let key = track.handler == "vide" && first.is_sync;
    let scale = u64::from(track.timescale);
    let shown = first.decode.saturating_add_signed(first.composition);
    let ms = (shown * 1000 + scale / 2) / scale - 10_000;
    let bytes = track.samples.iter().map(|sample| {
        let bytes = sample.data.iter().map(u8::to_string);
        bytes.collect::<Vec<_>>().join(".")
    });
    let bytes = bytes.collect::<Vec<_>>().join(",");
    let mark = if key { "!" } else { "" };
    Some(format!("{}{mark}@{ms}:{bytes}", &track.handler[..1]))
}

/// What is sent before and after a viewer joins, and what that gets.
struct Row {
    what: &'static str,
    before: &'static [&'static str],
    after: &'static [&'static str],
    content_type: &'static str,
    fragments: &'static [&'static str],
}

const BOTH: &[&str] = &[
    "D meta 1 @0",
    "V head 1 @0",
    "A head 0 @0",
    "V key 1 @0",
    "A sound 2 @0",
    "V inter 3 @40",
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row {
        what: "cached pictures, then what comes",
        before: BOTH,
        after: &["A sound 4 @23", "V inter 5 @80", "V key 6 @120", "A sound 7 @46", "V disposable 8 @160"],
        content_type: "video/mp4; codecs=\"avc1.42C00A,mp4a.40.2\"",
        fragments: &["v!@0:1,3 s@0:2", "v@80:5 s@23:4", "v!@120:6", "v@160:8 s@46:7"],
    },
    Row {
        what: "sound that is not there is not waited for",
        before: &["D meta 1 @0", "V head 1 @0", "A head 0 @0", "V key 1 @0"],
        after: &["V inter 2 @40", "V inter 3 @250", "V inter 4 @290"],
        content_type: "video/mp4; codecs=\"avc1.42C00A,mp4a.40.2\"",
        fragments: &["v!@0:1,2,3", "v@290:4"],
    },
    Row {
        what: "an old group is left out",
        before: &["V head 1 @0", "V key 1 @0", "V inter 2 @40", "V key 3 @80", "V inter 4 @120"],
        after: &["V inter 5 @160"],
        content_type: "video/mp4; codecs=\"avc1.42C00A\"",
        fragments: &["v!@80:3", "v@120:4", "v@160:5"],
    },
    Row {
        what: "sound alone, what has waited at the end",
        before: &["A head 0 @0", "A sound 1 @0"],
        after: &["A sound 2 @23", "A sound 3 @46", "A sound 4 @70", "A sound 5 @93", "A sound 6 @116", "A sound 7 @139"],
        content_type: "audio/mp4; codecs=\"mp4a.40.2\"",
        fragments: &["s@23:2,3,4,5,6", "s@139:7"],
    },
    Row {
        what: "no picture before a keyframe",
        before: &["D meta 1 @0", "V head 1 @0", "V inter 1 @0"],
        after: &["V inter 2 @40", "V key 3 @80", "V inter 4 @120"],
        content_type: "video/mp4; codecs=\"avc1.42C00A\"",
        fragments: &["v!@80:3", "v@120:4"],
    },
    Row {
        what: "the same headers again, and others' data",
        before: BOTH,
        after: &["V head 1 @50", "A head 0 @50", "D text 1 @50", "D meta 2 @50", "V inter 5 @80"],
        content_type: "video/mp4; codecs=\"avc1.42C00A,mp4a.40.2\"",
        fragments: &["v!@0:1,3 s@0:2", "v@80:5"],
    },
    Row {
        what: "another configuration ends the response",
        before: BOTH,
        after: &["A sound 4 @23", "V head 2 @80", "V key 5 @80"],
        content_type: "video/mp4; codecs=\"avc1.42C00A,mp4a.40.2\"",
        fragments: &["v!@0:1,3 s@0:2", "s@23:4"],
    },
    Row {
        what: "another track ends the response",
        before: &["V head 1 @0", "V key 1 @0"],
        after: &["V inter 2 @40", "A head 0 @40", "V inter 3 @80"],
        content_type: "video/mp4; codecs=\"avc1.42C00A\"",
        fragments: &["v!@0:1", "v@40:2"],
    },
    Row {
        what: "a track that stays away for a second after its end ends the response",
        before: BOTH,
        after: &["V end 0 @60", "A sound 4 @23", "A sound 6 @1100"],
        content_type: "video/mp4; codecs=\"avc1.42C00A,mp4a.40.2\"",
        fragments: &["v!@0:1,3 s@0:2", "s@23:4"],
    },
];

#[test]
fn a_viewer_gets_what_is_cached_then_what_comes_and_a_whole_end() {
    for row in ROWS {
        println!("{}", row.what);
        let server = start("");
        let mut publisher = server.publisher("x");
        send(&mut publisher, row.before);
        let joining = Mp4Viewer::joining(&server, "/live/x.mp4");
        send(&mut publisher, row.after);
        finish(&mut publisher);
        let mut viewer = joining.join().expect("a viewer");
        assert_eq!(viewer.content_type, row.content_type);
        viewer.expect(row.fragments);
        viewer.expect_end();
    }
}

#[test]
fn a_client_of_http_1_0_gets_the_same_without_chunks() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, BOTH);
    let reply = HttpReply::to(server.media_addr(), "GET /live/x.mp4 HTTP/1.0\r\n\r\n");
    assert_eq!(reply.header("Transfer-Encoding"), None);
    let mut viewer = Mp4Viewer::of(reply);
    viewer.expect(&["v!@0:1,3 s@0:2"]);
    send(&mut publisher, &["V inter 5 @80"]);
    viewer.expect(&["v@80:5"]);
    finish(&mut publisher);
    assert_eq!(viewer.fragment().expect("the end"), None);
}

/// What a publisher sends that comes back, and what a viewer gets then that has seen [`BOTH`].
#[test]
fn a_viewer_goes_on_with_a_publisher_that_comes_back_with_the_same() {
    #[rustfmt::skip]
    let rows: [(&str, &[&str], &[&str], bool); 4] = [
        ("the same", &["D meta 1 @0", "V head 1 @0", "A head 0 @0", "V inter 1 @0", "A sound 8 @0", "V key 9 @40", "V inter 10 @80"], &["v!@120:9 s@23:8", "v@160:10"], true),
        ("another configuration", &["V head 2 @0", "A head 0 @0", "V key 9 @0", "A sound 8 @0"], &[], false),
        ("a track less", &["V head 1 @0", "V key 9 @0", "V inter 10 @40"], &[], false),
        ("nothing", &[], &[], true),
    ];
    for how in ["lost", "replaced"] {
        for (what, again, fragments, goes_on) in &rows {
            println!("{what} {how}");
            let server = start("-grace 5s");
            let mut first = server.publisher("x");
            send(&mut first, BOTH);
            let mut viewer = Mp4Viewer::playing(&server, "/live/x.mp4");
            viewer.expect(&["v!@0:1,3 s@0:2"]);
            if how == "lost" {
                first.vanish();
                wait_until("the loss", || {
                    server.server().snapshot().streams[0].publisher.is_none()
                });
            }
            let mut second = server.publisher("x");
            send(&mut second, again);
            viewer.expect(fragments);
            if *goes_on {
                server.wait_for_count((2, 1, 1));
                finish(&mut second);
            }
            viewer.expect_end();
        }
    }
}

#[test]
fn a_lost_stream_ends_whole_after_the_grace() {
    let server = start("-grace 300ms");
    let mut publisher = server.publisher("x");
    send(&mut publisher, BOTH);
    send(&mut publisher, &["A sound 4 @23"]);
    let mut viewer = Mp4Viewer::playing(&server, "/live/x.mp4");
    publisher.vanish();
    viewer.expect(&["v!@0:1,3 s@0:2", "s@23:4"]);
    viewer.expect_end();
}

#[test]
fn without_a_keyframe_a_viewer_begins_with_sound() {
    let server = start("-gop-cache=false");
    let mut publisher = server.publisher("x");
    send(&mut publisher, BOTH);
    let joining = Mp4Viewer::joining(&server, "/live/x.mp4");
    let began = Instant::now();
    let mut time = 40;
    while began.elapsed() < Duration::from_millis(3300) {
        time += 40;
        let lines = [format!("A sound 1 @{time}"), format!("V inter 2 @{time}")];
        lines.iter().for_each(|line| publisher.send(&real(line)));
        thread::sleep(Duration::from_millis(40));
    }
    publisher.send(&real(&format!("V key 3 @{}", time + 40)));
    let mut viewer = joining.join().expect("a viewer");
    let first = viewer.describe();
    assert!(first.starts_with("s@"), "{first}");
    let fragments: Vec<String> = std::iter::repeat_with(|| viewer.describe())
        .take_while(|fragment| !fragment.contains('!'))
        .collect();
    assert!(
        fragments.iter().all(|fragment| fragment.starts_with("s@")),
        "{fragments:?}"
    );
}

/// A message of sound or pictures of Enhanced RTMP.
fn enhanced(kind: MessageType, time: u32, payload: &[u8]) -> Message {
    Message {
        timestamp: Timestamp(time),
        ..Message::untimed(kind, StreamId(1), payload.to_vec())
    }
}

/// Two tracks of pictures and two of sound, whose frames are the number of the track.
fn send_tracks(publisher: &mut Client) {
    let (video, audio) = (MessageType::VIDEO, MessageType::AUDIO);
    let config = super::AVC_CONFIG;
    for track in 0..2 {
        let header = [&b"\x96\x00avc1"[..], &[track], config].concat();
        publisher.send(&enhanced(video, 0, &header));
        let header = [&b"\x95\x00mp4a"[..], &[track], super::AAC_CONFIG].concat();
        publisher.send(&enhanced(audio, 0, &header));
    }
    for (kind, time, front) in [
        (video, 0, b"\x96\x03avc1"),
        (audio, 0, b"\x95\x01mp4a"),
        (video, 40, b"\xa6\x03avc1"),
    ] {
        for track in 0..2 {
            publisher.send(&enhanced(
                kind,
                time,
                &[&front[..], &[track, track]].concat(),
            ));
        }
    }
    settle(publisher);
}

#[test]
fn one_track_of_each_kind_is_chosen() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send_tracks(&mut publisher);
    let mut viewers = Vec::new();
    #[rustfmt::skip]
    let rows = [
        ("?video=0&audio=0", ["v!@0:0,0 s@0:0"]),
        ("?video=1", ["v!@0:1,1 s@0:0"]),
        ("?audio=1&video=1", ["v!@0:1,1 s@0:1"]),
        ("?video=0", ["v!@0:0,0 s@0:0"]),
        // The usual choice has a place of its own.
        ("", ["v!@0:0,0 s@0:0"]),
    ];
    for (query, want) in rows {
        let mut viewer = Mp4Viewer::playing(&server, &format!("/live/x.mp4{query}"));
        viewer.expect(&want);
        viewers.push(viewer);
    }
    let refusals = [
        ("?audio=1", 503, "too many choices of tracks are watched\n"),
        (
            "?video=256",
            400,
            "video and audio are numbers of tracks, 0 to 255\n",
        ),
        (
            "?audio=x",
            400,
            "video and audio are numbers of tracks, 0 to 255\n",
        ),
    ];
    for (query, status, text) in refusals {
        let reply = HttpReply::get(server.media_addr(), &format!("/live/x.mp4{query}"));
        assert_eq!(reply.status, status, "{query}");
        assert_eq!(reply.text(), text, "{query}");
    }
    // A viewer of each, and those who share.
    let second = Mp4Viewer::playing(&server, "/live/x.mp4?video=1");
    server.wait_for_count((7, 1, 6));
    drop((viewers, second));
    server.wait_for_count((1, 1, 0));
    // Nobody watches the others any more.
    let mut viewer = Mp4Viewer::playing(&server, "/live/x.mp4?audio=1");
    viewer.expect(&["v!@0:0,0 s@0:1"]);
}

#[test]
fn a_stream_without_a_place_in_mp4_is_refused() {
    let (video, audio) = (MessageType::VIDEO, MessageType::AUDIO);
    let none = "no track of the stream has a place in MP4\n";
    #[rustfmt::skip]
    let rows: [(&str, &str, &[Message], u16, &str); 4] = [
        ("Speex", "", &[enhanced(audio, 0, b"\xb6x"), enhanced(audio, 1000, b"\xb6x")], 415, none),
        ("H.263", "", &[enhanced(video, 0, b"\x12x"), enhanced(video, 1000, b"\x22x")], 415, none),
        ("H.266", "", &[enhanced(video, 0, b"\x90vvc1x"), enhanced(video, 0, b"\x91vvc1\0\0\0x"), enhanced(video, 1000, b"\xa1vvc1\0\0\0x")], 415, none),
        ("a track that is not there", "?video=7", &[real("V head 1 @0"), real("V key 1 @0"), real("V inter 1 @1000")], 404, "the stream has no such track\n"),
    ];
    for (what, query, messages, status, text) in rows {
        let server = start("");
        let mut publisher = server.publisher("x");
        publisher.send(&real("D meta 1 @0"));
        let (addr, path) = (server.media_addr(), format!("/live/x.mp4{query}"));
        let asking = thread::spawn(move || {
            let reply = HttpReply::get(addr, &path);
            (reply.status, reply.text())
        });
        server.wait_for_count((2, 1, 1));
        messages.iter().for_each(|message| publisher.send(message));
        assert_eq!(
            asking.join().expect("a reply"),
            (status, text.to_owned()),
            "{what}"
        );
        server.wait_for_count((1, 1, 0));
    }
}

#[test]
fn a_track_without_a_place_in_mp4_is_left_out_and_told_of() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0", "V key 1 @0"]);
    for payload in [b"\xb6x", b"\x72x", b"\xb6x", b"\x72x"] {
        publisher.send(&enhanced(MessageType::AUDIO, 0, payload));
    }
    settle(&mut publisher);
    let mut viewer = Mp4Viewer::playing(&server, "/live/x.mp4");
    viewer.expect(&["v!@0:1"]);
    let left_out = server.server().snapshot().streams[0].left_out.clone();
    assert_eq!(left_out, ["G711A", "Speex"]);
}

#[test]
fn a_viewer_is_told_of_like_any_other() {
    let server = start("-wait-stream 5s");
    let joining = Mp4Viewer::joining(&server, "/live/x.mp4");
    let mut publisher = server.publisher("x");
    send(&mut publisher, BOTH);
    let mut viewer = joining.join().expect("a viewer");
    viewer.expect(&["v!@0:1,3 s@0:2"]);
    assert!(viewer.content_type.contains(AVC));
    let watch = server.server().watch();
    let connections = watch.snapshot().connections;
    let player = connections
        .iter()
        .find(|peer| peer.role == "subscriber")
        .expect("a player");
    assert_eq!(player.protocol, Protocol::HttpMp4);
    assert!(watch.hang_up_connection(&player.id));
    assert!(viewer.fragment().is_err(), "the response is complete");
    server.wait_for_count((1, 1, 0));
}
