//! The server, its clients, and the reference: what an action does to all of them.

use super::action::{Action, Cut, Finish, Item, Pulls, STREAMS, Settings, Shape};
use super::client::Client;
use super::frame::Kind;
use super::program::{Program, Usage};
use super::publication::Publication;
use super::pulls::Edge;
use super::recordings::{Archive, Dir};
use super::reference::{ClientId, Reference};
use super::watcher::Watcher;
use rtmp_server::amf0::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Publications and subscriptions of one client.
const ROLES_MAX: usize = 3;

/// Clients that have not closed their side, at most.
const LINGERING_MAX: usize = 3;

/// How long a client may do nothing: the server allows 10 s.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// How long a client may read nothing: the server allows 30 s.
pub const STALL_MAX: Duration = Duration::from_secs(12);

/// How long a viewer may wait for a keyframe: the server lets it begin with sound after 3 s.
const START_MAX: Duration = Duration::from_millis(1500);

pub struct World {
    pub program: Program,
    pub reference: Reference,
    pub clients: BTreeMap<ClientId, Client>,
    pub publications: [Option<Publication>; STREAMS],
    /// What publications that are over have sent.
    pub archive: Archive,
    pub watchers: Vec<Watcher>,
    /// The server that streams are relayed to.
    pub far: Option<Program>,
    /// The server that pulls them.
    pub edge: Option<Edge>,
    /// Where they are recorded.
    pub records: Dir,
    /// Where the file of settings is, and what it says.
    pub config: Dir,
    pub settings: Settings,
    /// All connections of clients there ever were.
    pub connections: usize,
    /// What the server calls them.
    pub names: BTreeSet<String>,
    /// All publications there ever were.
    pub publication_count: u32,
    /// Those of whom nobody has waited for the end.
    pub departing: Vec<String>,
    /// Clients that have seen the end, and have not closed their side.
    pub lingering: Vec<Client>,
    idle: BTreeMap<ClientId, Instant>,
    starting: BTreeMap<ClientId, Instant>,
    /// What the program had of the system before anything happened.
    pub before: Usage,
    /// Messages that were left out for those who did not read.
    pub skipped: u64,
    /// Messages that publishers sent.
    pub frames: u64,
}

/// Flags of the server that streams are relayed to.
fn far_flags() -> Vec<String> {
    ["-wait-stream", "10m", "-grace", "0"]
        .map(str::to_owned)
        .to_vec()
}

/// What a stream is called in the app.
pub fn name_of(stream: usize) -> String {
    format!("s{stream}")
}

impl World {
    pub fn start(settings: Settings) -> World {
        let far = settings.relays.then(|| Program::start(&far_flags()));
        let [records, config] = [Dir::new(), Dir::new()];
        settings.write(&config, &records, far.as_ref(), "");
        let file = config.0.join("settings").display().to_string();
        let program = Program::start(&["-config".to_owned(), file]);
        let mut world = World {
            before: program.usage(),
            edge: None,
            program,
            reference: Reference::new(settings),
            clients: BTreeMap::new(),
            publications: Default::default(),
            archive: Archive::default(),
            watchers: Vec::new(),
            far,
            records,
            config,
            settings,
            connections: 0,
            names: BTreeSet::new(),
            publication_count: 0,
            departing: Vec::new(),
            lingering: Vec::new(),
            idle: BTreeMap::new(),
            starting: BTreeMap::new(),
            skipped: 0,
            frames: 0,
        };
        // The first connections have it start what it keeps.
        let first = world.connect();
        world.cut(first, Cut::Shutdown, false);
        world.before = world.program.usage_at_rest();
        if settings.pulls != Pulls::Never {
            world.edge = Some(Edge::of(world.program.rtmp, settings.pulls));
        }
        world
    }

