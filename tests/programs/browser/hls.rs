//! HLS in Chromium, by hls.js.

use super::Site;
use super::publisher::{Clip, End, LivePublisher};
use crate::support::browser::{Browser, player_script};
use std::sync::Arc;

/// Plays by hls.js, with low latency; what goes wrong is in `failed`, fatal or not.
fn play(browser: &mut Browser, url: &str) {
    browser.run("document.body.innerHTML = '<video muted></video>'; null");
    browser.run(&player_script("hls.js"));
    browser.errors();
    let script = format!(
        "window.failed = [];
         const video = document.querySelector('video');
         const hls = new Hls({{ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 }});
         hls.on(Hls.Events.ERROR, (_, data) => failed.push(data.details + (data.fatal ? '!' : '')));
         hls.loadSource('{url}');
         hls.attachMedia(video);
         video.play().catch(() => null);
         null"
    );
    browser.run(&script);
}

#[test]
fn hls_js_plays_with_low_latency_across_a_return_of_the_publisher() {
    let site = Site::start("");
    let clip = Arc::new(Clip::new(12, "640x360", 2));
    let publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    let mut browser = Browser::open(&site.url("/robots.txt"));
    play(&mut browser, &site.url("/live/cam/index.m3u8"));
    browser.wait_for("video.currentTime > 0 && video.readyState > 2");
    let start = browser.number("video.currentTime");
    browser.wait_for(&format!("video.currentTime > {}", start + 8.0));
    let ages: Vec<f64> = (0..20)
        .map(|_| publisher.age_of_picture(&mut browser))
        .collect();
    println!("hls.js, picture sent to picture shown: {ages:.0?} ms");
    assert!(ages.iter().all(|age| *age < 3500.0), "{ages:?}");
    assert_eq!(browser.text("failed.join()"), "");
    publisher.end(End::Lost);
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    let shown = browser.number("video.currentTime");
    browser.wait_for(&format!(
        "video.currentTime > {} && !video.paused",
        shown + 6.0
    ));
    let failed = browser.text("failed.join()");
    assert!(!failed.contains('!'), "{failed}");
    assert_eq!(browser.number("video.videoWidth"), 640.0);
}
