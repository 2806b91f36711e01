//! The player page in Chromium.

use super::Site;
use super::publisher::{Clip, End, LivePublisher};
use crate::support::browser::Browser;
use crate::support::wait_until;
use crate::support::web_service::{Manner, WebService};
use std::path::Path;
use std::sync::Arc;

/// What the contract promises, from the publisher's write to the picture shown.
const AGE_MAX_MS: f64 = 500.0;

/// That the picture, or the sound, goes on.
const PLAYS: &str = "document.getElementById('sign').hidden \
    && !video.paused && video.currentTime > (window.before ??= video.currentTime) + 0.3";

const G711: &str = "-f lavfi -i sine=r=8000 -t 15 -c:a pcm_alaw";

fn clip() -> Arc<Clip> {
    Arc::new(Clip::new(20, "640x360", 2))
}

/// Opens the page of `live/cam`, with this query.
fn open(site: &Site, query: &str) -> Browser {
    Browser::open(&site.url(&format!("/live/cam{query}")))
}

/// Waits until media is shown that was not when this was called.
fn wait_until_it_plays(browser: &mut Browser) {
    browser.run("window.before = undefined");
    browser.wait_for(PLAYS);
}

/// Waits until the page says this.
fn wait_for_words(browser: &mut Browser, words: &str) {
    browser.wait_for(&format!("document.body.innerText.includes('{words}')"));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn the_page_plays_close_to_the_publisher_and_says_how_close() {
    let site = Site::start("");
    let publisher = LivePublisher::start(site.server.addr, "cam", &clip());
    let mut browser = open(&site, "");
    wait_until_it_plays(&mut browser);
    let mut age = || {
        let ages = (0..100).map(|_| publisher.age_of_picture(&mut browser));
        median(ages.collect())
    };
    // Others may need the processor for a while.
    let ages = [age(), age()];
    let age = ages[0].min(ages[1]);
    println!("player page, picture sent to picture shown: {age:.0} ms");
    assert!(age < AGE_MAX_MS, "{ages:.0?}");
    browser.press("i");
    let facts = browser.text("document.getElementById('facts').innerText");
    for want in ["640 × 360", "H.264 + AAC", "MP4", " pictures"] {
        assert!(facts.contains(want), "{want} in {facts}");
    }
    browser.wait_for("/bit rate\\s+[1-9][0-9.]* [kM]bit/.test(document.body.innerText)");
    // Sound needs a gesture, and one is enough.
    assert_eq!(browser.text("String(video.muted)"), "true");
    browser.click("#sound");
    assert_eq!(browser.text("String(video.muted)"), "false");
    browser.press("m");
    assert_eq!(browser.text("String(video.muted)"), "true");
    browser.press(" ");
    wait_for_words(&mut browser, "Paused");
    site.server.wait_for_count((1, 1, 0));
    browser.press(" ");
    wait_until_it_plays(&mut browser);
    assert_eq!(browser.errors(), [""; 0]);
}

/// An address that somebody else has made: what is asked for stays on this server, and what is in it is
/// shown as text.
#[test]
fn an_address_is_nothing_but_an_address() {
    let site = Site::start("-wait-stream 0");
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip());
    let mut browser = Browser::open(&site.url("//live/cam"));
    wait_until_it_plays(&mut browser);
    let foreign = WebService::start(Manner::Status(200));
    let paths = [
        format!("//{}/live/cam?token=s3cret", foreign.addr),
        "/live/%3Cimg%20src=x%20onerror=document.title=1%3E".to_owned(),
        "/live/%3C/script%3E%3Cscript%3Edocument.title=1%3C/script%3E".to_owned(),
    ];
    for path in &paths {
        let mut browser = Browser::open(&site.url(path));
        browser.wait_for("!document.getElementById('sign').hidden && document.title != ''");
        let title = browser.text("document.title");
        assert_ne!(title, "1", "{path}");
        assert_eq!(
            browser.text("String(document.images.length)"),
            "0",
            "{path}"
        );
    }
    assert!(foreign.requests.try_recv().is_err());
}

