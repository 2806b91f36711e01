//! Two streams that end at the same instant, on two threads of the server.

use super::action::Shape;
use super::client::Client;
use super::frame::Form;
use super::reference::ClientId;
use super::world::{World, name_of};
use rtmp_server::amf0::Value;
use std::sync::Barrier;
use std::thread;

/// Clients that play both streams, and do nothing else.
const VIEWERS: usize = 12;

/// How often two streams are published and end: seldom do the threads meet.
const ROUNDS: usize = 2;

/// What is published to end.
const SHAPE: Shape = Shape {
    form: Form::Legacy,
    videos: 1,
    audios: 1,
    start_ms: 0,
    dates_nothing: false,
};

impl World {
    /// Two streams, which are published for that if they are not, end at the same instant.
    pub fn finish_together(&mut self, first: usize, second: usize) -> Option<()> {
        for _ in 0..ROUNDS {
            for stream in [first, second] {
                if self.reference.publisher(stream).is_none() {
                    self.publish(stream, SHAPE, None)?;
                    self.check();
                    self.check_watchers();
                }
            }
            self.finish_both(first, second)?;
        }
        Some(())
    }

    /// Two publishers finish at the same instant: who plays both streams is told both ends, and then its
    /// own.
    fn finish_both(&mut self, first: usize, second: usize) -> Option<()> {
        let [one, other] = [first, second].map(|stream| self.reference.publisher(stream));
        let ((one, one_on), (other, other_on)) = (one?, other?);
        // What a publisher plays ends before what it publishes, or after.
        let plays =
            self.reference.viewers().into_iter().any(|(id, _, stream)| {
                [one, other].contains(&id) && [first, second].contains(&stream)
            });
        if one == other || plays {
            return None;
        }
        // They stand in one stream in another order than in the other, so that the threads meet at one.
        let viewers: Vec<ClientId> = (0..VIEWERS).map(|_| self.play_new(first)).collect();
        for id in viewers.iter().rev() {
            self.play_more(*id, second);
        }
        // All that they have sent so far is done.
        [one, other].iter().for_each(|id| self.sync(*id));
        let finishing = [(first, one, one_on), (second, other, other_on)];
        let clients = finishing.map(|(_, id, on)| (self.clients.remove(&id), on));
        let barrier = Barrier::new(2);
        let clients = thread::scope(|scope| {
            let calls = clients.map(|(client, on)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut client = client.expect("a client");
                    barrier.wait();
                    client.call(0, "deleteStream", vec![Value::Number(f64::from(on))]);
                    client
                })
            });
            calls.map(|call| call.join().expect("a call"))
        });
        clients.into_iter().for_each(|client: Client| {
            self.clients.insert(client.id, client);
        });
        for (stream, id, _) in finishing {
            self.reference.end(stream);
            // One of them may have been ended by what the other did.
            if self.clients.contains_key(&id) {
                self.sync(id);
            }
        }
        self.check();
        assert!(viewers.iter().all(|id| !self.clients.contains_key(id)));
        Some(())
    }

    /// A new client plays a stream.
    fn play_new(&mut self, stream: usize) -> ClientId {
        let (id, on) = self.client_for(None, stream);
        self.play_on(id, on, stream);
        id
    }

    /// A client plays another stream.
    fn play_more(&mut self, id: ClientId, stream: usize) {
        let client = self.clients.get_mut(&id).expect("a client");
        let on = client.create_stream();
        self.play_on(id, on, stream);
    }

    fn play_on(&mut self, id: ClientId, on: u32, stream: usize) {
        self.reference.play(stream, id, on, false);
        let client = self.clients.get_mut(&id).expect("a client");
        let name = Value::text(format!("{}?token={id}", name_of(stream)));
        client.call(on, "play", vec![name, Value::Number(-2.0)]);
        self.sync(id);
    }
}
