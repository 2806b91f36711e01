//! `/metrics`: the text format of Prometheus, version 0.0.4.

use super::api::plausible;
use super::rates::Rates;
use crate::media::Codec;
use crate::stats::{
    COUNTERS, GAUGES, LinkState, PullStats, QUEUE_DEPTHS, RecordingStats, RelayStats, Snapshot,
    StreamStats, TlsState, Totals,
};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write as _};

/// The media type of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Labels<'a> = [(&'a str, &'a str)];

/// All metrics. Families that have nothing to say are left out.
pub(super) fn render(snapshot: &Snapshot, rates: &Rates) -> String {
    let mut text = Text(String::new());
    server(&mut text, snapshot);
    tls(&mut text, snapshot);
    counters(&mut text, &snapshot.totals);
    streams(&mut text, snapshot);
    rates_of_streams(&mut text, snapshot, rates);
    queues(&mut text, snapshot);
    relays(&mut text, &snapshot.relays);
    pulls(&mut text, &snapshot.pulls);
    recordings(&mut text, &snapshot.recordings);
    text.0
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}"); // to a String: cannot fail
    }

    fn sample(&mut self, name: &str, labels: &Labels, value: &dyn Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(&mut self.0, text);
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}"); // to a String: cannot fail
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: &dyn Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family with a sample for each item that has a value.
    fn each<T, V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        items: &[T],
        labels: impl Fn(&T) -> Vec<(&str, &str)>,
        value: impl Fn(&T) -> Option<V>,
    ) {
        let mut values = items
            .iter()
            .filter_map(|item| Some((item, value(item)?)))
            .peekable();
        if values.peek().is_some() {
            self.family(name, kind, help);
        }
        for (item, value) in values {
            self.sample(name, &labels(item), &value);
        }
    }
}

/// Appends `text` as the inside of a label's value.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[rustfmt::skip]
fn server(text: &mut Text, snapshot: &Snapshot) {
    text.family("rtmp_build_info", "gauge", "The version of the server; always 1.");
    text.sample("rtmp_build_info", &[("version", env!("CARGO_PKG_VERSION"))], &1);
    let uptime = snapshot.uptime.as_secs_f64();
    text.single("rtmp_uptime_seconds", "gauge", "Time since the server started.", &uptime);
    for gauge in &GAUGES {
        text.single(gauge.metric, "gauge", gauge.help, &(gauge.get)(snapshot));
    }
}

/// Only of a server that serves TLS.
#[rustfmt::skip]
fn tls(text: &mut Text, snapshot: &Snapshot) {
    let Some(tls) = &snapshot.tls else {
        return;
    };
    let running = u8::from(tls.state == TlsState::Running);
    text.single("rtmp_tls_helper_up", "gauge", "Whether the program that speaks TLS runs.", &running);
    let help = "Processes of it that only have connections from before a renewal of the certificate.";
    text.single("rtmp_tls_helper_draining", "gauge", help, &tls.draining);
}

fn counters(text: &mut Text, totals: &Totals) {
    let mut family = "";
    for counter in COUNTERS {
        if counter.metric != family {
            text.family(counter.metric, "counter", counter.help);
        }
        family = counter.metric;
        text.sample(counter.metric, counter.labels, &(counter.get)(totals));
    }
}

fn of_stream(stream: &StreamStats) -> Vec<(&str, &str)> {
    vec![("stream", &stream.key)]
}

