//! Reads the values of flags: text in, checked values out.

use super::error::Invalid;
use crate::auth::{Action, SignedKey};
use crate::hooks::EventKind;
use crate::ip_range::IpRange;
use crate::notify::NotifyCall;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Reads one of the words of `choices`.
pub(super) fn choice<T: Copy, const N: usize>(
    value: &str,
    choices: [(&str, T); N],
) -> Result<T, Invalid> {
    let found = choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice);
    found.ok_or_else(|| Invalid::must_be(choices.map(|(name, _)| name).join(" or ")))
}

/// Reads true or false.
pub(super) fn boolean(value: &str) -> Result<bool, Invalid> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(Invalid::must_be("true or false")),
    }
}

/// Reads a whole number from `min` to `max`.
pub(super) fn number<T>(value: &str, min: T, max: T) -> Result<T, Invalid>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let number = value
        .parse::<T>()
        .ok()
        .filter(|number| *number >= min && *number <= max);
    number.ok_or_else(|| Invalid::must_be(format!("a number from {min} to {max}")))
}

/// Reads a number of bytes, with k, m or g behind it for KiB, MiB or GiB, from `min` to `max`, which `range`
/// tells.
pub(super) fn size_within(
    value: &str,
    min: usize,
    max: usize,
    range: &str,
) -> Result<usize, Invalid> {
    let (digits, shift) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 10),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 20),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<usize>().ok().filter(|_| plain);
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    let bytes = bytes.filter(|bytes| (min..=max).contains(bytes));
    bytes.ok_or_else(|| Invalid::must_be(format!("a number of bytes, as 512m or 2g, {range}")))
}

/// Reads the name or address of a host, without a port.
pub(super) fn host_name(value: &str) -> Result<String, Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    // Only addresses of IPv6 have colons.
    let valid = !value.is_empty()
        && value.chars().all(plain)
        && (!value.contains(':') || value.parse::<Ipv6Addr>().is_ok());
    let name = valid.then(|| value.to_owned());
    name.ok_or_else(|| Invalid::must_be("the name or address of a host, without a port"))
}

/// Reads `*` or the origin of web pages, as browsers name it: `https://HOST:PORT`.
pub(super) fn origin(value: &str) -> Result<String, Invalid> {
    let host = value
        .strip_prefix("https://")
        .or_else(|| value.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let is_origin = host.is_some_and(|host| !host.is_empty() && host.chars().all(plain));
    let origin = (value == "*" || is_origin).then(|| value.to_owned());
    origin.ok_or_else(|| Invalid::must_be("* or an origin such as https://www.example.org"))
}

/// Reads `:PORT`, `HOST:PORT` or `[IPV6]:PORT`. Names are looked up when the server starts.
pub(super) fn address(value: &str) -> Result<String, Invalid> {
    let port = value.rsplit_once(':').map(|(_, port)| port);
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(_) => Ok(value.to_owned()),
        None => Err(Invalid::must_be("HOST:PORT or :PORT")),
    }
}

/// Reads an address or a range of addresses.
pub(super) fn ip_range(value: &str) -> Result<IpRange, Invalid> {
    value.parse().map_err(Invalid::because)
}

/// Reads the URL of an RTMP server.
pub(super) fn rtmp_url(value: &str) -> Result<String, Invalid> {
    let host = value
        .strip_prefix("rtmp://")
        .or_else(|| value.strip_prefix("rtmps://"));
    match host {
        Some(host) if !host.is_empty() && !value.chars().any(char::is_control) => {
            Ok(value.to_owned())
        }
        _ => Err(Invalid::must_be(
            "a URL that begins with rtmp:// or rtmps://",
        )),
    }
}

/// Longest duration, in hours: a year. Added to any time of day it does not overflow.
const HOURS_MAX: u64 = 365 * 24;

/// Reads a duration in Go's notation: numbers with units, `1h30m`, `1.5s`, or a bare 0.
pub(super) fn duration(value: &str) -> Result<Duration, Invalid> {
    let duration = go_duration(value)
        .ok_or_else(|| Invalid::must_be("a duration such as 500ms, 2s, 5m or 1h30m"))?;
    let bounded = (duration <= Duration::from_secs(HOURS_MAX * 60 * 60)).then_some(duration);
    bounded.ok_or_else(|| Invalid::must_be(format!("{HOURS_MAX}h at most")))
}

