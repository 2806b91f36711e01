//! The reading thread of a connection: what comes is counted, decoded, handed to the side,
//! acknowledged and answered.

use super::{Error, READ_LIMIT, SETUP_LIMIT};
use crate::awake;
use crate::net::{DeadlineReader, Merge, Socket};
use crate::queue::{Cause, Outbox, QueueFull};
use crate::rtmp::chunk::Decoder;
use crate::rtmp::flow::Flow;
use crate::rtmp::{Message, MessageType, handshake};
use crate::sys;
use std::convert::Infallible;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;

/// Bytes that are read at a time from a peer that says little. More are when it says more.
pub(crate) const READ_LEN: usize = 512;

/// The most bytes that are read at a time from a peer that sends media.
pub(crate) const MEDIA_READ_LEN: usize = 64 << 10;

/// One of the two roles on a connection: what it does with what its peer sends.
pub(crate) trait Side<'a> {
    /// Why a connection of this side ends.
    type Error: From<Error>;

    /// The connection that this is a side of.
    fn connection(&mut self) -> &mut Connection<'a>;

    /// The flow control of this side's conversation.
    fn flow(&mut self) -> &mut Flow;

    /// How many bytes to read at a time at most, from now on; less than before changes nothing.
    fn read_len(&self) -> usize;

    /// Nothing came within the time limit: whether to go on waiting.
    fn may_stay_silent(&mut self) -> bool;

    /// A read failed: why the connection is over.
    fn read_failed(&self, error: io::Error) -> Self::Error;

    /// This many bytes came.
    fn heard(&mut self, bytes: usize);

    /// Takes one message.
    ///
    /// # Errors
    ///
    /// The connection is over.
    fn handle(&mut self, message: Message) -> Result<(), Self::Error>;

    /// All messages of one read or several are handled: does what was put off until then.
    ///
    /// # Errors
    ///
    /// The connection is over.
    fn flush(&mut self) -> Result<(), Self::Error>;

    /// Why the connection is over once its last replies are sent, if it is.
    fn ended(&self) -> Option<Self::Error>;
}

/// Reads from the peer and has `side` handle what comes, until one of the two ends the connection.
/// Returns why.
pub(crate) fn read_loop<'a, S: Side<'a>>(side: &mut S) -> S::Error {
    match read_on(side) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn read_on<'a, S: Side<'a>>(side: &mut S) -> Result<Infallible, S::Error> {
    side.flow().count_received(handshake::LEN);
    let mut buffer = vec![0; READ_LEN];
    // How many reads in a row have filled it.
    let mut filled = 0;
    loop {
        let read_len = side.read_len();
        if filled >= 2 && buffer.len() < read_len {
            buffer = vec![0; read_len.min(4 * buffer.len())];
            filled = 0;
        }
        let len = match side.connection().reader.read(&mut buffer) {
            Ok(0) => {
                hand_over_held(side)?;
                return Err(side.connection().closed().into());
            }
            Ok(len) => len,
            // What is held has waited for long enough.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                hand_over_held(side)?;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut && side.may_stay_silent() => {
                continue;
            }
            Err(error) => {
                hand_over_held(side)?;
                return Err(side.read_failed(error));
            }
        };
        filled = if len == buffer.len() { filled + 1 } else { 0 };
        side.heard(len);
        // Another thread may have told the peer the last: that its stream is over, say.
        if side.connection().is_closing() || side.connection().outbox().is_closing() {
            side.connection().check_memory()?;
            continue;
        }
        side.flow().count_received(len);
        let mut input = &buffer[..len];
        let mut has_called_deep = false;
        while let Some(message) = side.connection().decode(&mut input)? {
            has_called_deep |= !message.kind.is_media();
            side.handle(message)?;
        }
        if has_called_deep || !side.connection().reader.holds() {
            side.flush()?;
        }
        side.connection().count_unfinished()?;
        let acknowledgement = side.flow().acknowledgement();
        side.connection().reply(acknowledgement);
        side.connection().send_replies()?;
        if let Some(error) = side.ended() {
            return Err(error);
        }
        if has_called_deep {
            // Maybe nothing else comes for hours.
            sys::give_back_stack();
        }
    }
}

/// Hands over what is held for the next picture, if anything is.
fn hand_over_held<'a, S: Side<'a>>(side: &mut S) -> Result<(), S::Error> {
    match side.connection().reader.let_go() {
        true => side.flush(),
        false => Ok(()),
    }
}

/// A connection that has shaken hands, as its reading thread has it. Dropping it closes the socket.
pub(crate) struct Connection<'a> {
    socket: &'a Socket,
    outbox: Arc<Outbox>,
    reader: DeadlineReader<'a>,
    decoder: Decoder,
    /// Replies that are not in the outbox yet.
    replies: Vec<Message>,
    input: Input,
}