#[rustfmt::skip]
fn streams(text: &mut Text, snapshot: &Snapshot) {
    type Row = (&'static str, &'static str, &'static str, fn(&StreamStats) -> u64);
    let rows: [Row; 10] = [
        ("rtmp_stream_live", "gauge", "1 with a publisher, 0 while viewers wait for it to come back.", |stream| u64::from(stream.publisher.is_some())),
        ("rtmp_stream_viewers", "gauge", "Who plays the stream.", |stream| stream.viewers as u64),
        ("rtmp_stream_recording", "gauge", "Whether the stream is being recorded.", |stream| u64::from(stream.recording)),
        ("rtmp_stream_received_bytes_total", "counter", "Payload bytes of this publication.", |stream| stream.bytes_in),
        ("rtmp_stream_sent_bytes_total", "counter", "Bytes sent to viewers of this publication.", |stream| stream.bytes_out),
        ("rtmp_stream_audio_messages_total", "counter", "Audio messages of this publication.", |stream| stream.audio_messages),
        ("rtmp_stream_video_messages_total", "counter", "Video messages of this publication.", |stream| stream.video_messages),
        ("rtmp_stream_dropped_messages_total", "counter", "Messages left out for slow viewers of this publication.", |stream| stream.drops),
        ("rtmp_stream_cached_messages", "gauge", "Messages kept for late joiners.", |stream| stream.cached_messages as u64),
        ("rtmp_stream_cached_bytes", "gauge", "Payload bytes kept for late joiners.", |stream| stream.cached_bytes as u64),
    ];
    for (name, kind, help, value) in rows {
        text.each((name, kind, help), &snapshot.streams, of_stream, |stream| Some(value(stream)));
    }
    let uptime = ("rtmp_stream_publisher_uptime_seconds", "gauge", "Time since the publication began.");
    text.each(uptime, &snapshot.streams, of_stream, |stream| Some(stream.uptime.as_secs_f64()));
    stream_info(text, &snapshot.streams);
}

/// What the streams are, in labels.
fn stream_info(text: &mut Text, streams: &[StreamStats]) {
    const NAME: &str = "rtmp_stream_info";
    if !streams.is_empty() {
        let help = "What the stream is, as far as it says; always 1.";
        text.family(NAME, "gauge", help);
    }
    let codec = |codec: Option<Codec>| codec.map(|codec| codec.to_string()).unwrap_or_default();
    let said = |number: Option<f64>| {
        let number = plausible(number).map(|number| number.to_string());
        number.unwrap_or_default()
    };
    for stream in streams {
        let metadata = &stream.metadata;
        let labels = [
            ("stream", stream.key.as_str()),
            ("video_codec", &codec(stream.video_codec)),
            ("audio_codec", &codec(stream.audio_codec)),
            ("width", &said(metadata.width)),
            ("height", &said(metadata.height)),
            ("frame_rate", &said(metadata.frame_rate)),
        ];
        text.sample(NAME, &labels, &1);
    }
}

fn rates_of_streams(text: &mut Text, snapshot: &Snapshot, rates: &Rates) {
    // Prometheus knows bytes only.
    let bytes = |bits: u64| Some(bits as f64 / 8.0);
    let received = (
        "rtmp_stream_receive_rate_bytes_per_second",
        "gauge",
        "Payload received of late, in bytes per second.",
    );
    text.each(received, &snapshot.streams, of_stream, |stream| {
        bytes(rates.of(stream).received)
    });
    let sent = (
        "rtmp_stream_send_rate_bytes_per_second",
        "gauge",
        "Sent to viewers of late, in bytes per second.",
    );
    text.each(sent, &snapshot.streams, of_stream, |stream| {
        bytes(rates.of(stream).sent)
    });
}

/// How many viewers have how much waiting for them. No histogram, which counts what was: these go
/// down again.
fn queues(text: &mut Text, snapshot: &Snapshot) {
    const NAME: &str = "rtmp_queue_depth_viewers";
    let help = "Viewers by how many items wait in their queue.";
    text.family(NAME, "gauge", help);
    for (index, depth) in depths().iter().enumerate() {
        let viewers: u64 = snapshot
            .streams
            .iter()
            .map(|stream| stream.queue_depths[index])
            .sum();
        text.sample(NAME, &[("depth", depth)], &viewers);
    }
}

/// The depths in words: `0`, `2-5`, `51+`.
fn depths() -> [String; QUEUE_DEPTHS.len() + 1] {
    std::array::from_fn(|index| {
        let low = index
            .checked_sub(1)
            .map_or(0, |before| QUEUE_DEPTHS[before] + 1);
        match QUEUE_DEPTHS.get(index) {
            Some(high) if *high == low => low.to_string(),
            Some(high) => format!("{low}-{high}"),
            None => format!("{low}+"),
        }
    })
}

/// Something between this server and another one, with labels that no other has.
struct LinkSample<'a, T> {
    stream: &'a str,
    /// Without what may be secret, two URLs can be the same: the second one is then marked `#2`.
    url: String,
    stats: &'a T,
}

impl<T> LinkSample<'_, T> {
    /// What it is told apart by; `end` is what the other end is called.
    fn labels<'a>(&'a self, end: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![("stream", self.stream), (end, &self.url)]
    }
}

fn links<'a, T>(
    items: &'a [T],
    names: impl Fn(&'a T) -> (&'a str, &'a str),
) -> Vec<LinkSample<'a, T>> {
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    let links = items.iter().map(|stats| {
        let (stream, url) = names(stats);
        let count = seen.entry((stream, url)).or_default();
        *count += 1;
        let url = match *count {
            1 => url.to_owned(),
            count => format!("{url}#{count}"),
        };
        LinkSample { stream, url, stats }
    });
    links.collect()
}

