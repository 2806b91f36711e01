//! What is sent, by `plain` and by `curl`.

/// The part of a request that its caller decides, but for the URL.
pub(super) struct Post<'a> {
    /// Names and values, printable ASCII.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Without NUL, which `curl` cannot be given.
    pub(super) body: &'a str,
}
