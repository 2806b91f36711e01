//! A stream as HLS while somebody asks for it: its packager in a thread of its own, those who wait for
//! more, and those who watch.

use super::names::random_name;
use super::sessions::{Membership, SessionKey, Sessions};
use crate::awake;
use crate::log;
use crate::media::hls::{HlsSettings, Packager};
use crate::memory::{Account, Budget, GaveWay, Holder, Holding, Owner};
use crate::queue::{FeedLimits, Intake, Taken};
use crate::registry::{Registry, Tap};
use crate::rtmp::Message;
use crate::rtmp::stream_key::StreamKey;
use crate::sync::{Condvar, Mutex, MutexGuard, Rank};
use crate::web::session::WebSession;
use crate::web::traits::Traits;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A stream for which nobody asked for this long is not packaged any more.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// A request waits for at most this long, if that is less than three target durations: not as long
/// as a viewer may be silent.
pub const RELOAD_WAIT_MAX: Duration = Duration::from_secs(55);

/// As long as the target duration is not known, a request waits for at most this long.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(12);

/// How long a request may wait: for the segment behind the one that grows.
fn wait_max(target_s: Option<u64>) -> Duration {
    target_s.map_or(FIRST_WAIT_MAX, |target_s| {
        Duration::from_secs(3 * target_s).min(RELOAD_WAIT_MAX)
    })
}

/// What may wait for a packager: the beginning of a late joiner, and some seconds.
pub(super) const FEED: FeedLimits = FeedLimits {
    bytes: 64 << 20,
    age: Duration::from_secs(5),
};

/// How often the thread looks at the time.
const TICK: Duration = Duration::from_millis(250);

/// How often it looks whether a publisher that was lost has returned.
const RETURN_TICK: Duration = Duration::from_millis(50);

/// Why packaging ends with the stream.
const STREAM_OVER: &str = "stream over";

/// The number of the first segment of playlists that begin at `now`: half seconds since the year 2020. Only
/// segments in front of a break are shorter, so that numbers go on where players knew a playlist of the same
/// address that was forgotten, or one of before a restart. They have 31 bits until the year 2054; some players read no more.
fn first_number(now: SystemTime) -> u64 {
    let epoch = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    let since = now.duration_since(epoch).unwrap_or_default();
    (since.as_millis() / 500).try_into().unwrap_or(u64::MAX / 2)
}

/// The number of the first segment of playlists that begin now; `taken` is the first that others of the same
/// address leave.
fn first_number_after(taken: u64) -> u64 {
    first_number(SystemTime::now()).max(taken)
}

/// What makes playlists of a publication from its beginning in `tap` on.
fn packager(settings: HlsSettings, tap: &Tap, first: u64, suffix: &str) -> Packager {
    let packager = Packager::new(settings, tap.keyframes_ms, Box::new(random_name));
    let mut packager = packager.told_apart(first, suffix);
    packager.begin();
    packager
}

/// A stream that is packaged, or was until a moment ago.
pub(super) struct HlsStream {
    key: StreamKey,
    settings: HlsSettings,
    /// What the names of its playlists end with.
    suffix: String,
    state: Mutex<StreamState>,
    /// What the packager has.
    memory: Account,
    /// Something is there that may have been waited for.
    changed: Condvar,
}

struct StreamState {
    packager: Packager,
    /// To whom its memory counts.
    owner: Option<Owner>,
    sessions: Sessions,
    /// How often a publisher was lost.
    interruptions: u64,
    /// When somebody last asked for anything.
    asked: Instant,
    /// Whether the server stops.
    is_closed: bool,
    /// Whether others need the memory.
    gives_way: bool,
    /// Tracks that were said to be left out.
    left_out: usize,
}

/// How waiting for something ended.
pub(super) enum Waited<T> {
    There(T),
    /// It did not come, or the publisher was lost.
    Never,
}

