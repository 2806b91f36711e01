//! What is sent, by `plain` and by `curl`.

/// What is asked of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// To answer; there is no body.
    Get,
    /// To take a body.
    Post,
}

impl Method {
    /// As a request begins.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// The part of a request that its caller decides, but for the URL.
pub(super) struct Post<'a> {
    pub(super) method: Method,
    /// Names and values, printable ASCII.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Without NUL, which `curl` cannot be given.
    pub(super) body: &'a str,
}
