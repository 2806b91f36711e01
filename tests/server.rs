//! The server over sockets, with clients of our own.

mod support;

mod server {
    mod admin;
    mod args;
    mod attack;
    mod auth;
    mod behind;
    mod churn;
    mod config_file;
    mod events;
    mod joining;
    mod lifecycle;
    mod limits;
    mod live;
    mod logs;
    mod malformed;
    mod many_bytes;
    mod memory;
    mod merge;
    mod notify;
    mod player_page;
    mod proxy;
    mod pull;
    mod recording;
    mod relay;
    mod returning;
    mod several_streams;
    mod signed;
    mod slow;
    mod strangers;
    mod system_limits;
    mod tap;
    mod told_later;
    mod tracks;
    mod web;
}
