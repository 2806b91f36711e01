//! What hooks are told: of everything that begins its end, once, and in order.

use super::program::Event;
use super::recordings::Archive;
use rtmp_server::rtmp::MessageType;
use std::collections::{BTreeMap, BTreeSet};

/// What begins, what it ends with, and whose it is: a client's, a stream's, or both's.
type Pair = (&'static str, &'static str, fn(&Event) -> String);

const PAIRS: [Pair; 4] = [
    ("connection_accept", "connection_close", |event| {
        event.client.clone()
    }),
    ("stream_create", "stream_delete", |event| {
        event.stream.clone()
    }),
    ("publish_start", "publish_stop", |event| {
        event.stream.clone()
    }),
    ("play_start", "play_stop", |event| {
        format!("{} {}", event.client, event.stream)
    }),
];

/// What has begun and not ended.
pub fn open(events: &[Event]) -> Option<String> {
    let count = |what: &str| events.iter().filter(|event| event.what == what).count();
    let mut open = PAIRS
        .iter()
        .filter(|(begins, ends, _)| count(begins) != count(ends));
    open.next()
        .map(|(begins, ends, _)| format!("{begins} without {ends}"))
}

/// Checks all events of a server that nobody is left on.
pub fn check(events: &[Event], connections: &BTreeSet<String>, publications: usize) {
    for (begins, ends, whose) in PAIRS {
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for (index, event) in events.iter().enumerate() {
            let open = open.entry(whose(event)).or_default();
            if event.what == begins {
                // A client that does something else as well is done with a stream that is over only
                // when it goes, and may play it again before that.
                let may_overlap = begins == "play_start";
                assert!(
                    *open == 0 || may_overlap,
                    "{begins} twice, event {index}: {event:?}"
                );
                *open += 1;
            } else if event.what == ends {
                assert!(
                    *open > 0,
                    "{ends} without {begins}, event {index}: {event:?}"
                );
                *open -= 1;
            }
        }
        let left: Vec<_> = open.iter().filter(|(_, open)| **open > 0).collect();
        assert!(left.is_empty(), "{begins} without {ends}: {left:?}");
    }
    let count = |what: &str| events.iter().filter(|event| event.what == what).count();
    // Others may have come from a server that pulls.
    let accepted = events
        .iter()
        .filter(|event| event.what == "connection_accept" && connections.contains(&event.client));
    assert_eq!(accepted.count(), connections.len(), "connection_accept");
    assert_eq!(count("publish_start"), publications, "publish_start");
    inside(events);
}

/// The end of each publication tells how much has passed.
pub fn check_counts(events: &[Event], archive: &Archive) {
    let mut publications: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (number, stream) in &archive.streams {
        let stream = publications.entry(format!("live/s{stream}")).or_default();
        stream.push(*number);
    }
    for (stream, numbers) in publications {
        let stops = events.iter().filter(|event| event.what == "publish_stop");
        let told: Vec<_> = stops.filter(|event| event.stream == stream).collect();
        let told: Vec<_> = told.iter().map(|event| event.counts).collect();
        let count = |number: &u32, kind: MessageType| {
            let sent = archive.sent[number].iter();
            sent.filter(|frame| frame.sent.kind == kind).count() as u64
        };
        let counts = |number| {
            Some((
                count(number, MessageType::AUDIO),
                count(number, MessageType::VIDEO),
            ))
        };
        let sent: Vec<_> = numbers.iter().map(counts).collect();
        assert_eq!(told, sent, "what passed through publications of {stream}");
    }
}

/// What a client does lies between its coming and its going, and a publication in its stream.
fn inside(events: &[Event]) {
    let accepted = events
        .iter()
        .filter(|event| event.what == "connection_accept");
    let accepted: Vec<&str> = accepted.map(|event| event.client.as_str()).collect();
    let mut clients: Vec<&str> = Vec::new();
    let mut streams: Vec<&str> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let (client, stream) = (event.client.as_str(), event.stream.as_str());
        match event.what.as_str() {
            "connection_accept" => clients.push(client),
            "stream_create" => streams.push(stream),
            _ => {}
        }
        // Nothing is told of how those come who watch by HTTP. Who takes a stream over has the end of the publication before it told.
        let is_free = event.what == "publish_stop" || !accepted.contains(&client);
        assert!(
            client.is_empty() || is_free || clients.contains(&client),
            "event {index} of nobody: {event:?}"
        );
        let needs_stream = event.what.starts_with("publish_") || event.what == "codec_detected";
        assert!(
            !needs_stream || streams.contains(&stream),
            "event {index} of no stream: {event:?}"
        );
        match event.what.as_str() {
            "connection_close" => clients.retain(|open| *open != client),
            "stream_delete" => streams.retain(|open| *open != stream),
            _ => {}
        }
    }
}
