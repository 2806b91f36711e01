//! The table of counters: they themselves, their totals, and what they are called in `/metrics`,
//! `/debug/vars` and `/api/status`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, added to from any thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `more` to the count.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a counter is called.
pub struct CounterNames {
    /// In the totals of `/api/status`, and as a field of [`Totals`].
    pub field: &'static str,
    /// In `/metrics`. Counters of the same name stand one after the other in the table.
    pub metric: &'static str,
    /// What tells counters of the same name apart in `/metrics`.
    pub labels: &'static [(&'static str, &'static str)],
    /// In `/debug/vars`, if it is there.
    pub var: Option<&'static str>,
    /// What it counts, for people.
    pub help: &'static str,
    /// Its value among the totals.
    pub get: fn(&Totals) -> u64,
}

/// Of the doc of a counter, the first line is its help in `/metrics` as well.
macro_rules! counters {
    ($(
        #[doc = $help:literal]
        $(#[doc = $more:literal])*
        $field:ident: metric $metric:literal $({ $label:ident = $value:literal })? $(, var $var:literal)?;
    )*) => {
        /// All counters. What happens adds to them.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] $(#[doc = $more])* pub $field: Counter,)*
        }

        impl Counters {
            /// What they have come to.
            pub fn totals(&self) -> Totals {
                Totals { $($field: self.$field.get(),)* }
            }
        }

        /// What the counters came to, since the server started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $(#[doc = $help] $(#[doc = $more])* pub $field: u64,)*
        }

        /// The names of all counters, in the order in which they are shown.
        pub const COUNTERS: &[CounterNames] = &[$(
            CounterNames {
                field: stringify!($field),
                metric: $metric,
                labels: &[$((stringify!($label), $value))?],
                var: first(&[$($var)?]),
                help: $help.trim_ascii(),
                get: |totals| totals.$field,
            },
        )*];
    };
}

const fn first(names: &[&'static str]) -> Option<&'static str> {
    match names {
        [name, ..] => Some(name),
        [] => None,
    }
}

counters! {
    /// Connections accepted.
    ///
    /// Those that are then refused count too.
    connections: metric "rtmp_connections_total", var "rtmp_connections_total";
    /// Connections refused for want of room.
    connections_refused: metric "rtmp_connections_refused_total";
    /// Connections that gave way to others before they published or played.
    connections_displaced: metric "rtmp_connections_displaced_total";
    /// Connections closed for want of a PROXY header that is believed.
    proxy_refusals: metric "rtmp_proxy_refusals_total";
    /// Handshakes that failed.
    ///
    /// Also those that the client gave up, or did not finish in time.
    handshake_failures: metric "rtmp_handshake_failures_total", var "rtmp_handshake_failures_total";
    /// Commands that could not be read and were passed over.
    commands_unreadable: metric "rtmp_unreadable_commands_total";
    /// Publications and playbacks refused because too many began in a short time.
    beginnings_refused: metric "rtmp_refused_beginnings_total";
    /// Peers hung up on because what waited for all took too much memory.
    ///
    /// Also those whose unfinished messages did.
    memory_hangups: metric "rtmp_memory_hangups_total";
    /// What else gave memory back because all together took too much.
    ///
    /// Pictures that were kept for those who join later.
    memory_caches: metric "rtmp_memory_yields_total" { of = "cache" };
    /// What else gave memory back because all together took too much.
    ///
    /// Consumers on this machine that were given nothing more.
    memory_feeds: metric "rtmp_memory_yields_total" { of = "feed" };
    /// What else gave memory back because all together took too much.
    ///
    /// Playlists of HLS that lost segments, or ended.
    memory_playlists: metric "rtmp_memory_yields_total" { of = "playlist" };
    /// What else gave memory back because all together took too much.
    ///
    /// Recordings that began another file.
    memory_recordings: metric "rtmp_memory_yields_total" { of = "recording" };
    /// Requests to connect, publish or play that were refused, but for the authentication.
    requests_refused: metric "rtmp_requests_refused_total";
    /// Connections ended because their peer said or took nothing for too long.
    zombies: metric "rtmp_zombie_connections_total", var "rtmp_zombie_connections_total";
    /// Publications.
    ///
    /// From the moment that they own their stream: refused ones do not count.
    publishers: metric "rtmp_publishers_total", var "rtmp_publishers_total";
    /// Playbacks.
    ///
    /// Those that wait for their stream count; refused ones and relays do not.
    subscribers: metric "rtmp_subscribers_total", var "rtmp_subscribers_total";
    /// Messages left out for slow viewers.
    subscriber_drops: metric "rtmp_subscriber_drops_total", var "rtmp_subscriber_drops_total";
    /// Clients let in by the authentication.
    auth_successes: metric "rtmp_auth_successes_total", var "rtmp_auth_successes_total";
    /// Clients refused by the authentication.
    auth_failures: metric "rtmp_auth_failures_total", var "rtmp_auth_failures_total";
    /// Messages from publishers.
    ///
    /// Audio, whether any viewer takes it or not.
    messages_audio: metric "rtmp_messages_total" { type = "audio" }, var "rtmp_messages_audio";
    /// Messages from publishers.
    ///
    /// Video, whether any viewer takes it or not.
    messages_video: metric "rtmp_messages_total" { type = "video" }, var "rtmp_messages_video";
    /// Payload bytes from publishers.
    bytes_in: metric "rtmp_received_bytes_total", var "rtmp_bytes_ingested";
    /// Bytes sent to clients, headers and all.
    bytes_out: metric "rtmp_sent_bytes_total", var "rtmp_bytes_egress";
    /// Files recorded and closed.
    recordings: metric "rtmp_recordings_total";
    /// Recordings that ended before their stream did.
    recording_errors: metric "rtmp_recording_errors_total", var "rtmp_recording_errors_total";
    /// Messages sent to destinations of relays.
    relay_messages: metric "rtmp_relay_messages_total", var "rtmp_relay_messages_sent";
    /// Messages left out for slow destinations.
    relay_drops: metric "rtmp_relay_dropped_messages_total", var "rtmp_relay_messages_dropped";
    /// Bytes sent to destinations of relays.
    relay_bytes: metric "rtmp_relay_sent_bytes_total", var "rtmp_relay_bytes_sent";
    /// Connections to destinations that were lost or refused.
    relay_failures: metric "rtmp_relay_failures_total";
    /// Streams not fetched from another server since too many were.
    pulls_refused: metric "rtmp_pulls_refused_total";
    /// Events that any hook is for.
    hook_events: metric "rtmp_hook_events_total";
    /// Events lost since too many waited.
    hook_drops: metric "rtmp_hook_dropped_events_total";
    /// Runs of hooks that failed.
    hook_failures: metric "rtmp_hook_failures_total";
    /// Times that the program for TLS ended and was started again.
    tls_restarts: metric "rtmp_tls_helper_restarts_total";
    /// Calls of -notify that were made.
    notify_calls: metric "rtmp_notify_calls_total";
    /// Calls of -notify that got no answer.
    notify_failures: metric "rtmp_notify_failures_total";
    /// Calls of -notify lost since too many waited.
    notify_drops: metric "rtmp_notify_dropped_calls_total";
    /// Programs beside streams that were started again.
    child_restarts: metric "rtmp_child_restarts_total";
    /// Lines of the log that were not written.
    ///
    /// Of the whole process: too many waited, or standard output did not take them.
    log_lines_lost: metric "rtmp_log_lines_lost_total";
}
