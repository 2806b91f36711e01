//! Viewers that do not read for a while, and the points at which all is compared.

use super::action::{Cut, Finish, Item, Pulls, STREAMS};
use super::frame::{Kind, Medium};
use super::patience;
use super::reference::ClientId;
use super::stalled::{self, Progress};
use super::watcher::Watcher;
use super::world::{World, name_of};
use rtmp_server::json::JsonValue;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a picture that is large.
pub const LARGE_LEN: usize = 256 << 10;

/// Large pictures that no socket has room for.
pub const LARGE_MAX: usize = 80;

/// Small messages that no queue has room for.
pub const SMALL_COUNT: usize = 130;

/// How old what the server shows may be, and a little more.
const SNAPSHOT_AGE: Duration = Duration::from_millis(110);

/// After this the server may have hung up on a client that does not read: where the machine is so
/// slow, nothing can be said of it.
pub const KNOWN_MAX: Duration = Duration::from_secs(20);

/// Between two looks at what the server shows: it looks as seldom itself.
pub const LOOK_PAUSE: Duration = Duration::from_millis(20);

impl World {
    /// A viewer reads no more, and its stream sends more than it has room for.
    pub fn stall(&mut self, viewer: usize) -> Option<()> {
        let (id, _, stream) = self.viewer(viewer)?;
        // One that does something else as well is hung up on where there is no room to tell it of an
        // end.
        if self.busy().get(&id) != Some(&1) {
            return None;
        }
        if self.publishes(id) {
            return None;
        }
        self.reference.publisher(stream)?;
        // Those who read in threads of their own might be slow as well.
        let watches = |watcher: &Watcher| watcher.stream == stream && !watcher.is_done;
        if self.watchers.iter().any(watches) {
            return None;
        }
        self.sync(id);
        let publication = self.publications[stream].as_ref()?.number;
        let client = self.clients.get_mut(&id)?;
        (client.is_stalled, client.was_stalled) = (true, true);
        client.stalled_in = publication;
        client.stalled_since = Instant::now();
        let connection = client.name.clone();
        for number in 0..LARGE_MAX {
            let kind = [Kind::Inter, Kind::Key][usize::from(number == 0)];
            self.media(stream, &[Item::Ms(20), Item::Send(kind, 0)], LARGE_LEN)?;
            self.check();
            if self.number(&connection, "queue") > Some(0) {
                break;
            }
        }
        for number in 0..SMALL_COUNT {
            let kind = [Kind::Inter, Kind::Sound, Kind::Sound][number % 3];
            self.media(stream, &[Item::Ms(10), Item::Send(kind, 0)], 0)?;
            self.check();
        }
        // It must not miss these, whatever else it does.
        let kinds = [
            Kind::Metadata,
            Kind::Header(Medium::Video),
            Kind::Header(Medium::Audio),
        ];
        let needed = kinds.map(|kind| Item::Send(kind, 0));
        let frames = [Kind::Key, Kind::Inter, Kind::Sound].map(|kind| Item::Send(kind, 0));
        self.media(stream, &[needed, frames].concat(), 0)?;
        Some(())
    }

    /// A number that the server tells of a connection, as of a moment ago.
    fn number(&self, connection: &str, what: &str) -> Option<i64> {
        let connections = self.program.list("connections");
        let is_it =
            |item: &&JsonValue| item.get("id").and_then(JsonValue::as_str) == Some(connection);
        match connections.iter().find(is_it)?.get(what) {
            Some(JsonValue::Int(number)) => Some(*number),
            other => panic!("{what} of {connection}: {other:?}"),
        }
    }

    /// All who do not read do so again.
    pub fn wake(&mut self) -> Option<()> {
        let stalled: Vec<_> = self
            .clients
            .values()
            .filter(|client| client.is_stalled)
            .map(|client| client.id)
            .collect();
        self.wait_for_departing();
        stalled.iter().for_each(|id| self.wake_client(*id));
        let watchers = self.wake_watchers();
        (!stalled.is_empty()).then_some(()).or(watchers)
    }

