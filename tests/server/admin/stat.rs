//! `/stat`, read by the rules of the tools that read it.

use super::Site;
use super::client;
use super::fixture::Fixture;
use crate::support::{TestServer, wait_until};
use rtmp_server::stats::Snapshot;
use std::time::{Duration, Instant};

/// An element, its children, and its text if it has none.
#[derive(Debug)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document of elements without attributes. Anything else is a fault.
    fn parse(document: &str) -> Element {
        let rest = document.strip_prefix("<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n");
        let mut rest = rest.expect("a declaration");
        let element = Element::read(&mut rest);
        assert_eq!(rest, "\r\n", "one root");
        element
    }

    fn read(rest: &mut &str) -> Element {
        let (tag, after) = rest
            .strip_prefix('<')
            .expect("a tag")
            .split_once('>')
            .expect("its end");
        *rest = after;
        let mut element = Element {
            name: tag.trim_end_matches('/').to_owned(),
            text: String::new(),
            children: Vec::new(),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(element.name.chars().all(plain), "{tag}");
        if tag.ends_with('/') {
            return element;
        }
        loop {
            let (text, _) = rest.split_once('<').expect("an end");
            *rest = &rest[text.len()..];
            element.text.push_str(text);
            if let Some(after) = rest.strip_prefix("</") {
                let end = format!("{}>", element.name);
                *rest = after.strip_prefix(end.as_str()).expect("the same name");
                if !element.children.is_empty() {
                    assert!(element.text.trim().is_empty(), "text beside elements");
                }
                return element;
            }
            element.children.push(Element::read(rest));
        }
    }

    fn all(&self, name: &str) -> Vec<&Element> {
        self.children
            .iter()
            .filter(|child| child.name == name)
            .collect()
    }

    fn maybe(&self, name: &str) -> Option<&Element> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} comes twice");
        all.first().copied()
    }

    fn one(&self, name: &str) -> &Element {
        let found = self.maybe(name);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.name))
    }

    fn text(&self, name: &str) -> String {
        let text = &self.one(name).text;
        let entities = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
        ];
        let text = entities
            .iter()
            .fold(text.clone(), |text, (from, to)| text.replace(from, to));
        text.replace("&amp;", "&")
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> T {
        let text = self.text(name);
        let number = text.parse().ok();
        number.unwrap_or_else(|| panic!("{name} is {text:?}"))
    }
}

/// What NOALBS reads of a stream: its bit rate in kbit/s, and `None` where it takes it as offline.
fn noalbs(rtmp: &Element, app: &str, name: &str) -> Option<u32> {
    let apps = rtmp.one("server").all("application");
    assert!(!apps.is_empty());
    let app = apps.into_iter().find(|one| one.text("name") == app)?;
    let streams = app
        .maybe("live")
        .map_or(Vec::new(), |live| live.all("stream"));
    let stream = streams.into_iter().find(|one| one.text("name") == name)?;
    if let Some(meta) = stream.maybe("meta") {
        let (video, audio) = (meta.one("video"), meta.one("audio"));
        let _: (f64, f64) = (video.number("frame_rate"), video.number("level"));
        let _: (u64, u64) = (audio.number("channels"), audio.number("sample_rate"));
    }
    stream.maybe("active")?;
    Some(stream.number::<u32>("bw_video") / 1024)
}

/// What nginx-rtmp-exporter reads: it wants everything there is. The viewers of all streams.
fn exporter(rtmp: &Element) -> usize {
    for name in ["nginx_version", "nginx_rtmp_version", "compiler", "built"] {
        assert!(!rtmp.text(name).is_empty());
    }
    let names = [
        "pid",
        "uptime",
        "naccepted",
        "bw_in",
        "bytes_in",
        "bw_out",
        "bytes_out",
    ];
    let _ = names.map(|name| rtmp.number::<u64>(name));
    let mut viewers = 0;
    for app in rtmp.one("server").all("application") {
        let live = app.one("live");
        let mut in_app = 0;
        for stream in live.all("stream") {
            let names = [
                "time",
                "bw_in",
                "bytes_in",
                "bw_out",
                "bytes_out",
                "bw_audio",
                "bw_video",
            ];
            let _ = names.map(|name| stream.number::<u64>(name));
            let clients = stream.all("client");
            assert_eq!(clients.len(), stream.number::<usize>("nclients"));
            assert!(!clients.is_empty());
            in_app += clients.len();
            viewers += clients.len() - 1;
            for client in clients {
                let _ = ["id", "time", "dropped", "avsync", "timestamp"]
                    .map(|name| client.number::<i64>(name));
                client.one("address");
                client.one("flashver");
                client.one("active");
            }
            let meta = stream.one("meta");
            let video = meta.one("video");
            let _ = ["width", "height"].map(|name| video.number::<u16>(name));
            let _ = ["frame_rate", "compat"].map(|name| video.number::<u32>(name));
            let _: f64 = video.number("level");
            let texts = [
                (video, "codec"),
                (video, "profile"),
                (meta.one("audio"), "codec"),
                (meta.one("audio"), "profile"),
            ];
            let _ = texts.map(|(element, name)| element.text(name));
        }
        assert_eq!(live.number::<usize>("nclients"), in_app);
    }
    viewers
}

