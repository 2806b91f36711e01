//! HLS over sockets: playlists that are waited for, segments, and viewers without a connection.

use super::{finish, real, send, settle, start};
use crate::support::http::HttpReply;
use crate::support::readers::mp4_reader;
use crate::support::readers::playlist_reader::{self, Playlist, SECOND};
use crate::support::web_service::{Manner, WebService};
use crate::support::{Client, TestServer, wait_until};
use rtmp_server::admin::AdminSource;
use rtmp_server::args::{self, Invocation};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use rtmp_server::stats::Protocol;
use std::io::Read;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pictures and sound from second `from` to `to`, 25 pictures a second and a keyframe each second.
pub(super) fn seconds(publisher: &mut Client, from: u32, to: u32) {
    for number in from * 25..to * 25 {
        let what = if number.is_multiple_of(25) {
            "key"
        } else {
            "inter"
        };
        let time = number * 40;
        publisher.send(&real(&format!("V {what} 1 @{time}")));
        publisher.send(&real(&format!("A sound 1 @{time}")));
    }
}

/// A publisher that has sent this many seconds.
fn publishing(server: &TestServer, name: &str, count: u32) -> Client {
    let mut publisher = Client::publishing(server.addr, name);
    send(&mut publisher, &["V head 1 @0", "A head 1 @0"]);
    seconds(&mut publisher, 0, count);
    settle(&mut publisher);
    publisher
}

/// A publisher that has sent five seconds, and the multivariant playlist that was asked for with this
/// query meanwhile: what came before is not all kept.
pub(super) fn watched(server: &TestServer, query: &str) -> (Client, String) {
    let mut publisher = publishing(server, &format!("cam{query}"), 1);
    let index = asking(server, &format!("/live/cam/index.m3u8{query}"));
    seconds(&mut publisher, 1, 6);
    let (status, index) = index.join().expect("a reply");
    assert_eq!(status, 200, "{index}");
    settle(&mut publisher);
    (publisher, index)
}

/// The playlist of one that is [`watched`], with all that was sent: what is not cut yet is less than a
/// part.
fn complete(server: &TestServer, uri: &str) -> Playlist {
    wait_until("all that was sent", || {
        playlist(server, uri).duration() >= 11 * SECOND / 2
    });
    playlist(server, uri)
}

pub(super) fn get(server: &TestServer, path: &str) -> HttpReply {
    HttpReply::get(server.media_addr(), path)
}

fn bytes(mut reply: HttpReply) -> Vec<u8> {
    assert_eq!(reply.status, 200);
    let mut bytes = Vec::new();
    reply.body.read_to_end(&mut bytes).expect("the whole body");
    bytes
}

