//! The notation of `testdata/vectors.txt`, read into values without the help of any decoder.

use rtmp_server::amf0::{Pairs, Value};
use rtmp_server::rtmp::chunk::ChunkStreamId;
use rtmp_server::rtmp::control::{BandwidthLimit, Control, UserControl};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

/// What a chunk row says.
pub struct Script {
    pub chunk_size: u32,
    pub messages: Vec<Scripted>,
}

pub struct Scripted {
    pub csid: ChunkStreamId,
    pub message: Message,
    /// What the message says, if it is a control message.
    pub control: Option<Control>,
}

/// A reader of one row; panics on what is not in the notation.
pub struct Notation<'a> {
    rest: &'a str,
}

impl<'a> Notation<'a> {
    pub fn new(text: &'a str) -> Self {
        Notation { rest: text.trim() }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `text` and the blanks behind it, if it comes next.
    pub fn eat(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else {
            return false;
        };
        self.rest = rest.trim_start();
        true
    }

    fn expect(&mut self, text: &str) {
        assert!(self.eat(text), "expected {text:?} before {:?}", self.rest);
    }

    pub fn word(&mut self) -> &'a str {
        let inside = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let len = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        assert!(!word.is_empty(), "expected a word before {rest:?}");
        self.rest = rest.trim_start();
        word
    }

