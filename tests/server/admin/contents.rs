//! The numbers: each is where it belongs and nowhere else.

use super::Site;
use super::fixture::keys;
use rtmp_server::json::{self, JsonValue};
use rtmp_server::stats::{COUNTERS, LinkState, QUEUE_DEPTHS, Snapshot, StreamStats};
use std::time::{Duration, Instant};

fn parsed(site: &Site, path: &str) -> JsonValue {
    let body = site.get(path).body;
    json::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

fn array<'a>(value: &'a JsonValue, name: &str) -> &'a [JsonValue] {
    match value.get(name) {
        Some(JsonValue::Array(values)) => values,
        other => panic!("{name}: {other:?}"),
    }
}

/// What a value must hold, by name.
fn expect(value: &JsonValue, want: &[(&str, JsonValue)]) {
    for (name, want) in want {
        assert_eq!(value.get(name), Some(want), "{name} in {value}");
    }
}

fn text(text: Option<impl ToString>) -> JsonValue {
    text.map_or(JsonValue::Null, |text| JsonValue::from(text.to_string()))
}

fn number(number: Option<f64>) -> JsonValue {
    match number {
        Some(number) if number.fract() == 0.0 => JsonValue::Int(number as i64),
        Some(number) => JsonValue::Float(number),
        None => JsonValue::Null,
    }
}

/// All of a stream but its rates, relays and recordings.
fn stream(stream: &StreamStats) -> Vec<(&'static str, JsonValue)> {
    let state = if stream.publisher.is_some() {
        "live"
    } else {
        "lost"
    };
    vec![
        ("key", stream.key.as_str().into()),
        ("state", state.into()),
        ("publisher", text(stream.publisher.as_ref())),
        ("uptime_sec", stream.uptime.as_secs().into()),
        ("viewers", stream.viewers.into()),
        ("recording", stream.recording.into()),
        ("video_codec", text(stream.video_codec)),
        ("audio_codec", text(stream.audio_codec)),
        ("width", number(stream.metadata.width)),
        ("height", number(stream.metadata.height)),
        ("frame_rate", number(stream.metadata.frame_rate)),
        ("audio_messages", stream.audio_messages.into()),
        ("video_messages", stream.video_messages.into()),
        ("bytes_in", stream.bytes_in.into()),
        ("bytes_out", stream.bytes_out.into()),
        ("bitrate_in_bps", 0_u64.into()),
        ("bitrate_out_bps", 0_u64.into()),
        ("drops", stream.drops.into()),
        ("cached_messages", stream.cached_messages.into()),
        ("cached_bytes", stream.cached_bytes.into()),
        (
            "left_out",
            JsonValue::Array(
                stream
                    .left_out
                    .iter()
                    .map(|codec| codec.as_str().into())
                    .collect(),
            ),
        ),
    ]
}

fn told(site: &Site) -> Snapshot {
    site.fixture.snapshot.lock().unwrap().clone()
}

#[test]
fn streams_are_listed_as_they_are() {
    let site = Site::start(20);
    let all = parsed(&site, "/api/streams");
    let told = told(&site);
    assert_eq!(array(&all, "streams").len(), 20);
    for (value, stats) in array(&all, "streams").iter().zip(&told.streams) {
        expect(value, &stream(stats));
        let count = |keys: Vec<&String>| keys.iter().filter(|key| ***key == stats.key).count();
        let relays = told.relays.iter().map(|relay| &relay.stream_key).collect();
        let files = told
            .recordings
            .iter()
            .map(|file| &file.stream_key)
            .collect();
        assert_eq!(array(value, "relays").len(), count(relays));
        assert_eq!(array(value, "recordings").len(), count(files));
        assert_eq!(value.get("connections"), None);
    }
    for (key, stats) in keys(20).iter().zip(&told.streams) {
        let path: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let one = parsed(&site, &format!("/api/streams/{path}"));
        expect(&one, &stream(stats));
        let connections = array(&one, "connections");
        assert_eq!(connections.len(), 2, "{key}");
        expect(&connections[0], &[("stream_key", key.as_str().into())]);
    }
}