    fn wake_client(&mut self, id: ClientId) {
        if self.clients[&id].stalled_since.elapsed() > KNOWN_MAX {
            return self.cut(id, Cut::Shutdown, false);
        }
        let mut progress = Progress::default();
        // First it takes what waits, so that there is room for what it must have then.
        self.read_on(id, &mut progress);
        if !self.reference.told(id).ends {
            let viewers = self.reference.viewers();
            let tracks =
                [Kind::Key, Kind::Sound].map(|kind| [0, 1].map(|track| Item::Send(kind, track)));
            for (_, _, stream) in viewers.iter().filter(|(client, _, _)| *client == id) {
                self.media(*stream, tracks.as_flattened(), 0);
            }
            self.read_on(id, &mut progress);
            // What has become of a publisher it is told also when no media comes.
            let end = Instant::now() + patience();
            while progress.owes_notices() && Instant::now() < end {
                thread::sleep(LOOK_PAUSE);
                self.read_on(id, &mut progress);
            }
        }
        progress.check_all_told();
        let publications = self.publications.iter().flatten();
        let goes_on: Vec<u32> = publications.map(|going| going.number).collect();
        let client = self.clients.get_mut(&id).expect("a client");
        client.is_stalled = false;
        client.skipped += progress.skipped;
        if goes_on.contains(&client.stalled_in) {
            client.lost += progress.skipped;
        }
        match self.reference.told(id).ends {
            true => self.forget(id),
            false => self.check_drops(id),
        }
        self.check();
    }

    /// A client reads all that there is.
    fn read_on(&mut self, id: ClientId, progress: &mut Progress) {
        let client = self.clients.get_mut(&id).expect("a client");
        let mut last = "the end".to_owned();
        if !self.reference.told(id).ends {
            last = client.ping();
            self.reference.tell_line(id, last.clone());
        }
        let mut read = Vec::new();
        stalled::read(client, &last, &mut read);
        stalled::compare(client, self.reference.told(id), &read, progress);
    }

    /// What a client was not sent was counted.
    fn check_drops(&mut self, id: ClientId) {
        let client = &self.clients[&id];
        let (name, skipped, lost) = (client.name.clone(), client.skipped, client.lost);
        self.wait_for(|world| {
            let dropped = world.number(&name, "drops").unwrap_or_default() as u64;
            let text = format!("{name} was not sent {skipped}, and the server says {dropped}");
            // Pictures that wait for their keyframe meanwhile count as well.
            let most = skipped + skipped / 2 + 10;
            assert!(dropped <= most, "{text}");
            (dropped < lost || dropped == 0 && skipped > 0).then_some(text)
        });
    }

    /// Everybody who reads has exactly what it must have, and the server shows what there is.
    pub fn settle(&mut self) -> Option<()> {
        self.wait_for_departing();
        for id in self.reading() {
            // Another may have had it end.
            if self.clients.contains_key(&id) {
                self.sync(id);
            }
        }
        self.settle_watchers();
        self.wait_for(World::difference);
        Some(())
    }

    /// Waits until the server has seen that nobody is left of a stream.
    pub fn wait_for_forsaken(&mut self) {
        if self.reference.take_forsaken() {
            self.wait_for_departing();
            thread::sleep(SNAPSHOT_AGE);
            self.wait_for(World::difference);
        }
    }

    /// Waits until the server has seen that somebody who watched has gone.
    pub fn wait_for_watchers(&mut self) {
        thread::sleep(SNAPSHOT_AGE);
        self.wait_for(|world| world.streams_difference());
    }

    pub fn wait_for_departing(&mut self) {
        self.lingering.clear();
        for name in std::mem::take(&mut self.departing) {
            self.program.wait_for_close(&name);
        }
    }