impl HlsStream {
    pub(super) fn new(
        key: StreamKey,
        settings: HlsSettings,
        tap: &Tap,
        budget: &Arc<Budget>,
        before: Option<&HlsStream>,
    ) -> HlsStream {
        let first = first_number_after(before.map_or(0, HlsStream::next_number));
        let suffix = before.map(|_| format!("-{first}")).unwrap_or_default();
        let packager = packager(settings, tap, first, &suffix);
        HlsStream {
            key,
            settings,
            suffix,
            state: Mutex::ranked(
                Rank::Hls,
                StreamState {
                    packager,
                    owner: tap.intake.owner(),
                    sessions: Sessions::default(),
                    interruptions: 0,
                    asked: awake::now(),
                    is_closed: false,
                    gives_way: false,
                    left_out: 0,
                },
            ),
            memory: Account::new(budget),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock()
    }

    /// A number that no segment of it has.
    fn next_number(&self) -> u64 {
        self.lock().packager.next_number()
    }

    /// Whether a playlist of this name, without its ending, can be one of its own.
    pub(super) fn has_playlist(&self, name: &str) -> bool {
        let start = name.strip_suffix(&self.suffix);
        start.is_some_and(|start| !start.contains('-'))
    }

    /// Whether it has something of this name, without its ending, that playlists name.
    pub(super) fn has_resource(&self, name: &str) -> bool {
        self.lock().packager.resource(name).is_some()
    }

    /// Whether its playlists have ended.
    pub(super) fn is_over(&self) -> bool {
        self.lock().packager.is_over()
    }

    /// Ends it: the server stops.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Packages the stream until it is over, or nobody asks for it any more.
    pub(super) fn run(&self, tap: Tap, registry: &Registry) {
        log!(Info, "HLS started"; stream_key = self.key);
        let mut why = self.package(tap, registry);
        // Its viewers stay: they go on with what comes from now on.
        while self.gives_way()
            && let Some(tap) = registry.tap(&self.key, FEED)
        {
            log!(Info, "HLS stopped"; stream_key = self.key, reason = why);
            self.begin_anew(&tap);
            log!(Info, "HLS started"; stream_key = self.key);
            why = self.package(tap, registry);
        }
        let sessions = {
            let mut state = self.lock();
            state.packager.end();
            state.sessions.take_all()
        };
        self.changed.notify_all();
        drop(sessions);
        log!(Info, "HLS stopped"; stream_key = self.key, reason = why);
        // What there is can be fetched for a while.
        while !self.is_forgotten() && !self.gives_way() {
            self.pause(TICK);
        }
    }

    /// Lets go of all that there is. Playlists have the same names, and later numbers, than before.
    fn begin_anew(&self, tap: &Tap) {
        let first = first_number_after(self.next_number());
        let mut state = self.lock();
        state.packager = packager(self.settings, tap, first, &self.suffix);
        state.owner = tap.intake.owner();
        state.left_out = 0;
        state.gives_way = false;
        self.count(&mut state);
    }

    /// Returns why it ended.
    fn package(&self, tap: Tap, registry: &Registry) -> &'static str {
        let mut intake = tap.intake;
        loop {
            match self.take(&intake) {
                Next::Goes => {}
                Next::TooSlow => return "the packager cannot keep up",
                Next::Ends => match self.wait_for_return(registry) {
                    Ok(again) => {
                        intake = again;
                        let mut state = self.lock();
                        state.owner = intake.owner();
                        state.packager.begin();
                    }
                    Err(why) => return why,
                },
            }
            self.expire_sessions();
            if self.gives_way() {
                return "memory is short";
            }
            if self.is_forgotten() {
                return "nobody asks for it";
            }
        }
    }

    fn gives_way(&self) -> bool {
        self.lock().gives_way
    }

    fn take(&self, intake: &Intake) -> Next {
        match intake.take(TICK) {
            Taken::Messages(messages) => self.push(&messages),
            Taken::Nothing => {}
            Taken::Ended => return Next::Ends,
            Taken::Overflowed | Taken::Starved => return Next::TooSlow,
        }
        match self.lock().packager.is_over() {
            true => Next::Ends,
            false => Next::Goes,
        }
    }