#[test]
fn connections_are_listed_as_they_are() {
    let site = Site::start(5);
    let all = parsed(&site, "/api/connections");
    let told = told(&site);
    assert_eq!(array(&all, "connections").len(), 11);
    for (value, stats) in array(&all, "connections").iter().zip(&told.connections) {
        let key = stats.uses.first().map(|used| &used.stream_key);
        let want = [
            ("id", stats.id.as_str().into()),
            ("addr", stats.addr.to_string().into()),
            ("tls", stats.tls.into()),
            ("protocol", stats.protocol.name().into()),
            ("role", stats.role.into()),
            ("stream_key", text(key)),
            ("flash_ver", stats.flash_ver.as_str().into()),
            ("uptime_sec", stats.uptime.as_secs().into()),
            ("bytes_in", stats.bytes_in.into()),
            ("bytes_out", stats.bytes_out.into()),
            ("drops", stats.drops.into()),
            ("queue", stats.queue.into()),
        ];
        expect(value, &want);
        let one = parsed(&site, &format!("/api/connections/{}", stats.id));
        assert_eq!(&one, value);
    }
}

#[test]
fn the_status_sums_up() {
    let site = Site::start(5);
    let status = parsed(&site, "/api/status");
    let viewers = (0..5).map(|number| number * number + 1).sum::<usize>();
    expect(
        &status,
        &[
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("uptime_sec", JsonValue::Int(93_784)),
            ("stopping", false.into()),
            ("listening", JsonValue::Array(vec!["192.0.2.1:1936".into()])),
            (
                "http_listening",
                JsonValue::Array(vec!["0.0.0.0:8080".into()]),
            ),
            ("connections", JsonValue::Int(11)),
            ("streams", JsonValue::Int(5)),
            ("publishers", JsonValue::Int(4)),
            ("viewers", viewers.into()),
            ("hooks_waiting", JsonValue::Int(5)),
            ("children", JsonValue::Int(6)),
        ],
    );
    expect(
        status.get("tls").expect("tls"),
        &[
            ("listening", JsonValue::Array(vec!["192.0.2.1:443".into()])),
            ("state", "waiting".into()),
            ("pid", JsonValue::Null),
            ("draining", JsonValue::Int(2)),
            ("restarts", JsonValue::Int(3)),
            ("last_error", "signal: 9 (SIGKILL)".into()),
        ],
    );
    let totals = status.get("totals").expect("totals");
    let members = totals.as_object().expect("an object");
    assert_eq!(members.len(), COUNTERS.len(), "all counters");
    expect(
        totals,
        &[
            ("bytes_out", (u64::MAX / 4).into()),
            ("child_restarts", JsonValue::Int(123)),
        ],
    );
    let relay = &array(&status, "relays")[2];
    expect(
        relay,
        &[
            ("url", "rtmp://relay1.example/live".into()),
            ("state", "waiting".into()),
            ("drops", JsonValue::Int(22)),
            ("last_error", "cannot connect: Connection refused".into()),
        ],
    );
    expect(
        &array(&status, "pulls")[0],
        &[("state", "connected".into())],
    );
    expect(
        &array(&status, "recordings")[0],
        &[("duration_sec", JsonValue::Int(61))],
    );
}

/// Names and values that users of the original rely on.
const VARS: [(&str, i64); 22] = [
    ("rtmp_auth_failures_total", 109),
    ("rtmp_auth_successes_total", 108),
    ("rtmp_bytes_egress", 4_611_686_018_427_387_903),
    ("rtmp_bytes_ingested", 11_200_000),
    ("rtmp_connections_active", 11),
    ("rtmp_connections_total", 101),
    ("rtmp_handshake_failures_total", 103),
    ("rtmp_messages_audio", 110),
    ("rtmp_messages_video", 111),
    ("rtmp_publishers_active", 4),
    ("rtmp_publishers_total", 105),
    ("rtmp_recording_errors_total", 114),
    ("rtmp_recordings_active", 2),
    ("rtmp_relay_bytes_sent", 118),
    ("rtmp_relay_messages_dropped", 117),
    ("rtmp_relay_messages_sent", 116),
    ("rtmp_streams_active", 5),
    ("rtmp_subscriber_drops_total", 107),
    ("rtmp_subscribers_active", 35),
    ("rtmp_subscribers_total", 106),
    ("rtmp_uptime_seconds", 93_784),
    ("rtmp_zombie_connections_total", 104),
];