    /// Waits until nothing is amiss.
    pub fn wait_for(&self, amiss: impl Fn(&World) -> Option<String>) {
        let end = Instant::now() + patience();
        while let Some(text) = amiss(self) {
            assert!(Instant::now() < end, "{text}");
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// What the server shows of streams that is not so.
    fn streams_difference(&self) -> Option<String> {
        let mut want: Vec<String> = Vec::new();
        let viewers = self.reference.viewers();
        for stream in (0..STREAMS).filter(|stream| self.reference.is_published(*stream)) {
            let played = viewers.iter().filter(|(_, _, played)| *played == stream);
            let count =
                played.count() + self.reference.watchers(stream) + self.standing_pulls(stream);
            let state = ["lost", "live"][usize::from(self.reference.publisher(stream).is_some())];
            want.push(format!("live/{} {state} {count}", name_of(stream)));
        }
        let streams = self.program.list("streams");
        let shown: Vec<String> = streams
            .iter()
            .map(|item| {
                ["key", "state", "viewers"]
                    .map(|key| text(item, key))
                    .join(" ")
            })
            .collect();
        (shown != want).then(|| format!("streams {shown:?} instead of {want:?}"))
    }

    /// What the server shows that is not so.
    fn difference(&self) -> Option<String> {
        if let Some(differs) = self.streams_difference() {
            return Some(differs);
        }
        let mut connections = self.program.list("connections");
        connections.retain(|item| text(item, "protocol") == "rtmp" && !self.is_standing_pull(item));
        let mut want: Vec<String> = self
            .clients
            .values()
            .map(|client| client.name.clone())
            .chain(self.pulling())
            .collect();
        let mut shown: Vec<String> = connections.iter().map(|item| text(item, "id")).collect();
        // Who has yet to read the end may be gone: its socket has taken all.
        let may_be_gone = |name: &String| {
            let mut clients = self.clients.values();
            let client = clients.find(|client| client.name == *name);
            client.is_some_and(|client| client.is_stalled && self.reference.ends(client.id))
        };
        want.retain(|name| !may_be_gone(name));
        shown.retain(|name| !may_be_gone(name));
        want.sort();
        shown.sort();
        if shown != want {
            return Some(format!("connections {shown:?} instead of {want:?}"));
        }
        for client in self.clients.values().filter(|client| !client.was_stalled) {
            let drops = self.number(&client.name, "drops");
            assert!(drops <= Some(0), "{} has missed {drops:?}", client.name);
        }
        None
    }

    /// Everybody goes, and nothing is left.
    pub fn close(mut self) -> Ended {
        self.wake();
        self.settle();
        for stream in 0..STREAMS {
            if self.reference.watchers(stream) > 0 {
                // One that plays its own stream is better asked.
                if self.end(stream).is_none() {
                    self.finish(stream, Finish::DeleteStream, false);
                }
                self.check();
                self.check_watchers();
            }
        }
        while let Some(id) = self.clients.keys().next().copied() {
            let how = [Cut::Shutdown, Cut::Reset, Cut::Delete][id % 3];
            self.cut(id, how, false);
            self.check();
        }
        // One that always pulls waits for streams.
        if self.settings.pulls == Pulls::Always {
            self.close_edge();
        }
        self.wait_for(World::left);
        if self.settings.pulls != Pulls::Always {
            self.close_edge();
        }
        self.wait_for(|world| super::events::open(&world.program.events()));
        super::events::check(
            &self.program.events(),
            &self.names,
            self.publication_count as usize,
        );
        let panics = self.program.log("panicked");
        assert!(panics.is_empty(), "{panics:?}");
        assert_eq!(self.program.stop(), Some(0), "the exit code");
        self.check_archive();
        super::events::check_counts(&self.program.events(), &self.archive);
        Ended {
            skipped: self.skipped,
            frames: self.frames,
        }
    }

    /// What is left of what has happened.
    fn left(&self) -> Option<String> {
        // Before it is asked, since that takes a thread too.
        let (before, mut now) = (&self.before, self.program.usage());
        // What was made of a stream for HLS stays for a minute.
        now.threads.retain(|name| name != "hls");
        if now.threads.len() > before.threads.len() || now.descriptors > before.descriptors {
            return Some(format!("{now:?} instead of {before:?}"));
        }
        let gauges = self.program.gauges();
        if !gauges.is_empty() {
            return Some(format!("{gauges:?}"));
        }
        self.difference()
    }
}

/// What is behind a key of an object.
pub fn text(item: &JsonValue, key: &str) -> String {
    let value = item.get(key).map(ToString::to_string);
    value.unwrap_or_default().replace('"', "")
}

/// What a sequence came to.
pub struct Ended {
    /// Messages that were left out for those who did not read.
    pub skipped: u64,
    /// Messages that publishers sent.
    pub frames: u64,
}