    pub fn u32(&mut self) -> u32 {
        let word = self.word();
        let number = match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => word.parse(),
        };
        number.unwrap_or_else(|_| panic!("{word} is no number"))
    }

    fn string(&mut self) -> &'a str {
        self.expect("\"");
        let (text, rest) = self.rest.split_once('"').expect("the end of a string");
        self.rest = rest.trim_start();
        text
    }

    /// Hex bytes and patterns, as many as come.
    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            if self.eat("pattern(") {
                let start = self.u32();
                self.expect(",");
                bytes.extend((0..self.u32()).map(|i| (i + start) as u8));
                self.expect(")");
            } else if self.rest.starts_with(|c: char| c.is_ascii_hexdigit()) {
                bytes.push(u8::from_str_radix(self.word(), 16).expect("a hex byte"));
            } else {
                return bytes;
            }
        }
    }

    /// AMF0 values with commas between them.
    pub fn values(&mut self) -> Vec<Value> {
        let mut values = vec![self.value()];
        while self.eat(",") {
            values.push(self.value());
        }
        values
    }

    fn value(&mut self) -> Value {
        if self.rest.starts_with('"') {
            return Value::text(self.string());
        }
        if self.rest.starts_with('{') {
            return Value::Object(self.pairs());
        }
        if self.eat("[") {
            let values = self.values();
            self.expect("]");
            return Value::StrictArray(values);
        }
        match self.word() {
            "null" => Value::Null,
            "undefined" => Value::Undefined,
            "unsupported" => Value::Unsupported,
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            word @ ("ref" | "ecma" | "date" | "long" | "xml" | "typed" | "amf3") => {
                self.marked(word)
            }
            number => Value::Number(number.parse().expect("a number")),
        }
    }

    /// Values that are written as a word with something in parentheses.
    fn marked(&mut self, word: &str) -> Value {
        self.expect("(");
        let value = match word {
            "ref" => Value::Reference(self.u32() as u16),
            "ecma" => {
                let count = self.u32();
                self.expect(")");
                return Value::EcmaArray(count, self.pairs());
            }
            "typed" => {
                let class = self.string().as_bytes().to_vec();
                self.expect(")");
                return Value::TypedObject(class, self.pairs());
            }
            "date" => {
                let ms = self.word().parse().expect("a number");
                self.expect(",");
                Value::Date(ms, self.u32() as i16)
            }
            "long" => {
                let text = self.string();
                let times = if self.rest.starts_with(')') {
                    1
                } else {
                    self.u32()
                };
                Value::LongString(text.repeat(times as usize).into_bytes())
            }
            "xml" => Value::Xml(self.string().as_bytes().to_vec()),
            _ => Value::AvmPlus(self.bytes()),
        };
        self.expect(")");
        value
    }

    fn pairs(&mut self) -> Pairs {
        let mut pairs = Vec::new();
        self.expect("{");
        while !self.eat("}") {
            let key = if self.rest.starts_with('"') {
                self.string()
            } else {
                self.word()
            };
            self.expect(":");
            pairs.push((key.as_bytes().to_vec(), self.value()));
            self.eat(",");
        }
        pairs
    }

    /// A whole chunk row.
    pub fn script(mut self) -> Script {
        let (mut chunk_size, mut csid, mut messages) = (128, 0, Vec::new());
        while !self.is_empty() {
            if self.eat("chunk ") {
                chunk_size = self.u32();
            } else if self.eat("csid ") {
                csid = self.u32();
            } else {
                let (message, control) = self.message();
                messages.push(Scripted {
                    csid: ChunkStreamId(csid),
                    message,
                    control,
                });
            }
            self.eat(";");
        }
        Script {
            chunk_size,
            messages,
        }
    }

    fn message(&mut self) -> (Message, Option<Control>) {
        let word = self.word();
        let Some(kind) = kind(word) else {
            let (kind, payload, control) = self.control(word);
            let message = Message::untimed(kind, StreamId::CONTROL, payload);
            return (message, Some(control));
        };
        let stream = StreamId(self.u32());
        let (timestamp, payload) = self.timed(kind);
        (
            Message {
                timestamp,
                kind,
                stream,
                payload: payload.into(),
            },
            None,
        )
    }

    /// What is written `type @time content`, as in FLV tags and aggregates.
    pub fn part(&mut self) -> Message {
        let word = self.word();
        let kind = kind(word).unwrap_or_else(|| panic!("{word} is no type"));
        let (timestamp, payload) = self.timed(kind);
        Message {
            timestamp,
            kind,
            stream: StreamId::CONTROL,
            payload: payload.into(),
        }
    }

    fn timed(&mut self, kind: MessageType) -> (Timestamp, Vec<u8>) {
        self.expect("@");
        let timestamp = Timestamp(self.u32());
        let payload = match kind {
            MessageType::COMMAND | MessageType::DATA => encoded(&self.values()),
            MessageType::COMMAND_AMF3 | MessageType::DATA_AMF3 => {
                [vec![0], encoded(&self.values())].concat()
            }
            MessageType::AGGREGATE => self.aggregate(),
            _ => self.bytes(),
        };
        (timestamp, payload)
    }

    fn aggregate(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while !self.is_empty() {
            body.extend(tag(&self.part()));
            self.eat("|");
        }
        body
    }

    /// A control message: its type, its payload by the layout of §5.4 and §7.1.7, its meaning.
    fn control(&mut self, word: &str) -> (MessageType, Vec<u8>, Control) {
        let first = self.u32();
        let be = |value: u32| value.to_be_bytes().to_vec();
        let stream = StreamId(first);
        let event = |number: u8, user| {
            let payload = [vec![0, number], be(first)].concat();
            (MessageType(4), payload, Control::User(user))
        };
        match word {
            "set-chunk-size" => (MessageType(1), be(first), Control::SetChunkSize(first)),
            "abort" => (MessageType(2), be(first), Control::Abort(first)),
            "ack" => (MessageType(3), be(first), Control::Acknowledgement(first)),
            "window" => (MessageType(5), be(first), Control::WindowAckSize(first)),
            "bandwidth" => {
                let names = ["hard", "soft", "dynamic"];
                let limit = self.word();
                let limit = names
                    .iter()
                    .position(|name| *name == limit)
                    .expect("a limit") as u8;
                let control = Control::SetPeerBandwidth {
                    size: first,
                    limit: BandwidthLimit(limit),
                };
                (MessageType(6), [be(first), vec![limit]].concat(), control)
            }
            "begin" => event(0, UserControl::StreamBegin(stream)),
            "eof" => event(1, UserControl::StreamEof(stream)),
            "dry" => event(2, UserControl::StreamDry(stream)),
            "recorded" => event(4, UserControl::StreamIsRecorded(stream)),
            "ping" => event(6, UserControl::PingRequest(first)),
            "pong" => event(7, UserControl::PingResponse(first)),
            "buffer-length" => {
                let ms = self.u32();
                let (kind, payload, control) = event(3, UserControl::SetBufferLength(stream, ms));
                (kind, [payload, be(ms)].concat(), control)
            }
            other => panic!("{other} is no message"),
        }
    }
}

/// The vectors of AMF0 test this against their own bytes.
fn encoded(values: &[Value]) -> Vec<u8> {
    rtmp_server::amf0::encode(values)
}

fn kind(word: &str) -> Option<MessageType> {
    let number = match word {
        "audio" => 8,
        "video" => 9,
        "data3" => 15,
        "command3" => 17,
        "data" => 18,
        "command" => 20,
        "aggregate" => 22,
        _ => return None,
    };
    Some(MessageType(number))
}

/// A tag and the size behind it (FLV E.4.1), which is also how aggregates hold messages.
pub fn tag(message: &Message) -> Vec<u8> {
    let len = (message.payload.len() as u32).to_be_bytes();
    let [high, time @ ..] = message.timestamp.0.to_be_bytes();
    let mut bytes = vec![message.kind.0];
    bytes.extend_from_slice(&len[1..]);
    bytes.extend_from_slice(&time);
    bytes.extend_from_slice(&[high, 0, 0, 0]);
    bytes.extend_from_slice(&message.payload);
    bytes.extend_from_slice(&(message.payload.len() as u32 + 11).to_be_bytes());
    bytes
}
