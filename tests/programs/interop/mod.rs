//! End to end: what real publishers send reaches real players, whole and unchanged.
//!
//! Each row is one publisher and one source, with several players at once, all behind a proxy that
//! keeps the bytes. Three things are held against what was published: the file that each player
//! wrote, packet by packet; whether that file decodes; and the messages that the server sent,
//! which must moreover obey RTMP to the letter.
//!
//! The programs come from `make tools`. `make interop` runs only this and prints a table.

mod compare;
mod http;
mod live_mp4;
mod media;
mod players;
mod process;
mod proxy;
mod publishers;
mod report;
mod server;
mod stamped;
mod tools;
mod wire;
mod wire_tests;

use media::Source;
use players::{Playback, Player};
use process::wait_for;
use proxy::{Carried, Proxy, Tape, lock};
use publishers::Publisher;
use server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after the end of a stream a player may take to end.
const PLAYER_LIMIT: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(15);

/// When the players come.
#[derive(Clone, Copy, Debug)]
enum Join {
    /// When this many milliseconds have been published.
    After(u32),
    /// Before anything is published.
    Before,
}

/// One publisher and its players.
struct Row {
    name: &'static str,
    publisher: Publisher,
    source: Source,
    join: Join,
    players: &'static [Player],
}

macro_rules! rows {
    ($($name:ident: $publisher:ident $(($value:expr))?, $source:ident, $join:expr =>
        [$($player:ident),+];)+) => {
        $(
            #[test]
            fn $name() {
                check(&Row {
                    name: stringify!($name),
                    publisher: Publisher::$publisher $(($value))?,
                    source: Source::$source,
                    join: $join,
                    players: &[$(Player::$player),+],
                });
            }
        )+
    };
}

/// In the middle of a group of pictures.
const LATE: Join = Join::After(2400);

rows! {
    ffmpeg_h264_aac: Ffmpeg(&[]), H264Aac, LATE =>
        [Ffmpeg, FfmpegNew, Rtmpdump, RtmpdumpLive, Rtmp2src, Vlc];
    ffmpeg_h264_only: Ffmpeg(&[]), H264Only, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    ffmpeg_aac_only: Ffmpeg(&[]), AacOnly, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    ffmpeg_flv1_mp3: Ffmpeg(&[]), Flv1Mp3, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    players_wait: Ffmpeg(&[]), H264Aac, Join::Before => [Ffmpeg, Rtmpdump, RtmpdumpLive, Rtmp2src];
    enhanced_hevc: FfmpegNew(&["-rtmp_enhanced_codecs", "hvc1"]), HevcAac, LATE =>
        [FfmpegNew, RtmpdumpLive, Rtmp2src];
    enhanced_av1: FfmpegNew(&["-rtmp_enhanced_codecs", "av01"]), Av1Aac, LATE =>
        [FfmpegNew, RtmpdumpLive, Rtmp2src];
    enhanced_vp9: FfmpegNew(&["-rtmp_enhanced_codecs", "vp09"]), Vp9Aac, LATE =>
        [FfmpegNew, RtmpdumpLive, Rtmp2src];
    enhanced_opus: FfmpegNew(&["-rtmp_enhanced_codecs", "Opus"]), H264Opus, LATE =>
        [FfmpegNew, RtmpdumpLive, Rtmp2src];
    enhanced_flac: FfmpegNew(&["-rtmp_enhanced_codecs", "fLaC"]), H264Flac, LATE =>
        [FfmpegNew, RtmpdumpLive, Rtmp2src];
    enhanced_multitrack: FfmpegNew(&[]), TwoOfEach, LATE => [FfmpegNew, RtmpdumpLive, Rtmp2src];
    gst_rtmp2sink: Rtmp2sink, H264Aac, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src, Vlc];
    gst_rtmpsink: Rtmpsink, H264Aac, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    time_24_bits_ffmpeg: Ffmpeg(&["-output_ts_offset", "16773.215"]), H264Aac, LATE =>
        [Ffmpeg, RtmpdumpLive, Rtmp2src];
    time_24_bits: Stamped(0xff_ffff - 4000), H264Aac, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    // Without a header before it, the keyframe at 2025 ms is the first message that players get of the
    // video: several chunks, and the first time that needs the extended field.
    time_24_bits_passed: Stamped(0xff_ffff - 2025), Flv1Mp3, LATE =>
        [Ffmpeg, RtmpdumpLive, Rtmp2src];
    time_31_bits: Stamped((1 << 31) - 4000), H264Aac, LATE => [Ffmpeg, RtmpdumpLive, Rtmp2src];
    time_32_bits: Stamped(4000_u32.wrapping_neg()), H264Aac, LATE =>
        [Ffmpeg, FfmpegNew, RtmpdumpLive, Rtmp2src];
    time_32_bits_passed: Stamped(1000_u32.wrapping_neg()), H264Aac, LATE =>
        [Ffmpeg, RtmpdumpLive, Rtmp2src];
}

