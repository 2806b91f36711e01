//! What clients do, and how a sequence of it is made of a seed.

use super::frame::{Form, Kind, Medium};
use super::random::Random;
use super::watcher::How;

/// Streams that everything is about: few, so that clients meet.
pub const STREAMS: usize = 3;

/// What a publication consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub form: Form,
    /// Video tracks.
    pub videos: u8,
    /// Audio tracks.
    pub audios: u8,
    /// The time of its first message.
    pub start_ms: u32,
    /// Whether headers and data are dated 0, as some encoders do.
    pub dates_nothing: bool,
}

impl Shape {
    /// Whether it has several tracks of a kind.
    pub fn has_many(self) -> bool {
        self.videos.max(self.audios) > 1
    }
}

/// One message, or a step of the publisher's clock. Tracks that the publication does not have stand
/// for those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Send(Kind, u8),
    /// The last header of this kind once more.
    Repeat(Medium, u8),
    Ms(u32),
}

/// How a publication is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    DeleteStream,
    CloseStream,
    FcUnpublish,
    PublishFalse,
}

/// How a client goes without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Shutdown,
    /// With something unread in its socket, so that the connection is reset.
    Reset,
    /// By `DELETE` of the connection over HTTP.
    Delete,
}

/// What happens. Clients are meant by their index among those that can do it, modulo their number, so
/// that a sequence stays one when parts of it are left out; what nobody can do is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client publishes: a new one, or one that plays already.
    Publish {
        stream: usize,
        shape: Shape,
        on: Option<usize>,
    },
    /// A publisher asks for what it publishes once more.
    PublishAgain {
        stream: usize,
    },
    Media {
        stream: usize,
        items: Vec<Item>,
    },
    Finish {
        stream: usize,
        how: Finish,
        then_close: bool,
    },
    /// Two publishers finish at the same instant.
    FinishTogether {
        first: usize,
        second: usize,
    },
    /// The publisher is lost; `hurry`: nobody waits until that is noticed.
    Lose {
        stream: usize,
        how: Cut,
        hurry: bool,
    },
    /// `DELETE` of the stream over HTTP.
    End {
        stream: usize,
    },
    /// A client plays: a new one, or one that plays or publishes already.
    /// It may want no pictures, or no sound, from the first.
    Play {
        stream: usize,
        all_tracks: bool,
        without: Option<Medium>,
        on: Option<usize>,
    },
    /// A viewer stops playing, and stays.
    Stop {
        viewer: usize,
        how: Finish,
    },
    Leave {
        viewer: usize,
        how: Cut,
        hurry: bool,
    },
    Pause {
        viewer: usize,
        on: bool,
    },
    Receive {
        viewer: usize,
        medium: Medium,
        on: bool,
    },
    /// A viewer reads no more, and its stream sends more than it has room for.
    Stall {
        viewer: usize,
    },
    /// One who watches by HTTP reads no more, and its stream sends more than it has room for.
    StallWatcher {
        watcher: usize,
    },
    /// All who do not read do so again.
    Wake,
    /// A viewer sends media as if it published.
    Inject {
        viewer: usize,
    },
    /// Somebody watches by HTTP, or what is relayed to another server.
    Watch {
        stream: usize,
        how: How,
    },
    /// The server reads its settings again, which have not changed.
    Reload,
    /// The server reads other settings.
    Change(Change),
    /// Everybody has exactly what it must have, and the server says so too.
    Settle,
}

/// What changes in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Takeover,
    Waits,
    GopCache,
    Grace(Grace),
    /// What is recorded, and whether as MP4.
    Records(Records, bool),
    Relays,
    /// A file with a fault.
    Fault,
    /// Nobody is let in for a moment.
    Door,
    /// For a moment only who shows a token; whether it is in a file of tokens.
    Tokens(bool),
    /// The other server pulls nothing for a moment.
    Pulls,
}

/// What the server of a sequence is told by its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub takeover: bool,
    pub grace: Grace,
    pub waits: bool,
    pub gop_cache: bool,
    pub merges: bool,
    pub records: Records,
    /// Whether recordings are MP4.
    pub as_mp4: bool,
    /// Whether all streams are relayed to another server.
    pub relays: bool,
    /// How another server has streams from it.
    pub pulls: Pulls,
}

