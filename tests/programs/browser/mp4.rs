//! Live MP4 in Chromium, without the page: through Media Source Extensions, and by itself.

use super::Site;
use super::publisher::{Clip, End, LivePublisher};
use crate::support::browser::Browser;
use rtmp_server::rtmp::MessageType;
use std::path::Path;
use std::sync::Arc;

/// Appends what comes to a source of the type that the response names. `window.responses` has what
/// became of each.
const PLAY: &str = "
  window.responses = [];
  document.body.innerHTML = '<video muted></video>';
  window.video = document.querySelector('video');
  window.play = async (url) => {
    const state = { type: '', ended: false, error: '' };
    responses.push(state);
    try {
      const response = await fetch(url);
      state.type = response.headers.get('content-type');
      const media = new MediaSource();
      video.src = URL.createObjectURL(media);
      await new Promise((open) => media.addEventListener('sourceopen', open, { once: true }));
      const source = media.addSourceBuffer(state.type);
      for (const reader = response.body.getReader();;) {
        const { done, value } = await reader.read();
        if (done) break;
        source.appendBuffer(value);
        await new Promise((end, fail) => { source.onupdateend = end; source.onerror = fail; });
        const ranges = source.buffered;
        state.ranges = ranges.length;
        if (ranges.length && video.currentTime < ranges.start(0)) {
          video.currentTime = ranges.end(ranges.length - 1) - 0.3;
          video.play();
        }
      }
      state.ended = true;
    } catch (error) { state.error = String(error); }
  };
  null";

/// A document of the same origin, and one without a policy.
fn open(site: &Site) -> Browser {
    let mut browser = Browser::open(&site.url("/robots.txt"));
    browser.run(PLAY);
    browser.errors();
    browser
}

fn clip(args: &str) -> Arc<Clip> {
    let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/ffmpeg");
    Arc::new(Clip::made_by(new.to_str().expect("a path"), args))
}

/// Browsers ask for an icon by themselves, at any time, and complain that there is none.
fn expect_no_errors(browser: &mut Browser) {
    let mut errors = browser.errors();
    errors.retain(|error| !error.contains("/favicon.ico"));
    assert_eq!(errors, [""; 0]);
}

const PICTURES: &str = "-f lavfi -i testsrc2=s=320x180:r=30 -t 12 -pix_fmt yuv420p -g 30";
const SOUND: &str = "-f lavfi -i sine=r=48000";

/// It moves on for two seconds of its time, in no more than a second more by the clock, and all that
/// came is one range.
fn expect_play(browser: &mut Browser, what: &str) {
    browser.wait_for("video.currentTime > 0 && video.readyState >= 3 && !video.seeking");
    let now = "performance.now() / 1000";
    let (began, shown) = (browser.number(now), browser.number("video.currentTime"));
    browser.wait_for(&format!("video.currentTime > {shown} + 2"));
    let took = browser.number(now) - began;
    assert!(took < 3.5, "{what}: two seconds took {took:.1} s");
    assert_eq!(
        browser.text("video.error && video.error.message"),
        "null",
        "{what}"
    );
}

#[test]
fn media_source_extensions_play_every_pair_of_codecs() {
    #[rustfmt::skip]
    let rows = [
        ("-c:v libx264 -preset ultrafast -bf 2", "-c:a aac", true),
        ("-c:v libx264 -preset ultrafast", "-c:a flac", true),
        ("-c:v libaom-av1 -usage realtime -cpu-used 8", "-c:a libopus", true),
        ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8", "-c:a libopus", true),
        ("-c:v libx264 -preset ultrafast", "", true),
        ("", "-c:a aac", true),
        // There is no decoder for it here: the browser says so, and the rest of the page lives.
        ("-c:v libx265 -preset ultrafast -x265-params log-level=none", "-c:a aac", false),
    ];
    let site = Site::start("");
    let mut browser = open(&site);
    for (video, audio, plays) in rows {
        let what = format!("{video} {audio}");
        let args = match (video, audio) {
            ("", _) => format!("{SOUND} -t 12 {audio}"),
            (_, "") => format!("{PICTURES} {video}"),
            _ => format!("{SOUND} {PICTURES} {video} {audio}"),
        };
        let publisher = LivePublisher::start(site.server.addr, "cam", &clip(&args));
        browser.run(&format!("play('{}'); null", site.url("/live/cam.mp4")));
        browser.wait_for("responses.at(-1).type");
        let type_ = browser.text("responses.at(-1).type");
        assert_eq!(
            type_.starts_with("video/mp4; codecs="),
            !video.is_empty(),
            "{type_}"
        );
        if plays {
            expect_play(&mut browser, &what);
            let width = if video.is_empty() { 0.0 } else { 320.0 };
            assert_eq!(browser.number("video.videoWidth"), width, "{what}");
            assert_eq!(browser.number("responses.at(-1).ranges"), 1.0, "{what}");
        } else {
            browser.wait_for("responses.at(-1).error");
            let is_supported = format!("MediaSource.isTypeSupported('{type_}')");
            assert_eq!(browser.text(&is_supported), "false", "{type_}");
        }
        publisher.end(End::Properly);
        if plays {
            browser.wait_for("responses.at(-1).ended");
        }
        println!("{type_}: {}", if plays { "plays" } else { "is refused" });
    }
    expect_no_errors(&mut browser);
}

