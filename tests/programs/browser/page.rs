//! The player page in Chromium.

use super::publisher::{Clip, End, LivePublisher};
use super::{PLAYS, Site};
use crate::support::browser::Browser;
use crate::support::page::{digest, inside};
use std::sync::Arc;
