//! Command messages (RTMP §7.2): what a client may ask, as typed values.

use super::{MessageType, StreamId};
use crate::amf0::{self, Value};
use crate::text::shown;
use std::fmt;

/// A command message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The payload is not AMF0.
    Amf(amf0::Error),
    /// Type 17 whose format byte is not 0 (Enhanced RTMP v2, AMF).
    Amf3Format(Option<u8>),
    /// The first value is not a string of UTF-8.
    NoName,
    /// The second value is not a number.
    NoTransaction,
}

impl Error {
    /// The layer, as logs name it.
    pub fn layer(&self) -> &'static str {
        match self {
            Error::Amf(_) => "amf",
            Error::Amf3Format(_) | Error::NoName | Error::NoTransaction => "protocol",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Amf(error) => write!(f, "{error}"),
            Error::Amf3Format(Some(format)) => write!(f, "AMF3 command has format {format}"),
            Error::Amf3Format(None) => write!(f, "AMF3 command is empty"),
            Error::NoName => write!(f, "command has no name"),
            Error::NoTransaction => write!(f, "command has no transaction number"),
        }
    }
}

impl std::error::Error for Error {}

/// A command message taken apart, whatever its name: the shape all of them share (§7.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name of the command; upper and lower case differ.
    pub name: String,
    /// Carried by the reply as well; 0 asks for none.
    pub transaction: f64,
    /// The command object; null if the message ends before it.
    pub object: Value,
    /// The values behind the command object, in the order in which they were sent.
    pub arguments: Vec<Value>,
}

impl Call {
    /// Reads a message of type 20, or of type 17 behind its format byte.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: pass the message over. The connection can go on, as its chunks are in order.
    pub fn parse(kind: MessageType, payload: &[u8]) -> Result<Call, Error> {
        let body = match (kind, payload.split_first()) {
            (MessageType::COMMAND_AMF3, Some((0, body))) => body,
            (MessageType::COMMAND_AMF3, other) => {
                return Err(Error::Amf3Format(other.map(|o| *o.0)));
            }
            _ => payload,
        };
        let mut values = amf0::decode(body).map_err(Error::Amf)?.into_iter();
        let name = values
            .next()
            .and_then(|name| name.as_text().map(str::to_owned));
        let transaction = values.next().and_then(|number| number.as_number());
        Ok(Call {
            name: name.ok_or(Error::NoName)?,
            transaction: transaction.ok_or(Error::NoTransaction)?,
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        })
    }

    /// The payload of the message.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        Value::text(&self.name).encode(&mut out);
        Value::Number(self.transaction).encode(&mut out);
        self.object.encode(&mut out);
        self.arguments
            .iter()
            .for_each(|value| value.encode(&mut out));
        out
    }

    fn text(&self, index: usize) -> Option<String> {
        self.arguments.get(index)?.as_text().map(str::to_owned)
    }

    fn number(&self, index: usize) -> Option<f64> {
        self.arguments.get(index)?.as_number()
    }

    /// A flag; ActionScript's numbers stand for one as well.
    fn flag(&self, index: usize) -> Option<bool> {
        match self.arguments.get(index)? {
            Value::Boolean(flag) => Some(*flag),
            Value::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }
}

/// Bits of `capsEx` (Enhanced RTMP v2, connect).
pub mod caps {
    /// The client can be told to reconnect.
    pub const RECONNECT: u32 = 1;
    /// Several audio or video tracks in one stream.
    pub const MULTITRACK: u32 = 2;
    /// The client reads packets that begin with ModEx prefixes.
    pub const MOD_EX: u32 = 4;
    /// Nanosecond offsets in ModEx.
    pub const NANO_OFFSET: u32 = 8;
}

/// What `connect` says (§7.2.1.1, Enhanced RTMP v2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect {
    /// The application; `None` if missing or not text.
    pub app: Option<String>,
    /// The client's name for itself, as [`shown`].
    pub flash_ver: String,
    /// The [`caps`] that it offers.
    pub caps_ex: u32,
    /// The servers of this kind that its streams have come through, itself being the last. No
    /// specification has this; without it a stream that comes back could not be told from a new one.
    pub via: Vec<String>,
    /// What else the client says of itself.
    pub about: ClientInfo,
}

