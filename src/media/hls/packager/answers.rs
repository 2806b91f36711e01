//! What a packager answers to requests.

use super::Packager;
use crate::media::hls::multivariant::multivariant;
use crate::media::hls::playlist::{self, Report, Shared};
use crate::media::hls::reload::{Readiness, Reload};
use crate::media::hls::rendition::Rendition;
use crate::media::hls::rules::Rules;
use crate::media::hls::window::Resource;
use crate::media::sample::MediaType;

/// What a request for a playlist gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The text of it.
    Playlist(String),
    /// What it asks for is still to come.
    Waits,
    /// It asks for what cannot be.
    Impossible,
    /// There is no such playlist.
    Unknown,
}

impl Packager {
    /// The playlist of playlists, in which `query` stands behind each URI; `None` as long as there
    /// is nothing to play.
    pub fn multivariant(&self, query: &str) -> Option<String> {
        self.has_begun()
            .then(|| multivariant(&self.renditions, query))
    }

    /// The playlist of this name, without its ending. `query` stands behind the URIs of playlists.
    pub fn playlist(&self, name: &str, reload: Reload, query: &str) -> Reply {
        let mut renditions = self.renditions.iter();
        let Some(rendition) = renditions.find(|rendition| rendition.name == name) else {
            return match self.renditions.is_empty() && !self.is_over() {
                true => Reply::Waits,
                false => Reply::Unknown,
            };
        };
        let Some(Rules {
            grid,
            target_s: Some(target_s),
            ..
        }) = self.rules
        else {
            return Reply::Waits;
        };
        let is_over = self.is_over();
        match reload.readiness(&rendition.window, &grid, is_over) {
            Readiness::Waits if is_over => return Reply::Unknown,
            Readiness::Waits => return Reply::Waits,
            Readiness::Impossible => return Reply::Impossible,
            Readiness::Ready => {}
        }
        let others = self.renditions.iter().filter(|other| other.name != name);
        let reports = others.filter_map(|other| {
            let (segment, part) = other.window.last()?;
            Some(Report {
                uri: format!("{}.m3u8{query}", other.name),
                segment,
                part,
            })
        });
        let reports: Vec<Report> = reports.collect();
        let shared = Shared {
            grid,
            target_s,
            is_over,
        };
        Reply::Playlist(playlist::media(&rendition.window, &shared, &reports))
    }

    /// The init, segment or part of this name, without its ending.
    pub fn resource(&self, name: &str) -> Option<Resource> {
        let windows = self.renditions.iter().map(|rendition| &rendition.window);
        let found = windows.filter_map(|window| window.resource(name)).next();
        found.filter(|found| *found != Resource::Hinted || !self.is_over())
    }

    /// Whether a playlist has pictures: its segments are of the type `video/mp4`, not `audio/mp4`.
    pub fn has_pictures(&self) -> bool {
        let config = |rendition: &Rendition| rendition.config(MediaType::Video).is_some();
        self.renditions.iter().any(config)
    }
}
