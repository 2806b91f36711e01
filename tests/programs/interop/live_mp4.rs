//! Live MP4 over HTTP in real programs: the same frames, at the same times.

use super::compare::{self, Tolerance};
use super::media::{self, Source, Track};
use super::process::Program;
use super::publishers::Publisher;
use super::server::Server;
use super::tools::Tool;
use super::{PLAYER_LIMIT, check_source, fresh_dir, report};
use crate::support::http::HttpReply;
use crate::support::readers::flv::FlvReader;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// In the middle of a group of pictures.
const LATE_MS: u32 = 2400;

/// Ticks a second of pictures in MP4, and of the sound of all sources.
const SCALES: [i64; 2] = [90_000, 48_000];

/// How far sound may be from the times of its messages, in ms: these are rounded.
const SOUND_MS: i64 = 3;

/// What plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Player {
    /// ffmpeg, which notes packets as they are.
    Copies(Tool),
    /// ffmpeg, which decodes everything and complains of nothing.
    Decodes(Tool),
    /// VLC, remuxing to a transport stream.
    Vlc,
}

/// A current ffmpeg reports an error at the end of every response in chunks, so it is not asked to
/// complain.
const FFMPEGS: &[Player] = &[
    Player::Copies(Tool::Ffmpeg),
    Player::Copies(Tool::FfmpegNew),
    Player::Decodes(Tool::Ffmpeg),
];

impl Player {
    fn tool(self) -> Tool {
        match self {
            Player::Copies(tool) | Player::Decodes(tool) => tool,
            Player::Vlc => Tool::Vlc,
        }
    }

    fn start(self, server: SocketAddr, dir: &Path) -> Result<Program, String> {
        let url = format!("http://{server}/live/x.mp4");
        let mut command = self.tool().command();
        match self {
            Player::Copies(_) => {
                command.args(["-i", &url, "-map", "0", "-c", "copy"]);
                command.args(["-copyts", "-f", "framemd5", "-"]);
            }
            Player::Decodes(_) => {
                command.args(["-xerror", "-err_detect", "explode", "-i", &url]);
                command.args(["-map", "0", "-f", "null", "-"]);
            }
            Player::Vlc => {
                let sout = "#std{access=file,mux=ts,dst=-}";
                command.args([&url, "--sout", sout, "vlc://quit"]);
            }
        }
        Program::start(&self.name(), &mut command, dir)
    }

    fn name(self) -> String {
        format!("{self:?}").replace(['(', ')'], "")
    }

    /// Checks what it wrote; returns how many packets agreed.
    fn check(self, source: Source, dir: &Path) -> Result<usize, String> {
        let file = dir.join(format!("{}.out", self.name()));
        let tolerance = Tolerance {
            tail: 60,
            remuxed: true,
            ..Tolerance::default()
        };
        match self {
            Player::Copies(_) => {
                let listing = fs::read_to_string(&file).map_err(|error| error.to_string())?;
                check_packets(source, &media::parse_tracks(&listing))
            }
            Player::Decodes(_) => Ok(0),
            Player::Vlc => {
                let published = media::pictures(&source.file())?;
                compare::tracks(&[published], &[media::pictures(&file)?], tolerance)
            }
        }
    }
}

/// The packets are the end of those that were published, and all moved by the same time.
fn check_packets(source: Source, played: &[Track]) -> Result<usize, String> {
    // MP4 has no place for temporal delimiters, which say nothing there.
    let filter: &[&str] = match source {
        Source::Av1Opus => &["-bsf:v", "av1_metadata=td=remove"],
        _ => &[],
    };
    let published = media::tracks(&source.file(), filter)?;
    let whole = Tolerance {
        tail: 1, // the last packet is not looked at
        remuxed: true,
        ..Tolerance::default()
    };
    let packets = compare::tracks(&published, played, whole)?;
    let mut shift = None;
    for (published, played) in published.iter().zip(played) {
        let scale = SCALES[usize::from(!published.is_video)];
        let first = published.packets.len() - played.packets.len();
        let pairs = published.packets.iter().skip(first).zip(&played.packets);
        for (there, here) in pairs {
            let moved = here.dts * 1000 / scale - there.dts;
            let off = (moved - *shift.get_or_insert(moved)).abs();
            let shown = here.pts_after_dts * 1000 / scale - there.pts_after_dts;
            let limit = if published.is_video { 0 } else { SOUND_MS };
            if off > limit || shown != 0 {
                let (name, at) = (&published.codec, there.dts);
                return Err(format!(
                    "{name} at {at}: {off} ms off, shown {shown} ms late"
                ));
            }
        }
    }
    Ok(packets)
}

macro_rules! rows {
    ($($name:ident: $publisher:ident($options:expr), $source:ident => $players:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let name = concat!("live_mp4_", stringify!($name));
                check(name, Publisher::$publisher($options), Source::$source, $players);
            }
        )+
    };
}

rows! {
    h264_aac: Ffmpeg(&[]), H264Aac => &[FFMPEGS, &[Player::Vlc]].concat();
    h264_only: Ffmpeg(&[]), H264Only => FFMPEGS;
    aac_only: Ffmpeg(&[]), AacOnly => FFMPEGS;
    hevc_aac: FfmpegNew(&["-rtmp_enhanced_codecs", "hvc1"]), HevcAac => FFMPEGS;
    av1_opus: FfmpegNew(&["-rtmp_enhanced_codecs", "av01,Opus"]), Av1Opus => FFMPEGS;
    vp9_opus: FfmpegNew(&["-rtmp_enhanced_codecs", "vp09,Opus"]), Vp9Opus => FFMPEGS;
    h264_flac: FfmpegNew(&["-rtmp_enhanced_codecs", "fLaC"]), H264Flac => FFMPEGS;
}

/// Publishes a source, has all players join late, and compares what they found.
fn check(name: &str, publisher: Publisher, source: Source, players: &[Player]) {
    let (dir, begun) = (fresh_dir(name), Instant::now());
    let outcomes = run(publisher, source, players, &dir);
    let elapsed = begun.elapsed();
    let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); players.len()]);
    let line = |(player, outcome): (&Player, Result<usize, String>)| report::Line {
        publisher: publisher.name(),
        player: format!("{} .mp4", player.tool().version()),
        source: source.name(),
        outcome: outcome.map(|packets| (packets, 0)),
        elapsed,
    };
    let lines: Vec<_> = players.iter().zip(outcomes).map(line).collect();
    report::add(name, &lines);
    let wrong: Vec<_> = lines
        .iter()
        .filter_map(|line| line.outcome.as_ref().err())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\nin {}", dir.display());
}

fn run(
    publisher: Publisher,
    source: Source,
    players: &[Player],
    dir: &Path,
) -> Result<Vec<Result<usize, String>>, String> {
    check_source(source)?;
    let mut server = Server::start(dir)?;
    let mut publication = publisher.start(source, server.address, dir)?;
    let reply = HttpReply::get(server.media, "/live/x.flv");
    let mut flv = FlvReader::new(reply.body);
    while let Ok(Some(message)) = flv.next() {
        if message.timestamp.0 >= LATE_MS {
            break;
        }
    }
    drop(flv);
    let start = |player: &Player| player.start(server.media, dir);
    let programs: Result<Vec<Program>, String> = players.iter().map(start).collect();
    let mut programs = programs?;
    publication.finish()?;
    let pairs = players.iter().zip(&mut programs);
    let outcomes = pairs.map(|(player, program)| {
        program.finish(PLAYER_LIMIT)?;
        player.check(source, dir)
    });
    let outcomes = outcomes.collect();
    server.check_health()?;
    Ok(outcomes)
}
