//! What browsers make of what is served to them. The programs come from `make tools`.

mod hls;
mod mp4;
mod page;
mod publisher;

use crate::support::TestServer;
use crate::support::browser::{Browser, player_script};
use publisher::{Clip, End, LivePublisher};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A server that serves media over HTTP.
struct Site {
    server: TestServer,
    web: SocketAddr,
}

impl Site {
    fn start(flags: &str) -> Site {
        let server = TestServer::start(&format!("-http-listen 127.0.0.1:0 {flags}"));
        let web = server.server().media_addrs()[0];
        Site { server, web }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.web)
    }
}

#[test]
fn a_browser_is_driven() {
    let page = "data:text/html,<title>x</title><button onclick='document.title+=1'>b</button>";
    let mut browser = Browser::open(page);
    browser.run("document.onkeydown = (event) => document.title += event.key; null");
    browser.click("button");
    browser.press("ArrowUp");
    browser.press("i");
    assert_eq!(browser.text("document.title"), "x1ArrowUpi");
    for (name, word) in [("hls.js", "Hls.version"), ("mpegts.js", "mpegts.version")] {
        browser.run(&player_script(name));
        assert_ne!(browser.text(word), "null", "{name}");
    }
    assert_eq!(browser.errors(), [""; 0]);
    browser.run("console.error('this is one'); null");
    assert!(browser.errors()[0].contains("this is one"));
}

/// Plays by mpegts.js, close to the end of its buffer; what goes wrong is in `failed`.
fn play_flv(site: &Site) -> Browser {
    // A document of the same origin, and one without a policy.
    let mut browser = Browser::open(&site.url("/robots.txt"));
    browser.run("document.body.innerHTML = '<video muted></video>'; null");
    browser.run(&player_script("mpegts.js"));
    browser.errors();
    let script = format!(
        "window.failed = [];
         const video = document.querySelector('video');
         const player = mpegts.createPlayer({{ type: 'flv', isLive: true, url: '{}' }},
             {{ liveBufferLatencyChasing: true, liveBufferLatencyMaxLatency: 0.6, liveBufferLatencyMinRemain: 0.2 }});
         player.on('error', (...what) => failed.push(what.map((part) => part.msg || part).join()));
         player.attachMediaElement(video);
         player.load();
         player.play().catch(() => null);
         null",
        site.url("/live/cam.flv")
    );
    browser.run(&script);
    browser
}

/// The packet that tells of channels would end mpegts.js with an error.
#[test]
fn mpegts_js_plays_opus_of_enhanced_rtmp() {
    let ffmpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/ffmpeg");
    let args = "-f lavfi -i testsrc2=s=320x240:r=30 -f lavfi -i sine=sample_rate=48000 -t 12 \
                -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -ac 2 -c:a libopus";
    let site = Site::start("");
    let clip = Arc::new(Clip::made_by(ffmpeg.to_str().expect("a path"), args));
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    let mut browser = play_flv(&site);
    browser.wait_for("video.currentTime > 2 || failed.length || video.error");
    assert_eq!(browser.text("failed.join()"), "");
    assert_eq!(browser.text("String(video.error)"), "null");
}

#[test]
fn mpegts_js_plays_http_flv() {
    let site = Site::start("");
    let clip = Arc::new(Clip::new(12, "640x360", 2));
    let publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    let mut browser = play_flv(&site);
    browser.wait_for("video.currentTime > 3");
    let ages: Vec<f64> = (0..20)
        .map(|_| publisher.age_of_picture(&mut browser))
        .collect();
    println!("mpegts.js, picture sent to picture shown: {ages:.0?} ms");
    assert!(ages.iter().all(|age| *age < 1500.0), "{ages:?}");
    publisher.end(End::Lost);
    let shown = browser.number("video.currentTime");
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    browser.wait_for(&format!(
        "video.currentTime > {} && !video.paused",
        shown + 2.0
    ));
    assert_eq!(browser.text("failed.join()"), "");
    assert_eq!(browser.number("video.videoWidth"), 640.0);
    assert_eq!(browser.errors(), [""; 0]);
}