/// Longest text that is kept of what a client says of itself, in bytes.
pub const CLIENT_INFO_LEN_MAX: usize = 512;

/// What a client says of itself when it connects, as it was sent, but for what is beyond
/// [`CLIENT_INFO_LEN_MAX`] in each field. The app and the URLs may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The application without its query.
    pub app: String,
    /// The query of the application.
    pub app_query: String,
    /// The client's name for itself.
    pub flash_ver: String,
    /// Where the client itself comes from.
    pub swf_url: String,
    /// What it connects to.
    pub tc_url: String,
    /// The page that the client is on.
    pub page_url: String,
}

impl ClientInfo {
    fn new(object: &Value) -> ClientInfo {
        let text = |names: &[&str]| {
            let text = names
                .iter()
                .find_map(|name| object.get(name).and_then(Value::as_text));
            cut(text.unwrap_or_default()).to_owned()
        };
        let app = object.get("app").and_then(Value::as_text);
        let (app, app_query) = app.map_or(("", ""), |app| app.split_once('?').unwrap_or((app, "")));
        ClientInfo {
            app: cut(app).to_owned(),
            app_query: cut(app_query).to_owned(),
            flash_ver: text(&["flashVer", "flashver"]),
            swf_url: text(&["swfUrl", "swfURL"]),
            tc_url: text(&["tcUrl", "tcURL"]),
            page_url: text(&["pageUrl", "pageURL"]),
        }
    }
}

/// The beginning of a text, [`CLIENT_INFO_LEN_MAX`] bytes at most.
pub(crate) fn cut(text: &str) -> &str {
    let mut ends = (0..=text.len().min(CLIENT_INFO_LEN_MAX)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// The member of the command object that [`Connect::via`] is in, between commas.
pub const VIA: &str = "via";

/// Servers that a stream may have come through; more of them are not read.
pub const HOPS_MAX: usize = 16;

/// Most characters that are read of the name of such a server.
pub const HOP_LEN_MAX: usize = 64;

impl Connect {
    fn new(object: &Value) -> Connect {
        let text = |key| object.get(key).and_then(Value::as_text);
        let hops = text(VIA).into_iter().flat_map(|via| via.split(','));
        Connect {
            app: text("app").map(str::to_owned),
            flash_ver: text("flashVer")
                .or_else(|| text("flashver"))
                .map(shown)
                .unwrap_or_default(),
            caps_ex: object.get("capsEx").and_then(Value::as_u32).unwrap_or(0),
            via: hops
                .take(HOPS_MAX)
                .map(|hop| hop.chars().take(HOP_LEN_MAX).collect())
                .collect(),
            about: ClientInfo::new(object),
        }
    }
}

/// Where `play` wants to begin (§7.2.2.1), in the readings of real clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlayStart {
    /// -2, or any other negative number: live, else a recording, else wait for one.
    LiveOrRecorded,
    /// -1, or -1000 of clients that count in ms: live only.
    Live,
    /// 0 or more: from that second of a recording.
    Recorded(f64),
}

impl PlayStart {
    fn new(number: Option<f64>) -> PlayStart {
        match number {
            Some(start) if start >= 0.0 => PlayStart::Recorded(start),
            Some(start) if start == -1.0 || start == -1000.0 => PlayStart::Live,
            _ => PlayStart::LiveOrRecorded,
        }
    }
}

/// The stream that closeStream or deleteStream names.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// By its id, as §7.2.2.3 has it.
    Id(StreamId),
    /// By what is published or played on it, as GStreamer does.
    Name(String),
    /// Not at all, or by something else.
    Nothing,
}

impl Named {
    fn new(argument: Option<&Value>) -> Named {
        let id = argument
            .and_then(Value::as_u32)
            .map(|id| Named::Id(StreamId(id)));
        let name = || Some(Named::Name(argument?.as_text()?.to_owned()));
        id.or_else(name).unwrap_or(Named::Nothing)
    }
}

/// What `publish` has for a name.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishName {
    /// Any text: it may be empty and may carry a query.
    Name(String),
    /// False or null, as Wirecast and NetStream.publish(false) end a publication.
    Stop,
    /// None, or something else.
    Missing,
}