    /// Does one action. Whether there was anybody to do it.
    pub fn act(&mut self, action: &Action) -> bool {
        self.keep_time();
        let done = match action {
            Action::Publish { stream, shape, on } => self.publish(*stream, *shape, *on),
            Action::PublishAgain { stream } => self.publish_again(*stream),
            Action::Media { stream, items } => self.media(*stream, items, 0),
            Action::Finish {
                stream,
                how,
                then_close,
            } => self.finish(*stream, *how, *then_close),
            Action::FinishTogether { first, second } => self.finish_together(*first, *second),
            Action::Lose { stream, how, hurry } => self.lose(*stream, *how, *hurry),
            Action::End { stream } => self.end(*stream),
            Action::Play {
                stream,
                all_tracks,
                without,
                on,
            } => self.play(*stream, *all_tracks, *without, *on),
            Action::Stop { viewer, how } => self.stop(*viewer, *how),
            Action::Leave { viewer, how, hurry } => self.leave(*viewer, *how, *hurry),
            Action::Pause { viewer, on } => self.pause(*viewer, *on),
            Action::Receive { viewer, medium, on } => self.receive(*viewer, *medium, *on),
            Action::Stall { viewer } => self.stall(*viewer),
            Action::Wake => self.wake(),
            Action::Inject { viewer } => self.inject(*viewer),
            Action::StallWatcher { watcher } => self.stall_watcher(*watcher),
            Action::Watch { stream, how } => self.watch(*stream, *how),
            Action::Reload => self.reload(),
            Action::Change(change) => self.change(*change),
            Action::Settle => self.settle(),
        };
        self.check();
        self.check_watchers();
        self.wait_for_forsaken();
        done.is_some()
    }

    /// Has those leave for whom the server's clocks would run out.
    fn keep_time(&mut self) {
        let is_late =
            |client: &Client| client.is_stalled && client.stalled_since.elapsed() > STALL_MAX;
        if self.clients.values().any(is_late) || self.is_watcher_late() {
            self.wake();
        }
        // That may have taken long.
        let now = Instant::now();
        let busy = self.busy();
        let idle = self
            .clients
            .keys()
            .filter(|client| !busy.contains_key(client));
        let idle: Vec<_> = idle.copied().collect();
        self.idle.retain(|client, _| idle.contains(client));
        idle.iter().for_each(|client| {
            self.idle.entry(*client).or_insert(now);
        });
        let starting = self.reference.starting();
        self.starting.retain(|client, _| starting.contains(client));
        starting.iter().for_each(|client| {
            self.starting.entry(*client).or_insert(now);
        });
        let late = |since: &BTreeMap<ClientId, Instant>, max: Duration| -> Vec<ClientId> {
            let late = since.iter().filter(|(_, since)| now - **since > max);
            late.map(|(client, _)| *client).collect()
        };
        let late = [late(&self.idle, IDLE_MAX), late(&self.starting, START_MAX)].concat();
        for client in late {
            if self
                .clients
                .get(&client)
                .is_some_and(|client| !client.is_stalled)
            {
                self.cut(client, Cut::Shutdown, false);
            }
        }
        // What that ends is told before anybody does anything else.
        self.check();
    }

    /// Clients with a role, and how many.
    pub fn busy(&self) -> BTreeMap<ClientId, usize> {
        let mut busy = BTreeMap::new();
        let viewers = self
            .reference
            .viewers()
            .into_iter()
            .map(|(client, _, _)| client);
        let publishers = (0..STREAMS).filter_map(|stream| self.reference.publisher(stream));
        for client in viewers.chain(publishers.map(|(client, _)| client)) {
            *busy.entry(client).or_default() += 1;
        }
        busy
    }

    fn connect(&mut self) -> ClientId {
        let id = self.connections;
        self.connections += 1;
        let program = &self.program;
        let client = Client::connect(program.rtmp, id, |addr| program.connection_from(addr));
        self.names.insert(client.name.clone());
        self.clients.insert(id, client);
        self.reference.arrive(id);
        id
    }

    /// Clients that take what they are sent.
    pub fn reading(&self) -> Vec<ClientId> {
        let clients = self.clients.values();
        clients
            .filter(|client| !client.is_stalled)
            .map(|client| client.id)
            .collect()
    }

