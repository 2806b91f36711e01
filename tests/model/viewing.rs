//! What viewers ask for.

use super::action::{Cut, Finish, Item, STREAMS, Shape};
use super::frame::{Form, Kind, Medium};
use super::publication::Publication;
use super::reference::ClientId;
use super::world::{World, name_of};
use rtmp_server::amf0::Value;

impl World {
    pub fn play(
        &mut self,
        stream: usize,
        all_tracks: bool,
        without: Option<Medium>,
        on: Option<usize>,
    ) -> Option<()> {
        let (id, message_stream) = self.client_for(on, stream);
        // One that was ended is refused who shows the same.
        let query = ["", "&tracks=all"][usize::from(all_tracks)];
        let query = format!("?token={id}{query}");
        self.reference.play(stream, id, message_stream, all_tracks);
        let client = self.clients.get_mut(&id)?;
        client.call(
            message_stream,
            "play",
            vec![Value::text(name_of(stream) + &query), Value::Number(-2.0)],
        );
        if let Some(medium) = without.filter(|_| !self.reference.told(id).ends) {
            self.ask_to_receive(id, message_stream, medium, false);
        }
        self.sync(id);
        Some(())
    }

    /// A viewer that reads: the client, its message stream, and the stream.
    pub fn viewer(&self, index: usize) -> Option<(ClientId, u32, usize)> {
        let mut viewers = self.reference.viewers();
        viewers.retain(|(id, _, _)| {
            self.clients
                .get(id)
                .is_some_and(|client| !client.is_stalled)
        });
        (!viewers.is_empty()).then(|| viewers[index % viewers.len()])
    }

    pub fn publishes(&self, id: ClientId) -> bool {
        let holders = (0..STREAMS).filter_map(|stream| self.reference.publisher(stream));
        holders.into_iter().any(|(holder, _)| holder == id)
    }

    pub fn stop(&mut self, viewer: usize, how: Finish) -> Option<()> {
        let (id, message_stream, _) = self.viewer(viewer)?;
        let client = self.clients.get_mut(&id)?;
        match how {
            Finish::CloseStream => client.call(message_stream, "closeStream", vec![]),
            _ => client.call(
                0,
                "deleteStream",
                vec![Value::Number(f64::from(message_stream))],
            ),
        }
        self.reference.stop(id, message_stream);
        self.sync(id);
        Some(())
    }

    pub fn leave(&mut self, viewer: usize, how: Cut, hurry: bool) -> Option<()> {
        let (id, _, _) = self.viewer(viewer)?;
        self.cut(id, how, hurry && !self.publishes(id));
        Some(())
    }

    pub fn pause(&mut self, viewer: usize, on: bool) -> Option<()> {
        let (id, message_stream, _) = self.viewer(viewer)?;
        let client = self.clients.get_mut(&id)?;
        client.call(
            message_stream,
            "pause",
            vec![Value::Boolean(on), Value::Number(0.0)],
        );
        self.reference.pause(id, message_stream, on);
        self.sync(id);
        Some(())
    }

    pub fn receive(&mut self, viewer: usize, medium: Medium, on: bool) -> Option<()> {
        let (id, message_stream, _) = self.viewer(viewer)?;
        self.ask_to_receive(id, message_stream, medium, on);
        self.sync(id);
        Some(())
    }

    pub fn ask_to_receive(&mut self, id: ClientId, message_stream: u32, medium: Medium, on: bool) {
        let name = match medium {
            Medium::Video => "receiveVideo",
            Medium::Audio => "receiveAudio",
        };
        if let Some(client) = self.clients.get_mut(&id) {
            client.call(message_stream, name, vec![Value::Boolean(on)]);
            self.reference.receive(id, message_stream, medium, on);
        }
    }

    pub fn inject(&mut self, viewer: usize) -> Option<()> {
        let (id, message_stream, stream) = self.viewer(viewer)?;
        let foreign = Shape {
            form: Form::Legacy,
            videos: 1,
            audios: 1,
            start_ms: 0,
            dates_nothing: false,
        };
        let mut foreign = Publication::new(u32::MAX, message_stream, foreign, false);
        let client = self.clients.get_mut(&id)?;
        for kind in [
            Kind::Metadata,
            Kind::Header(Medium::Video),
            Kind::Key,
            Kind::Sound,
        ] {
            let frame = foreign.next(Item::Send(kind, 0), 0)?;
            client.rtmp.send(&frame.sent);
        }
        self.sync(id);
        self.media(
            stream,
            &[Item::Send(Kind::Key, 0), Item::Send(Kind::Sound, 0)],
            0,
        );
        Some(())
    }
}
