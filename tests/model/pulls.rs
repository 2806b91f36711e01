//! A second server that pulls from the first, on demand or always: what it takes of it, and what is left of it.

use super::action::{Pulls, STREAMS};
use super::changes::{RELOADED, replace_file};
use super::client::Client;
use super::hold::{LOOK_PAUSE, text};
use super::program::{Program, Usage};
use super::recordings::Dir;
use super::watcher::{How, Watcher};
use super::world::{World, name_of};
use crate::support::http::HttpReply;
use rtmp_server::json::{self, JsonValue};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How long a pull may take to come again: after the end of its stream that is later each time.
const PULL_MAX: Duration = Duration::from_secs(2);

/// A server that has the streams of another while somebody watches them there.
pub struct Edge {
    pub program: Program,
    /// Where the file of its settings is, and what of it has streams pulled.
    config: Dir,
    pulled: Vec<String>,
    /// What it had of the system before anything happened.
    before: Usage,
    /// What the origin calls the connections by which it pulls.
    names: [Option<String>; STREAMS],
    /// Streams that were ended from outside: the origin refuses the same viewer for a minute.
    is_refused: [bool; STREAMS],
}

/// Writes the file of settings of a server that has these streams pulled.
fn write_settings(config: &Dir, pulled: &[String]) -> PathBuf {
    let file = config.0.join("settings");
    let lines = ["wait-stream 10m", "grace 0"].map(str::to_owned);
    replace_file(&file, &[&lines[..], pulled].concat().join("\n"));
    file
}

impl Edge {
    pub fn of(origin: SocketAddr, pulls: Pulls) -> Edge {
        let pulled: Vec<String> = match pulls {
            Pulls::Always => {
                let names = (0..STREAMS).map(name_of);
                let pulled =
                    names.map(|name| format!("pull live/{name}=rtmp://{origin}/live/{name}"));
                pulled.collect()
            }
            _ => vec![
                format!("pull live/*=rtmp://{origin}/live"),
                "pull-on-demand true".to_owned(),
            ],
        };
        let config = Dir::new();
        let file = write_settings(&config, &pulled);
        let program = Program::start(&["-config".to_owned(), file.display().to_string()]);
        // The first connection waits until the listener has all that it keeps.
        let first = Client::connect(program.rtmp, 0, |addr| program.connection_from(addr));
        let name = first.name.clone();
        first.shutdown();
        program.wait_for_close(&name);
        Edge {
            before: program.usage_at_rest(),
            program,
            config,
            pulled,
            names: Default::default(),
            is_refused: Default::default(),
        }
    }

    /// Streams that are pulled.
    fn pulls(&self) -> usize {
        let text = HttpReply::get(self.program.api, "/api/status").text();
        let status = json::parse(text.as_bytes()).expect("JSON");
        match status.get("pulls") {
            Some(JsonValue::Array(pulls)) => pulls.len(),
            other => panic!("{other:?}"),
        }
    }

    /// What is left when nobody publishes any more.
    fn left(&self) -> Option<String> {
        let (before, now) = (&self.before, self.program.usage());
        if now.threads.len() > before.threads.len() || now.descriptors > before.descriptors {
            return Some(format!("{now:?} instead of {before:?}"));
        }
        let left = [
            ("pulls", self.pulls()),
            ("streams", self.program.list("streams").len()),
            ("connections", self.program.list("connections").len()),
            ("gauges", self.program.gauges().len()),
        ];
        let left: Vec<_> = left.iter().filter(|(_, count)| *count > 0).collect();
        (!left.is_empty()).then(|| format!("{left:?}"))
    }
}

impl World {
    /// Somebody is about to watch on the pulling server. Whether it may have the stream.
    pub fn may_pull(&self, stream: usize) -> bool {
        self.edge
            .as_ref()
            .is_some_and(|edge| !edge.is_refused[stream])
    }

    /// Whether the server that always pulls has the stream, now or soon.
    pub fn has_pulled(&self, stream: usize) -> bool {
        let key = format!("\"live/{}\"", name_of(stream));
        let has = |edge: &Edge| {
            let streams = edge.program.list("streams");
            let mut keys = streams.iter().filter_map(|item| item.get("key"));
            keys.any(|shown| shown.to_string() == key)
        };
        let end = Instant::now() + PULL_MAX;
        while Instant::now() < end {
            if self.edge.as_ref().is_some_and(has) {
                return true;
            }
            thread::sleep(LOOK_PAUSE);
        }
        false
    }

