//! Why publishers and viewers are turned away.

/// Why a stream cannot be published or played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The stream has another publisher.
    InUse,
    /// Nobody publishes it, and viewers do not wait.
    NotFound,
    /// The stream would go to a server that it has come through.
    Loop,
    /// Too many choices of its tracks are asked for at once.
    TooManyChoices,
}
