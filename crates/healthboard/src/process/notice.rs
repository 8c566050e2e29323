//! What is to be said in the service's log, kept until the host fetches it: the keeper has no log of its own.

use crate::status::Status;
use std::time::SystemTime;

/// Something that healthboard has to say. [`tick`](crate::tick) hands it to whoever writes the service's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should act; otherwise it is information.
    pub warning: bool,
    /// One line, without secrets.
    pub text: String,
}

/// A change of the service's status, as the process that serves its endpoints has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it was seen, by the wall clock.
    pub time: SystemTime,
    /// The status before.
    pub from: Status,
    /// The status since.
    pub to: Status,
    /// Why, for people; empty when all is well again.
    pub message: String,
}