/// 25 pictures a second without those of 160 ms.
const LEAVES_OUT: &str = r"25 -vf select=not(between(n\,25\,28)) -fps_mode vfr";

/// A browser leaves out everything until the next keyframe where decode times step by more than twice the
/// last duration.
#[test]
fn slow_pictures_and_pictures_behind_holes_are_shown() {
    let (none, video, audio) = (0..0, MessageType::VIDEO, MessageType::AUDIO);
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    #[rustfmt::skip]
    let rows = [
        ("10 a second", "10", 0, video, none.clone(), 18),
        ("one is missing", "25", 0, video, 1010..1050, 45),
        // B-frames cannot be decoded without those that they refer to, so the encoder leaves some out.
        ("four beside B-frames are missing", LEAVES_OUT, 2, video, none.clone(), 40),
        ("sound is missing", "25", 0, audio, 1000..1250, 45),
    ];
    let site = Site::start("");
    let mut browser = open(&site);
    for (what, rate, bf, kind, missing, at_least) in rows {
        let args = format!(
            "{SOUND} -f lavfi -i testsrc2=s=320x180:r={rate} -t 4 {x264} -bf {bf} -g 1000 -c:a aac"
        );
        let whole = Arc::into_inner(clip(&args)).expect("a clip");
        let clip = Arc::new(whole.without(kind, missing));
        let publisher = LivePublisher::start(site.server.addr, "cam", &clip);
        browser.run(&format!("play('{}'); null", site.url("/live/cam.mp4")));
        // Times begin at 10 s.
        browser.wait_for("responses.at(-1).ranges && video.currentTime > 12");
        let shown = browser.number("video.getVideoPlaybackQuality().totalVideoFrames");
        println!("{what}: {shown} pictures in two seconds");
        assert!(
            shown >= f64::from(at_least),
            "{what}: {shown} pictures in two seconds"
        );
        publisher.end(End::Properly);
        browser.wait_for("responses.at(-1).ended");
    }
    expect_no_errors(&mut browser);
}

#[test]
fn a_response_goes_on_with_the_same_tracks_and_ends_with_others() {
    let site = Site::start("");
    let wide = clip(&format!(
        "{SOUND} {PICTURES} -c:v libx264 -preset ultrafast -c:a aac"
    ));
    let narrow = PICTURES.replace("320x180", "160x90");
    let narrow = clip(&format!(
        "{SOUND} {narrow} -c:v libx264 -preset ultrafast -c:a aac"
    ));
    let first = LivePublisher::start(site.server.addr, "cam", &wide);
    let mut browser = open(&site);
    browser.run(&format!("play('{}'); null", site.url("/live/cam.mp4")));
    expect_play(&mut browser, "first");
    first.end(End::Lost);
    let second = LivePublisher::start(site.server.addr, "cam", &wide);
    // The hole is no longer than the player's own patience.
    expect_play(&mut browser, "come back");
    assert_eq!(browser.number("responses.length"), 1.0);
    assert_eq!(browser.text("responses[0].ended"), "false");
    second.end(End::Lost);
    let _third = LivePublisher::start(site.server.addr, "cam", &narrow);
    browser.wait_for("responses[0].ended");
    browser.run(&format!("play('{}'); null", site.url("/live/cam.mp4")));
    expect_play(&mut browser, "changed");
    assert_eq!(browser.number("video.videoWidth"), 160.0);
    assert_eq!(browser.text("responses[0].error + responses[1].error"), "");
    expect_no_errors(&mut browser);
}

#[test]
fn a_video_element_plays_it_by_itself() {
    let site = Site::start("");
    let mut browser = open(&site);
    for (video, audio) in [
        ("-c:v libx264 -preset ultrafast -bf 2", "-c:a aac"),
        (
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
            "-c:a libopus",
        ),
    ] {
        let args = format!("{SOUND} {PICTURES} {video} {audio}");
        let publisher = LivePublisher::start(site.server.addr, "cam", &clip(&args));
        let url = site.url("/live/cam.mp4");
        browser.run(&format!(
            "video.src = '{url}?{}'; video.play(); null",
            video.len()
        ));
        expect_play(&mut browser, video);
        assert_eq!(browser.number("video.videoWidth"), 320.0, "{video}");
        publisher.end(End::Properly);
        browser.wait_for("video.ended");
    }
    expect_no_errors(&mut browser);
}