/// Reads a duration from `min` to `max`, which `range` says in words.
pub(super) fn duration_within(
    value: &str,
    min: Duration,
    max: Duration,
    range: &str,
) -> Result<Duration, Invalid> {
    let duration = duration(value)?;
    let bounded = (min..=max).contains(&duration).then_some(duration);
    bounded.ok_or_else(|| Invalid::must_be(range))
}

/// Reads a duration in Go's notation, however long. `None`: the text is something else.
pub(super) fn go_duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = rest[digits..].split_at(unit_len.unwrap_or(rest.len() - digits));
        seconds += amount
            * match unit {
                "ns" => 1e-9,
                "us" | "\u{b5}s" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = after;
    }
    if value.is_empty() {
        None
    } else {
        // One that does not fit becomes the longest; the caller refuses it.
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// Reads `EVENT=…`, with the name of an event.
pub(super) fn of_event(value: &str, allowed: &str) -> Result<(String, String), Invalid> {
    let (event, rest) = value
        .split_once('=')
        .ok_or_else(|| Invalid::must_be(allowed))?;
    if EventKind::from_name(event).is_none() {
        let names = EventKind::ALL.map(EventKind::name).join(" ");
        return Err(Invalid::must_be(format!(
            "{allowed} with one of the events {names}"
        )));
    }
    if rest.is_empty() {
        return Err(Invalid::must_be(allowed));
    }
    Ok((event.to_owned(), rest.to_owned()))
}

/// Reads `CALL=URL`, with the name of a call.
pub(super) fn notify_call(value: &str) -> Result<(NotifyCall, String), Invalid> {
    let split = value.split_once('=').filter(|(_, url)| !url.is_empty());
    let (call, url) = split.ok_or_else(|| Invalid::must_be("CALL=URL"))?;
    let call = NotifyCall::from_name(call).ok_or_else(|| {
        let names = NotifyCall::ALL.map(NotifyCall::name).join(" ");
        Invalid::must_be(format!("CALL=URL with one of the calls {names}"))
    })?;
    Ok((call, url.to_owned()))
}

/// Reads `KEY=TOKEN`; neither may be empty.
pub(super) fn token_of_key(value: &str) -> Result<(String, String), Invalid> {
    match value.split_once('=') {
        Some((key, token)) if !key.is_empty() && !token.is_empty() => {
            Ok((key.to_owned(), token.to_owned()))
        }
        _ => Err(Invalid::must_be("KEY=TOKEN")),
    }
}

/// Reads `ACTION:KEY`, with a key or a pattern of keys.
pub(super) fn signed_key(value: &str) -> Result<(Action, SignedKey), Invalid> {
    let allowed = || Invalid::must_be("publish:KEY or play:KEY");
    let (action, key) = value.split_once(':').ok_or_else(allowed)?;
    let action = match action {
        "publish" => Action::Publish,
        "play" => Action::Play,
        _ => return Err(allowed()),
    };
    if key.contains('?') {
        return Err(Invalid::because("a key ends before the query, at the ?"));
    }
    // The name of a stream may hold a star, but who writes one here means a pattern.
    let before = match key {
        "*" => "",
        _ => key.strip_suffix("/*").unwrap_or(key),
    };
    if before.contains('*') {
        return Err(Invalid::because("a * may only be the whole last segment"));
    }
    let key = SignedKey::new(key).map_err(Invalid::because)?;
    Ok((action, key))
}

/// Reads the name of a file.
pub(super) fn file(value: &str) -> Result<PathBuf, Invalid> {
    filled(value, "a file").map(PathBuf::from)
}

/// Reads any text that is not empty.
pub(super) fn filled(value: &str, allowed: &str) -> Result<String, Invalid> {
    let text = (!value.is_empty()).then(|| value.to_owned());
    text.ok_or_else(|| Invalid::must_be(allowed))
}

/// Reads a duration of at most `max`, which is whole seconds.
pub(super) fn up_to(value: &str, max: Duration) -> Result<Duration, Invalid> {
    let duration = duration(value)?;
    let bounded = (duration <= max).then_some(duration);
    bounded.ok_or_else(|| Invalid::must_be(format!("{}s at most", max.as_secs())))
}

/// Reads a duration that is longer than 0.
pub(super) fn positive(value: &str) -> Result<Duration, Invalid> {
    let duration = duration(value)?;
    let longer = (!duration.is_zero()).then_some(duration);
    longer.ok_or_else(|| Invalid::must_be("longer than 0"))
}
