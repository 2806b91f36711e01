//! HLS in Chromium, by hls.js.

use super::Site;
use super::publisher::{Clip, End, LivePublisher};
use crate::support::browser::{Browser, player_script};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
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
    // It comes back with pictures of another size.
    let smaller = Arc::new(Clip::new(12, "320x180", 2));
    let _publisher = LivePublisher::start(site.server.addr, "cam", &smaller);
    let shown = browser.number("video.currentTime");
    browser.wait_for(&format!(
        "video.currentTime > {} && !video.paused",
        shown + 6.0
    ));
    let failed = browser.text("failed.join()");
    assert!(!failed.contains('!'), "{failed}");
    assert_eq!(browser.number("video.videoWidth"), 320.0);
}

/// Programs that know nothing of low latency: each gets some seconds without a gap.
#[test]
fn ffmpeg_vlc_and_gstreamer_play_hls() {
    let site = Site::start("");
    let clip = Arc::new(Clip::new(12, "320x180", 2));
    let _publisher = LivePublisher::start(site.server.addr, "cam", &clip);
    let url = site.url("/live/cam/index.m3u8");
    let folder = std::env::temp_dir().join(format!("rtmp-hls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("open to all");
    let current = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/ffmpeg");
    let sout = |file: &str| format!("#std{{access=file,mux=ts,dst={file}}}");
    for name in ["ffmpeg", current, "vlc", "gst"] {
        let file = folder.join(if name == "gst" { "gst.mp4" } else { "out.ts" });
        let file = file.to_string_lossy();
        let limit = "8";
        let args: Vec<String> = match name {
            "vlc" => vlc_args(&url, &sout(&file), limit),
            "gst" => format!("timeout {limit} gst-launch-1.0 -q souphttpsrc location={url} ! hlsdemux ! filesink location={file}")
                .split(' ').map(str::to_owned).collect(),
            ffmpeg => format!("{ffmpeg} -v error -y -i {url} -t 6 -c copy {file}")
                .split(' ').map(str::to_owned).collect(),
        };
        let status = Command::new(&args[0])
            .args(&args[1..])
            .env("HOME", "/nonexistent")
            .current_dir("/")
            .stderr(Stdio::null())
            .status();
        status.unwrap_or_else(|error| panic!("{name}: {error}: run `make tools`"));
        let pictures = packets(current, &file);
        println!("{name}: {} pictures", pictures.len());
        assert!(pictures.len() >= 75, "{name}: {} pictures", pictures.len());
        let longest = pictures.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(
            longest <= Some(110),
            "{name}: {longest:?} ms between two pictures"
        );
        let _ = std::fs::remove_file(&*file);
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// VLC refuses to run as root; then it runs as nobody.
fn vlc_args(url: &str, sout: &str, limit: &str) -> Vec<String> {
    let nobody = "--reuid nobody --regid nogroup --clear-groups";
    let user = Command::new("id").arg("-u").output().expect("id");
    let nobody = if user.stdout == b"0\n" { nobody } else { "" };
    let words = format!("timeout {limit} setpriv {nobody} vlc --intf dummy --no-dbus --verbose 0");
    let words = words.split_whitespace().chain([url, "--sout", sout]);
    words.map(str::to_owned).collect()
}

/// When the pictures of a file are decoded, in ms.
fn packets(ffmpeg: &str, file: &str) -> Vec<i64> {
    let args = [
        "-v", "quiet", "-i", file, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-",
    ];
    let output = Command::new(ffmpeg).args(args).output().expect("ffmpeg");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: 1/"));
    let base: i64 = base.and_then(|base| base.parse().ok()).unwrap_or(1);
    let rows = text.lines().filter(|line| line.starts_with("0,"));
    rows.filter_map(|line| line.split(',').nth(1)?.trim().parse::<i64>().ok())
        .map(|ticks| ticks * 1000 / base)
        .collect()
}
