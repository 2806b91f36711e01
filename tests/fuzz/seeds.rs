//! What fuzzing begins with: vectors, captures and the other test data, each as the inputs of a target.

use crate::targets::draw::blob;
use crate::targets::{Seeds, TextKind, session, stream};
use rtmp_server::amf0::{self, Value};
use rtmp_server::rtmp::chunk::Decoder;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the chunks of a capture begin: behind version and two packets.
const HANDSHAKE_LEN: usize = 1 + 2 * 1536;

/// How much of a payload of a stream is kept: headers are shorter, and of frames the front says all.
const PAYLOAD_LEN_MAX: usize = 180;

/// Messages of a capture that make a seed.
const MESSAGES_MAX: usize = 60;

/// The folder of the test data, also seen from a package in a folder below.
fn testdata() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let testdata = folders.find_map(|folder| {
        let path = folder.join("testdata");
        path.is_dir().then_some(path)
    });
    testdata.expect("testdata")
}

/// The files of a folder whose names end so, in order: name and bytes.
fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = testdata().join(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name.ends_with(ending) {
            files.push((name, fs::read(&path).expect("a file")));
        }
    }
    files.sort();
    files
}

fn text(name: &str) -> String {
    fs::read_to_string(testdata().join(name)).expect("a text")
}

/// Bytes in hex.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.map_while(byte).collect()
}

/// Vectors of the groups that these letters name.
fn vectors(groups: &str) -> Vec<(String, Vec<u8>)> {
    let vectors = files("vectors", ".bin").into_iter();
    vectors
        .filter(|(name, _)| name.starts_with(|c| groups.contains(c)))
        .collect()
}

/// The messages of chunks, up to the first error.
fn messages(mut chunks: &[u8]) -> Vec<Message> {
    let mut decoder = Decoder::default();
    std::iter::from_fn(|| decoder.decode(&mut chunks).ok().flatten()).collect()
}

fn captures() -> Vec<Vec<Message>> {
    let captures = files("captures", ".bin").into_iter();
    let captures =
        captures.map(|(_, bytes)| messages(bytes.get(HANDSHAKE_LEN..).unwrap_or_default()));
    captures.filter(|messages| !messages.is_empty()).collect()
}

