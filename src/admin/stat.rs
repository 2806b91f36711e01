//! `/stat`: the tree of nginx-rtmp's statistics, for tools that read it.
//!
//! Some of them drop everything if one element is missing, or is not a number where they want one. So
//! every element is always there: a text that is not known is empty, a number 0.

use super::rates::Rates;
use crate::media::Codec;
use crate::media::config::{AudioDetails, Config, Details, SampleFormat};
use crate::stats::{ConnectionStats, Snapshot, StreamStats};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

/// What nginx sends it as.
pub(super) const CONTENT_TYPE: &str = "text/xml";

/// The application that is shown when nothing is published: some tools want one.
const APP: &str = "live";

/// The whole tree, as a document.
pub(super) fn render(snapshot: &Snapshot, rates: &Rates) -> String {
    let mut xml = Xml::default();
    xml.line("<?xml version=\"1.0\" encoding=\"utf-8\" ?>");
    xml.line("<rtmp>");
    let version = concat!("rtmp-server/", env!("CARGO_PKG_VERSION"));
    let total = rates.total();
    xml.element("nginx_version", version);
    xml.element("nginx_rtmp_version", version);
    xml.element("compiler", "rustc");
    xml.element("built", version);
    xml.element("pid", std::process::id());
    xml.element("uptime", snapshot.uptime.as_secs());
    xml.element("naccepted", snapshot.totals.connections);
    xml.element("bw_in", total.received);
    xml.element("bytes_in", snapshot.totals.bytes_in);
    xml.element("bw_out", total.sent);
    xml.element("bytes_out", snapshot.totals.bytes_out);
    xml.line("<server>");
    let apps = applications(snapshot);
    if apps.is_empty() {
        application(&mut xml, APP, &[], rates);
    }
    for (app, streams) in apps {
        application(&mut xml, app, &streams, rates);
    }
    xml.line("</server>");
    xml.line("</rtmp>");
    xml.0
}

/// A stream and its clients.
struct Listed<'a> {
    name: &'a str,
    stats: &'a StreamStats,
    clients: Vec<Client<'a>>,
}

/// A client, as the tree shows it.
struct Client<'a> {
    id: u64,
    address: String,
    time_ms: u128,
    flash_ver: &'a str,
    dropped: u64,
    is_publisher: bool,
}

/// The streams of each application. A stream that has no clients, whose publisher was lost and whom
/// nobody waits for, is left out.
fn applications(snapshot: &Snapshot) -> BTreeMap<&str, Vec<Listed<'_>>> {
    let mut by_key: BTreeMap<&str, Vec<&ConnectionStats>> = BTreeMap::new();
    for connection in &snapshot.connections {
        for (index, used) in connection.uses.iter().enumerate() {
            let key = &used.stream_key;
            // One that has several message streams for it is one client.
            if connection.uses[..index]
                .iter()
                .all(|other| other.stream_key != *key)
            {
                by_key.entry(key).or_default().push(connection);
            }
        }
    }
    let mut apps: BTreeMap<&str, Vec<Listed<'_>>> = BTreeMap::new();
    for stats in &snapshot.streams {
        let (app, name) = stats.key.rsplit_once('/').unwrap_or((&stats.key, ""));
        let connections = by_key.get(stats.key.as_str());
        let clients = clients(stats, connections.map_or(&[], Vec::as_slice));
        if !clients.is_empty() {
            apps.entry(app).or_default().push(Listed {
                name,
                stats,
                clients,
            });
        }
    }
    apps
}

/// The clients of a stream, its publisher last, as nginx has them mostly. One that is no client, since
/// the stream is pulled, is shown as one: tools take the publisher from the count.
fn clients<'a>(stats: &'a StreamStats, connections: &[&'a ConnectionStats]) -> Vec<Client<'a>> {
    let publisher = stats.publisher.as_deref();
    let is_publisher = |connection: &ConnectionStats| Some(connection.id.as_str()) == publisher;
    let shown = |connection: &&'a ConnectionStats| Client {
        id: number(&connection.id),
        address: connection.addr.ip().to_canonical().to_string(),
        time_ms: connection.uptime.as_millis(),
        flash_ver: &connection.flash_ver,
        dropped: connection.drops,
        is_publisher: is_publisher(connection),
    };
    let players = connections.iter().filter(|one| !is_publisher(one));
    let mut clients: Vec<Client<'_>> = players.map(shown).collect();
    match connections.iter().find(|one| is_publisher(one)) {
        Some(connection) => clients.push(shown(connection)),
        None if publisher.is_some() => clients.push(Client {
            id: 0,
            address: String::new(),
            time_ms: stats.uptime.as_millis(),
            flash_ver: "pull",
            dropped: 0,
            is_publisher: true,
        }),
        None => {}
    }
    clients
}

/// The number in a connection's id.
fn number(id: &str) -> u64 {
    let digits = id.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0)
}