    /// Whether a connection is one by which the other server always pulls: they come and go as they like.
    pub fn is_standing_pull(&self, connection: &JsonValue) -> bool {
        self.settings.pulls == Pulls::Always
            && text(connection, "flash_ver").contains("rtmp-server")
    }

    /// Connections by which a stream is always pulled.
    pub fn standing_pulls(&self, stream: usize) -> usize {
        if self.settings.pulls != Pulls::Always {
            return 0;
        }
        let key = format!("live/{}", name_of(stream));
        let connections = self.program.list("connections");
        let pulls =
            |item: &&JsonValue| self.is_standing_pull(item) && text(item, "stream_key") == key;
        connections.iter().filter(pulls).count()
    }

    /// The last who watches there, if it is the first of its stream, has it pulled: it must have all that the
    /// origin keeps.
    pub fn pull(&mut self, stream: usize) {
        if !self.reference.pull(stream) {
            return;
        }
        let number = self.connections;
        self.connections += 1;
        let name = self.program.connection(number);
        self.names.insert(name.clone());
        if let Some(edge) = &mut self.edge {
            edge.names[stream] = Some(name);
        }
        // It plays: what was sent before is all that it begins with.
        self.wait_for_watchers();
        let due = self.reference.begins_with(stream);
        if let Some(watcher) = self.watchers.last_mut() {
            watcher.due = due;
        }
    }

    /// What was pulled of the streams before is over.
    pub fn wait_for_pulls(&self) {
        let going_on = (0..STREAMS)
            .filter(|stream| self.reference.is_pulled(*stream))
            .count();
        self.wait_for(|world| {
            let pulls = world.edge.as_ref().map_or(0, Edge::pulls);
            (pulls != going_on).then(|| format!("{pulls} pulls instead of {going_on}"))
        });
    }

    /// For a moment the other server pulls nothing: who watches there is told that the stream is over.
    pub fn give_up_pulls(&mut self) -> Option<()> {
        self.edge.as_ref()?;
        if self.is_any_lost() {
            return None;
        }
        let pulls = |how| matches!(how, How::Pull | How::StandingPull);
        let watches = |watcher: &Watcher| pulls(watcher.how) && !watcher.is_done;
        let there: Vec<usize> = (0..self.watchers.len())
            .filter(|index| watches(&self.watchers[*index]))
            .collect();
        for index in &there {
            self.settle_watcher(*index);
            // What follows may be on its way.
            if let Some(last) = self.last_entry(self.watchers[*index].stream) {
                self.watchers[*index].hold(last.mark);
                self.watchers[*index].read_on();
            }
        }
        self.read_pulls(&[]);
        there
            .into_iter()
            .for_each(|index| self.watchers[index].wait_for_end());
        (0..STREAMS).for_each(|stream| self.reference.give_up_pull(stream));
        self.wait_for_pulls();
        self.wait_for_watchers();
        self.read_pulls(&self.edge.as_ref()?.pulled);
        Some(())
    }

    /// Has the other server pull these streams.
    fn read_pulls(&self, pulled: &[String]) {
        if let Some(Edge {
            program, config, ..
        }) = &self.edge
        {
            let write = || {
                write_settings(config, pulled);
            };
            self.have_read(program, RELOADED, "pull", write);
        }
    }

    /// The origin refuses a viewer that was ended.
    pub fn refuse_pull(&mut self, stream: usize) {
        if let Some(edge) = &mut self.edge {
            edge.is_refused[stream] |= self.reference.is_pulled(stream);
        }
    }

    /// The connections by which streams are pulled.
    pub fn pulling(&self) -> Vec<String> {
        let is_pulled = |stream: &usize| self.reference.is_pulled(*stream);
        let name = |stream: usize| self.edge.as_ref()?.names[stream].clone();
        (0..STREAMS).filter(is_pulled).filter_map(name).collect()
    }

    /// Nothing is left on the pulling server, and nothing went wrong there.
    pub fn close_edge(&mut self) {
        if self.settings.pulls != Pulls::Always {
            self.wait_for(|world| Some(format!("edge: {}", world.edge.as_ref()?.left()?)));
        }
        if let Some(edge) = &mut self.edge {
            let panics = edge.program.log("panicked");
            assert!(panics.is_empty(), "{panics:?}");
            assert_eq!(edge.program.stop(), Some(0), "the exit code of the edge");
        }
    }
}
