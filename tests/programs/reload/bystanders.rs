//! Those who must not notice that anything changes: a publisher, a viewer, a relay to another server and a
//! recording.

use crate::support::web_service::Dir;
use crate::support::{Client, TestServer, wait_until};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What they have, once they have begun.
struct Begun {
    publisher: Client,
    viewer: Client,
    /// Plays what the other server gets.
    beyond: Client,
    pictures: u32,
}

pub(super) struct Bystanders {
    /// Lines of the file that they need, before all others.
    pub(super) flags: String,
    /// Where the relay goes.
    pub(super) other: TestServer,
    begun: Option<Begun>,
}

const BEGINNING: [&str; 2] = ["V head 1 @0", "V key 1 @0"];

impl Bystanders {
    pub(super) fn new(dir: &Dir) -> Bystanders {
        let other = TestServer::start("");
        let flags = format!(
            "relay-to live/bystander=rtmp://{}/live\nrecord-all true\nrecord-dir {}/records",
            other.addr,
            dir.as_ref().display()
        );
        Bystanders {
            flags,
            other,
            begun: None,
        }
    }

    pub(super) fn begin(&mut self, addr: SocketAddr) {
        let mut publisher = Client::publishing(addr, "bystander");
        let mut viewer = Client::playing(addr, "bystander");
        let mut beyond = self.other.playing("bystander");
        publisher.send_media(&BEGINNING);
        viewer.expect(&BEGINNING);
        beyond.expect(&BEGINNING);
        self.begun = Some(Begun {
            publisher,
            viewer,
            beyond,
            pictures: 1,
        });
    }

    /// One more picture reaches all of them, and nothing else does.
    pub(super) fn step(&mut self) {
        let begun = self.begun.as_mut().expect("begun");
        let number = begun.pictures;
        begun.pictures += 1;
        let picture = format!("V inter {} @{}", number % 200, 40 * number);
        begun.publisher.send_media(&[&picture]);
        begun.viewer.expect(&[&picture]);
        begun.beyond.expect(&[&picture]);
    }

    /// Ends the stream; every picture is in the one file of its recording.
    pub(super) fn end(&mut self, dir: &Dir) {
        let Begun {
            publisher,
            viewer,
            beyond,
            pictures,
        } = self.begun.take().expect("begun");
        drop((publisher, viewer, beyond));
        // A file without sound begins a little later than its stream.
        wait_until("a recording", || !recordings(dir).is_empty());
        let files = recordings(dir);
        assert_eq!(files.len(), 1, "{files:?}");
        let file = &files[0];
        wait_until("the recording", || count_pictures(file) == pictures);
    }
}

/// The files of their recording.
pub(super) fn recordings(dir: &Dir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path("records")).into_iter().flatten();
    let files = files.map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.to_string_lossy().contains("live_bystander_"))
        .collect()
}

/// Pictures in an FLV file that is perhaps not complete, without the header of the codec.
fn count_pictures(path: &PathBuf) -> u32 {
    let bytes = fs::read(path).expect("a file");
    let mut rest = bytes.get(13..).unwrap_or_default();
    let mut count = 0;
    while let [kind, a, b, c, _, _, _, _, _, _, _, body @ ..] = rest {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some(after) = body.get(len + 4..) else {
            break;
        };
        // AVC's second byte is 0 in a header.
        count += u32::from(*kind == 9 && body.get(1) == Some(&1));
        rest = after;
    }
    count
}
