//! Text from outside: JSON, names of streams, signed queries, patterns of files, URLs, and what of all
//! of it may be shown.

use super::draw::Draw;
use rtmp_server::args::help;
use rtmp_server::auth::{Action, Secrets, SignedKey, TokenTable, signed_query};
use rtmp_server::http::{HttpUrl, percent_decoded};
use rtmp_server::ip_range::{IpRange, IpRangeError, network};
use rtmp_server::json::{self, JsonValue, Quoted, is_hidden};
use rtmp_server::net::HostPort;
use rtmp_server::record::Pattern;
use rtmp_server::remote::{Destination, RtmpUrl, Source};
use rtmp_server::rtmp::stream_key::{
    KEY_LEN_MAX, QUERY_LEN_MAX, StreamKey, StreamPath, encoded_name, plain_app,
};
use rtmp_server::sys::LocalTime;
use rtmp_server::text::{SHOWN_LEN_MAX, query_start, shown, without_secrets};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Component;

/// What is read is read again from what is written of it, which is one line that hides nothing.
pub fn json(data: &[u8]) {
    let parsed = json::parse(data);
    if let Ok(value) = &parsed {
        check_depth(value, 0);
        let text = value.to_string();
        assert!(!text.contains(is_hidden), "{text:?}");
        let again = json::parse(text.as_bytes()).expect("what was written is read");
        // A number beyond all numbers is written as null.
        if !text.contains("null") {
            assert_eq!(&again, value);
        }
        assert_eq!(again.to_string(), text);
    }
    match TokenTable::from_json(data) {
        Ok(table) => {
            // Some editors put a mark in front of a file.
            let unmarked = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
            assert!(json::parse(unmarked).is_ok());
            let key = StreamKey::new("live/cam").expect("a key");
            // No token opens a stream without one.
            assert!(table.check(Action::Publish, &key, "").is_err());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let text = String::from_utf8_lossy(data);
    let quoted = Quoted(&text).to_string();
    let read = json::parse(quoted.as_bytes());
    assert_eq!(read, Ok(JsonValue::String(text.into_owned())));
}

fn check_depth(value: &JsonValue, depth: usize) {
    assert!(depth <= json::DEPTH_MAX);
    match value {
        JsonValue::Array(values) => values
            .iter()
            .for_each(|value| check_depth(value, depth + 1)),
        JsonValue::Object(members) => {
            for (index, (name, value)) in members.iter().enumerate() {
                check_depth(value, depth + 1);
                let same = |other: &&(String, JsonValue)| other.0 == *name;
                assert_eq!(members.iter().position(|it| same(&it)), Some(index));
            }
        }
        _ => {}
    }
}

/// A key has none of what a key may not have, and another server is told it so that it is the same
/// there.
pub fn stream_keys(data: &[u8]) {
    let mut draw = Draw(data);
    let (app, name) = (draw.text(), draw.text());
    let _ = plain_app(&app);
    let Ok(path) = StreamPath::new(&app, &name) else {
        return;
    };
    let key = path.key.as_str();
    assert!((1..=KEY_LEN_MAX).contains(&key.len()));
    let is_segment = |segment: &str| !["", ".", ".."].contains(&segment);
    assert!(key.split('/').all(is_segment), "{key:?}");
    assert!(!key.chars().any(char::is_control));
    assert_eq!(StreamKey::new(key).as_ref(), Ok(&path.key));
    assert!(path.whole_query().len() <= QUERY_LEN_MAX);
    assert!(path.whole_query().starts_with(path.name_query()));
    for name in ["token", "sig", ""] {
        let value = path.query(name).unwrap_or_default();
        assert!(value.len() <= path.whole_query().len());
    }
    // Where it is sent on, it arrives as it is, but for what is a query there.
    let has_query = |(at, _): (usize, &str)| query_start(&key[..at]).is_some();
    if !key.contains('?') && !key.match_indices('/').any(has_query) {
        let url = RtmpUrl::parse("rtmp://host/{app}/{name}").expect("a URL");
        let target = url.filled(&path.key, Vec::new());
        let again = StreamPath::new(&target.app, &target.name).expect("a name");
        assert_eq!(again.key, path.key);
    }
}

/// Only what the secret has signed opens a stream, for what it was signed for.
pub fn signed_queries(data: &[u8]) {
    let mut draw = Draw(data);
    let now = u64::from(draw.u32());
    let lifetime = u64::from(draw.u16());
    let (query, key) = (draw.text(), draw.text());
    let secrets = Secrets::new(["a secret".to_owned(), "another".to_owned()]);
    let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let actions = [Action::Publish, Action::Play];
    if let Ok(path) = StreamPath::new("live", &format!("cam?{query}")) {
        for action in actions {
            // Nobody has signed this one.
            let error = secrets
                .check(action, &path, ip, now)
                .expect_err("a signature");
            let text = error.to_string();
            assert!(!text.contains("a secret") && text.len() < 400, "{text}");
        }
    }
    let (Ok(signed), Ok(stream)) = (SignedKey::new(&key), StreamKey::new(&key)) else {
        return;
    };
    if key == "*" || key.ends_with("/*") {
        return;
    }
    let query = signed_query("another", Action::Play, &signed, now + lifetime);
    let Ok(path) = StreamPath::new("", &format!("{}?{query}", encoded_name(stream.as_str())))
    else {
        return;
    };
    // Some keys cannot be asked for as they are.
    if path.key != stream {
        return;
    }
    assert_eq!(secrets.check(Action::Play, &path, ip, now), Ok(()));
    assert!(secrets.check(Action::Publish, &path, ip, now).is_err());
    assert!(
        secrets
            .check(Action::Play, &path, ip, now + lifetime + 31)
            .is_err()
    );
    let changed = query.replace("exp=", "exp=1");
    let name = format!("{}?{changed}", encoded_name(stream.as_str()));
    let path = StreamPath::new("", &name).expect("a name");
    assert!(secrets.check(Action::Play, &path, ip, now).is_err());
}

/// Names of recordings stay below their directory, and are no longer than names can be.
pub fn patterns(data: &[u8]) {
    let mut draw = Draw(data);
    let number = u64::from(draw.u32()) << (draw.u8() % 33);
    let (pattern, key) = (draw.text(), draw.text());
    let time = LocalTime {
        year: i32::from(draw.u16()),
        month: draw.u8(),
        day: draw.u8(),
        hour: draw.u8(),
        minute: draw.u8(),
        second: draw.u8(),
    };
    let pattern = Pattern::new(&pattern);
    let Ok(key) = StreamKey::new(&key) else {
        return;
    };
    let patterns = pattern
        .into_iter()
        .chain([Pattern::of_whole(), Pattern::of_segments()]);
    for pattern in patterns {
        let path = |attempt| pattern.path(&key, number, time, attempt, ".flv");
        for attempt in [1, 2, 9_999_999] {
            let path = path(attempt);
            for part in path.components() {
                let Component::Normal(name) = part else {
                    panic!("{path:?} leads elsewhere");
                };
                assert!((1..=255).contains(&name.len()), "{path:?}");
            }
            let text = path.to_str().expect("UTF-8");
            assert!(text.ends_with(".flv") && !text.contains(char::is_control));
        }
        assert_ne!(path(1), path(2));
    }
}

/// URLs, ranges of addresses and the like: what is shown of them has nothing secret, and what can be
/// read again is the same.
pub fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = RtmpUrl::parse(&text) {
        let shown = url.to_string();
        let (_, place) = shown.split_once("://").expect("a scheme");
        let (place, _) = place.split_once('/').expect("a path");
        assert!(!shown.contains('?') && !place.contains('@'), "{shown}");
        assert!(!shown.chars().any(char::is_control));
        let key = StreamKey::new("live/cam").expect("a key");
        let target = url.filled(&key, Vec::new());
        assert!(target.app.len() + target.name.len() <= 40 * text.len() + 40);
        let _ = (
            url.has_name(),
            url.has_placeholders(),
            url.with_name("cam", Vec::new()),
        );
    }
    if let Ok(url) = HttpUrl::parse(&text) {
        assert!(text.starts_with(url.reveal()) && url.target.starts_with('/'));
        assert!(url.port > 0 && !url.host.is_empty());
        assert!(!url.host.contains(['/', '?', '@', '#']), "{:?}", url.host);
        let shown = url.to_string();
        assert!(!shown.contains(['?', '@']), "{shown}");
    }
    let _ = HostPort::parse(&text);
    for result in [
        Destination::parse(&text).err(),
        Source::parse(&text, true).err(),
    ] {
        let told = result.map(|error| error.to_string()).unwrap_or_default();
        // A word in braces is told, since it was meant for a placeholder.
        let told = told.strip_prefix('{').map_or(told.as_str(), |rest| {
            rest.split_once('}').map_or("", |(_, rest)| rest)
        });
        let is_url = text.starts_with("rtmp://") || text.starts_with("rtmps://");
        assert!(!is_url || !told.contains("sEcReT"), "{told}");
    }
    check_streams(&text);
    match text.parse::<IpRange>() {
        Ok(range) => assert_eq!(range.to_string().parse(), Ok(range)),
        Err(IpRangeError::Bits(range)) => assert_eq!(range.to_string().parse(), Ok(range)),
        Err(IpRangeError::Malformed) => {}
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        assert_eq!(network(network(ip)), network(ip));
        let range: IpRange = text.parse().expect("an address is a range");
        assert!(range.contains(ip));
    }
    assert!(percent_decoded(&text).len() <= 3 * text.len());
}

/// What a destination or a source is asked for of a stream, and that none is there twice.
fn check_streams(text: &str) {
    for key in ["live/cam", "cam", "a/b/c"] {
        let key = StreamKey::new(key).expect("a key");
        if let Ok(destination) = Destination::parse(text)
            && destination.takes(&key)
        {
            let target = destination.target(&key, Vec::new());
            assert!(target.app.len() + target.name.len() <= 40 * text.len() + 40);
            let twice = Destination::parse(text).map(|other| other.among(&[destination]));
            let error = twice.expect("the same").expect_err("the same twice");
            assert!(!error.to_string().contains('?'), "{error}");
        }
        if let Ok(source) = Source::parse(text, true) {
            let target = source.target(&key, Vec::new());
            assert!(target.app.len() + target.name.len() <= 40 * text.len() + 40);
        }
    }
}

/// What is shown is short, on one line, and has no secret in it.
pub fn shown_texts(data: &[u8]) {
    let mut draw = Draw(data);
    let (secret, other) = (draw.text(), draw.text());
    let text = String::from_utf8_lossy(draw.0);
    let short = shown(&text);
    assert!(
        short.len() <= SHOWN_LEN_MAX && !short.chars().any(char::is_control),
        "{short:?}"
    );
    let bare = without_secrets(&text, &[&secret, &other]);
    assert!(bare.len() <= 4 * text.len() + 16, "longer than it was");
    // What stands for a secret may be taken for a part of one.
    let has_mark = |secret: &str| secret.contains('*');
    for secret in [&secret, &other] {
        let hidden = secret.len() < 4 || has_mark(secret) || !bare.contains(secret.as_str());
        let is_made = has_mark(&bare) && !text.contains(secret.as_str());
        assert!(hidden || is_made, "{bare:?} has {secret:?}");
    }
    assert!(!help().is_empty());
}
