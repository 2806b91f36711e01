//! Settings that change while the server runs: what has begun goes on as it was, and what begins is as
//! the new ones say.

use super::action::{Change, Grace, Item, Pulls, Records, STREAMS, Settings};
use super::frame::Kind;
use super::program::Program;
use super::recordings::Dir;
use super::watcher::{How, Watcher};
use super::world::{World, name_of};
use crate::support::http::HttpReply;
use rtmp_server::amf0::Value;
use rtmp_server::json::JsonValue;
use std::fs;
use std::path::Path;

/// Nobody who is there comes from here.
const ELSEWHERE: &str = "192.0.2.1/32";

/// What the log says of other settings that hold from then on.
pub const RELOADED: &str = "\"reloaded\"";

impl World {
    /// The server reads its settings again: nobody notices.
    pub fn reload(&mut self) -> Option<()> {
        self.program.reload();
        Some(())
    }

    /// The server reads other settings.
    pub fn change(&mut self, change: Change) -> Option<()> {
        let mut next = self.settings;
        let flag = match change {
            Change::Fault => return self.read_fault(),
            Change::Door => return self.close_door(),
            Change::Tokens(are_in_file) => return self.change_tokens(are_in_file),
            Change::Pulls => return self.give_up_pulls(),
            Change::Takeover => {
                next.takeover = !next.takeover;
                "on-duplicate"
            }
            Change::Waits => {
                next.waits = !next.waits;
                "wait-stream"
            }
            Change::GopCache => {
                next.gop_cache = !next.gop_cache;
                "gop-cache"
            }
            Change::Grace(grace) => {
                next.grace = grace;
                "grace"
            }
            Change::Records(records, as_mp4) => {
                (next.records, next.as_mp4) = (records, as_mp4);
                let both = [records, self.settings.records];
                match both.contains(&Records::Nothing) {
                    _ if both[0] == both[1] => "record-format",
                    true => "record-all",
                    false => "segment-duration",
                }
            }
            Change::Relays => {
                next.relays = !next.relays;
                "relay-to"
            }
        };
        if next == self.settings || !next.is_possible() || next.relays && self.far.is_none() {
            return None;
        }
        // Those who are lost stay as long as it was when they were.
        if self.is_any_lost() {
            return None;
        }
        self.wait_for_departing();
        if change == Change::Relays {
            let is_it = |watcher: &&mut Watcher| watcher.how == How::Relay;
            self.watchers
                .iter_mut()
                .filter(is_it)
                .for_each(Watcher::leave);
        }
        self.read_settings(next, "", RELOADED, flag);
        self.settings = next;
        self.reference.change(next);
        self.wait_for(World::relays_difference);
        Some(())
    }

    /// Whether a stream waits for its publisher to come back.
    pub fn is_any_lost(&self) -> bool {
        let is_lost = |stream| {
            self.reference.is_published(stream) && self.reference.publisher(stream).is_none()
        };
        (0..STREAMS).any(is_lost)
    }

    /// What is relayed and should not be, or the other way round.
    fn relays_difference(&self) -> Option<String> {
        let far = self.far.as_ref()?;
        let is_relayed =
            |stream: &usize| self.settings.relays && self.reference.publisher(*stream).is_some();
        let want = (0..STREAMS).filter(is_relayed);
        let want: Vec<String> = want
            .map(|stream| format!("copy/{}", name_of(stream)))
            .collect();
        let streams = far.list("streams");
        let key = |item: &JsonValue| item.get("key").map(|key| key.to_string().replace('"', ""));
        let relayed: Vec<String> = streams.iter().filter_map(key).collect();
        (relayed != want).then(|| format!("{relayed:?} are relayed instead of {want:?}"))
    }

    /// The file that the server reads.
    fn write_settings(&self, settings: Settings, more: &str) {
        settings.write(&self.config, &self.records, self.far.as_ref(), more);
    }

    /// Has the server read these settings and `more` lines, until it has told so with these words.
    fn read_settings(&self, settings: Settings, more: &str, what: &str, flag: &str) {
        let write = || self.write_settings(settings, more);
        self.have_read(&self.program, what, flag, write);
    }

    /// Has a server read what is written, until it has told so with these words.
    pub fn have_read(&self, program: &Program, what: &str, flag: &str, write: impl FnOnce()) {
        let told = || {
            let lines = program.log(what);
            lines.iter().filter(|line| line.contains(flag)).count()
        };
        let before = told();
        write();
        program.reload();
        self.wait_for(|_| (told() == before).then(|| format!("no line of {what} and {flag}")));
    }

