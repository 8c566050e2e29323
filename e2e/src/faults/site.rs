//! Where faults are played.

use crate::watch::{Ports, Watched};

/// Running services and the servers that they need.
pub trait Site {
    /// What a watch needs to know of each service.
    fn watched(&self) -> Vec<Watched>;

    /// Where the servers listen.
    fn ports(&self) -> Ports;

    /// What distinguishes its outcomes from those of another site, such as `threading`.
    fn name(&self) -> &'static str;
}
