//! Flags that say who may publish and play.

use super::super::draft::AuthMode;
use super::super::flag::Takes::{Many, ManySecrets, One, OneSecret};
use super::super::flag::{Flag, add, put};
use super::super::secret::Secret;
use super::super::values::{choice, ip_range, positive, token_of_key};
use std::path::PathBuf;

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "allow-publish",
        takes: Many("CIDR"),
        help: "let publishers in from these addresses only, repeatable (default: from everywhere)",
        set: |draft, value| add(&mut draft.config.allowed.publish, ip_range(value)),
    },
    Flag {
        name: "allow-play",
        takes: Many("CIDR"),
        help: "let players in from these addresses only, repeatable (default: from everywhere)",
        set: |draft, value| add(&mut draft.config.allowed.play, ip_range(value)),
    },
    Flag {
        name: "auth-mode",
        takes: One("MODE"),
        help: "none, token, file, signed or callback: who may publish and play (default none)",
        set: |draft, value| {
            let modes = [
                ("none", AuthMode::None),
                ("token", AuthMode::Token),
                ("file", AuthMode::File),
                ("signed", AuthMode::Signed),
                ("callback", AuthMode::Callback),
            ];
            put(&mut draft.auth_mode, choice(value, modes))
        },
    },
    Flag {
        name: "auth-token",
        takes: ManySecrets("KEY=TOKEN"),
        help: "token mode, repeatable: ?token=TOKEN opens the stream KEY; live/* is any of live",
        set: |draft, value| add(&mut draft.auth_tokens, token_of_key(value)),
    },
    Flag {
        name: "auth-file",
        takes: One("FILE"),
        help: "file mode: a JSON object of keys and tokens, read again on SIGHUP",
        set: |draft, value| put(&mut draft.auth_file, Ok(Some(PathBuf::from(value)))),
    },
    Flag {
        name: "auth-secret",
        takes: ManySecrets("SECRET"),
        help: "signed mode, repeatable: a query that is signed with it opens the stream; @FILE reads it\n\
               from a file",
        set: |draft, value| add(&mut draft.auth_secrets, Secret::read(value)),
    },
    Flag {
        name: "auth-callback",
        takes: OneSecret("URL"),
        help: "callback mode: a web service that is asked; 200 lets the client in",
        set: |draft, value| put(&mut draft.auth_callback, Ok(Some(value.to_owned()))),
    },
    Flag {
        name: "auth-callback-timeout",
        takes: One("D"),
        help: "how long it may take; beyond that the client is refused (default 5s)",
        set: |draft, value| put(&mut draft.auth_callback_timeout, positive(value).map(Some)),
    },
];