/// Rows of `mp4.txt`: `v@40:2701…`, words that are messages.
fn rows_of_mp4() -> Vec<Vec<Message>> {
    let text = text("mp4.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.map(|line| line.split_whitespace().filter_map(word).collect());
    rows.filter(|row: &Vec<Message>| !row.is_empty()).collect()
}

fn word(word: &str) -> Option<Message> {
    let (front, hex) = word.split_once(':')?;
    let (medium, ms) = front.split_once('@').unwrap_or((front, "0"));
    let kind = match medium {
        "v" => MessageType::VIDEO,
        "a" => MessageType::AUDIO,
        _ => return None,
    };
    Some(Message {
        timestamp: Timestamp(ms.parse().ok()?),
        ..Message::untimed(kind, StreamId(1), bytes(hex))
    })
}

/// Payloads of audio and video, each with its type.
fn payloads() -> Vec<(MessageType, Vec<u8>)> {
    let rows = text("vectors.txt");
    let is_audio = |name: &str| {
        let row = rows
            .lines()
            .find(|row| row.starts_with(name.trim_end_matches(".bin")));
        row.is_some_and(|row| row.contains("  audio"))
    };
    let kind = |name: &str| match is_audio(name) {
        true => MessageType::AUDIO,
        false => MessageType::VIDEO,
    };
    let vectors = vectors("M")
        .into_iter()
        .map(|(name, bytes)| (kind(&name), bytes));
    let rows = rows_of_mp4().into_iter().flatten();
    let rows = rows.map(|message| (message.kind, message.payload.to_vec()));
    vectors.chain(rows).collect()
}

/// Streams of media of all kinds.
fn streams() -> Vec<Vec<u8>> {
    let publish = captures().into_iter().filter(|messages| {
        let media = messages
            .iter()
            .filter(|message| message.kind == MessageType::VIDEO);
        media.count() > 2
    });
    let rows = rows_of_mp4().into_iter();
    let mut streams: Vec<Vec<u8>> = publish
        .chain(rows)
        .map(|messages| {
            let media = messages.into_iter().filter(|message| message.kind.0 >= 8);
            let media: Vec<Message> = media.take(MESSAGES_MAX).collect();
            stream::written(&media, PAYLOAD_LEN_MAX)
        })
        .collect();
    let steady = steady();
    streams.push(stream::written(&steady, PAYLOAD_LEN_MAX));
    let two_of_each = steady
        .iter()
        .flat_map(|message| [0, 1].map(|id| stream::of_track(message, id)));
    let two_of_each: Vec<Message> = two_of_each.collect();
    streams.push(stream::written(&two_of_each, PAYLOAD_LEN_MAX));
    // The same with all that can happen to a stream in between.
    let eventful = (0..32)
        .zip(steady.chunks(9))
        .flat_map(|(number, messages)| {
            let messages = stream::written(messages, PAYLOAD_LEN_MAX);
            [messages, vec![stream::EVENT | number << 3]].concat()
        });
    streams.push(eventful.collect());
    streams
}

/// Ten seconds of pictures and sound, with a keyframe each second, and little in them.
fn steady() -> Vec<Message> {
    let rows = rows_of_mp4().into_iter().flatten();
    let mut headers = rows.filter(|message| {
        message.payload.starts_with(&[0x17, 0]) || message.payload.starts_with(&[0xaf, 0])
    });
    let avc = headers
        .by_ref()
        .find(|message| message.kind == MessageType::VIDEO);
    let aac = headers.find(|message| message.kind == MessageType::AUDIO);
    let frame = |kind, ms, payload: &[u8]| Message {
        timestamp: Timestamp(ms),
        ..Message::untimed(kind, StreamId(1), payload.to_vec())
    };
    let mut media: Vec<Message> = avc.into_iter().chain(aac).collect();
    for index in 0..100_u32 {
        let first = if index % 10 == 0 { 0x17 } else { 0x27 };
        media.push(frame(
            MessageType::VIDEO,
            index * 100,
            &[first, 1, 0, 0, 0, index as u8],
        ));
        media.push(frame(
            MessageType::AUDIO,
            index * 100 + 5,
            &[0xaf, 1, index as u8],
        ));
    }
    media
}

fn conversations() -> Vec<Vec<u8>> {
    let vectors = vectors("DEGJ")
        .into_iter()
        .map(|(_, bytes)| messages(&bytes));
    let all: Vec<Message> = vectors.flatten().collect();
    let captures = captures()
        .into_iter()
        .map(|messages| session::written(&messages[..messages.len().min(20)]));
    let one_by_one = all.chunks(6).map(session::written);
    // Streams that are published and played by commands with a number of their own, at once and later.
    let app = amf0::encode(&[Value::object([("app", Value::text("live"))])]);
    let name = amf0::encode(&[Value::Null, Value::text("cam")]);
    let begin = [&[0xc0, 0, 1][..], &blob(&app), &[0xc1, 0, 2, 1, 5]].concat();
    let requests = [0xc2, 0xc3, 0xf2, 0xf3].map(|head| {
        let request = [&[head, 1, 3][..], &blob(&name)].concat();
        let rest = [0x29, 1, 0, 0, 3, 0x17, 1, 0, 0xc4, 0, 4, 1, 5];
        [&begin[..], &request, &rest].concat()
    });
    let told = told_to_clients().into_iter();
    captures
        .chain(one_by_one)
        .chain(requests)
        .chain(told)
        .collect()
}

/// What sends a client elsewhere: a rejection that names another address, and a request to connect anew.
fn told_to_clients() -> Vec<Vec<u8>> {
    let redirect = Value::object([
        ("code", Value::Number(302.0)),
        ("redirect", Value::text("rtmp://other/live")),
    ]);
    let rejected = Value::object([
        ("level", Value::text("error")),
        ("code", Value::text("NetConnection.Connect.Rejected")),
        ("ex", redirect),
    ]);
    let anew = Value::object([
        ("level", Value::text("status")),
        (
            "code",
            Value::text("NetConnection.Connect.ReconnectRequest"),
        ),
        ("tcUrl", Value::text("rtmp://other/live")),
    ]);
    let calls = [("_error", 1.0, rejected), ("onStatus", 0.0, anew)];
    let message = |(name, number, info)| {
        let values = [Value::text(name), Value::Number(number), Value::Null, info];
        let payload = amf0::encode(&values);
        let message = Message::untimed(MessageType::COMMAND, StreamId::CONTROL, payload);
        // Behind what it wants.
        [vec![0], session::written(&[message])].concat()
    };
    calls.map(message).into()
}

fn chunk_streams() -> Vec<Vec<u8>> {
    let captures = files("captures", ".bin").into_iter();
    let captures = captures.filter_map(|(_, bytes)| Some(bytes.get(HANDSHAKE_LEN..)?.to_vec()));
    let captures = captures.map(|bytes| bytes[..bytes.len().min(6000)].to_vec());
    let vectors = vectors("BCDEGJ").into_iter().map(|(_, bytes)| bytes);
    let front = |bytes: Vec<u8>| [&[2, 12, 200, 2][..], &bytes].concat();
    captures.chain(vectors).map(front).collect()
}

/// Everything that a target begins with.
pub fn of(seeds: Seeds) -> Vec<Vec<u8>> {
    let plain = |vectors: Vec<(String, Vec<u8>)>| -> Vec<Vec<u8>> {
        vectors.into_iter().map(|(_, bytes)| bytes).collect()
    };
    let behind = |front: &[u8], bytes: Vec<u8>| [front, &bytes].concat();
    let mut found = match seeds {
        Seeds::Chunks => chunk_streams(),
        Seeds::Handshakes => plain(vectors("H")),
        Seeds::Values => plain(vectors("F")),
        Seeds::Payloads => vectors("DEGM")
            .into_iter()
            .flat_map(|(_, bytes)| messages(&bytes))
            .chain(
                captures()
                    .into_iter()
                    .flat_map(|messages| messages.into_iter().take(8)),
            )
            .map(|message| behind(&[message.kind.0], message.payload.to_vec()))
            .collect(),
        Seeds::Aggregates => {
            let parts = vectors("J")
                .into_iter()
                .flat_map(|(_, bytes)| messages(&bytes));
            let parts = parts.map(|message| message.payload.to_vec());
            let tags = plain(vectors("L")).into_iter();
            parts
                .chain(tags)
                .map(|bytes| behind(&[0, 0, 1, 0], bytes))
                .collect()
        }
        Seeds::Conversations => conversations(),
        Seeds::Packets => payloads()
            .into_iter()
            .map(|(kind, bytes)| behind(&[u8::from(kind == MessageType::VIDEO)], bytes))
            .collect(),
        Seeds::Media(front) => {
            let streams = streams().into_iter();
            streams
                .map(|bytes| behind(&vec![9; front], bytes))
                .collect()
        }
        Seeds::Proxy => text("proxy.txt")
            .lines()
            .filter_map(|line| Some(bytes(line.split_once(" | ")?.0)))
            .collect(),
        Seeds::Texts(kind) => texts(kind),
    };
    found.retain(|seed| !seed.is_empty());
    found.sort();
    found.dedup();
    found
}

fn blobs(texts: &[&str]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| blob(text.as_bytes()))
        .collect()
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn texts(kind: TextKind) -> Vec<Vec<u8>> {
    match kind {
        TextKind::Json => owned(JSON),
        TextKind::Requests => owned(REQUESTS),
        TextKind::Replies => owned(REPLIES),
        TextKind::Flags => {
            let lines = text("server/wrong_flags.txt");
            let lines = lines
                .lines()
                .map(|line| line.replace(' ', "\n").into_bytes());
            lines.chain(owned(FLAGS)).collect()
        }
        TextKind::Values => VALUES
            .iter()
            .map(|(flag, value)| [vec![*flag], blob(value.as_bytes())].concat())
            .collect(),
        TextKind::File => {
            let flags = FLAGS
                .iter()
                .map(|line| line.replace("\n-", "\n").replace('=', " "));
            let flags = flags.map(|line| line.trim_start_matches('-').as_bytes().to_vec());
            flags.chain(owned(FILES)).collect()
        }
        TextKind::StreamKeys => NAMES
            .iter()
            .map(|(app, name)| blobs(&[app, name]))
            .collect(),
        TextKind::Names => {
            let names = NAMES
                .iter()
                .map(|(_, name)| [vec![1], blobs(&[name])].concat());
            let disturbed = [1, 2, 3, 4].map(|what| {
                [
                    &[0][..],
                    &blobs(&["cam"]),
                    &[0, 0, what, 0, 9, 1, 0, 0, what, 5],
                ]
                .concat()
            });
            names.chain(disturbed).collect()
        }
        TextKind::SignedQueries => QUERIES
            .iter()
            .map(|(query, key)| [&[0x65, 0, 0, 0, 1, 0][..], &blobs(&[query, key])].concat())
            .collect(),
        TextKind::Patterns => PATTERNS
            .iter()
            .map(|(pattern, key)| {
                let time = [7, 0xea, 11, 25, 19, 5, 0];
                [&[0, 0, 0, 9, 0][..], &blobs(&[pattern, key]), &time].concat()
            })
            .collect(),
        TextKind::Urls => owned(URLS),
        TextKind::Shown => SHOWN
            .iter()
            .map(|(secret, text)| [&blobs(&[secret, "tok"])[..], text.as_bytes()].concat())
            .collect(),
    }
}

const JSON: &[&str] = &[
    r#"{"live/cam":"token","live/*":{"publish":"a","play":"b"},"*":"c"}"#,
    r#"[null,true,false,-0,1.5e300,-9223372036854775808,18446744073709551615,"\ud83d\ude00\u0000\n\/"]"#,
    r#"{"a":{"b":[[[]]]},"a":1e-7,"":0.1}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    " \t\r\n\"\u{2028}\u{feff}é\" ",
];

const REQUESTS: &[&str] = &[
    "GET /live/cam.flv?token=a HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAuthorization: Bearer t\r\n\r\nGET * HTTP/1.0\r\n\r\n",
    "\r\nDELETE http://h:1/a%41?b HTTP/1.1\r\nConnection: keep-alive, close\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\nVia: x\r\nOrigin: http://o\r\n\r\n",
    "OPTIONS * HTTP/1.1\nHost:a\nTransfer-Encoding: chunked\n\n",
    "HEAD / HTTP/2.0\r\n\r\n",
];

const REPLIES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 302 F\r\nLocation: rtmp://a/b\r\nTransfer-Encoding: Chunked\r\n\r\n3;x\r\nabc\r\n0A \r\n0123456789\r\n0\r\nT: x\r\n\r\n",
    "HTTP/1.0 404 N\n\nrest",
    "HTTP/1.1 204 N\r\nContent-Length: 1048577\r\n\r\n",
];