    fn push(&self, messages: &[Message]) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since.map_or(0, |since| since.as_millis() as i64);
        let mut state = self.lock();
        let before = state.packager.version();
        state.packager.push(messages, now_ms);
        self.count(&mut state);
        let has_changed = state.packager.version() != before || state.packager.is_unplayable();
        let left_out = state.packager.left_out();
        let new: Vec<_> = left_out.iter().skip(state.left_out).copied().collect();
        state.left_out = left_out.len();
        drop(state);
        if has_changed {
            self.changed.notify_all();
        }
        for (track, codec) in new {
            log!(Info, "track left out"; stream_key = self.key, format = "hls", track = track.id, codec = codec);
        }
    }

    /// The publisher is gone. What it sends when it is back; or why there is nothing more.
    fn wait_for_return(&self, registry: &Registry) -> Result<Intake, &'static str> {
        let state = self.lock();
        if state.packager.is_over() {
            return Err("a track is gone that has a playlist of its own");
        }
        drop(state);
        if !registry.is_published(&self.key) {
            return Err(STREAM_OVER);
        }
        // Who waits is told only of a publisher that may come back.
        let mut state = self.lock();
        state.packager.interrupt();
        state.interruptions += 1;
        drop(state);
        self.changed.notify_all();
        loop {
            if let Some(tap) = registry.tap(&self.key, FEED) {
                return Ok(tap.intake);
            }
            if !registry.is_published(&self.key) {
                return Err(STREAM_OVER);
            }
            self.expire_sessions();
            if self.is_forgotten() || self.gives_way() {
                return Err("nobody asks for it");
            }
            self.pause(RETURN_TICK);
        }
    }

    /// Does nothing for a while, unless the server stops.
    fn pause(&self, limit: Duration) {
        let state = self.lock();
        let state = self
            .changed
            .wait_timeout_while(state, limit, |state| !state.is_closed && !state.gives_way);
        drop(state);
    }

    /// Counts what the packager has. Where there is no room for it, only the newest segments stay.
    fn count(&self, state: &mut StreamState) {
        self.memory.set(state.packager.held_len());
        if !self.memory.is_tolerated() {
            state.packager.shrink_to(0);
            self.memory.set(state.packager.held_len());
        }
    }

    /// Whether nobody has asked for anything for long, or the server stops.
    fn is_forgotten(&self) -> bool {
        let state = self.lock();
        let is_unused = awake::since(state.asked) >= IDLE_MAX && state.sessions.is_empty();
        state.is_closed || is_unused
    }

    fn expire_sessions(&self) {
        let ended = self.lock().sessions.expire(awake::now());
        drop(ended);
    }

    /// Waits until `look` finds something, for as long as requests may wait.
    pub(super) fn wait<T>(&self, mut look: impl FnMut(&Packager) -> Option<T>) -> Waited<T> {
        let began = awake::now();
        let mut found = None;
        let mut state = self.lock();
        state.asked = began;
        let interruptions = state.interruptions;
        let limit = wait_max(state.packager.target_s());
        let state = self.changed.wait_timeout_while(state, limit, |state| {
            found = look(&state.packager);
            let is_over = state.packager.is_over() || state.is_closed;
            found.is_none() && state.interruptions == interruptions && !is_over
        });
        drop(state);
        match found {
            Some(found) => Waited::There(found),
            None => Waited::Never,
        }
    }

    /// A request of a viewer for a playlist.
    pub(super) fn touch(&self, key: &SessionKey) -> Membership {
        let mut state = self.lock();
        // One that was just ended is known as that at once.
        let ended = state.sessions.expire(awake::now());
        let membership = state.sessions.touch(key, awake::now());
        drop(state);
        drop(ended);
        membership
    }

    /// As whom the client was let in that begins the session of this name.
    pub(super) fn invited(&self, key: &SessionKey) -> Option<Traits> {
        self.lock().sessions.invited(key)
    }

    /// Hands out a session of this name.
    pub(super) fn invite(&self, name: &str, traits: Traits) {
        self.lock().sessions.invite(name, traits, awake::now());
    }

    /// Adds a session. When the stream is over, nobody needs one.
    pub(super) fn join(
        &self,
        key: SessionKey,
        viewer: Arc<dyn WebSession>,
        address: IpAddr,
        user_agent: &str,
    ) {
        let mut state = self.lock();
        let left_over = match state.packager.is_over() {
            true => Some(viewer),
            false => state
                .sessions
                .add(key, viewer, address, user_agent, awake::now()),
        };
        drop(state);
        drop(left_over);
    }

    /// The session that bytes are counted for.
    pub(super) fn likely_session(
        &self,
        address: IpAddr,
        user_agent: &str,
    ) -> Option<Arc<dyn WebSession>> {
        self.lock().sessions.likely(address, user_agent)
    }
}

impl Holder for HlsStream {
    fn held_bytes(&self) -> usize {
        match self.lock().gives_way {
            // All of it goes already.
            true => 0,
            false => self.memory.bytes(),
        }
    }

    fn holding(&self) -> Holding {
        let bytes = self.held_bytes();
        let state = self.lock();
        Holding {
            others: state.sessions.count_owners_beside(state.owner),
            ..Holding::own(state.owner, bytes)
        }
    }

    /// The older half of the segments goes, and if that is nothing, all that there is.
    fn give_way(&self) -> Option<GaveWay> {
        let mut state = self.lock();
        let before = state.packager.held_len();
        state.packager.shrink_to(before / 2);
        state.gives_way = state.packager.held_len() > before / 4 * 3;
        self.count(&mut state);
        drop(state);
        self.changed.notify_all();
        Some(GaveWay::Playlist)
    }
}

/// What follows what was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    Ends,
    TooSlow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_half_seconds_that_fit_into_31_bits() {
        for (unix_s, want) in [
            (0, 0),
            (1_577_836_800, 0),
            (1_577_836_801, 2),
            (2_650_838_400, 2_146_003_200), // 2054-01-01
        ] {
            let now = UNIX_EPOCH + Duration::from_secs(unix_s);
            assert_eq!(first_number(now), want, "{unix_s}");
        }
    }

    #[test]
    fn requests_may_wait_for_the_segment_behind_the_one_that_grows() {
        // Target duration, longest wait, in seconds.
        for (target_s, wait) in [
            (None, 12),
            (Some(1), 3),
            (Some(3), 9),
            (Some(16), 48),
            (Some(30), 55),
        ] {
            assert_eq!(wait_max(target_s).as_secs(), wait, "{target_s:?}");
        }
    }
}