pub(super) fn playlist(server: &TestServer, path: &str) -> Playlist {
    let reply = get(server, path);
    let content_type = Some("application/vnd.apple.mpegurl");
    assert_eq!(
        (reply.status, reply.header("Content-Type")),
        (200, content_type)
    );
    let text = reply.text();
    playlist_reader::read(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"))
}

/// A request that is answered later.
pub(super) fn asking(server: &TestServer, path: &str) -> JoinHandle<(u16, String)> {
    let (addr, path) = (server.media_addr(), path.to_owned());
    let thread = thread::spawn(move || {
        let mut reply = HttpReply::get(addr, &path);
        let (status, mut body) = (reply.status, Vec::new());
        reply.body.read_to_end(&mut body).expect("the whole body");
        (status, String::from_utf8_lossy(&body).into_owned())
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!thread.is_finished(), "it is answered at once");
    thread
}

/// The URI in the multivariant playlist.
pub(super) fn media_uri(index: &str) -> String {
    let uri = index.lines().find(|line| !line.starts_with('#'));
    format!("/live/cam/{}", uri.expect("a URI"))
}

#[test]
fn a_stream_is_playlists_and_what_they_name() {
    let server = start("");
    let (mut publisher, _) = watched(&server, "");
    let index = get(&server, "/live/cam/index.m3u8?a=1&_HLS_x=2");
    assert_eq!(index.header("Cache-Control"), Some("no-cache"));
    let index = index.text();
    assert!(
        index.contains("CODECS=\"avc1.42C00A,mp4a.40.2\",RESOLUTION=16x"),
        "{index}"
    );
    assert!(index.ends_with("\nstream.m3u8?a=1\n"), "{index}");
    let first = complete(&server, &media_uri(&index));
    assert!(first.segments.len() >= 2 && first.is_independent);
    for (query, cached) in [
        ("", "no-cache"),
        ("?_HLS_skip=YES", "no-cache"),
        ("?_HLS_msn=0", "max-age=2"),
    ] {
        let reply = get(&server, &format!("/live/cam/stream.m3u8{query}"));
        assert_eq!(reply.header("Cache-Control"), Some(cached), "{query}");
    }
    let file = |uri: &str| {
        let reply = get(&server, &format!("/live/cam/{uri}"));
        let immutable = Some("public, max-age=31536000, immutable");
        assert_eq!(reply.header("Cache-Control"), immutable);
        assert_eq!(reply.header("Content-Type"), Some("video/mp4"));
        bytes(reply)
    };
    let last = first.segments.last().expect("a segment");
    let whole = file(&last.uri);
    let parts: Vec<u8> = last.parts.iter().flat_map(|part| file(&part.uri)).collect();
    assert!(whole == parts && !whole.is_empty());
    // All segments are one file, whatever came before the first.
    let segments = first.segments.iter().flat_map(|segment| file(&segment.uri));
    let movie = mp4_reader::read(
        &file(&last.map)
            .into_iter()
            .chain(segments)
            .collect::<Vec<_>>(),
    );
    let pictures = movie.expect("a file").tracks[0].samples.len();
    assert!(pictures >= 50, "{pictures}");
    // What is hinted at is waited for, and then it is there.
    let hint = first.hint.expect("a hint");
    let part = asking(&server, &format!("/live/cam/{hint}"));
    seconds(&mut publisher, 6, 7);
    assert_eq!(part.join().expect("a reply").0, 200);
    // Names that are none.
    for path in [
        "/live/cam/0123.m4s",
        "/live/cam/video0.m3u8",
        "/live/none/index.m3u8",
    ] {
        let began = Instant::now();
        let reply = get(&server, path);
        assert_eq!(
            (reply.status, reply.header("Cache-Control")),
            (404, Some("no-store")),
            "{path}"
        );
        assert!(began.elapsed() < Duration::from_secs(2), "{path}");
    }
}

#[test]
fn a_playlist_is_waited_for_up_to_the_end() {
    let server = start("-grace 20s");
    let (mut publisher, _) = watched(&server, "");
    let uri = "/live/cam/stream.m3u8";
    let next = complete(&server, uri).open_sequence();
    let wait = format!("{uri}?_HLS_msn={next}");
    let first = asking(&server, &wait);
    seconds(&mut publisher, 6, 9);
    let (status, text) = first.join().expect("a reply");
    assert_eq!(status, 200);
    assert!(
        playlist_reader::read(&text)
            .expect("a playlist")
            .open_sequence()
            > next
    );
    let cached = get(&server, &wait);
    assert_eq!(cached.header("Cache-Control"), Some("max-age=2"));
    let far = next + 99;
    for query in [
        "_HLS_part=1",
        "_HLS_msn=x",
        &format!("_HLS_msn={far}"),
        &format!("_HLS_msn={far}&_HLS_part=0"),
    ] {
        let status = get(&server, &format!("{uri}?{query}")).status;
        assert_eq!(status, 400, "{query}");
    }
    // Lost: who waits is told at once; back: a discontinuity.
    let waiting = |server: &TestServer| {
        let next = playlist(server, uri).open_sequence() + 1;
        asking(server, &format!("{uri}?_HLS_msn={next}&_HLS_part=0"))
    };
    let lost = waiting(&server);
    publisher.vanish();
    assert_eq!(lost.join().expect("a reply").0, 503);
    let mut again = publishing(&server, "cam", 3);
    wait_until("the publisher's return", || {
        playlist(&server, uri)
            .all()
            .any(|segment| segment.is_discontinuity)
    });
    // Over: who waits is told that as well, and it stays readable.
    let over = waiting(&server);
    finish(&mut again);
    let (status, text) = over.join().expect("a reply");
    assert!(
        status == 200 && text.ends_with("#EXT-X-ENDLIST\n"),
        "{status} {text}"
    );
    let ended = playlist(&server, uri);
    assert!(ended.is_over);
    let last = ended.segments.last().expect("a segment");
    assert_eq!(get(&server, &format!("/live/cam/{}", last.uri)).status, 200);
    assert_eq!(get(&server, "/live/cam/index.m3u8").status, 200);
    // Published anew, it is another stream, and this one stays as it is.
    let (_publisher, index) = watched(&server, "");
    assert!(!playlist(&server, &media_uri(&index)).is_over);
    assert_eq!(get(&server, uri).text(), text);
}

#[test]
fn who_has_to_show_a_token_gets_a_session() {
    let server = start("-auth-mode token -auth-token live/*=s3cret");
    let (_publisher, index) = watched(&server, "?token=s3cret");
    for path in [
        "index.m3u8",
        "index.m3u8?token=x",
        "stream.m3u8",
        "stream.m3u8?_session=0123",
    ] {
        assert_eq!(
            get(&server, &format!("/live/cam/{path}")).status,
            403,
            "{path}"
        );
    }
    let uri = media_uri(&index);
    let (before, session) = uri
        .split_once("stream.m3u8?token=s3cret&_session=")
        .expect("a session");
    assert_eq!(session.len(), 32);
    let first = playlist(&server, &uri);
    // The session is enough from now on, and it is one viewer.
    let bare = format!("{before}stream.m3u8?_session={session}");
    playlist(&server, &bare);
    assert_eq!(server.server().count().2, 1);
    let segment = &first.segments[0].uri;
    assert!(!segment.contains("s3cret") && !segment.contains(session));
    assert_eq!(get(&server, &format!("{before}{segment}")).status, 200);
    let other = get(&server, "/live/cam/index.m3u8?token=s3cret").text();
    assert_ne!(media_uri(&other), uri);
}

/// A service that is asked may have looked at the query, or at anything else.
#[test]
fn whom_a_service_lets_in_gets_a_session() {
    let web = WebService::start(Manner::Status(200));
    let server = start(&format!("-notify on_play={}", web.url("/")));
    let (_publisher, index) = watched(&server, "?token=x");
    let uri = media_uri(&index);
    assert!(uri.contains("?token=x&_session="), "{uri}");
}

#[test]
fn a_session_is_a_viewer_that_can_be_ended() {
    let server = start("");
    let (_publisher, _) = watched(&server, "");
    let agent = |name: &str, path: &str| {
        let request =
            format!("GET /live/cam/{path} HTTP/1.1\r\nHost: a\r\nUser-Agent: {name}\r\n\r\n");
        HttpReply::to(server.media_addr(), &request)
    };
    assert_eq!(agent("one/1", "index.m3u8").status, 200);
    // Where nobody has to show anything, a name of its own makes nobody another viewer.
    let named = format!("stream.m3u8?_session={}", "0".repeat(32));
    for (name, path) in [
        ("one/1", "stream.m3u8"),
        ("one/1", &named),
        ("two/2", "stream.m3u8"),
    ] {
        assert_eq!(agent(name, path).status, 200);
    }
    let watch = server.server().watch();
    let viewers = || {
        let connections = watch.snapshot().connections;
        let viewers = connections.into_iter();
        viewers
            .filter(|one| one.protocol == Protocol::Hls)
            .collect::<Vec<_>>()
    };
    let [one, _] = &viewers()[..] else {
        panic!("{:?}", viewers())
    };
    assert_eq!(
        (
            one.role,
            one.uses[0].stream_key.as_str(),
            one.flash_ver.as_str()
        ),
        ("subscriber", "live/cam", "one/1")
    );
    assert!(one.bytes_out > 1000, "{}", one.bytes_out);
    assert_eq!(server.server().snapshot().streams[0].viewers, 2);
    assert!(watch.hang_up_connection(&one.id));
    assert_eq!(agent("one/1", "stream.m3u8").status, 403);
    assert_eq!(agent("two/2", "stream.m3u8").status, 200);
    wait_until("one to be gone", || viewers().len() == 1);
}

#[test]
fn a_session_that_was_handed_out_is_not_checked_again() {
    let server = start("-auth-mode token -auth-token live/*=s3cret");
    let (_publisher, index) = watched(&server, "?token=s3cret");
    let bare = media_uri(&index).replace("token=s3cret&", "");
    playlist(&server, &bare);
    // A client does not choose its name.
    let own = format!("_session={}", "0".repeat(32));
    let index = get(&server, &format!("/live/cam/index.m3u8?token=s3cret&{own}"));
    assert!(!index.text().contains(&own));
    let bare = format!("/live/cam/stream.m3u8?{own}");
    assert_eq!(get(&server, &bare).status, 403);
}

#[test]
fn a_service_is_asked_once_and_sees_no_session() {
    let web = WebService::start(Manner::Status(200));
    let server = start(&format!(
        "-auth-mode callback -auth-callback {}",
        web.url("/")
    ));
    let (_publisher, index) = watched(&server, "?token=x");
    playlist(&server, &media_uri(&index));
    for number in 0..20 {
        let path = format!("/live/cam/stream.m3u8?token=x&_HLS_x={number}&_session={number:032x}");
        assert_eq!(get(&server, &path).status, 200);
    }
    let asked: Vec<String> = web.requests.try_iter().collect();
    assert_eq!(asked.len(), 2, "one to publish and one to play: {asked:?}");
    assert!(asked.iter().all(|question| !question.contains("_session")));
}

#[test]
fn a_viewer_that_was_ended_does_not_come_back_with_its_token() {
    let server = start("-auth-mode token -auth-token live/*=s3cret");
    let (_publisher, index) = watched(&server, "?token=s3cret");
    // Another session that it has in store.
    let stored = get(&server, "/live/cam/index.m3u8?token=s3cret").text();
    let uri = media_uri(&index);
    playlist(&server, &uri);
    let watch = server.server().watch();
    let connections = watch.snapshot().connections;
    let viewer = connections.iter().find(|one| one.protocol == Protocol::Hls);
    assert!(watch.hang_up_connection(&viewer.expect("a viewer").id));
    let own = format!(
        "/live/cam/stream.m3u8?token=s3cret&_session={}",
        "0".repeat(32)
    );
    for path in [
        "/live/cam/index.m3u8?token=s3cret",
        "/live/cam/index.m3u8?sig=1&token=s3cret",
        "/live/cam/stream.m3u8?token=s3cret",
        &own,
        &media_uri(&stored),
        &media_uri(&stored).replace("token=s3cret&", ""),
        &uri,
    ] {
        assert_eq!(get(&server, path).status, 403, "{path}");
    }
}

/// How many of the 40 viewers that an address makes up find room.
#[test]
fn an_address_has_its_share_whatever_it_calls_itself() {
    let rows = [
        ("-max-connections 32", 16),
        ("-max-connections-per-ip 12", 12),
        ("-max-connections 20 -max-connections-per-ip 30", 20),
    ];
    for (flags, want) in rows {
        let server = start(flags);
        let (_publisher, _) = watched(&server, "");
        let ask = |number: usize| {
            let request = format!(
                "GET /live/cam/stream.m3u8 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: {number}\r\n\r\n"
            );
            let mut reply = HttpReply::to(server.media_addr(), &request);
            let mut body = Vec::new();
            reply.body.read_to_end(&mut body).expect("the whole body");
            reply.status
        };
        let statuses: Vec<u16> = (0..40).map(ask).collect();
        let found = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(found, want, "{flags} {statuses:?}");
        assert!(statuses[want..].iter().all(|status| *status == 503));
        let snapshot = server.server().snapshot();
        assert_eq!(snapshot.streams[0].viewers, want);
    }
}

#[test]
fn what_has_no_place_in_mp4_is_told() {
    let server = start("");
    let mut publisher = Client::publishing(server.addr, "cam");
    let speex = |time: u32| Message {
        timestamp: Timestamp(time),
        ..Message::untimed(MessageType::AUDIO, StreamId(1), vec![0xb2, 1, 2])
    };
    publisher.send(&speex(0));
    settle(&mut publisher);
    let asked = asking(&server, "/live/cam/index.m3u8");
    (1..60).for_each(|number| publisher.send(&speex(20 * number)));
    let (status, text) = asked.join().expect("a reply");
    assert_eq!((status, text.lines().count()), (415, 1), "{text}");
}

#[test]
fn a_stop_ends_playlists() {
    let mut server = start("");
    let (_publisher, _) = watched(&server, "");
    let next = complete(&server, "/live/cam/stream.m3u8").open_sequence();
    let waiting = asking(&server, &format!("/live/cam/stream.m3u8?_HLS_msn={next}"));
    let began = Instant::now();
    assert!(server.stop(Duration::from_secs(5)));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let _ = waiting.join();
}

/// The target of parts in the media playlist of `live/NAME`.
fn part_target(server: &TestServer, name: &str) -> String {
    let (mut publisher, path) = (
        publishing(server, name, 1),
        format!("/live/{name}/index.m3u8"),
    );
    let index = asking(server, &path);
    seconds(&mut publisher, 1, 6);
    let (_, index) = index.join().expect("a reply");
    target_of(server, name, &index)
}

fn target_of(server: &TestServer, name: &str, index: &str) -> String {
    let uri = media_uri(index).replace("/cam/", &format!("/{name}/"));
    let text = get(server, &uri).text();
    let (_, rest) = text.split_once("PART-TARGET=").expect("a target");
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].to_owned()
}

#[test]
fn durations_change_with_the_next_start_of_a_playlist() {
    let server = start("-hls-part 200ms");
    let (_publisher, index) = watched(&server, "");
    let first = target_of(&server, "cam", &index);
    let line = "-hls-part 400ms -log-level error".split_whitespace();
    let Ok(Invocation::Run(config)) = args::parse(line.map(str::to_owned)) else {
        panic!("flags")
    };
    server.server().reload(&config).expect("a change");
    let still = target_of(&server, "cam", &index);
    let next = part_target(&server, "other");
    // On the grid of the sound, and a little more than asked for.
    let all = [&first, &still, &next].map(|target| &target[..3]);
    assert_eq!(all, ["0.2", "0.2", "0.4"]);
}