/// How another server has streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulls {
    Never,
    OnDemand,
    Always,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    Nothing,
    Whole,
    Segments,
}

/// How long viewers stay whose publisher was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    None,
    /// It is over before anything else happens.
    Short,
    /// It outlasts the sequence.
    Long,
}

impl Settings {
    pub fn random(random: &mut Random) -> Settings {
        let mut settings = Settings {
            takeover: !random.once_in(4),
            grace: random.weighted(&[(1, Grace::None), (1, Grace::Short), (4, Grace::Long)]),
            waits: !random.once_in(4),
            gop_cache: !random.once_in(4),
            merges: random.once_in(3),
            records: random.weighted(&[
                (3, Records::Nothing),
                (1, Records::Whole),
                (2, Records::Segments),
            ]),
            as_mp4: random.once_in(2),
            relays: random.once_in(3),
            pulls: random.one_of(&[Pulls::Never, Pulls::OnDemand, Pulls::Always]),
        };
        if !settings.is_possible() {
            (settings.grace, settings.waits) = (Grace::Short, true);
        }
        settings
    }

    /// Lines of a file of settings.
    pub fn lines(self) -> Vec<String> {
        let grace = match self.grace {
            Grace::None => "0",
            Grace::Short => "50ms",
            Grace::Long => "10m",
        };
        let on_duplicate = ["reject", "takeover"][usize::from(self.takeover)];
        let wait = ["0", "10m"][usize::from(self.waits)];
        let merge = ["0", "20ms"][usize::from(self.merges)];
        let format = ["flv", "mp4"][usize::from(self.as_mp4)];
        let mut lines = vec![
            format!("on-duplicate {on_duplicate}"),
            format!("grace {grace}"),
            format!("wait-stream {wait}"),
            format!("gop-cache {}", self.gop_cache),
            format!("merge {merge}"),
            format!("record-format {format}"),
        ];
        let record: &[&str] = match self.records {
            Records::Nothing => &[],
            Records::Whole => &["record-all true"],
            Records::Segments => &["record-all true", "segment-duration 1s"],
        };
        lines.extend(record.iter().map(|line| (*line).to_owned()));
        lines
    }
}

/// A sequence of `len` actions.
pub fn sequence(random: &mut Random, len: usize) -> Vec<Action> {
    (0..len).map(|_| action(random)).collect()
}

fn action(random: &mut Random) -> Action {
    type Make = fn(&mut Random, usize) -> Action;
    #[rustfmt::skip]
    let kinds: [(usize, Make); 21] = [
        (8, |random, stream| Action::Publish { stream, shape: shape(random), on: seldom(random) }),
        (1, |_, stream| Action::PublishAgain { stream }),
        (50, |random, stream| Action::Media { stream, items: items(random) }),
        (3, |random, stream| Action::Finish { stream, how: finish(random), then_close: !random.once_in(3) }),
        (2, |random, stream| Action::FinishTogether { first: stream, second: (stream + 1 + random.below(STREAMS - 1)) % STREAMS }),
        (3, |random, stream| Action::Lose { stream, how: cut(random), hurry: random.once_in(3) }),
        (1, |_, stream| Action::End { stream }),
        (12, |random, stream| Action::Play { stream, all_tracks: !random.once_in(3), without: without(random), on: seldom(random) }),
        (1, |random, _| Action::Stop { viewer: random.below(99), how: finish(random) }),
        (3, |random, _| Action::Leave { viewer: random.below(99), how: cut(random), hurry: random.once_in(3) }),
        (3, |random, _| Action::Pause { viewer: random.below(99), on: true }),
        (4, |random, _| Action::Pause { viewer: random.below(99), on: false }),
        (8, |random, _| Action::Receive { viewer: random.below(99), medium: medium(random), on: !random.once_in(2) }),
        (1, |random, _| Action::Stall { viewer: random.below(99) }),
        (3, |random, _| Action::StallWatcher { watcher: random.below(99) }),
        (2, |_, _| Action::Wake),
        (1, |random, _| Action::Inject { viewer: random.below(99) }),
        (6, |random, stream| Action::Watch { stream, how: random.one_of(&[How::Flv, How::Mp4, How::Hls, How::Relay, How::Pull]) }),
        (1, |_, _| Action::Reload),
        (5, |random, _| Action::Change(change(random))),
        (3, |_, _| Action::Settle),
    ];
    let weights: Vec<(usize, usize)> = kinds
        .iter()
        .enumerate()
        .map(|(index, (weight, _))| (*weight, index))
        .collect();
    let (_, make) = kinds[random.weighted(&weights)];
    // The first stream is the one where most happens.
    let stream = random.weighted(&[(3, 0), (2, 1), (1, 2)]);
    make(random, stream)
}

