//! The reference: what each client must be told, and sent of a stream. It does one thing after the
//! other, forgets nothing, and knows no socket, thread or limit.

mod viewer;

use super::action::{Grace, Pulls, STREAMS, Settings};
use super::frame::{Frame, Medium};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use viewer::{Kept, Phase, Viewer};

/// A client, by when it came.
pub type ClientId = usize;

/// What a client must be sent next.
#[derive(Clone, Debug)]
pub enum Expected {
    /// A message that is no media, as [`crate::support::describe`] writes it.
    Line(String),
    /// A message of a stream, on this message stream.
    Media(u32, Rc<Frame>, When),
}

impl Expected {
    fn frame(self) -> Option<Rc<Frame>> {
        match self {
            Expected::Media(_, frame, _) => Some(frame),
            Expected::Line(_) => None,
        }
    }

    fn message_stream(&self) -> u32 {
        match self {
            Expected::Media(stream, ..) => *stream,
            Expected::Line(line) => message_stream(line),
        }
    }
}

/// The message stream that a line is about.
pub fn message_stream(line: &str) -> u32 {
    let number = match line.split_once(' ') {
        Some(("begin" | "eof" | "dry", number)) => Some(number),
        Some((word, _)) => word.split_once('@').map(|(_, number)| number),
        None => None,
    };
    number.map_or(0, |number| number.parse().expect("a message stream"))
}

impl Told {
    /// Whether it was told all, but for the end.
    pub fn is_done(&self) -> bool {
        self.expected.values().all(VecDeque::is_empty)
    }

    /// What must be next on a message stream.
    pub fn next(&mut self, stream: u32) -> Option<Expected> {
        self.expected.get_mut(&stream)?.pop_front()
    }
}

/// The time that a message must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Time 0.
    Zero,
    /// Its own, moved as all of its publication.
    Own,
    /// That of the next message that has its own: it is sent in front of it.
    Next,
}

/// What is expected of all that is known.
pub struct Reference {
    settings: Settings,
    streams: [Stream; STREAMS],
    /// Those who are connected.
    clients: BTreeMap<ClientId, Told>,
    /// Whether a stream was lost and left by all.
    is_forsaken: bool,
    /// Whether relays have ever seen streams.
    has_relayed: bool,
}

/// What a client must be told.
#[derive(Debug, Default)]
pub struct Told {
    /// On each message stream in order; 0 is the connection.
    pub expected: BTreeMap<u32, VecDeque<Expected>>,
    /// Publications and subscriptions.
    roles: usize,
    /// The end is told: nothing follows.
    pub ends: bool,
    /// Nothing else that it did ends only when it closes its side.
    pub may_linger: bool,
}

#[derive(Default)]
struct Stream {
    state: State,
    /// What its publication has sent that later viewers need.
    kept: Kept,
    /// Whether those begin with pictures that were sent before.
    gop_cache: bool,
    viewers: Vec<Viewer>,
    /// Those who watch in another way: they count, and end with the stream.
    watchers: usize,
    /// Whether one of them is a server that pulls it.
    is_pulled: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Vacant,
    Live(ClientId, u32),
    Lost,
}

impl Stream {
    /// Whether nobody plays, waits or watches.
    fn is_left(&self) -> bool {
        self.viewers.is_empty() && self.watchers == 0
    }
}

impl Reference {
    pub fn new(settings: Settings) -> Reference {
        Reference {
            settings,
            streams: Default::default(),
            clients: BTreeMap::new(),
            is_forsaken: false,
            has_relayed: settings.relays || settings.pulls == Pulls::Always,
        }
    }

    /// The settings are others for what begins from now on.
    pub fn change(&mut self, settings: Settings) {
        self.settings = settings;
        self.has_relayed |= settings.relays;
    }

    /// What a client that is there must be told.
    pub fn told(&mut self, client: ClientId) -> &mut Told {
        self.clients.get_mut(&client).expect("a client")
    }

    /// Whether a client is told the end.
    pub fn ends(&self, client: ClientId) -> bool {
        self.clients.get(&client).is_some_and(|told| told.ends)
    }

    fn tell(&mut self, client: ClientId, expected: impl IntoIterator<Item = Expected>) {
        let told = self.told(client);
        // Its connection takes nothing more.
        if !told.ends {
            for expected in expected {
                let queue = told.expected.entry(expected.message_stream());
                queue.or_default().push_back(expected);
            }
        }
    }

    pub fn tell_line(&mut self, client: ClientId, line: String) {
        self.tell(client, [Expected::Line(line)]);
    }

