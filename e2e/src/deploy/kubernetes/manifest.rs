//! The probes of a manifest, with the defaults of Kubernetes' API.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::documents;
use crate::setup::Setup;

/// What kubelet has to know of a container.
pub(super) struct Container {
    pub(super) startup: Option<Probe>,
    pub(super) liveness: Probe,
    pub(super) readiness: Probe,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
}

/// One probe. What is not known here is an error: it would not be kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) http_get: Option<HttpGet>,
    pub(super) exec: Option<Exec>,
    #[serde(default)]
    initial_delay_seconds: u32,
    #[serde(default = "ten")]
    period_seconds: u32,
    #[serde(default = "one")]
    timeout_seconds: u32,
    #[serde(default = "one")]
    pub(super) success_threshold: u32,
    #[serde(default = "three")]
    pub(super) failure_threshold: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpGet {
    pub(super) path: String,
    /// The name of a port of the container.
    #[serde(rename = "port")]
    _port: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    pub(super) command: Vec<String>,
}

impl Container {
    /// The first container of the manifest that has probes.
    pub(super) fn read(setup: &Setup, manifest: &str) -> Result<Self> {
        let documents = documents(setup, &setup.workspace().join(manifest))?;
        let pods = documents.iter().map(|document| &document["spec"]["template"]["spec"]);
        let mut all = pods.flat_map(|pod| {
            let containers = pod["containers"].as_array().into_iter().flatten();
            containers.map(move |container| (pod, container))
        });
        let (pod, container) = all
            .find(|(_, container)| container["livenessProbe"].is_object())
            .with_context(|| format!("{manifest} has no probes"))?;
        let probe = |name: &str| Probe::read(&container[name]).with_context(|| format!("{manifest}: {name}"));
        Ok(Self {
            startup: Some(probe("startupProbe")?),
            liveness: probe("livenessProbe")?,
            readiness: probe("readinessProbe")?,
            grace: Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30)),
        })
    }

    /// Longer than the liveness probe may fail until the container is killed.
    pub(super) fn too_long(&self) -> Duration {
        self.liveness.gives_up_after() * 3 / 2
    }
}

impl Probe {
    fn read(value: &Value) -> Result<Self> {
        Ok(serde_json::from_value(value.clone())?)
    }

    pub(super) fn initial_delay(&self) -> Duration {
        seconds(self.initial_delay_seconds)
    }

    pub(super) fn period(&self) -> Duration {
        seconds(self.period_seconds)
    }

    pub(super) fn timeout(&self) -> Duration {
        seconds(self.timeout_seconds)
    }

    /// How long it fails until kubelet acts, at most.
    pub(super) fn gives_up_after(&self) -> Duration {
        self.initial_delay() + (self.period() + self.timeout()) * self.failure_threshold
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn ten() -> u32 {
    10
}
