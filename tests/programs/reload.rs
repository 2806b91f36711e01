//! What changes when a running server reads its configuration again, and that nobody notices who need not.

mod access;
mod bystanders;
mod faults;

use crate::support::process::ServerProcess;
use crate::support::web_service::Dir;
use bystanders::Bystanders;
use std::process::Command;

/// A server whose configuration file changes, with others that must not notice.
struct Changing {
    server: ServerProcess,
    dir: Dir,
    bystanders: Option<Bystanders>,
}

/// A change: the flags that it is about, the lines before and after, and what shows which of both hold.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Changing, bool),
);

impl Changing {
    /// Starts one with these lines in its file, where `DIR` is a directory of its own.
    fn start(lines: &str) -> Changing {
        let dir = Dir::new("change");
        let bystanders = Bystanders::new(&dir);
        let path = write(&dir, &bystanders.flags, lines);
        let server = ServerProcess::start(&format!("-merge 0 -config {path}"));
        let mut changing = Changing {
            server,
            dir,
            bystanders: Some(bystanders),
        };
        if let Some(bystanders) = &mut changing.bystanders {
            bystanders.begin(changing.server.addr);
        }
        changing
    }

    /// Writes these lines in place of those that were given last, and has the server read them.
    fn send(&self, lines: &str) {
        let flags = self
            .bystanders
            .as_ref()
            .map(|bystanders| &*bystanders.flags);
        write(&self.dir, flags.unwrap_or_default(), lines);
        hang_up(&self.server);
    }

    /// The same, and waits until they hold; the flags that have changed.
    fn change(&self, lines: &str) -> String {
        self.send(lines);
        let line = self.server.wait_for_line("reload");
        assert!(line.contains("\"reloaded\""), "{lines}: {line}");
        let (_, rest) = line.split_once("\"changed\":\"").expect("the flags");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// Those who must not notice anything get another picture, and nothing else.
    fn step(&mut self) {
        let bystanders = self.bystanders.as_mut();
        bystanders.expect("bystanders").step();
    }
}

/// Sees each row hold before and after its change, while others go on.
fn see(rows: &[Row]) {
    let mut changing = Changing::start("");
    for (flags, before, after, holds) in rows {
        changing.change(before);
        holds(&changing, false);
        changing.step();
        assert_eq!(changing.change(after), *flags, "{after}");
        changing.step();
        holds(&changing, true);
        changing.step();
    }
    let bystanders = changing.bystanders.take();
    bystanders.expect("bystanders").end(&changing.dir);
}

fn write(dir: &Dir, flags: &str, lines: &str) -> String {
    let text = format!("{flags}\n{lines}\n");
    dir.write(
        "f",
        &text.replace("DIR", &dir.as_ref().display().to_string()),
    )
}

fn hang_up(server: &ServerProcess) {
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("kill").success());
}