#[test]
fn a_busy_server_is_read_by_all_tools() {
    let site = Site::start(12);
    let reply = site.get("/stat");
    assert_eq!(
        (reply.status, reply.header("Content-Type")),
        (200, Some("text/xml"))
    );
    let lines = reply.body.split_terminator("\r\n");
    assert!(lines.clone().all(|line| !line.contains('\n')) && lines.count() > 100);
    let rtmp = Element::parse(&reply.body);
    let snapshot = site.fixture.snapshot.lock().unwrap().clone();
    assert_eq!(rtmp.number::<u64>("naccepted"), snapshot.totals.connections);
    exporter(&rtmp);
    let mut seen = 0;
    for stream in &snapshot.streams {
        let (app, name) = stream.key.rsplit_once('/').unwrap();
        let rate = noalbs(&rtmp, app, name);
        assert_eq!(rate.is_some(), stream.publisher.is_some(), "{}", stream.key);
        seen += usize::from(rate.is_some());
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn an_idle_server_is_read_too() {
    let site = Site::telling(Fixture::new(Snapshot::default()));
    let rtmp = Element::parse(&site.get("/stat").body);
    assert_eq!(exporter(&rtmp), 0);
    assert_eq!(noalbs(&rtmp, "live", "cam"), None);
    assert_eq!(rtmp.one("server").all("application").len(), 1);
}

/// avcC of High 4.0 with the picture size 1920 × 1080, and AAC-LC of 48 kHz in stereo.
const AVC: [u8; 50] = [
    0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 0x1d, 0x67, 0x64, 0, 0x28, 0xac, 0xd9, 0x40,
    0x78, 0x02, 0x27, 0xe5, 0xc0, 0x5a, 0x80, 0x80, 0x80, 0xa0, 0, 0, 0x03, 0, 0x20, 0, 0, 0x07,
    0x81, 0xe3, 0x06, 0x32, 0xc0, 1, 0, 4, 0x68, 0xeb, 0xe3, 0xcb,
];

#[test]
fn a_server_under_load_is_read_at_every_moment() {
    let server = TestServer::start("-metrics-addr 127.0.0.1:0");
    let addr = server.server().web_addrs()[0];
    let mut publisher = server.publisher("cam");
    publisher.send_media(&["A head 1 @0"]);
    let header = rtmp_server::rtmp::Message {
        payload: AVC.to_vec().into(),
        ..crate::support::media("V head 1 @0")
    };
    publisher.send(&header);
    let read = || Element::parse(&client::get(addr, "/stat").body);
    wait_until("it is shown", || noalbs(&read(), "live", "cam").is_some());
    let start = Instant::now();
    let mut rounds = 0u32;
    let mut rate = 0;
    while start.elapsed() < Duration::from_millis(2500) {
        let time = start.elapsed().as_millis();
        publisher.send_media(&[&format!("V key 1 @{time}"), &format!("A sound 1 @{time}")]);
        let other = server.publisher(&format!("other{rounds}"));
        let _player = rounds.is_multiple_of(2).then(|| server.player("cam"));
        let rtmp = read();
        exporter(&rtmp);
        if let Some(now) = rtmp.one("server").all("application").first() {
            let streams = now.one("live").all("stream");
            let cam = streams
                .into_iter()
                .find(|one| one.text("name") == "cam")
                .expect("cam");
            rate = rate.max(cam.number::<u32>("bw_video"));
        }
        assert!(noalbs(&rtmp, "live", "cam").is_some());
        drop(other);
        rounds += 1;
    }
    assert!(rate > 0 && rounds > 5, "{rate} {rounds}");
    let rtmp = read();
    let live = rtmp.one("server").one("application").one("live");
    let streams = live.all("stream");
    let cam = streams
        .into_iter()
        .find(|one| one.text("name") == "cam")
        .expect("cam");
    let video = cam.one("meta").one("video");
    let size = (video.number::<u16>("width"), video.number::<u16>("height"));
    let names = ["codec", "profile", "compat", "level"].map(|name| video.text(name));
    assert_eq!(
        (size, names),
        (
            (1920, 1080),
            ["H264", "High", "0", "4.0"].map(str::to_owned)
        )
    );
    assert_eq!(cam.one("meta").one("audio").text("codec"), "AAC");
    assert!(
        cam.all("client")
            .iter()
            .any(|one| one.maybe("publishing").is_some())
    );
    assert!(cam.number::<u64>("time") > 2000, "milliseconds");
}
