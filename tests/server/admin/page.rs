//! The page: what it is made of, and what a browser makes of it.

use super::Site;
use super::fixture::{Fixture, busy, keys};
use std::io::Write;
use std::process::{Command, Stdio};

/// What stands between the tags, which occur once.
fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{tag}>")).expect("the tag");
    let (text, after) = rest.split_once(&format!("</{tag}>")).expect("its end");
    assert!(!after.contains(&format!("<{tag}")), "one {tag}");
    text
}

/// The digest as a policy holds it, by another program.
fn digest(text: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-c", "openssl dgst -sha256 -binary | openssl base64 -A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("to write");
    drop(stdin);
    let output = child.wait_with_output().expect("openssl");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_page_needs_nothing_else_and_may_do_nothing_else() {
    let site = Site::start(0);
    let reply = site.get("/");
    let page = &reply.body;
    assert!(page.len() < 40_000, "{} bytes", page.len());
    for word in [
        "http://",
        "https://",
        "//cdn",
        "@import",
        "src=",
        "innerHTML",
        "eval(",
    ] {
        let others = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains(word), "{word}");
    }
    let policy = reply.header("Content-Security-Policy").expect("a policy");
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let want = format!("{directive} 'sha256-{}';", digest(inside(page, tag)));
        assert!(policy.contains(&want), "{want} in {policy}");
    }
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// The document as a browser has it after a few updates.
fn document(site: &Site) -> String {
    let dir = std::env::temp_dir().join(format!("page-{}", site.addr().port()));
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ])
        .args(["--disable-component-update", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", dir.display()))
        .args(["--virtual-time-budget=6000", "--dump-dom"])
        .arg(format!("http://{}/", site.addr()))
        .stdin(Stdio::null())
        .output()
        .expect("chromium");
    // What it left behind is of no use.
    let _ = std::fs::remove_dir_all(dir);
    String::from_utf8(output.stdout).expect("text")
}

/// The text between all tags, with nothing escaped any more.
fn plain(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, after)| after));
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// The text of each cell of this name, from the top.
fn cells(document: &str, field: &str) -> Vec<String> {
    let start = format!("data-field=\"{field}\"");
    let parts = document.split(&start).skip(1);
    parts
        .map(|part| {
            let (_, rest) = part.split_once('>').expect("the end of the tag");
            plain(rest.split("</td>").next().expect("a cell"))
        })
        .collect()
}

/// What is in the element of this id, which holds no other.
fn by_id(document: &str, id: &str) -> String {
    let (_, rest) = document.split_once(&format!("id=\"{id}\"")).expect(id);
    let (_, rest) = rest.split_once('>').expect("the end of the tag");
    plain(rest.split('<').next().expect("text"))
}

#[test]
fn a_browser_shows_the_numbers() {
    let site = Site::start(20);
    let document = document(&site);
    let told = site.fixture.snapshot.lock().unwrap().clone();
    let names = cells(&document, "name");
    assert_eq!(names.len(), 20, "{document}");
    for (name, key) in names.iter().zip(keys(20)) {
        assert!(name.starts_with(&key), "{name}");
    }
    assert!(
        document.contains("<title>rtmp-server</title>"),
        "no key became a tag"
    );
    assert!(names[3].ends_with("publisher lost") && names[0].contains("rec"));
    let streams = &told.streams;
    let counts = |count: fn(&rtmp_server::stats::StreamStats) -> u64| {
        let counts = streams.iter().map(count);
        counts.map(|count| count.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        cells(&document, "viewers"),
        counts(|stream| stream.viewers as u64)
    );
    assert_eq!(cells(&document, "drops"), counts(|stream| stream.drops));
    let media = cells(&document, "media");
    assert_eq!(media[0], "H264 + AAC, 1920\u{d7}1080@30");
    assert_eq!(media[1], "H265 + Opus, 1280\u{d7}720@29.97");
    assert_eq!(media[4], "\u{2013}");
    let uptimes = cells(&document, "uptime");
    assert_eq!(
        (uptimes[0].as_str(), uptimes[1].as_str()),
        ("00:00:01", "1 d 01:01:03")
    );
    for (id, want) in [
        ("live", "20"),
        ("viewers", "2,490"),
        ("connections", "41"),
        ("drops", "107"),
        ("uptime", "1 d 02:03:04"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(by_id(&document, id), want, "{id}");
    }
    let text = plain(&document);
    for want in [
        "rtmp://relay1.example/live",
        "waiting: cannot connect: Connection refused",
    ] {
        assert!(text.contains(want), "{want}");
    }
    assert!(text.contains("recordings/live_cam00_20260101_120000.flv7.65 MB"));
}

#[test]
fn a_browser_shows_that_there_is_nothing_and_that_it_is_over() {
    // The address that is listened on, and where the page says to publish to.
    for (listening, place) in [
        ("0.0.0.0:1935", "rtmp://127.0.0.1/app/name"),
        ("[::]:21935", "rtmp://127.0.0.1:21935/app/name"),
    ] {
        let mut fixture = Fixture::default();
        let snapshot = fixture.snapshot.get_mut().unwrap();
        snapshot.listening = vec![listening.parse().expect("an address")];
        let site = Site::telling(fixture);
        site.fixture
            .stopping
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let document = document(&site);
        let text = plain(&document);
        let want = format!("no streams; publish to {place}");
        assert!(text.contains(&want), "{want} in {text}");
        assert_eq!(by_id(&document, "notice"), "The server is stopping.");
    }
}

#[test]
fn a_browser_counts_cameras_as_people_do() {
    let mut fixture = Fixture::new(busy(3));
    let snapshot = fixture.snapshot.get_mut().unwrap();
    for (stream, key) in snapshot.streams.iter_mut().zip(["cam1", "cam10", "cam2"]) {
        stream.key = key.to_owned();
    }
    let names = cells(&document(&Site::telling(fixture)), "name");
    let order = ["cam1", "cam2", "cam10"];
    let same = names.iter().zip(order).all(|(name, key)| {
        let rest = name.strip_prefix(key);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    assert!(same && names.len() == order.len(), "{names:?}");
}
