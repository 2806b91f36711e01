//! The calls, as nginx-rtmp names them.

/// What a web service is told of, or asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyCall {
    /// A client connects: the answer decides, or leads to another app.
    Connect,
    /// It wants to publish: the answer decides, or leads to another name.
    Publish,
    /// It wants to play: the same.
    Play,
    /// It has been publishing or playing for a while: the answer may end that.
    Update,
    /// It no longer publishes.
    PublishDone,
    /// It no longer plays.
    PlayDone,
    /// It no longer publishes or plays.
    Done,
    /// A file is complete.
    RecordDone,
    /// The client is gone.
    Disconnect,
}

impl NotifyCall {
    /// Every call there is.
    pub const ALL: [NotifyCall; 9] = [
        NotifyCall::Connect,
        NotifyCall::Publish,
        NotifyCall::Play,
        NotifyCall::Update,
        NotifyCall::PublishDone,
        NotifyCall::PlayDone,
        NotifyCall::Done,
        NotifyCall::RecordDone,
        NotifyCall::Disconnect,
    ];

    /// The name of the directive, such as `on_publish`.
    pub fn name(self) -> &'static str {
        match self {
            NotifyCall::Connect => "on_connect",
            NotifyCall::Publish => "on_publish",
            NotifyCall::Play => "on_play",
            NotifyCall::Update => "on_update",
            NotifyCall::PublishDone => "on_publish_done",
            NotifyCall::PlayDone => "on_play_done",
            NotifyCall::Done => "on_done",
            NotifyCall::RecordDone => "on_record_done",
            NotifyCall::Disconnect => "on_disconnect",
        }
    }

    /// The call that is named so.
    pub fn from_name(name: &str) -> Option<NotifyCall> {
        NotifyCall::ALL.into_iter().find(|call| call.name() == name)
    }
}