/// A gauge for each state that a link can be in: 1 for the one that it is in.
fn states<T>(
    text: &mut Text,
    (name, label, help): (&str, &str, &str),
    links: &[LinkSample<T>],
    state: impl Fn(&T) -> LinkState,
) {
    if !links.is_empty() {
        text.family(name, "gauge", help);
    }
    for link in links {
        for other in LinkState::ALL {
            let mut labels = link.labels(label);
            labels.push(("state", other.name()));
            text.sample(name, &labels, &u8::from(state(link.stats) == other));
        }
    }
}

#[rustfmt::skip]
fn relays(text: &mut Text, relays: &[RelayStats]) {
    type Row = (&'static str, &'static str, fn(&RelayStats) -> u64);
    let rows: [Row; 4] = [
        ("rtmp_relay_destination_messages_total", "Messages sent to the destination.", |relay| relay.messages),
        ("rtmp_relay_destination_dropped_messages_total", "Messages left out for the destination.", |relay| relay.drops),
        ("rtmp_relay_destination_sent_bytes_total", "Bytes sent to the destination.", |relay| relay.bytes),
        ("rtmp_relay_destination_reconnects_total", "Times that the destination was connected anew.", |relay| relay.reconnects),
    ];
    let links = links(relays, |relay| (&relay.stream_key, &relay.url));
    states(text, ("rtmp_relay_destination_state", "destination", "How far the relay is; 1 for its state."), &links, |relay| relay.state);
    for (name, help, value) in rows {
        text.each((name, "counter", help), &links, |link| link.labels("destination"), |link| Some(value(link.stats)));
    }
}

#[rustfmt::skip]
fn pulls(text: &mut Text, pulls: &[PullStats]) {
    type Row = (&'static str, &'static str, fn(&PullStats) -> u64);
    let rows: [Row; 2] = [
        ("rtmp_pull_received_bytes_total", "Bytes received from the source.", |pull| pull.bytes),
        ("rtmp_pull_reconnects_total", "Times that the source was connected anew.", |pull| pull.reconnects),
    ];
    let links = links(pulls, |pull| (&pull.stream_key, &pull.url));
    states(text, ("rtmp_pull_state", "source", "How far the pull is; 1 for its state."), &links, |pull| pull.state);
    for (name, help, value) in rows {
        text.each((name, "counter", help), &links, |link| link.labels("source"), |link| Some(value(link.stats)));
    }
}

/// By stream: names of files come and go too fast for labels.
fn recordings(text: &mut Text, recordings: &[RecordingStats]) {
    let mut streams: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for recording in recordings {
        let (bytes, seconds) = streams.entry(&recording.stream_key).or_default();
        *bytes += recording.bytes;
        *seconds += recording.duration.as_secs_f64();
    }
    let streams: Vec<(&str, (u64, f64))> = streams.into_iter().collect();
    let bytes = (
        "rtmp_recording_size_bytes",
        "gauge",
        "Length of the file that is being written.",
    );
    text.each(
        bytes,
        &streams,
        |(key, _)| vec![("stream", *key)],
        |(_, (bytes, _))| Some(*bytes),
    );
    let duration = (
        "rtmp_recording_duration_seconds",
        "gauge",
        "How much of the stream is in the file that is being written.",
    );
    text.each(
        duration,
        &streams,
        |(key, _)| vec![("stream", *key)],
        |(_, (_, seconds))| Some(*seconds),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    fn lines(snapshot: &Snapshot) -> Vec<String> {
        let text = render(snapshot, &Rates::default());
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn labels_are_escaped() {
        let snapshot = Snapshot {
            streams: vec![sample::stream("a\"b\\c\u{1f600}\n}")],
            ..Snapshot::default()
        };
        let lines = lines(&snapshot);
        let want = "rtmp_stream_viewers{stream=\"a\\\"b\\\\c\u{1f600}\\n}\"} 3";
        assert!(lines.iter().any(|line| line == want), "{lines:#?}");
    }

    #[test]
    fn every_family_is_described_once_and_no_sample_comes_twice() {
        let mut snapshot = sample::snapshot(3);
        let relays = snapshot.relays.clone();
        snapshot.relays.extend(relays);
        let mut families = Vec::new();
        let mut samples = Vec::new();
        for line in lines(&snapshot) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.push(rest.split(' ').next().unwrap_or_default().to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let family = name.split('{').next().unwrap_or_default();
                assert_eq!(families.last().map(String::as_str), Some(family), "{line}");
                samples.push(name.to_owned());
            }
        }
        for mut list in [families, samples] {
            let all = list.len();
            assert!(all > 40);
            list.sort();
            list.dedup();
            assert_eq!(list.len(), all);
        }
    }

    #[test]
    fn depths_are_named() {
        assert_eq!(depths(), ["0", "1", "2-5", "6-10", "11-25", "26-50", "51+"]);
    }
}