/// What is done with further bytes of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Handled,
    /// We are closing: ignore further input.
    Ignored,
}

impl<'a> Connection<'a> {
    /// A connection that has to be set up within [`SETUP_LIMIT`].
    pub(crate) fn new(socket: &'a Socket, outbox: Arc<Outbox>) -> Connection<'a> {
        Connection {
            socket,
            outbox,
            reader: DeadlineReader::until(socket, awake::now() + SETUP_LIMIT),
            decoder: Decoder::default(),
            replies: Vec::new(),
            input: Input::Handled,
        }
    }

    pub(crate) fn socket(&self) -> &'a Socket {
        self.socket
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// How the peer deviated from the specification, and how often, where that was passed over.
    pub(crate) fn deviations(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        self.decoder.tolerated().told()
    }

    /// The connection neither publishes nor plays any more: it may take [`SETUP_LIMIT`] until it
    /// does.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub(crate) fn limit_setup(&mut self) -> Result<(), Error> {
        Ok(self.reader.set_end(awake::now() + SETUP_LIMIT)?)
    }

    /// The connection publishes or plays: from now on only silence is limited, to [`READ_LIMIT`].
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub(crate) fn limit_silence(&mut self) -> Result<(), Error> {
        Ok(self.reader.set_each(READ_LIMIT)?)
    }

    /// The peer sends media, which waits for more as `merge` says.
    pub(crate) fn merge_input(&mut self, merge: Merge) {
        self.reader.gather(merge);
    }

    /// Whether somebody sees the media that comes from now on.
    pub(crate) fn set_watched(&mut self, is_watched: bool) {
        self.reader.set_watched(is_watched);
    }

    /// Adds to the replies that are sent when all that was read is handled.
    pub(crate) fn reply(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.replies.extend(messages);
    }

    /// Sends the replies now.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`]: the peer does not take them.
    pub(crate) fn send_replies(&mut self) -> Result<(), Error> {
        let replies = std::mem::take(&mut self.replies);
        if replies.is_empty() {
            return Ok(());
        }
        let replied = self.outbox.reply(replies);
        replied.map_err(|QueueFull| Error::QueueFull)
    }

    /// Closes the connection as soon as what is queued has left.
    pub(crate) fn drain_and_close(&mut self) {
        self.ignore_input();
        self.outbox.drain_and_close(Vec::new());
    }

    /// Somebody is closing the connection: whatever still comes is ignored.
    pub(crate) fn ignore_input(&mut self) {
        self.input = Input::Ignored;
    }

    /// Whether the peer is still there, when something else was waited for.
    ///
    /// # Errors
    ///
    /// Who ended the connection, and why.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match sys::is_hung_up(self.socket.as_fd())? {
            true => Err(self.closed()),
            false => Ok(()),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.input == Input::Ignored
    }

    /// The next whole message in `input`, if there is one and it matters.
    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if self.input == Input::Ignored {
            return Ok(None);
        }
        let message = self.decoder.decode(input)?;
        if let Some(message) = &message {
            let is_picture = message.kind == MessageType::VIDEO;
            self.reader.note_message(is_picture, message.payload.len());
        }
        Ok(message)
    }

    /// Counts what has come of messages that are not complete; waits where there is no room for more.
    ///
    /// # Errors
    ///
    /// The peer was hung up on meanwhile, as others needed the memory.
    fn count_unfinished(&mut self) -> Result<(), Error> {
        if self.outbox.set_unfinished(self.decoder.buffered()) {
            return Ok(());
        }
        self.decoder.free_buffers();
        if !self.outbox.set_unfinished(self.decoder.buffered()) {
            self.outbox.wait_for_room();
            self.check_memory()?;
        }
        Ok(())
    }

    /// Whether the peer may be read from: not if it was hung up on for its memory. What it has sent stays
    /// unread then, so that the system resets the connection: otherwise a peer that was not read from for a
    /// while would wait for room to send, as it is not told of any.
    fn check_memory(&self) -> Result<(), Error> {
        match self.outbox.cause().is_some_and(Cause::is_memory) {
            true => Err(self.closed()),
            false => Ok(()),
        }
    }

    /// There is nothing more to read: who ended the connection, and why.
    fn closed(&self) -> Error {
        match self.outbox.cause() {
            Some(Cause::PeerGone) | None if self.is_closing() => Error::HungUp,
            Some(Cause::PeerGone) | None => Error::Closed,
            Some(cause) => Error::Cut(cause),
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // Wakes a writer that waits for the socket. It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