fn application(xml: &mut Xml, app: &str, streams: &[Listed<'_>], rates: &Rates) {
    xml.line("<application>");
    xml.element("name", app);
    xml.line("<live>");
    for listed in streams {
        stream(xml, listed, rates);
    }
    let clients: usize = streams.iter().map(|listed| listed.clients.len()).sum();
    xml.element("nclients", clients);
    xml.line("</live>");
    xml.line("</application>");
}

fn stream(xml: &mut Xml, listed: &Listed<'_>, rates: &Rates) {
    let Listed {
        name,
        stats,
        clients,
    } = listed;
    let rate = rates.of(stats);
    xml.line("<stream>");
    xml.element("name", name);
    xml.element("time", stats.uptime.as_millis());
    xml.element("bw_in", rate.received);
    xml.element("bytes_in", stats.bytes_in);
    xml.element("bw_out", rate.sent);
    xml.element("bytes_out", stats.bytes_out);
    xml.element("bw_audio", within_u32(rate.audio));
    xml.element("bw_video", within_u32(rate.video));
    for one in clients {
        client(xml, one, stats);
    }
    xml.line("<meta>");
    video(xml, stats);
    audio(xml, stats);
    xml.line("</meta>");
    xml.element("nclients", clients.len());
    if stats.publisher.is_some() {
        xml.line("<publishing/>");
        xml.line("<active/>");
    }
    xml.line("</stream>");
}

/// Tools read these as numbers of 32 bits.
fn within_u32(rate: u64) -> u32 {
    u32::try_from(rate).unwrap_or(u32::MAX)
}

fn client(xml: &mut Xml, client: &Client<'_>, stats: &StreamStats) {
    xml.line("<client>");
    xml.element("id", client.id);
    xml.element("address", &client.address);
    xml.element("time", client.time_ms);
    xml.element("flashver", client.flash_ver);
    xml.element("dropped", client.dropped);
    xml.element("avsync", 0);
    xml.element("timestamp", stats.timestamp_ms);
    if client.is_publisher {
        xml.line("<publishing/>");
    }
    xml.line("<active/>");
    xml.line("</client>");
}

fn video(xml: &mut Xml, stats: &StreamStats) {
    let config = stats.video.as_ref();
    let size = config.and_then(|config| match config.details {
        Details::Video { width, height, .. } => Some((width, height)),
        Details::Audio(_) => None,
    });
    let said = |pixels: Option<f64>| pixels.unwrap_or(0.0).clamp(0.0, f64::from(u16::MAX)) as u16;
    let metadata = &stats.metadata;
    let (width, height) = size.unwrap_or((said(metadata.width), said(metadata.height)));
    let avc = config.filter(|config| config.format == SampleFormat::Avc);
    let [_, profile, compat, level] = avc.map_or([0; 4], |config| avc_header(&config.record));
    xml.line("<video>");
    xml.element("width", width);
    xml.element("height", height);
    xml.element("frame_rate", said(metadata.frame_rate.map(f64::round)));
    xml.element("codec", Known(stats.video_codec));
    xml.element("profile", avc_profile(profile));
    xml.element("compat", compat);
    let (whole, tenth) = (level / 10, level % 10);
    xml.element("level", format_args!("{whole}.{tenth}"));
    xml.line("</video>");
}

/// Version, profile, constraints and level.
fn avc_header(record: &[u8]) -> [u8; 4] {
    record.first_chunk().copied().unwrap_or_default()
}

fn avc_profile(number: u8) -> &'static str {
    match number {
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        _ => "",
    }
}

fn audio(xml: &mut Xml, stats: &StreamStats) {
    let config = stats.audio.as_ref();
    let details = config.and_then(|config| match config.details {
        Details::Audio(details) => Some(details),
        Details::Video { .. } => None,
    });
    let AudioDetails { channels, rate, .. } = details.unwrap_or(AudioDetails {
        channels: 0,
        rate: 0,
        bits: 0,
        frame_len: None,
    });
    xml.line("<audio>");
    xml.element("codec", Known(stats.audio_codec));
    xml.element("profile", config.map_or("", aac_profile));
    xml.element("channels", channels);
    xml.element("sample_rate", rate);
    xml.line("</audio>");
}

/// The name of the object type that an AudioSpecificConfig begins with.
fn aac_profile(config: &Config) -> &'static str {
    if config.format != SampleFormat::Aac {
        return "";
    }
    match config.record.first().map_or(0, |byte| byte >> 3) {
        1 => "Main",
        2 => "LC",
        3 => "SSR",
        4 => "LTP",
        5 => "HE",
        29 => "HEv2",
        _ => "",
    }
}

/// A codec, or nothing.
struct Known(Option<Codec>);

impl Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.map_or(Ok(()), |codec| write!(f, "{codec}"))
    }
}

/// A document, line by line as nginx writes it.
#[derive(Default)]
struct Xml(String);

impl Xml {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\r\n");
    }

    fn element(&mut self, name: &str, value: impl Display) {
        let value = escaped(&value.to_string());
        let _ = write!(self.0, "<{name}>{value}</{name}>\r\n"); // to a String: cannot fail
    }
}

/// A text without what XML takes for something else, and without the characters that it cannot hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
