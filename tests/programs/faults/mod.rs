//! What fails around the server: nothing of it may reach a publisher and a viewer that are honest.

mod log;