#[test]
fn the_page_goes_on_when_the_stream_does() {
    let site = Site::start("-wait-stream 0");
    let clip = clip();
    let mut browser = open(&site, "");
    wait_for_words(&mut browser, "Waiting for the stream");
    let publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    wait_until_it_plays(&mut browser);
    publisher.end(End::Lost);
    wait_for_words(&mut browser, "The stream has stopped");
    let sessions = browser.number("reconnects");
    let publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    wait_until_it_plays(&mut browser);
    assert_eq!(
        browser.number("reconnects"),
        sessions,
        "the response went on"
    );
    // Another configuration, from another publisher that takes the stream over.
    let small = Arc::new(Clip::new(20, "320x240", 2));
    let second = LivePublisher::start(site.server.addr, "cam", &small);
    browser.wait_for("video.videoWidth === 320");
    wait_until_it_plays(&mut browser);
    drop(publisher);
    second.end(End::Properly);
    wait_for_words(&mut browser, "The stream has ended");
    let _third = LivePublisher::start(site.server.addr, "cam", &clip);
    browser.wait_for("video.videoWidth === 640");
    wait_until_it_plays(&mut browser);
}

#[test]
fn the_page_says_what_this_browser_cannot_play() {
    let site = Site::start("");
    let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/ffmpeg");
    let video = "-f lavfi -i testsrc2=s=320x180:r=25 -c:v libx265 -preset ultrafast \
                 -x265-params log-level=none:keyint=25";
    let make = |more: &str| {
        let args = format!("-f lavfi -i sine {video} -t 15 {more}");
        Arc::new(Clip::made_by(new.to_str().expect("a path"), &args))
    };
    let publisher = LivePublisher::start(site.server.addr, "cam", &make("-c:a aac"));
    let mut browser = open(&site, "");
    wait_for_words(
        &mut browser,
        "This browser has no decoder for HEVC: only the sound plays.",
    );
    wait_until_it_plays(&mut browser);
    assert_eq!(browser.number("video.videoWidth"), 0.0);
    let links = |browser: &mut Browser, id: &str| {
        browser.text(&format!(
            "[...document.querySelectorAll('#{id} a')].map((link) => link.href).join()"
        ))
    };
    // VLC plays it by HLS, and not by HTTP-FLV.
    let hls = site.url("/live/cam/index.m3u8");
    assert_eq!(links(&mut browser, "remark"), hls);
    publisher.end(End::Properly);
    let publisher = LivePublisher::start(site.server.addr, "cam", &make("-an"));
    wait_for_words(&mut browser, "This browser has no decoder for HEVC\\n");
    assert_eq!(links(&mut browser, "words"), hls);
    publisher.end(End::Properly);
    // Neither MP4 nor HLS has a place for it.
    let sound = Arc::new(Clip::made_by("ffmpeg", G711));
    let _publisher = LivePublisher::start(site.server.addr, "cam", &sound);
    wait_for_words(&mut browser, "no track of the stream has a place in MP4.");
    assert_eq!(links(&mut browser, "words"), site.url("/live/cam.flv"));
}

#[test]
fn the_page_plays_sound_alone_to_those_who_may_listen() {
    let site = Site::start("-auth-mode token -auth-token live/cam=s3cret");
    let sound = Arc::new(Clip::made_by("ffmpeg", "-f lavfi -i sine -t 15 -c:a aac"));
    let name = "cam?token=s3cret";
    let _publisher = LivePublisher::start(site.server.addr, name, &sound);
    let mut browser = open(&site, "?token=wrong");
    wait_for_words(&mut browser, "You may not watch this stream");
    browser.go_to(&site.url("/live/cam?token=s3cret"));
    wait_until_it_plays(&mut browser);
    browser.wait_for("document.querySelector('#listen').checkVisibility()");
}

#[test]
fn a_page_that_was_left_holds_no_connection() {
    let site = Site::start("");
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip());
    let mut browser = open(&site, "");
    wait_until_it_plays(&mut browser);
    // Chromium keeps the page for the way back.
    browser.go_to(&site.url("/robots.txt"));
    wait_until("the end of the viewer", || {
        site.server.server().count().2 == 0
    });
    browser.run("history.back()");
    browser.wait_for("location.pathname === '/live/cam'");
    wait_until_it_plays(&mut browser);
}

#[test]
fn a_browser_without_media_source_extensions_plays_hls() {
    let site = Site::start("");
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip());
    let mut browser = Browser::open(&site.url("/robots.txt"));
    let script = r#"{"source":"delete window.MediaSource; delete window.ManagedMediaSource"}"#;
    browser.call("Page.addScriptToEvaluateOnNewDocument", script);
    browser.go_to(&site.url("/live/cam"));
    // Chromium wants some segments before it plays, and the page tries until it does.
    wait_until_it_plays(&mut browser);
    browser.press("i");
    wait_for_words(&mut browser, "HLS");
    assert_eq!(browser.number("video.videoWidth"), 640.0);
}
