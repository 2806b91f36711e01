//! Flags of other servers and of recordings: what streams come from and go to, besides clients.

use super::super::error::Invalid;
use super::super::flag::Takes::{ManySecrets, One, Switch};
use super::super::flag::{Flag, add, put};
use super::super::values::{boolean, choice, duration, filled};
use crate::record::{FileFormat, Pattern};
use crate::remote::{Destination, Source};
use std::path::PathBuf;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "relay-to",
        takes: ManySecrets("[KEY=]URL"),
        help: "send every stream, or those that KEY names, to another server, repeatable:\n\
               rtmp://HOST/APP, or a URL with {app}, {name}, {key} in it",
        set: |draft, value| {
            let all = &mut draft.config.relay_to;
            let destination = Destination::parse(value);
            let destination = destination.and_then(|destination| destination.among(all));
            add(all, destination.map_err(Invalid::because))
        },
    },
    Flag {
        name: "pull",
        takes: ManySecrets("KEY=URL"),
        help: "bring a stream of another server here under KEY, repeatable",
        set: |draft, value| {
            draft.pull.push(value.to_owned());
            // Whether it may be a pattern depends on another flag.
            let source = Source::parse(value, true);
            source.map(drop).map_err(Invalid::because)
        },
    },
    Flag {
        name: "pull-on-demand",
        takes: Switch,
        help: "pull only while somebody watches, and 30s longer; KEY may then be live/*",
        set: |draft, value| put(&mut draft.config.pull_on_demand, boolean(value)),
    },
    Flag {
        name: "record-all",
        takes: One("BOOL"),
        help: "record every published stream (default false)",
        set: |draft, value| put(&mut draft.record_all, boolean(value)),
    },
    Flag {
        name: "record-dir",
        takes: One("DIR"),
        help: "directory for the files, made when it is needed (default recordings)",
        set: |draft, value| {
            let dir = filled(value, "a directory").map(PathBuf::from);
            put(&mut draft.record_dir, dir.map(Some))
        },
    },
    Flag {
        name: "record-format",
        takes: One("FORMAT"),
        help: "flv or mp4 (default flv)",
        set: |draft, value| {
            let formats = [("flv", FileFormat::Flv), ("mp4", FileFormat::Mp4)];
            put(&mut draft.record_format, choice(value, formats))
        },
    },
    Flag {
        name: "segment-duration",
        takes: One("D"),
        help: "begin a new file at the first keyframe after D; 0: one file a stream (default 0)",
        set: |draft, value| put(&mut draft.segment_duration, duration(value)),
    },
    Flag {
        name: "segment-pattern",
        takes: One("P"),
        help: "names of such files: %s key, %d %3d %03d number, %Y %m %D %H %M %S, %T date\n\
               and time, %%, / for directories (default %s_%T_seg%03d)",
        set: |draft, value| {
            let pattern = Pattern::new(value).map_err(Invalid::because);
            put(&mut draft.segment_pattern, pattern.map(Some))
        },
    },
];
