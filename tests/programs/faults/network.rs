//! Networks that delay, lose, reorder, double and hold up packets, or that are cut, between the server
//! and each kind of peer. A publisher and a viewer on loopback beside it lose nothing and wait for nothing.

mod hls;
pub mod roles;

use super::path::{self, Conditions, Path};
use crate::support::real::real;
use crate::support::{Client, TestServer, describe};
use roles::{Role, Scene, finish, number_of, picture};
use rtmp_server::stats::{LinkState, Totals};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two pictures.
const INTERVAL: Duration = Duration::from_millis(40);

/// Pictures from one keyframe to the next.
const GROUP_LEN: u32 = 25;

/// Bytes of a picture of 300 kbit/s, and of 1 Mbit/s.
const LEN: usize = 1500;
const LEN_OF_MBIT: usize = 5000;

/// How late a picture beside all that may come: half of them, and each. The machine may be busy.
const USUALLY_MAX: Duration = Duration::from_millis(100);
const LATE_MAX: Duration = Duration::from_secs(1);

const fn calm() -> Conditions {
    Conditions {
        delay: Duration::ZERO,
        lost: 0,
        overtaken: 0,
        doubled: 0,
        rate: 0,
        cut: false,
    }
}

const fn delayed(ms: u64) -> Conditions {
    Conditions {
        delay: Duration::from_millis(ms),
        ..calm()
    }
}