    /// A client has connected.
    pub fn arrive(&mut self, client: ClientId) {
        self.clients.insert(client, Told::default());
    }

    /// A client goes, or its connection is closed: all that it does is over. Its publications are lost.
    pub fn depart(&mut self, client: ClientId) {
        let publishes = |reference: &Reference, stream: usize| {
            let publisher = reference.publisher(stream);
            publisher.is_some_and(|publisher| publisher.0 == client)
        };
        for stream in 0..STREAMS {
            let viewers = &mut self.streams[stream].viewers;
            let count = viewers.len();
            viewers.retain(|viewer| viewer.client != client);
            let has_left = viewers.len() < count;
            self.is_forsaken |= has_left && publishes(self, stream);
        }
        self.forsake();
        for stream in 0..STREAMS {
            if publishes(self, stream) {
                self.lose(stream);
            }
        }
    }

    /// A lost stream that nobody waits for is over.
    fn forsake(&mut self) {
        for stream in &mut self.streams {
            if stream.is_left() && stream.state == State::Lost {
                *stream = Stream::default();
                self.is_forsaken = true;
            }
        }
    }

    /// Whether a stream was lost and its grace over, or left by all, since this was last asked: the server notices some
    /// time later.
    pub fn take_forsaken(&mut self) -> bool {
        std::mem::take(&mut self.is_forsaken)
    }