impl PublishName {
    fn new(argument: Option<&Value>) -> PublishName {
        match argument {
            Some(Value::Boolean(false) | Value::Null | Value::Undefined) => PublishName::Stop,
            Some(value) => match value.as_text() {
                Some(name) => PublishName::Name(name.to_owned()),
                None => PublishName::Missing,
            },
            None => PublishName::Missing,
        }
    }
}

/// What a client asks of the server, with the arguments that matter here.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Connects to an app; nothing else is served before it (§7.2.1.1).
    Connect(Connect),
    /// Asks for the id of a new message stream (§7.2.1.3).
    CreateStream,
    /// Ends what a message stream does and gives up its id (§7.2.2.3).
    DeleteStream(Named),
    /// Ends what the stream it arrives on does, or on the connection itself the one named.
    CloseStream(Named),
    /// Publishes a stream, or ends its publication (§7.2.2.6); and the kind of publication.
    Publish(PublishName, Option<String>),
    /// Announces the publication of a name, before createStream.
    FcPublish(Option<String>),
    /// Ends the publication of a name, before deleteStream.
    FcUnpublish(Option<String>),
    /// Plays the stream of that name (§7.2.2.1).
    Play {
        /// `None` if missing or not text.
        name: Option<String>,
        /// The second argument: the position to begin at.
        start: PlayStart,
        /// The same as it was sent.
        start_sent: Option<f64>,
        /// The third argument: how much to play.
        duration: Option<f64>,
        /// Whether to replace what plays; `None` if not said, which means to replace it.
        reset: Option<bool>,
    },
    /// Switches a playback to another bit rate (§7.2.2.2).
    Play2,
    /// Moves to another position of a recording (§7.2.2.7).
    Seek,
    /// Pauses a playback, or goes on with it (§7.2.2.8).
    Pause {
        /// Whether to pause rather than to go on; also true if the flag is missing.
        paused: bool,
        /// The stream's time at that moment, in ms.
        at: f64,
    },
    /// Turns the audio of a playback on or off (§7.2.2.4); on if the flag is missing.
    ReceiveAudio(bool),
    /// Turns the video of a playback on or off (§7.2.2.5); on if the flag is missing.
    ReceiveVideo(bool),
    /// Asks for the length of a recording.
    GetStreamLength,
    /// A courtesy before publish or play that nothing depends on: releaseStream, FCSubscribe.
    Courtesy,
    /// An answer to a call of ours, or a status; nothing to do.
    Answer,
    /// A command of a name that is not known here.
    Unknown,
}

impl Command {
    /// The command that `call` stands for, by its name and its arguments.
    pub fn new(call: &Call) -> Command {
        match call.name.as_str() {
            "connect" => Command::Connect(Connect::new(&call.object)),
            "createStream" => Command::CreateStream,
            "deleteStream" => Command::DeleteStream(Named::new(call.arguments.first())),
            "closeStream" => Command::CloseStream(Named::new(call.arguments.first())),
            "publish" => Command::Publish(PublishName::new(call.arguments.first()), call.text(1)),
            "FCPublish" => Command::FcPublish(call.text(0)),
            "FCUnpublish" => Command::FcUnpublish(call.text(0)),
            "play" => Command::Play {
                name: call.text(0),
                start: PlayStart::new(call.number(1)),
                start_sent: call.number(1),
                duration: call.number(2),
                reset: call.flag(3),
            },
            "play2" => Command::Play2,
            "seek" => Command::Seek,
            "pause" | "pauseRaw" => Command::Pause {
                paused: call.flag(0).unwrap_or(true),
                at: call.number(1).unwrap_or(0.0),
            },
            "receiveAudio" => Command::ReceiveAudio(call.flag(0).unwrap_or(true)),
            "receiveVideo" => Command::ReceiveVideo(call.flag(0).unwrap_or(true)),
            "getStreamLength" => Command::GetStreamLength,
            "releaseStream" | "FCSubscribe" => Command::Courtesy,
            "_result" | "_error" | "onStatus" => Command::Answer,
            _ => Command::Unknown,
        }
    }
}