#[test]
fn the_variables_have_their_names() {
    let site = Site::start(5);
    let body = site.get("/debug/vars").body;
    let vars = json::parse(body.as_bytes()).expect("JSON");
    let members = vars.as_object().expect("an object");
    for (name, want) in VARS {
        assert_eq!(vars.get(name), Some(&JsonValue::Int(want)), "{name}");
    }
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let others: Vec<_> = names
        .iter()
        .filter(|name| VARS.iter().all(|(known, _)| known != *name))
        .collect();
    let want = [
        "rtmp_relay_destinations",
        "rtmp_server_info",
        "rtmp_streams",
    ];
    assert_eq!(others, want.iter().collect::<Vec<_>>());
    // One a line, as Go writes it.
    assert!(
        body.starts_with("{\n\"rtmp_auth_failures_total\": 109,\n"),
        "{body}"
    );
    assert!(body.ends_with("\n}\n"));
    assert_eq!(body.lines().count(), names.len() + 2);
    let lines = [
        r#"{"key":"live/cam00","subscribers":1,"video_codec":"H264","audio_codec":"AAC","uptime_seconds":1,"recording":true}"#,
        r#"{"key":"live/cam01","subscribers":2,"video_codec":"H265","audio_codec":"Opus","uptime_seconds":90063,"recording":false}"#,
    ];
    let streams = array(&vars, "rtmp_streams");
    let found: Vec<String> = streams.iter().take(2).map(JsonValue::to_string).collect();
    assert_eq!(found, lines);
    assert_eq!(streams[4].get("video_codec"), None, "left out when unknown");
    let relays = array(&vars, "rtmp_relay_destinations");
    let lines = [
        r#"{"stream_key":"live/cam00","url":"rtmp://relay0.example/live","status":"connecting","messages_sent":10,"messages_dropped":20,"bytes_sent":3000000,"reconnect_count":40}"#,
        r#"{"stream_key":"live/cam00","url":"rtmp://relay1.example/live","status":"waiting","messages_sent":12,"messages_dropped":22,"bytes_sent":3000002,"reconnect_count":42,"last_error":"cannot connect: Connection refused"}"#,
    ];
    assert_eq!([relays[0].to_string(), relays[2].to_string()], lines);
}

/// Lines of the text for Prometheus, with five streams.
const LINES: &[&str] = &[
    "# TYPE rtmp_connections_total counter",
    "rtmp_connections_total 101",
    "rtmp_connections_active 11",
    "rtmp_uptime_seconds 93784.9",
    "rtmp_subscribers_active 35",
    "rtmp_messages_total{type=\"video\"} 111",
    "rtmp_sent_bytes_total 4611686018427387903",
    "rtmp_stream_live{stream=\"live/cam00\"} 1",
    "rtmp_stream_viewers{stream=\"live/cam01\"} 2",
    "rtmp_stream_received_bytes_total{stream=\"live/cam01\"} 6000000",
    "rtmp_stream_publisher_uptime_seconds{stream=\"live/cam01\"} 90063",
    "rtmp_stream_dropped_messages_total{stream=\"live/cam01\"} 17",
    "rtmp_stream_viewers{stream=\"live/e\\\"quoted\\\\\\\" & \u{1f600} caf\u{e9}\"} 10",
    "rtmp_stream_info{stream=\"live/cam00\",video_codec=\"H264\",audio_codec=\"AAC\",width=\"1920\",height=\"1080\",frame_rate=\"30\"} 1",
    "rtmp_queue_depth_viewers{depth=\"0\"} 10",
    "rtmp_queue_depth_viewers{depth=\"51+\"} 1",
    "rtmp_relay_destination_state{stream=\"live/cam00\",destination=\"rtmp://relay1.example/live\",state=\"connected\"} 1",
    "rtmp_relay_destination_reconnects_total{stream=\"live/cam00\",destination=\"rtmp://relay1.example/live#2\"} 42",
    "rtmp_pull_received_bytes_total{stream=\"live/cam00\",source=\"rtmp://origin.example/live\"} 8765432",
    "rtmp_recording_duration_seconds{stream=\"live/cam00\"} 61.25",
];