    /// A client that has departed is forgotten.
    pub fn forget(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    /// A client is told this last, and its connection is closed.
    pub fn dismiss(&mut self, client: ClientId, line: String) {
        self.tell(client, [Expected::Line(line)]);
        self.end_connection(client);
    }

    fn end_connection(&mut self, client: ClientId) {
        let plays = self
            .viewers()
            .iter()
            .any(|(viewer, _, _)| *viewer == client);
        let publishes =
            (0..STREAMS).any(|stream| self.publisher(stream).is_some_and(|(id, _)| id == client));
        let told = self.told(client);
        (told.ends, told.may_linger) = (true, !plays && !publishes);
        self.depart(client);
    }

    /// Who publishes a stream, and on which message stream.
    pub fn publisher(&self, stream: usize) -> Option<(ClientId, u32)> {
        match self.streams[stream].state {
            State::Live(client, message_stream) => Some((client, message_stream)),
            State::Vacant | State::Lost => None,
        }
    }

    /// Whether somebody was told that it plays the stream: times go on where they were.
    pub fn is_seen(&self, stream: usize) -> bool {
        let viewers = &self.streams[stream].viewers;
        let seen = viewers.iter().any(|viewer| viewer.phase != Phase::Waiting);
        seen || self.streams[stream].watchers > 0 || self.has_relayed
    }

    /// A client asks to publish. Whether it does from now on.
    pub fn publish(&mut self, stream: usize, client: ClientId, message_stream: u32) -> bool {
        let refusal = format!("error@{message_stream} NetStream.Publish.BadName");
        match self.streams[stream].state {
            State::Live(holder, _) if holder == client => {
                self.tell(client, [Expected::Line(refusal)]);
                return false;
            }
            State::Live(..) if !self.settings.takeover => {
                self.dismiss(client, refusal);
                return false;
            }
            _ => {}
        }
        // It publishes before the last publisher goes: what that ends as well may be all else it does.
        self.told(client).roles += 1;
        let last = std::mem::replace(
            &mut self.streams[stream].state,
            State::Live(client, message_stream),
        );
        self.streams[stream].kept = Kept::default();
        self.streams[stream].gop_cache = self.settings.gop_cache;
        if let State::Live(holder, on) = last {
            self.dismiss(holder, format!("error@{on} NetStream.Publish.BadName"));
        }
        let mut told = Vec::new();
        for viewer in &mut self.streams[stream].viewers {
            viewer.missed.clear();
            let goes_on = viewer.phase != Phase::Waiting;
            viewer.phase = Phase::Starting(None);
            let lines: &[&str] = match (goes_on, last) {
                (false, _) => &["begin #", "status@# NetStream.Play.Start"],
                (true, State::Lost) => &["begin #"],
                (true, _) => &[],
            };
            told.push((
                viewer.client,
                lines
                    .iter()
                    .map(|line| viewer.line(line))
                    .collect::<Vec<_>>(),
            ));
        }
        told.into_iter()
            .for_each(|(client, lines)| self.tell(client, lines));
        let lines = [
            format!("begin {message_stream}"),
            format!("status@{message_stream} NetStream.Publish.Start"),
        ];
        self.tell(client, lines.map(Expected::Line));
        true
    }

    /// The publisher sends a message.
    pub fn send(&mut self, stream: usize, frame: &Rc<Frame>) {
        let stream = &mut self.streams[stream];
        let gop_cache = stream.gop_cache;
        let Stream { kept, viewers, .. } = stream;
        kept.note(frame);
        let sent = viewers
            .iter_mut()
            .map(|viewer| (viewer.client, viewer.next(frame, kept, gop_cache)));
        let sent: Vec<_> = sent.collect();
        sent.into_iter()
            .for_each(|(client, expected)| self.tell(client, expected));
    }

    /// The publisher is gone without a word.
    fn lose(&mut self, stream: usize) {
        if self.settings.grace == Grace::None || self.streams[stream].is_left() {
            // Until a relay has noticed, somebody is left.
            self.is_forsaken |= self.settings.relays || self.settings.pulls == Pulls::Always;
            return self.end(stream);
        }
        self.drop_publisher(stream);
        self.streams[stream].state = State::Lost;
        let viewers = self.streams[stream].viewers.iter();
        let lines: Vec<_> = viewers
            .map(|viewer| (viewer.client, viewer.line("dry #")))
            .collect();
        lines
            .into_iter()
            .for_each(|(client, line)| self.tell(client, [line]));
        if self.settings.grace == Grace::Short {
            self.is_forsaken = true;
            self.end(stream);
        }
    }

    fn drop_publisher(&mut self, stream: usize) {
        if let Some((client, _)) = self.publisher(stream)
            && let Some(told) = self.clients.get_mut(&client)
        {
            told.roles -= 1;
        }
    }

    /// The publication is over. Viewers who play are told so, and hung up on if they do nothing else.
    pub fn end(&mut self, stream: usize) {
        let viewers = std::mem::take(&mut self.streams[stream].viewers);
        let (ended, waiting): (Vec<_>, _) = viewers
            .into_iter()
            .partition(|viewer| viewer.phase != Phase::Waiting);
        (self.streams[stream].viewers, self.streams[stream].watchers) = (waiting, 0);
        self.streams[stream].is_pulled = false;
        let mut closed = Vec::new();
        for viewer in ended {
            let lines =
                ["eof #", "status@# NetStream.Play.UnpublishNotify"].map(|line| viewer.line(line));
            self.tell(viewer.client, lines);
            let told = self.told(viewer.client);
            told.roles -= 1;
            if told.roles == 0 && !told.ends {
                closed.push(viewer.client);
            }
        }
        // The publisher counts as one until its viewers have been told.
        self.drop_publisher(stream);
        self.streams[stream].state = State::Vacant;
        self.streams[stream].kept = Kept::default();
        closed
            .into_iter()
            .for_each(|client| self.end_connection(client));
    }

    /// The stream is ended from outside: its publisher is told, and hung up on.
    pub fn end_from_outside(&mut self, stream: usize) {
        let publisher = self.publisher(stream);
        if let Some((client, on)) = publisher {
            self.tell(
                client,
                [Expected::Line(format!(
                    "error@{on} NetStream.Publish.BadName"
                ))],
            );
        }
        self.end(stream);
        if let Some((client, _)) = publisher {
            self.end_connection(client);
        }
    }

    /// A client asks to play. Whether it does from now on.
    pub fn play(
        &mut self,
        stream: usize,
        client: ClientId,
        message_stream: u32,
        all_tracks: bool,
    ) -> bool {
        let is_live = self.publisher(stream).is_some();
        if !is_live && !self.settings.waits {
            self.dismiss(
                client,
                format!("error@{message_stream} NetStream.Play.StreamNotFound"),
            );
            return false;
        }
        self.told(client).roles += 1;
        let mut viewer = Viewer::new(client, message_stream, all_tracks);
        let mut told = Vec::new();
        if is_live {
            told.extend(["begin #", "status@# NetStream.Play.Start"].map(|line| viewer.line(line)));
            viewer.phase = Phase::Starting(None);
            told.extend(viewer.begin(
                None,
                &self.streams[stream].kept,
                self.streams[stream].gop_cache,
                false,
            ));
        }
        self.tell(client, told);
        self.streams[stream].viewers.push(viewer);
        true
    }

    /// What somebody who takes all tracks begins with now.
    pub fn begins_with(&self, stream: usize) -> Vec<Rc<Frame>> {
        let Stream {
            kept, gop_cache, ..
        } = &self.streams[stream];
        let begins = Viewer::new(0, 0, true).begin(None, kept, *gop_cache, false);
        begins.into_iter().filter_map(Expected::frame).collect()
    }

    /// What of a publication with all these messages goes to somebody who watches its first tracks from
    /// before it begins.
    pub fn goes_to_all(sent: &[Rc<Frame>]) -> Vec<Rc<Frame>> {
        let mut viewer = Viewer::new(0, 0, false);
        viewer.phase = Phase::Starting(None);
        let mut kept = Kept::default();
        let next = |frame: &Rc<Frame>| {
            kept.note(frame);
            viewer.next(frame, &kept, false)
        };
        let next = sent.iter().flat_map(next);
        next.filter_map(Expected::frame).collect()
    }

    /// So many watch a stream that is published.
    pub fn set_watchers(&mut self, stream: usize, watchers: usize) {
        self.streams[stream].watchers = watchers;
        self.forsake();
    }

    /// Another server pulls the stream from now on. Whether it did not before.
    pub fn pull(&mut self, stream: usize) -> bool {
        let stream = &mut self.streams[stream];
        let begins = !std::mem::replace(&mut stream.is_pulled, true);
        stream.watchers += usize::from(begins);
        begins
    }

    /// The other server pulls the stream no more.
    pub fn give_up_pull(&mut self, stream: usize) {
        let stream = &mut self.streams[stream];
        stream.watchers -= usize::from(std::mem::take(&mut stream.is_pulled));
    }

    pub fn is_pulled(&self, stream: usize) -> bool {
        self.streams[stream].is_pulled
    }

    pub fn watchers(&self, stream: usize) -> usize {
        self.streams[stream].watchers
    }

    /// Who plays or waits: the client, its message stream, and the stream.
    pub fn viewers(&self) -> Vec<(ClientId, u32, usize)> {
        let streams = self.streams.iter().enumerate();
        let viewers = streams
            .flat_map(|(number, stream)| stream.viewers.iter().map(move |viewer| (viewer, number)));
        viewers
            .map(|(viewer, number)| (viewer.client, viewer.message_stream, number))
            .collect()
    }

    /// Clients with a viewer that has nothing yet of a stream that has begun.
    pub fn starting(&self) -> BTreeSet<ClientId> {
        let live = self
            .streams
            .iter()
            .filter(|stream| matches!(stream.state, State::Live(..)));
        let viewers = live.flat_map(|stream| &stream.viewers);
        let starting = viewers.filter(|viewer| matches!(viewer.phase, Phase::Starting(_)));
        starting.map(|viewer| viewer.client).collect()
    }

    /// Whether a stream is published, or waits for its publisher to come back.
    pub fn is_published(&self, stream: usize) -> bool {
        self.streams[stream].state != State::Vacant
    }

    /// The viewer on this message stream of a client.
    fn viewer(&mut self, client: ClientId, message_stream: u32) -> Option<&mut Viewer> {
        let mut viewers = self
            .streams
            .iter_mut()
            .flat_map(|stream| &mut stream.viewers);
        viewers.find(|viewer| (viewer.client, viewer.message_stream) == (client, message_stream))
    }

    pub fn stop(&mut self, client: ClientId, message_stream: u32) {
        for stream in &mut self.streams {
            stream.viewers.retain(|viewer| {
                (viewer.client, viewer.message_stream) != (client, message_stream)
            });
        }
        self.forsake();
        self.told(client).roles -= 1;
    }

    pub fn pause(&mut self, client: ClientId, message_stream: u32, on: bool) {
        let notify = ["Unpause", "Pause"][usize::from(on)];
        self.tell(
            client,
            [Expected::Line(format!(
                "status@{message_stream} NetStream.{notify}.Notify"
            ))],
        );
        if let Some(viewer) = self.viewer(client, message_stream) {
            // It goes on at a keyframe.
            if viewer.paused && !on {
                viewer.started.clear();
            }
            viewer.paused = on;
        }
    }

    pub fn receive(&mut self, client: ClientId, message_stream: u32, medium: Medium, on: bool) {
        if on {
            let lines = ["NetStream.Seek.Notify", "NetStream.Play.Start"];
            let lines = lines.map(|code| Expected::Line(format!("status@{message_stream} {code}")));
            self.tell(client, lines);
        }
        let Some(viewer) = self.viewer(client, message_stream) else {
            return;
        };
        match medium {
            Medium::Audio => viewer.audio = on,
            Medium::Video => {
                if on && !viewer.video {
                    viewer.started.clear();
                }
                viewer.video = on;
            }
        }
    }
}
