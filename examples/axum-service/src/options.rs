//! The command line, and health's environment variables (`HEALTHBOARD_URI`, …).

use healthboard::{Builder, Service};
use std::error::Error;
use std::path::PathBuf;

const USAGE: &str =
    "usage: axum-service [--listen ADDRESS] [--uri URI] [--order runtime-first|health-first] FILE";

pub(crate) struct Options {
    pub(crate) health: Builder,
    pub(crate) listen: String,
    pub(crate) order: Order,
    pub(crate) file: PathBuf,
}

/// Whether health or the runtime starts first. It does not matter; the option exists to show that.
pub(crate) enum Order {
    RuntimeFirst,
    HealthFirst,
}

impl Options {
    pub(crate) fn from_args() -> Result<Options, Box<dyn Error>> {
        let mut health = Service::builder("axum-service");
        let (mut listen, mut order, mut file) = ("127.0.0.1:8080".to_owned(), Order::RuntimeFirst, None);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                lexopt::Arg::Long("uri") => health = health.option("uri", &parser.value()?.to_string_lossy()),
                lexopt::Arg::Long("listen") => listen = parser.value()?.to_string_lossy().into_owned(),
                lexopt::Arg::Long("order") => {
                    order = match parser.value()?.to_str() {
                        Some("runtime-first") => Order::RuntimeFirst,
                        Some("health-first") => Order::HealthFirst,
                        _ => return Err(USAGE.into()),
                    }
                }
                lexopt::Arg::Value(path) if file.is_none() => file = Some(path.into()),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let health = health.from_env();
        Ok(Options { health, listen, order, file: file.ok_or(USAGE)? })
    }
}
