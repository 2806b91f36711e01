//! The change of a running server to another configuration, without disturbing anyone.

use super::context::Context;
use super::setup;
use crate::admin::AdminServer;
use crate::args::{Config, Effect, Faults};
use crate::auth::Rules;
use crate::log;
use crate::sync::{Mutex, Rank};
use crate::web::WebServer;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The flag whose file may change while its name stays.
const AUTH_FILE: &str = "auth-file";

/// The configurations that the server has had.
pub(super) struct Applied(Mutex<AppliedState>);

struct AppliedState {
    /// That of the start, which holds for everything that needs a restart.
    first: Config,
    /// That of the last change.
    last: Config,
}

impl Applied {
    /// Only the one that the server starts with.
    pub(super) fn new(config: &Config) -> Applied {
        Applied(Mutex::ranked(
            Rank::Reload,
            AppliedState {
                first: config.clone(),
                last: config.clone(),
            },
        ))
    }

    /// Changes to `config` and `rules` what can change.
    ///
    /// # Errors
    ///
    /// All [`Faults`]: then nothing has changed.
    pub(super) fn change(
        &self,
        config: &Config,
        rules: Rules,
        context: &Context,
        admins: &[AdminServer],
        webs: &[WebServer],
    ) -> Result<(), Faults> {
        let mut applied = self.0.lock();
        config.check_emptied(&applied.last)?;
        config.check_passed(!admins.is_empty())?;
        // The steps that may fail come first.
        let replaced = context.hooks.replace(&config.hooks);
        replaced.map_err(|error| config.fault("hook-concurrency", None, error))?;
        if let Err(error) = context.notify.replace(&config.notify) {
            // They were good enough before.
            let _ = context.hooks.replace(&applied.last.hooks);
            return Err(config.fault("notify", None, error).into());
        }
        let rules = Arc::new(rules);
        let before = context.gate.replace(Arc::clone(&rules));
        let has_other_tokens = rules.authenticator.differs_in_file(&before.authenticator);
        log::set_lowest(config.log_level);
        context.ingest.replace(setup::ingest_settings(config));
        context.pulls.replace(setup::pull_settings(config));
        context
            .connections
            .set_limits(setup::connection_limits(config));
        context.hls.set_settings(setup::hls_settings(config));
        let budget = &context.link_settings.budget;
        budget.set_max(setup::max_memory(config));
        let all_tracks = setup::all_tracks(config);
        context.all_tracks.store(all_tracks, Ordering::Relaxed);
        for admin in admins {
            admin.set_access(setup::access(config));
        }
        for web in webs {
            web.set_origin(&config.http_origin);
        }
        *context.reconnect_url.lock() = config.reconnect_url.clone();
        tell(&applied, config, has_other_tokens);
        applied.last = config.clone();
        Ok(())
    }
}

/// Logs what has changed, and what would need a restart, unless that was told before.
/// `has_other_tokens`: the file of tokens says something else.
fn tell(applied: &AppliedState, config: &Config, has_other_tokens: bool) {
    let AppliedState { first, last } = applied;
    let mut changed = config.changed(last, |effect| effect != Effect::Restart);
    if has_other_tokens && !changed.contains(&AUTH_FILE) {
        changed.push(AUTH_FILE);
    }
    log!(Info, "reloaded"; changed = changed.join(" "));
    let needs_restart = |other: &Config| config.changed(other, |effect| effect == Effect::Restart);
    let pending = needs_restart(first);
    if !pending.is_empty() && !needs_restart(last).is_empty() {
        log!(Warn, "changed flags need a restart"; flags = pending.join(" "));
    }
}
