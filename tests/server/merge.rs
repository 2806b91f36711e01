//! When messages wait for others.

use crate::support::process::ServerProcess;
use crate::support::{media, wait_until};
use rtmp_server::rtmp::Message;
use std::time::{Duration, Instant};

#[test]
fn sound_waits_for_the_next_picture_while_the_server_is_busy() {
    let server = ServerProcess::start("-merge auto");
    let mut publisher = server.publisher("x");
    let mut player = server.playing("x");
    publisher.send_media(&["V head 1 @0"]);
    let picture = Message {
        payload: [&[0x17, 1, 0, 0, 0][..], &[1; 2000]].concat().into(),
        ..media("V key 1 @0")
    };
    publisher.send(&picture);
    player.expect(&["V head 1 @0"]);
    player.receive().expect("a picture");
    // The median of some: the first after a silence never waits, and once in a while a busy machine
    // alone takes long.
    let mut wait_of_sound = || {
        let mut waits = [(); 5].map(|()| {
            let began = Instant::now();
            publisher.send_media(&["A sound 2 @20"]);
            player.expect(&["A sound 2 @20"]);
            began.elapsed()
        });
        waits.sort_unstable();
        waits[2]
    };
    let short = Duration::from_millis(30);
    let idle = wait_of_sound();
    assert!(idle < short, "{idle:?}");
    let mut crowd = server.publisher("crowd");
    wait_until("sound to wait", || {
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            crowd.send(&picture);
        }
        wait_of_sound() >= short
    });
    wait_until("sound to wait no more", || wait_of_sound() < short);
}