    /// Everybody who reads has what it must have by now. Those who have been told the end are gone.
    pub fn check(&mut self) {
        for id in self.reading() {
            self.check_client(id);
        }
    }

    fn check_client(&mut self, id: ClientId) {
        let told = self.reference.told(id);
        let client = self.clients.get_mut(&id).expect("a client");
        client.check(told);
        if told.ends {
            self.forget(id);
        }
    }

    /// A client has seen the end. Every other closes its side only later, so that the server holds
    /// what it was about.
    pub fn forget(&mut self, id: ClientId) {
        let client = self.clients.remove(&id).expect("a client");
        self.skipped += client.skipped;
        let may_linger = self.reference.told(id).may_linger;
        self.reference.forget(id);
        let name = client.name.clone();
        if id.is_multiple_of(2) || !may_linger {
            drop(client);
            self.program.wait_for_close(&name);
            return;
        }
        self.departing.push(name);
        // Nobody listens to it any more.
        let mut client = client;
        for (what, stream) in [("publish", 0), ("play", 1), ("publish", 2)] {
            client.try_call(1, what, vec![Value::text(name_of(stream))]);
        }
        self.lingering.push(client);
        if self.lingering.len() > LINGERING_MAX {
            self.lingering.remove(0);
        }
    }

    /// Waits until the server has done all that a client has asked for.
    pub fn sync(&mut self, id: ClientId) {
        if !self.reference.told(id).ends {
            let client = self.clients.get_mut(&id).expect("a client");
            let pong = client.ping();
            self.reference.tell_line(id, pong);
        }
        self.check_client(id);
    }

    /// A client that reads and has room for another role, or a new one.
    pub fn client_for(&mut self, on: Option<usize>, stream: usize) -> (ClientId, u32) {
        let busy = self.busy();
        let viewers = self.reference.viewers();
        let plays = |id: ClientId| {
            viewers
                .iter()
                .any(|(client, _, played)| (*client, *played) == (id, stream))
        };
        let free = self.clients.values().filter(|client| {
            let roles = busy.get(&client.id).copied().unwrap_or_default();
            !client.is_stalled && roles < ROLES_MAX && !plays(client.id)
        });
        let free: Vec<_> = free.map(|client| client.id).collect();
        let id = match on.filter(|_| !free.is_empty()) {
            Some(index) => free[index % free.len()],
            None => self.connect(),
        };
        let stream = self.clients.get_mut(&id).expect("a client").create_stream();
        (id, stream)
    }

    pub fn publish(&mut self, stream: usize, shape: Shape, on: Option<usize>) -> Option<()> {
        if self.has_other_playlists(stream, shape) {
            return None;
        }
        self.release(stream);
        // A publisher that is silent for 10 s would give way.
        if let Some((holder, _)) = self.reference.publisher(stream) {
            self.sync(holder);
        }
        let (id, message_stream) = self.client_for(on, stream);
        let is_unmoved = !self.reference.is_seen(stream) && self.departing.is_empty();
        let begins = self.reference.publish(stream, id, message_stream);
        let client = self.clients.get_mut(&id).expect("a client");
        client.call(
            message_stream,
            "publish",
            vec![Value::text(name_of(stream)), Value::text("live")],
        );
        if begins {
            self.publication_count += 1;
            let mut publication =
                Publication::new(self.publication_count, message_stream, shape, is_unmoved);
            publication.recorded = self.settings.recorded();
            if let Some(last) = self.publications[stream].replace(publication) {
                self.archive.keep(stream, last);
            }
        }
        self.check_client(id);
        Some(())
    }

    fn publish_again(&mut self, stream: usize) -> Option<()> {
        let (id, message_stream) = self.reference.publisher(stream)?;
        let client = self.clients.get_mut(&id)?;
        client.call(
            message_stream,
            "publish",
            vec![Value::text(name_of(stream)), Value::text("live")],
        );
        self.reference.tell_line(
            id,
            format!("status@{message_stream} NetStream.Publish.Start"),
        );
        self.publications[stream].as_mut()?.restart();
        self.check_client(id);
        Some(())
    }