const FLAGS: &[&str] = &[
    "-listen\n:1935\n-log-level=debug\n--chunk-size=4096\n-record-all\ntrue\n-record-dir\nd\n-segment-duration\n5s\n-segment-pattern\n%s_%T/%03d",
    "-auth-mode=token\n-auth-token\nlive/cam=secret\n-auth-token=live/*=other\n-allow-publish\n10.0.0.0/8\n-allow-play=2001:db8::/32",
    "-relay-to\nlive/*=rtmp://h:1935/{app}?k=1\n-pull\nlive/cam=rtmps://h/a/b\n-pull-on-demand\n-wait-stream=3s",
    "-hook-script\npublish_start=/bin/true\n-hook-webhook=play_start=http://h/x\n-hook-stdio-format\njson\n-hook-timeout=1h30m",
    "-metrics-addr\n127.0.0.1:0\n-http-listen\n:0\n-hls-segment=2s\n-hls-part=500ms\n-http-origin=https://a.example\n-gop-cache\nno",
    "-auth-mode\nsigned\n-auth-secret\nabcdefghijklmnopqrstuvwxyz012345\n-sign=play:live/cam\n-sign-for\n2h",
    "-tls-listen=:443\n-tls-cert=c\n-tls-key=k\n-proxy-listen=:1\n-proxy-from=::1\n-notify=on_play=http://h/\n-notify-method=get\n-check",
];

