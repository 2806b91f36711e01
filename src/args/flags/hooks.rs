//! Flags of programs and services that are told what happens.

use super::super::error::Invalid;
use super::super::flag::Takes::{Many, ManySecrets, One};
use super::super::flag::{Flag, add, put};
use super::super::values::{choice, filled, notify_call, number, of_event, positive};
use crate::hooks::StdioFormat;
use crate::notify::NotifyMethod;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "hook-script",
        takes: Many("EVENT=PATH"),
        help: "run a script for each event of that name, repeatable",
        set: |draft, value| {
            add(
                &mut draft.config.hooks.scripts,
                of_event(value, "EVENT=PATH"),
            )
        },
    },
    Flag {
        name: "hook-webhook",
        takes: ManySecrets("EVENT=URL"),
        help: "post each event of that name to a web service, repeatable",
        set: |draft, value| {
            add(
                &mut draft.config.hooks.webhooks,
                of_event(value, "EVENT=URL"),
            )
        },
    },
    Flag {
        name: "hook-stdio-format",
        takes: One("FORMAT"),
        help: "json or env: write all events to standard error (default: off)",
        set: |draft, value| {
            let format = StdioFormat::from_name(value);
            let format = format.ok_or_else(|| Invalid::must_be("json or env"));
            put(&mut draft.config.hooks.stdio, format.map(Some))
        },
    },
    Flag {
        name: "hook-timeout",
        takes: One("D"),
        help: "how long a script or a web service may take (default 30s)",
        set: |draft, value| put(&mut draft.config.hooks.timeout, positive(value)),
    },
    Flag {
        name: "hook-concurrency",
        takes: One("N"),
        help: "how many scripts and web services may run at a time (default 10)",
        set: |draft, value| put(&mut draft.config.hooks.concurrency, number(value, 1, 1000)),
    },
    Flag {
        name: "notify",
        takes: ManySecrets("CALL=URL"),
        help: "call a web service as nginx-rtmp does, repeatable: on_connect, on_publish, on_play,\n\
               on_update, on_publish_done, on_play_done, on_done, on_record_done or on_disconnect",
        set: |draft, value| add(&mut draft.config.notify.calls, notify_call(value)),
    },
    Flag {
        name: "notify-method",
        takes: One("METHOD"),
        help: "post or get: how the fields are sent (default post)",
        set: |draft, value| {
            let methods = [("post", NotifyMethod::Post), ("get", NotifyMethod::Get)];
            put(&mut draft.config.notify.method, choice(value, methods))
        },
    },
    Flag {
        name: "notify-update",
        takes: One("D"),
        help: "the time between two calls of on_update (default 30s)",
        set: |draft, value| put(&mut draft.config.notify.update, positive(value)),
    },
    Flag {
        name: "run-on-publish",
        takes: One("CMD"),
        help: "run a command for each stream, as long as it is published",
        set: |draft, value| {
            let command = filled(value, "a command");
            put(&mut draft.config.run_on_publish, command.map(Some))
        },
    },
];