    pub fn media(&mut self, stream: usize, items: &[Item], len: usize) -> Option<()> {
        let (id, _) = self.reference.publisher(stream)?;
        let breaks = |item: &&Item| matches!(item, Item::Send(Kind::Header(_) | Kind::End, _));
        let mut items: Vec<Item> = items.to_vec();
        if self.has_many_playlists(stream) {
            items.retain(|item| !breaks(&item));
        }
        if items.iter().any(|item| breaks(&item)) {
            self.release(stream);
        }
        let publication = self.publications[stream].as_mut()?;
        let client = self.clients.get_mut(&id)?;
        for item in items {
            let Some(frame) = publication.next(item, len) else {
                continue;
            };
            self.frames += 1;
            self.reference.send(stream, &frame);
            client.rtmp.send(&frame.sent);
        }
        self.sync(id);
        Some(())
    }

    pub fn finish(&mut self, stream: usize, how: Finish, then_close: bool) -> Option<()> {
        let (id, message_stream) = self.reference.publisher(stream)?;
        let client = self.clients.get_mut(&id)?;
        self.reference.end(stream);
        match how {
            Finish::DeleteStream => {
                client.call(
                    0,
                    "deleteStream",
                    vec![Value::Number(f64::from(message_stream))],
                );
            }
            Finish::CloseStream => client.call(message_stream, "closeStream", vec![]),
            Finish::FcUnpublish => {
                client.call(0, "FCUnpublish", vec![Value::text(name_of(stream))]);
                let line = "onFCUnpublish 0 NetStream.Unpublish.Success".to_owned();
                self.reference.tell_line(id, line);
            }
            Finish::PublishFalse => {
                client.call(message_stream, "publish", vec![Value::Boolean(false)]);
                self.reference.tell_line(
                    id,
                    format!("status@{message_stream} NetStream.Unpublish.Success"),
                );
            }
        }
        self.sync(id);
        if then_close && !self.busy().contains_key(&id) && self.clients.contains_key(&id) {
            self.cut(id, Cut::Shutdown, false);
        }
        Some(())
    }

    fn lose(&mut self, stream: usize, how: Cut, hurry: bool) -> Option<()> {
        let (id, _) = self.reference.publisher(stream)?;
        // What comes next must not come before it: a viewer is told of it, or nobody hurries.
        let viewers = self.reference.viewers();
        let is_told = viewers.iter().any(|(viewer, _, played)| {
            let reads = self
                .clients
                .get(viewer)
                .is_some_and(|viewer| !viewer.is_stalled);
            *played == stream && *viewer != id && reads
        });
        self.cut(id, how, hurry && is_told);
        Some(())
    }

    /// A client goes without a word, and with it all that it does.
    pub fn cut(&mut self, id: ClientId, how: Cut, hurry: bool) {
        let client = self.clients.remove(&id).expect("a client");
        self.reference.depart(id);
        self.reference.forget(id);
        let name = client.name.clone();
        match how {
            Cut::Shutdown => client.shutdown(),
            Cut::Reset => client.reset(),
            Cut::Delete => assert_eq!(
                self.program.delete(&format!("connections/{name}")),
                200,
                "{name}"
            ),
        }
        match hurry {
            true => self.departing.push(name),
            false => self.program.wait_for_close(&name),
        }
    }

    pub fn end(&mut self, stream: usize) -> Option<()> {
        // One who plays its own stream may be told the end of that, or not.
        let publisher = self.reference.publisher(stream).map(|(id, _)| id);
        let viewers = self.reference.viewers();
        let is_own =
            |(id, _, played): &(ClientId, u32, usize)| *played == stream && Some(*id) == publisher;
        if viewers.iter().any(is_own) {
            return None;
        }
        let is_published = self.reference.is_published(stream);
        self.refuse_pull(stream);
        self.reference.end_from_outside(stream);
        let status = self
            .program
            .delete(&format!("streams/live/{}", name_of(stream)));
        assert!(
            !is_published || status == 200,
            "{status} for DELETE of stream {stream}"
        );
        Some(())
    }
}