/// Settings by the number of their flag.
const VALUES: &[(u8, &str)] = &[
    (0, ":1935"),
    (3, "127.0.0.1:0"),
    (6, "true"),
    (9, "5s"),
    (12, "live/cam=x"),
    (15, "rtmp://h/a"),
    (18, "http://h/x"),
    (21, "10.0.0.0/8"),
    (24, "1h30m"),
    (27, "%s_%T"),
    (30, "json"),
    (33, "play:live/*"),
    (36, "publish_start=/x"),
    (39, "on_play=http://h"),
    (42, "65536"),
    (45, "no"),
    (48, "4m"),
];

const FILES: &[&str] = &[
    "\u{feff}# a comment\r\nlisten :1\r\n\tgrace \t 1s \nrun-on-publish ffmpeg -i \"$1\" '#x' # y = z\n",
    "pull x=rtmp://h/a/b\npull-on-demand\nwait-stream 2s\nauth-mode token\nauth-token x=y\n",
];

const NAMES: &[(&str, &str)] = &[
    ("live", "cam"),
    ("live?token=a&b", "cam?token=c"),
    ("a/b/", "//c.flv"),
    ("cam?", "token=x"),
    ("live", "mp4:my%20cam%3Ftoken%3Dx"),
    ("l%41%ff", "..%2f%2e%00"),
    ("live", ""),
    ("", "x?y"),
];