    /// A file with a fault changes nothing.
    fn read_fault(&mut self) -> Option<()> {
        let mut next = self.settings;
        (next.takeover, next.gop_cache) = (!next.takeover, !next.gop_cache);
        self.read_settings(next, "grace never", "the old state stays", "never");
        self.write_settings(self.settings, "");
        Some(())
    }

    /// For a moment nobody is let in any more: those who are there stay.
    fn close_door(&mut self) -> Option<()> {
        self.wait_for_departing();
        let closed = format!("allow-publish {ELSEWHERE}\nallow-play {ELSEWHERE}");
        self.read_settings(self.settings, &closed, RELOADED, "allow-publish");
        self.refuse("door")?;
        self.read_settings(self.settings, "", RELOADED, "allow-publish");
        Some(())
    }

    /// For a moment only those are let in who show a token, and then another one: those who are there stay.
    fn change_tokens(&mut self, are_in_file: bool) -> Option<()> {
        self.wait_for_departing();
        let tokens = self.config.0.join("tokens");
        let mut last = "none".to_owned();
        for _ in 0..2 {
            // One that was ended is refused who shows the same.
            let token = format!("opens{}", self.connections);
            let (mode, flag, value) = match are_in_file {
                false => ("token", "auth-token", format!("live/*={token}")),
                true => ("file", "auth-file", tokens.display().to_string()),
            };
            replace_file(&tokens, &format!("{{\"live/*\": \"{token}\"}}"));
            let more = format!("auth-mode {mode}\n{flag} {value}");
            self.read_settings(self.settings, &more, RELOADED, flag);
            self.refuse(&last)?;
            let (id, on) = self.client_for(None, 0);
            self.reference.play(0, id, on, false);
            let client = self.clients.get_mut(&id)?;
            let name = format!("{}?token={token}", name_of(0));
            client.call(on, "play", vec![Value::text(name), Value::Number(-2.0)]);
            self.sync(id);
            last = token;
        }
        self.read_settings(self.settings, "", RELOADED, "auth-mode");
        Some(())
    }

    /// Who shows this token is not let in, and all who are there are sent what is published.
    fn refuse(&mut self, token: &str) -> Option<()> {
        let refused = [
            ("publish", "NetStream.Publish.Denied"),
            ("play", "NetStream.Play.Failed"),
        ];
        let name = format!("{}?token={token}", name_of(0));
        for (what, code) in refused {
            let (id, on) = self.client_for(None, 0);
            let client = self.clients.get_mut(&id)?;
            client.call(on, what, vec![Value::text(name.as_str())]);
            self.reference.dismiss(id, format!("error@{on} {code}"));
            self.check();
        }
        let path = format!("/live/{}.flv?token={token}", name_of(0));
        assert_eq!(HttpReply::get(self.program.media, &path).status, 403);
        for stream in 0..STREAMS {
            self.media(stream, &[Item::Ms(20), Item::Send(Kind::Sound, 0)], 0);
        }
        self.check();
        Some(())
    }
}

/// Puts another file in the place of one that the server may be reading: it must not see half of each.
pub fn replace_file(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::rename(new, file).expect("a file");
}

impl Settings {
    /// Whether the reference knows what comes of it.
    pub fn is_possible(self) -> bool {
        // A relay or a pull keeps a lost stream for the grace, or does not, as it has connected by then
        // or not; and a pull that is refused comes again nobody knows when.
        let is_pulled = self.pulls == Pulls::Always;
        let keeps = self.relays || is_pulled;
        (!keeps || self.grace != Grace::Long) && (!is_pulled || self.waits)
    }

    /// Writes the file that the server reads, and `more` lines.
    pub fn write(self, config: &Dir, records: &Dir, far: Option<&Program>, more: &str) {
        let mut lines = self.lines();
        lines.push(format!("record-dir {}", records.0.display()));
        if let Some(far) = far.filter(|_| self.relays) {
            lines.push(format!("relay-to rtmp://{}/copy", far.rtmp));
        }
        let text = lines.join("\n") + "\n" + more + "\n";
        replace_file(&config.0.join("settings"), &text);
    }

    /// How a publication is recorded that begins now.
    pub fn recorded(self) -> Option<(Records, bool)> {
        let records = Some(self.records).filter(|records| *records != Records::Nothing);
        records.map(|records| (records, self.as_mp4))
    }
}
