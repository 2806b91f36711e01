//! Streams that come from other servers.

use super::Changing;
use crate::support::Client;

/// A publication of `live/NAME` on the other server.
fn publish_there(it: &Changing, name: &str) -> Client {
    let mut publisher = Client::publishing(it.bystanders.other.addr, name);
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    publisher
}

#[test]
fn pulls_come_move_and_go_while_viewers_stay() {
    let mut it = Changing::start("");
    let (mut first, mut second) = (publish_there(&it, "first"), publish_there(&it, "second"));
    let mut viewer = Client::asking_to_play(it.server.addr, "got");
    let pull = "pull live/got=rtmp://OTHER/live/first";
    assert_eq!(it.change(pull), "pull");
    viewer.lines_until("V key 1 @0");
    it.step();
    // The same source beside another, and then on demand and back: nothing happens.
    let beside = "pull live/other=rtmp://OTHER/live/none";
    let changes = [
        format!("{beside}\n{pull}"),
        format!("{pull}\npull-on-demand"),
        format!("{beside}\n{pull}\npull-on-demand"),
        pull.to_owned(),
    ];
    for (number, lines) in (2..).zip(changes) {
        it.change(&lines);
        let picture = format!("V inter {number} @{}", 40 * number);
        first.send_media(&[&picture]);
        viewer.expect(&[&picture]);
        it.step();
    }
    // Another source: the viewer is told to wait, and gets that.
    it.change("pull live/got=rtmp://OTHER/live/second");
    let lines = viewer.lines_until("V key 1");
    assert!(lines[0].starts_with("dry 1"), "{lines:?}");
    second.send_media(&["V inter 9 @40"]);
    viewer.lines_until("V inter 9");
    it.step();
    it.change("");
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
    it.step();
    it.bystanders.end(&it.dir);
}

#[test]
fn who_waits_already_gets_what_can_be_pulled_now() {
    let it = Changing::start("");
    let _publisher = publish_there(&it, "late");
    let mut viewer = Client::asking_to_play(it.server.addr, "late");
    viewer.expect_silence();
    let changed = it.change("pull live/*=rtmp://OTHER/live\npull-on-demand");
    assert_eq!(changed, "pull pull-on-demand");
    viewer.lines_until("V key 1 @0");
    // From elsewhere, and for as long as somebody watches.
    it.change("pull *=rtmp://OTHER/{app}/{name}\npull-on-demand");
    viewer.lines_until("V key 1");
    it.change("");
    viewer.lines_until("eof 1");
}