/// What is said of a network; what it does; how long it is cut in the middle, in ms.
type Row = (&'static str, Conditions, u64);

/// Through these a stream of 300 kbit/s comes whole.
#[rustfmt::skip]
const WHOLE: &[Row] = &[
    ("100 ms", delayed(100), 0),
    ("300 ms", delayed(300), 0),
    ("1 % lost", Conditions { lost: 10, ..delayed(10) }, 0),
    ("5 % lost, 100 ms", Conditions { lost: 50, ..delayed(100) }, 0),
    ("10 % overtaken", Conditions { overtaken: 100, ..delayed(10) }, 0),
    ("10 % doubled", Conditions { doubled: 100, ..delayed(10) }, 0),
    ("100 kbit/s", Conditions { rate: 100_000, ..delayed(10) }, 0),
    ("a cut of 1 s", delayed(10), 1000),
];

/// A publisher and a viewer on loopback.
struct Beside {
    is_over: Arc<AtomicBool>,
    sending: JoinHandle<u32>,
    watching: JoinHandle<(Vec<u32>, Vec<Duration>)>,
}

impl Beside {
    fn begin(server: &TestServer) -> Beside {
        let mut publisher = server.publisher("beside");
        publisher.send(&real("V head 1 @0"));
        publisher.send(&picture(0, LEN));
        let mut viewer = server.playing("beside");
        let began = Instant::now();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let sending = thread::spawn(move || {
            let mut count = 1;
            while !told.load(Ordering::Relaxed) {
                pace(began, count);
                publisher.send(&picture(count, LEN));
                count += 1;
            }
            finish(&mut publisher);
            count
        });
        let watching = thread::spawn(move || watch(&mut viewer, began));
        Beside {
            is_over,
            sending,
            watching,
        }
    }

    /// Nothing is missing; how late most pictures came, and the latest.
    fn end(self, what: &str) -> (Duration, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        let count = self.sending.join().expect("a publisher");
        let (numbers, mut late) = self.watching.join().expect("a viewer");
        assert!(numbers.into_iter().eq(0..count), "{what}: lost beside it");
        late.sort();
        let (half, worst) = (late[late.len() / 2], late[late.len() - 1]);
        assert!(
            half < USUALLY_MAX && worst < LATE_MAX,
            "{what}: {half:?}, {worst:?} late"
        );
        (half, worst)
    }
}

fn watch(viewer: &mut Client, began: Instant) -> (Vec<u32>, Vec<Duration>) {
    let (mut numbers, mut late) = (Vec::new(), Vec::new());
    while let Some(message) = viewer.receive() {
        if describe(&message).starts_with("eof") {
            break;
        }
        if let Some(number) = number_of(&message) {
            numbers.push(number);
            late.push(began.elapsed().saturating_sub(INTERVAL * number));
        }
    }
    (numbers, late)
}

/// Waits until the time of a picture.
fn pace(began: Instant, number: u32) {
    let due = began + INTERVAL * number;
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// What came of a stream over a network.
struct Seen {
    numbers: Vec<u32>,
    /// Messages that were left out for slow peers, as the server counts them.
    drops: u64,
    /// How late it was all there.
    late: Duration,
}

/// Sends pictures at their times, and reads them at the other end.
fn carry(scene: &mut Scene, count: u32, len: usize, cut: Duration) -> Seen {
    let began = Instant::now();
    let (source, sink, path) = (&mut scene.source, &mut scene.sink, &scene.path);
    let numbers = thread::scope(|scope| {
        scope.spawn(move || {
            for number in 1..count {
                pace(began, number);
                source.send(&picture(number, len));
            }
            finish(source);
        });
        scope.spawn(move || {
            if !cut.is_zero() {
                pace(began, 10);
                path.set_cut(true);
                thread::sleep(cut);
                path.set_cut(false);
            }
        });
        std::iter::from_fn(|| sink.next()).collect()
    });
    // A pull is a viewer of its origin.
    let servers = [Some(&scene.server), scene.other.as_ref()];
    let totals = servers
        .into_iter()
        .flatten()
        .map(|server| server.server().snapshot().totals);
    let totals: Vec<Totals> = totals.collect();
    let drops = totals.iter().map(|it| it.subscriber_drops + it.relay_drops);
    Seen {
        numbers,
        drops: drops.sum(),
        late: began.elapsed().saturating_sub(INTERVAL * count),
    }
}

/// Pictures come in order, and go on at keyframes where some are missing, all of which are counted.
fn assert_gaps(what: &str, seen: &Seen, count: u32) {
    let mut last = 0;
    let mut missing = 0;
    for number in &seen.numbers {
        assert!(*number > last, "{what}: {number} behind {last}");
        let goes_on = *number == last + 1 || number.is_multiple_of(GROUP_LEN);
        assert!(goes_on, "{what}: {number} behind {last}");
        missing += u64::from(number - last - 1);
        last = *number;
    }
    // One that stays behind for 30 s is hung up on, and the rest is not for it.
    let rest = u64::from(count - 1 - last);
    match rest > u64::from(GROUP_LEN) {
        true => assert!(seen.drops > 0, "{what}"),
        false => assert_eq!(
            seen.drops,
            missing + rest,
            "{what}: drops and missing pictures"
        ),
    }
}

/// One row; what was seen.
fn show(role: Role, (network, conditions, cut): &Row, len: usize, count: u32) -> (String, Seen) {
    let what = format!("{role:?}, {network}");
    let mut scene = Scene::new(role, *conditions, "");
    let beside = Beside::begin(&scene.server);
    let seen = carry(&mut scene, count, len, Duration::from_millis(*cut));
    let (half, worst) = beside.end(&what);
    let (packets, lost) = scene.path.counts();
    println!(
        "{what}: {} of {} pictures, {} drops, the last {:.1?} late; {lost} of {packets} packets lost; \
         beside it {half:.1?} late, at most {worst:.1?}",
        seen.numbers.len(),
        count - 1,
        seen.drops,
        seen.late,
    );
    (what, seen)
}

/// All at a time, each with a server of its own.
fn for_each(rows: &[Row], roles: &[Role], run: impl Fn(Role, &Row) + Sync) {
    let run = &run;
    thread::scope(|scope| {
        for row in rows {
            for role in roles {
                scope.spawn(move || run(*role, row));
            }
        }
    });
}

#[test]
fn streams_come_whole() {
    if !path::are_possible() {
        return;
    }
    for_each(WHOLE, &Role::ALL, |role, row| {
        let count = 40;
        let (what, seen) = show(role, row, LEN, count);
        let is_whole = seen.numbers.iter().copied().eq(1..count);
        assert!(is_whole, "{what}: {:?}", seen.numbers);
        assert_eq!(seen.drops, 0, "{what}");
    });
}

/// More than waits for a peer is lost up to a keyframe, and counted; a publisher's is late.
#[test]
fn streams_go_on_behind_a_cut_or_slowly() {
    if !super::is_long() || !path::are_possible() {
        return;
    }
    let slow = Conditions {
        rate: 100_000,
        ..delayed(10)
    };
    let rows = [
        ("a cut of 5 s", delayed(10), 5000),
        ("1 Mbit/s in 100 kbit/s", slow, 0),
    ];
    for_each(&rows, &Role::ALL, |role, row| {
        // What waits for a destination takes minutes to come through.
        if role == Role::Destination && row.2 == 0 {
            return;
        }
        let is_fed = matches!(role, Role::Viewer | Role::Flv);
        let (len, count) = match (row.2, is_fed) {
            (0, true) => (LEN_OF_MBIT, 25 * 60),
            (0, false) => (LEN_OF_MBIT, 25 * 3),
            _ => (LEN, 25 * 14),
        };
        let (what, seen) = show(role, row, len, count);
        assert_gaps(&what, &seen, count);
    });
}

/// Whether the server has given up what is on the other side of the network.
fn is_given_up(role: Role, server: &TestServer) -> bool {
    let snapshot = server.server().snapshot();
    let mut streams = snapshot.streams.iter();
    let stream = streams.find(|stream| stream.key == "live/x");
    match role {
        Role::Publisher => stream.is_none_or(|stream| stream.publisher.is_none()),
        Role::Viewer | Role::Flv => stream.is_none_or(|stream| stream.viewers == 0),
        Role::Destination => snapshot.relays[0].state != LinkState::Connected,
        Role::Origin => snapshot.pulls[0].state != LinkState::Connected,
    }
}

/// Sends pictures until told to stop, or hung up on.
fn send_until(source: &mut Client, is_over: &AtomicBool) {
    let began = Instant::now();
    for number in 1.. {
        pace(began, number);
        if is_over.load(Ordering::Relaxed) || source.try_send(&picture(number, LEN)).is_err() {
            return;
        }
    }
}

/// How long the server takes to give up a peer that the network is cut in front of.
fn time_to_give_up(role: Role, server: &TestServer, path: &Path) -> Duration {
    path.set_cut(true);
    let cut = Instant::now();
    while !is_given_up(role, server) && cut.elapsed() < Duration::from_secs(130) {
        thread::sleep(Duration::from_millis(50));
    }
    cut.elapsed()
}

/// The network is whole again: pictures that are sent from now on come by themselves, or once the
/// client is there again.
fn come_back(
    role: Role,
    server: &TestServer,
    path: &Path,
    numbers: &Receiver<u32>,
    began: Instant,
) {
    let next = || numbers.recv_timeout(Duration::from_secs(60)).ok();
    let way = path.to(roles::listener(server, path));
    match role {
        Role::Publisher => {
            let mut again = Client::publishing(way, "x");
            again.send(&real("V head 1 @0"));
            again.send(&picture(0, LEN));
            assert_eq!(next(), Some(0), "{role:?}");
            finish(&mut again);
        }
        // What was on the way comes still, and the end.
        Role::Viewer | Role::Flv => {
            while next().is_some() {}
            Client::playing(way, "x").lines_until("V key");
        }
        Role::Destination | Role::Origin => {
            let now = (began.elapsed().as_millis() / INTERVAL.as_millis()) as u32;
            while next().expect("a picture") <= now {}
        }
    }
}

/// The network is cut until the server gives the peer up, and 20 s more.
fn cut_for_minutes(role: Role) {
    let scene = Scene::new(role, delayed(10), "-grace 120s");
    let Scene {
        mut source,
        mut sink,
        server,
        other,
        path,
    } = scene;
    let beside = Beside::begin(&server);
    let (is_over, began) = (AtomicBool::new(false), Instant::now());
    let (coming, numbers) = channel();
    let given_up = thread::scope(|scope| {
        scope.spawn(|| {
            send_until(&mut source, &is_over);
            if role != Role::Publisher {
                finish(&mut source);
            }
        });
        scope.spawn(move || {
            while let Some(number) = sink.next() {
                let _ = coming.send(number);
            }
        });
        thread::sleep(Duration::from_secs(1));
        let given_up = time_to_give_up(role, &server, &path);
        thread::sleep(Duration::from_secs(20));
        let before = numbers.try_iter().count();
        path.set_cut(false);
        let mended = Instant::now();
        come_back(role, &server, &path, &numbers, began);
        let away = mended.elapsed();
        println!(
            "{role:?}: {before} pictures; given up after {given_up:.1?}; back after {away:.1?}"
        );
        // The pauses between attempts grow: each of these takes 10 s while nothing comes through.
        let snapshot = server.server().snapshot();
        let relays = snapshot.relays.iter().map(|relay| relay.reconnects);
        let attempts = relays.chain(snapshot.pulls.iter().map(|pull| pull.reconnects));
        let attempts: Vec<u64> = attempts.collect();
        println!("{role:?}: {attempts:?} attempts");
        assert!(
            attempts.iter().all(|count| (1..=3).contains(count)),
            "{role:?}: {attempts:?}"
        );
        is_over.store(true, Ordering::Relaxed);
        given_up
    });
    drop(other);
    let (half, worst) = beside.end(&format!("{role:?}"));
    println!("{role:?}: beside it {half:.1?} late, at most {worst:.1?}");
    let limit = match role {
        Role::Publisher | Role::Origin => 90,
        Role::Viewer | Role::Flv | Role::Destination => 30,
    };
    let limits = Duration::from_secs(limit)..Duration::from_secs(limit + 10);
    assert!(
        limits.contains(&given_up),
        "{role:?}: given up after {given_up:?}"
    );
}

#[test]
fn peers_that_are_cut_off_are_given_up_and_come_back() {
    if super::is_long() && path::are_possible() {
        thread::scope(|scope| {
            for role in Role::ALL {
                scope.spawn(move || cut_for_minutes(role));
            }
        });
    }
}
