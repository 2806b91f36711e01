//! The same over HTTP: what real publishers send reaches players of FLV, in the forms that they know.
//!
//! What goes over the wire is held against the specification elsewhere; here only the files that the
//! players wrote are compared.

use super::media::Source;
use super::players::Player;
use super::process::wait_for;
use super::proxy::Proxy;
use super::publishers::Publisher;
use super::server::Server;
use super::{
    Outcome, PLAYER_LIMIT, START_LIMIT, check_source, fresh_dir, published_ms, report_all,
};
use std::path::Path;
use std::time::Instant;

/// When the players come, in ms: in the middle of a group of pictures.
const LATE_MS: u32 = 2400;

macro_rules! rows {
    ($($name:ident: $publisher:ident $(($value:expr))?, $source:ident =>
        [$($player:ident),+];)+) => {
        $(
            #[test]
            fn $name() {
                let publisher = Publisher::$publisher $(($value))?;
                check(stringify!($name), &publisher, Source::$source, &[$(Player::$player),+]);
            }
        )+
    };
}

rows! {
    http_flv_h264_aac: Ffmpeg(&[]), H264Aac => [Ffmpeg, FfmpegNew, Souphttpsrc, Vlc, Curl, Curl10];
    http_flv_h264_only: Ffmpeg(&[]), H264Only => [Ffmpeg, Souphttpsrc, Curl];
    http_flv_aac_only: Ffmpeg(&[]), AacOnly => [Ffmpeg, Souphttpsrc, Curl];
    http_flv_flv1_mp3: Ffmpeg(&[]), Flv1Mp3 => [Ffmpeg, Curl];
    http_flv_hevc: FfmpegNew(&["-rtmp_enhanced_codecs", "hvc1"]), HevcAac => [FfmpegNew, Curl];
    http_flv_av1: FfmpegNew(&["-rtmp_enhanced_codecs", "av01"]), Av1Aac => [FfmpegNew, Curl];
    http_flv_vp9: FfmpegNew(&["-rtmp_enhanced_codecs", "vp09"]), Vp9Aac => [FfmpegNew, Curl];
    http_flv_opus: FfmpegNew(&["-rtmp_enhanced_codecs", "Opus"]), H264Opus => [FfmpegNew, Curl];
    http_flv_flac: FfmpegNew(&["-rtmp_enhanced_codecs", "fLaC"]), H264Flac => [FfmpegNew, Curl];
    http_flv_gst: Rtmp2sink, H264Aac => [Ffmpeg, Souphttpsrc, Curl];
    http_flv_24_bits: Stamped(0xff_ffff - 4000), H264Aac => [Ffmpeg, Curl];
}

fn check(name: &str, publisher: &Publisher, source: Source, players: &[Player]) {
    let (begun, dir) = (Instant::now(), fresh_dir(name));
    let outcomes = run(publisher, source, players, &dir);
    report_all(name, (publisher, source, players), outcomes, begun, &dir);
}

fn run(
    publisher: &Publisher,
    source: Source,
    players: &[Player],
    dir: &Path,
) -> Result<Vec<Outcome>, String> {
    check_source(source)?;
    let mut server = Server::start(dir)?;
    let at_publisher = Proxy::start(server.address)?;
    let mut publication = publisher.start(source, at_publisher.address, dir)?;
    wait_for("media is published", START_LIMIT, || {
        let carried = at_publisher.connection().ok()??;
        (published_ms(&carried) >= LATE_MS).then_some(())
    })?;
    let url = format!("http://{}/live/x.flv", server.media);
    let playbacks = players.iter().map(|player| player.play(&url, dir));
    let mut playbacks = playbacks.collect::<Result<Vec<_>, _>>()?;
    publication.finish()?;
    let outcome = |(playback, player): (&mut super::Playback, &Player)| {
        playback.program.finish(PLAYER_LIMIT)?;
        Ok((playback.check(*player, source)?, 0))
    };
    let outcomes = playbacks.iter_mut().zip(players).map(outcome).collect();
    server.check_health()?;
    Ok(outcomes)
}