/// Runs a row, reports it, and fails with all that was wrong.
fn check(row: &Row) {
    let (begun, dir) = (Instant::now(), fresh_dir(row.name));
    let outcomes = run(row, &dir);
    let of = (&row.publisher, row.source, row.players);
    report_all(row.name, of, outcomes, begun, &dir);
}

/// Adds a row that began at `begun` to the report, and fails with all that was wrong.
fn report_all(
    name: &str,
    (publisher, source, players): (&Publisher, Source, &[Player]),
    outcomes: Result<Vec<Outcome>, String>,
    begun: Instant,
    dir: &Path,
) {
    let outcomes = outcomes.unwrap_or_else(|error| {
        let failed = players.iter().map(|_| Err(error.clone()));
        failed.collect()
    });
    let elapsed = begun.elapsed();
    let pairs = players.iter().zip(outcomes);
    let lines: Vec<_> = pairs
        .map(|(player, outcome)| report::Line {
            publisher: publisher.name(),
            player: player.name(),
            source: source.name(),
            outcome,
            elapsed,
        })
        .collect();
    report::add(name, &lines);
    let wrong = lines.iter().filter_map(|line| {
        let error = line.outcome.as_ref().err()?;
        Some(format!("{}: {error}", line.player))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "{}\nin {}",
        wrong.join("\n"),
        dir.display()
    );
}

/// An empty folder for the files of `row`. It stays, for who wants to look.
fn fresh_dir(row: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(row);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("old results can be removed");
    }
    fs::create_dir_all(&dir).expect("a folder can be made");
    dir
}

/// One player and the proxy in front of it.
struct Seat {
    player: Player,
    playback: Playback,
    proxy: Proxy,
}

type Outcome = Result<(usize, usize), String>;

fn run(row: &Row, dir: &Path) -> Result<Vec<Outcome>, String> {
    check_source(row.source)?;
    let mut server = Server::start(dir)?;
    let at_publisher = Proxy::start(server.address)?;
    let seat = |player: &Player| seat(*player, &server, dir);
    let publish = || row.publisher.start(row.source, at_publisher.address, dir);
    let (mut publication, mut seats) = match row.join {
        Join::Before => {
            let seats = row
                .players
                .iter()
                .map(seat)
                .collect::<Result<Vec<_>, _>>()?;
            seats.iter().try_for_each(wait_for_play)?;
            (publish()?, seats)
        }
        Join::After(ms) => {
            let publication = publish()?;
            wait_for("media is published", START_LIMIT, || {
                let carried = at_publisher.connection().ok()??;
                (published_ms(&carried) >= ms).then_some(())
            })?;
            (
                publication,
                row.players.iter().map(seat).collect::<Result<_, _>>()?,
            )
        }
    };
    publication.finish()?;
    let published = wait_for_end(&at_publisher).map_err(|e| format!("publisher: {e}"))?;
    let published = transcript(&published, Side::Publisher)?;
    let outcome = |seat: &mut Seat| outcome(seat, row.source, &published);
    let outcomes = seats.iter_mut().map(outcome).collect();
    server.check_health()?;
    Ok(outcomes)
}

