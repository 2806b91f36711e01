//! The page: what it is made of, and what a browser makes of it.

use super::Site;
use super::fixture::{Fixture, busy, keys};
use crate::support::browser::Browser;
use crate::support::page::check_alone;
use std::process::{Command, Stdio};

#[test]
fn the_page_needs_nothing_else_and_may_do_nothing_else() {
    let site = Site::start(0);
    let reply = site.get("/");
    let page = &reply.body;
    assert!(page.len() < 40_000, "{} bytes", page.len());
    let policy = reply.header("Content-Security-Policy").expect("a policy");
    check_alone(page, policy);
    assert!(policy.ends_with("; frame-src *:8080"), "{policy}");
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
    assert!(names[3].ends_with("publisher lostwatchpreview") && names[0].contains("rec"));
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
fn a_stream_can_be_watched_from_the_page() {
    // Where streams are served, and where the page says they are.
    for (addrs, want) in [
        (&["0.0.0.0:8080"][..], "http://127.0.0.1:8080"),
        (&["[::]:8080"], "http://127.0.0.1:8080"),
        (&["192.0.2.1:80"], "http://192.0.2.1:80"),
        (&["127.0.0.1:81", "192.0.2.1:80"], "http://127.0.0.1:81"),
        (&[], ""),
    ] {
        let mut fixture = Fixture::new(busy(1));
        let snapshot = fixture.snapshot.get_mut().unwrap();
        snapshot.streams[0].key = "live/a b?".to_owned();
        snapshot.http_listening = addrs
            .iter()
            .map(|addr| addr.parse().expect("an address"))
            .collect();
        let document = document(&Site::telling(fixture));
        let link = format!("href=\"{want}/live/a%20b%3F\"");
        assert_eq!(document.contains(&link), !want.is_empty(), "{document}");
        assert_eq!(document.contains(">watch<"), !want.is_empty(), "{addrs:?}");
        // Nothing is played before it is asked for.
        assert!(!document.contains("<iframe"), "{addrs:?}");
    }
}

#[test]
fn four_previews_are_shown_at_a_time() {
    let mut fixture = Fixture::new(busy(6));
    let snapshot = fixture.snapshot.get_mut().unwrap();
    snapshot.http_listening = vec![crate::support::free_addr()];
    let site = Site::telling(fixture);
    let mut browser = Browser::open(&format!("http://{}/", site.addr()));
    browser.wait_for("document.querySelectorAll('.ways button').length === 6");
    let shown = "[...document.querySelectorAll('.ways button')].map((button, index) => \
                 button.textContent === 'close' && rows.get([...rows.keys()].sort()[index]) \
                 .node.querySelector('iframe') ? index : '').join('')";
    let rows = [
        (0, "0"),
        (1, "01"),
        (2, "012"),
        (3, "0123"),
        (4, "1234"),
        (2, "134"),
    ];
    for (index, want) in rows {
        browser.run(&format!(
            "document.querySelectorAll('.ways button')[{index}].click()"
        ));
        assert_eq!(browser.text(shown), want, "after {index}");
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