/// Names, helps and types that dashboards may rely on.
const FAMILIES: &str = include_str!("families.txt");

#[test]
fn metrics_keep_their_names() {
    let site = Site::start(5);
    let body = site.get("/metrics").body;
    for want in FAMILIES.lines() {
        assert!(body.lines().any(|line| line == want), "{want} in\n{body}");
    }
}

#[test]
fn prometheus_reads_what_there_is() {
    let site = Site::start(5);
    let body = site.get("/metrics").body;
    for want in LINES {
        assert!(body.lines().any(|line| line == *want), "{want} in\n{body}");
    }
    assert_eq!(
        body.matches("rtmp_queue_depth_viewers{").count(),
        QUEUE_DEPTHS.len() + 1
    );
    let states = body.matches("rtmp_relay_destination_state{").count();
    assert_eq!(states, 6 * LinkState::ALL.len());
}

#[test]
fn what_metadata_says_is_believed_within_reason() {
    let site = Site::start(1);
    for (said, want, label) in [
        (Some(640.0), "640", "640"),
        (Some(29.5), "29.5", "29.5"),
        (Some(0.0), "null", ""),
        (Some(-1.0), "null", ""),
        (Some(f64::NAN), "null", ""),
        (Some(f64::INFINITY), "null", ""),
        (Some(1e300), "null", ""),
        (None, "null", ""),
    ] {
        site.fixture.snapshot.lock().unwrap().streams[0]
            .metadata
            .width = said;
        wait_until(|| {
            site.get("/api/streams")
                .body
                .contains(&format!("\"width\":{want},"))
        });
        let body = site.get("/metrics").body;
        assert!(body.contains(&format!(",width=\"{label}\",")), "{said:?}");
    }
}

#[test]
fn rates_follow_the_counters() {
    let site = Site::start(2);
    let rate = |name: &str| {
        let status = parsed(&site, "/api/status");
        match status.get(name) {
            Some(JsonValue::Int(rate)) => *rate,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rate("bitrate_in_bps"), 0);
    let start = Instant::now();
    // So many bytes each time: a known rate, whenever they are looked at.
    let mut added = 0;
    let mut seen = 0;
    while seen < 5 {
        let due = start.elapsed().as_millis() as u64 * 100;
        let mut snapshot = site.fixture.snapshot.lock().unwrap();
        snapshot.totals.bytes_in += due - added;
        snapshot.streams[1].bytes_in += due - added;
        snapshot.streams[1].bytes_out += 2 * (due - added);
        drop(snapshot);
        added = due;
        // 100,000 bytes a second; the first look may have caught a part of a second.
        let near = |rate: i64, want: i64| (rate - want).abs() < want / 5;
        seen += i32::from(near(rate("bitrate_in_bps"), 800_000));
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{}",
            rate("bitrate_in_bps")
        );
    }
    let streams = parsed(&site, "/api/streams");
    let rates = array(&streams, "streams").iter().map(|stream| {
        ["bitrate_in_bps", "bitrate_out_bps"].map(|name| match stream.get(name) {
            Some(JsonValue::Int(rate)) => *rate / 1000,
            other => panic!("{other:?}"),
        })
    });
    let rates: Vec<_> = rates.collect();
    assert_eq!(rates[0], [0, 0]);
    assert!((640..960).contains(&rates[1][0]), "{rates:?}");
    assert!((1280..1920).contains(&rates[1][1]), "{rates:?}");
}

/// Looks until it holds: a snapshot may be a moment old.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
    }
}