/// That the source is what its name says: else a row would prove less than it seems to.
fn check_source(source: Source) -> Result<(), String> {
    let tracks = media::tracks(&source.file(), &[])?;
    let codecs: Vec<_> = tracks.iter().map(|track| track.codec.as_str()).collect();
    match codecs == source.codecs() {
        true => Ok(()),
        false => Err(format!("source holds {codecs:?}")),
    }
}

fn seat(player: Player, server: &Server, dir: &Path) -> Result<Seat, String> {
    let proxy = Proxy::start(server.address)?;
    let playback = player.start(proxy.address, dir)?;
    Ok(Seat {
        player,
        playback,
        proxy,
    })
}

/// Waits until the player has asked to play.
fn wait_for_play(seat: &Seat) -> Result<(), String> {
    wait_for("player asks to play", START_LIMIT, || {
        let carried = seat.proxy.connection().ok()??;
        let tape = lock(&carried.to_server);
        let play = b"\x02\x00\x04play";
        let asked = tape.bytes.windows(play.len()).any(|bytes| bytes == play);
        asked.then_some(())
    })
}

/// How much time the media covers that a publisher has sent so far.
fn published_ms(carried: &Carried) -> u32 {
    let bytes = lock(&carried.to_server).bytes.clone();
    let begun = bytes.get(wire::HANDSHAKE_LEN..).unwrap_or_default();
    let messages = wire::decode(begun).messages;
    // Headers may come at time 0 whatever the time of the first frame.
    let is_media = |m: &&wire::Message| [wire::AUDIO, wire::VIDEO].contains(&m.kind);
    let mut times = messages
        .iter()
        .filter(is_media)
        .filter(|message| !compare::is_header(message))
        .map(|message| message.timestamp);
    let Some(first) = times.next() else {
        return 0;
    };
    times
        .map(|time| time.wrapping_sub(first))
        .max()
        .unwrap_or(0)
}

/// Both tapes of a connection, once it is closed both ways in good order.
fn wait_for_end(proxy: &Proxy) -> Result<[Tape; 2], String> {
    let carried: Arc<Carried> = proxy.connection()?.ok_or("never connected")?;
    let end = |tape: &Tape| tape.end.clone();
    let ends = wait_for("connection closes", PLAYER_LIMIT, || {
        let server = end(&lock(&carried.to_client))?;
        Some([server, end(&lock(&carried.to_server))?])
    })?;
    if let [Some(error), _] = &ends {
        return Err(format!("server's connection: {error}"));
    }
    let tapes = [&carried.to_server, &carried.to_client].map(|tape| lock(tape).clone());
    Ok(tapes)
}

/// Whose messages are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Server,
}

/// The messages of one side, if the server's bytes are beyond reproach.
fn transcript(tapes: &[Tape; 2], side: Side) -> Result<Vec<wire::Message>, String> {
    let [client, server] = tapes.each_ref().map(|tape| tape.bytes.as_slice());
    wire::check_handshake(server, client)?;
    let said = wire::decode(&server[wire::HANDSHAKE_LEN..]);
    if let Some(first) = said.complaints.first() {
        return Err(format!("{} complaints: {first}", said.complaints.len()));
    }
    Ok(match side {
        Side::Server => said.messages,
        Side::Publisher => wire::decode(&client[wire::HANDSHAKE_LEN..]).messages,
    })
}

/// Waits for a player to end, and compares its connection and its file with what was published.
fn outcome(seat: &mut Seat, source: Source, published: &[wire::Message]) -> Outcome {
    let ended = seat.playback.program.finish(PLAYER_LIMIT);
    let messages = wait_for_end(&seat.proxy)
        .and_then(|tapes| transcript(&tapes, Side::Server))
        .and_then(|sent| compare::messages(published, &sent));
    let messages = messages.map_err(|error| format!("wire: {error}"));
    let packets = ended.and_then(|()| seat.playback.check(seat.player, source));
    match (packets, messages) {
        (Ok(packets), Ok(messages)) => Ok((packets, messages)),
        (packets, messages) => {
            let errors = [messages.err(), packets.err()];
            Err(errors.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}
