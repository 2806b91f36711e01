//! What is fuzzed. Each target is a function of any bytes that panics where something is wrong; it runs
//! guided by coverage, and with mutated seeds among the other tests.

pub mod draw;
mod hls;
mod http;
mod media;
mod mp4;
mod recording;
pub mod session;
mod settings;
pub mod stream;
mod text;
mod viewers;
mod wire;

/// A part of the server that reads what others write.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: Seeds,
    /// The files below `src` whose lines it is to reach; folders too.
    pub files: &'static [&'static str],
    /// How many bytes may be held at a time for each byte of input, beside [`MEMORY_MIN`]; what the
    /// target itself holds is in it.
    pub memory: usize,
    /// How many mutations of its seeds are tried among the other tests.
    pub mutations: usize,
}

/// Bytes that any input may have held.
pub const MEMORY_MIN: usize = 2 << 20;

/// What a target begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// Chunk streams, behind what the target has in front of them.
    Chunks,
    /// The vectors of handshakes.
    Handshakes,
    /// AMF0 values.
    Values,
    /// Payloads behind their type.
    Payloads,
    /// Aggregates behind their time.
    Aggregates,
    /// Conversations, as `session` reads them.
    Conversations,
    /// Payloads of audio and video behind their kind.
    Packets,
    /// Streams of media, as `stream` reads them, behind this many bytes, each of which is 9.
    Media(usize),
    /// PROXY headers.
    Proxy,
    /// Texts of this kind, from a list.
    Texts(TextKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    Json,
    Requests,
    Replies,
    Flags,
    Values,
    File,
    StreamKeys,
    SignedQueries,
    Patterns,
    Urls,
    Shown,
    Names,
}

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    seeds: Seeds,
    memory: usize,
    mutations: usize,
    files: &'static [&'static str],
) -> Target {
    Target {
        name,
        run,
        seeds,
        files,
        memory,
        mutations,
    }
}

#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    target("proxy", wire::proxy_header, Seeds::Proxy, 100, 24_000, &["net/proxy.rs"]),
    target("handshake", wire::handshake, Seeds::Handshakes, 100, 9000, &["rtmp/handshake.rs"]),
    target("chunks", wire::chunks, Seeds::Chunks, 600, 15_000, &["rtmp/chunk/"]),
    target("amf0", wire::amf0, Seeds::Values, 600, 15_000, &["amf0.rs", "bytes.rs"]),
    target("commands", wire::commands, Seeds::Payloads, 600, 12_000, &["rtmp/command.rs", "rtmp/control.rs", "rtmp/data.rs"]),
    target("aggregate", wire::aggregate, Seeds::Aggregates, 100, 24_000, &["rtmp/aggregate.rs"]),
    target("session", session::session, Seeds::Conversations, 2000, 9000, &["rtmp/session/", "rtmp/status.rs", "rtmp/flow.rs"]),
    target("client", session::client, Seeds::Conversations, 2000, 9000, &["rtmp/client.rs", "rtmp/flow.rs"]),
    target("pair", session::pair, Seeds::Texts(TextKind::Names), 2000, 3600, &["rtmp/session/", "rtmp/client.rs"]),
    target("packets", media::packets, Seeds::Packets, 200, 24_000, &["media/mod.rs", "media/sample.rs"]),
    target("samples", media::samples, Seeds::Media(0), 2000, 9000, &["media/tracks.rs", "media/config/", "media/bits.rs", "media/colour.rs"]),
    target("mp4", mp4::files, Seeds::Media(6), 2000, 2100, &["media/mp4/", "media/clock.rs"]),
    target("mp4-live", mp4::live, Seeds::Media(1), 2000, 4500, &["media/mp4/live/", "media/mp4/fragment.rs"]),
    target("hls", hls::playlists, Seeds::Media(1), 20_000, 2400, &["media/hls/"]),
    target("hls-tracks", hls::packager, Seeds::Media(0), 20_000, 3000, &["media/hls/"]),
    target("record-flv", recording::flv, Seeds::Media(1), 4000, 400, &["record/", "media/flv.rs"]),
    target("record-mp4", recording::mp4, Seeds::Media(1), 4000, 400, &["record/", "media/mp4/hybrid.rs"]),
    target("outbox", viewers::chunks, Seeds::Media(4), 2000, 6000, &["queue/outbox.rs", "queue/writer.rs", "queue/framing/"]),
    target("http-flv", viewers::flv, Seeds::Media(5), 2000, 6000, &["queue/framing/flv.rs", "media/tag_body.rs"]),
    target("json", text::json, Seeds::Texts(TextKind::Json), 1000, 18_000, &["json/", "auth/table.rs"]),
    target("http-requests", http::requests, Seeds::Texts(TextKind::Requests), 100, 30_000, &["http/server/request.rs", "http/lines.rs"]),
    target("http-replies", http::replies, Seeds::Texts(TextKind::Replies), 100, 30_000, &["http/client/reply.rs", "http/lines.rs"]),
    target("flags", settings::flags, Seeds::Texts(TextKind::Flags), 1000, 6000, &["args/"]),
    target("flag-values", settings::values, Seeds::Texts(TextKind::Values), 1000, 7500, &["args/"]),
    target("settings-file", settings::file, Seeds::Texts(TextKind::File), 1000, 6000, &["args/file.rs", "args/draft.rs"]),
    target("stream-keys", text::stream_keys, Seeds::Texts(TextKind::StreamKeys), 200, 24_000, &["rtmp/stream_key.rs"]),
    target("signed-queries", text::signed_queries, Seeds::Texts(TextKind::SignedQueries), 200, 4500, &["auth/signed.rs"]),
    target("patterns", text::patterns, Seeds::Texts(TextKind::Patterns), 200, 12_000, &["record/pattern.rs"]),
    target("urls", text::urls, Seeds::Texts(TextKind::Urls), 200, 24_000, &["remote/url.rs", "http/url.rs", "ip_range.rs", "remote/destination.rs"]),
    target("shown-texts", text::shown_texts, Seeds::Texts(TextKind::Shown), 200, 9000, &["text.rs"]),
];