fn change(random: &mut Random) -> Change {
    let grace = random.one_of(&[Grace::None, Grace::Short, Grace::Long]);
    let records = random.one_of(&[Records::Nothing, Records::Whole, Records::Segments]);
    let as_mp4 = random.once_in(2);
    let are_in_file = random.once_in(2);
    random.one_of(&[
        Change::Takeover,
        Change::Waits,
        Change::GopCache,
        Change::Grace(grace),
        Change::Records(records, as_mp4),
        Change::Relays,
        Change::Fault,
        Change::Door,
        Change::Tokens(are_in_file),
        Change::Pulls,
    ])
}

fn seldom(random: &mut Random) -> Option<usize> {
    random.once_in(5).then(|| random.below(99))
}

fn without(random: &mut Random) -> Option<Medium> {
    random.once_in(6).then(|| medium(random))
}

fn medium(random: &mut Random) -> Medium {
    random.one_of(&[Medium::Video, Medium::Audio])
}

fn finish(random: &mut Random) -> Finish {
    random.one_of(&[
        Finish::DeleteStream,
        Finish::CloseStream,
        Finish::FcUnpublish,
        Finish::PublishFalse,
    ])
}

fn cut(random: &mut Random) -> Cut {
    random.one_of(&[Cut::Shutdown, Cut::Reset, Cut::Delete])
}

fn shape(random: &mut Random) -> Shape {
    let (videos, audios) = random.weighted(&[
        (5, (1, 1)),
        (1, (1, 0)),
        (1, (0, 1)),
        (2, (2, 1)),
        (1, (2, 2)),
    ]);
    Shape {
        form: random.one_of(&[Form::Legacy, Form::Enhanced]),
        videos,
        audios,
        start_ms: random.one_of(&[0, 0, 40, 5_000, 3_600_000, u32::MAX - 100]),
        dates_nothing: random.once_in(2),
    }
}

/// Some messages: often a beginning as encoders send it, else anything at all.
fn items(random: &mut Random) -> Vec<Item> {
    let mut items = Vec::new();
    if random.once_in(5) {
        items.push(Item::Send(Kind::Metadata, 0));
        items.extend([0, 1].map(|track| Item::Send(Kind::Header(Medium::Video), track)));
        items.extend([0, 1].map(|track| Item::Send(Kind::Header(Medium::Audio), track)));
        items.extend([0, 1].map(|track| Item::Send(Kind::Key, track)));
        items.extend([0, 1].map(|track| Item::Send(Kind::Sound, track)));
    }
    for _ in 0..random.below(8) {
        let track = u8::from(random.once_in(3));
        items.push(Item::Ms(random.weighted(&[
            (10, 20),
            (5, 40),
            (3, 0),
            (1, 1000),
            (1, 2900),
        ])));
        items.push(random.weighted(&[
            (3, Item::Send(Kind::Key, track)),
            (10, Item::Send(Kind::Inter, track)),
            (2, Item::Send(Kind::Disposable, track)),
            (12, Item::Send(Kind::Sound, track)),
            (1, Item::Send(Kind::Metadata, 0)),
            (2, Item::Send(Kind::Text, 0)),
            (1, Item::Send(Kind::Header(Medium::Video), track)),
            (1, Item::Send(Kind::Header(Medium::Audio), track)),
            (1, Item::Repeat(Medium::Video, track)),
            (1, Item::Repeat(Medium::Audio, track)),
            (1, Item::Send(Kind::Empty(Medium::Video), 0)),
            (1, Item::Send(Kind::Empty(Medium::Audio), 0)),
            (1, Item::Send(Kind::End, 0)),
        ]));
    }
    items
}