const QUERIES: &[(&str, &str)] = &[
    ("exp=1700000000&sig=HS256-abc", "live/cam"),
    (
        "exp=99999999999999999999&sig=x&for=live%2F*&ip=127.0.0.1",
        "live/*",
    ),
    ("for=a%0Ab&exp=1&sig=", "a b"),
    ("ip=::1&exp=1694000000&sig=HS256-x", "live/c%41m"),
];

const PATTERNS: &[(&str, &str)] = &[
    ("%s_%T_seg%03d", "live/cam"),
    ("%Y/%m/%D/%H%M%S-%d.flv", ".hidden/ä"),
    (
        "%s%s%s%%",
        "a/very/long/key/of/many/parts/that/is/cut/somewhere",
    ),
    ("../%d", "x"),
    ("%9d%09d/x.mp4", "é"),
];

const URLS: &[&str] = &[
    "rtmp://user:sEcReT@host/app",
    "rtmps://host:443/{app}/{name}?k=sEcReT",
    "live/*=rtmp://[::1]:1935/a/b/c?x",
    "http://user:sEcReT@host:8080/path?q=sEcReT#f",
    "https://[2001:db8::1]",
    "192.0.2.0/24",
    "::ffff:10.0.0.0/104",
    "2001:db8::/32",
    "*=rtmp://h/{key}/{x}",
];

const SHOWN: &[(&str, &str)] = &[
    (
        "hunter2",
        "cannot open rtmp://u:p@h/app/hunter2?token=hunter2: refused (hunter2)",
    ),
    (
        "key",
        "a \u{202e}line\r\n\u{1b}[31mred https://h/x?y=z, \"rtmps://h/a/b/c\"",
    ),
    ("s3cr", "user:pw@host a?b ?c"),
];
