//! The work that users of Nova give it.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{API, Cluster, METADATA};
use crate::probe::{get_with, post};

/// A request that Nova's API answers from its databases: the path, the headers, the expected status.
const LIST_SERVICES: (&str, &str, u16) = ("/v2.1/os-services", OPERATOR, 200);
/// The headers of an operator's request.
pub(super) const OPERATOR: &str = "X-User-Id: operator\r\nX-Project-Id: stage\r\nX-Roles: admin\r\nX-Identity-Status: Confirmed\r\nX-Auth-Token: stage\r\n";
/// The same for the metadata API: a request as Neutron's agent sends it, for an instance that does not exist.
const GET_METADATA: (&str, &str, u16) = (
    "/latest/meta-data/",
    "X-Instance-ID: 00000000-0000-0000-0000-000000000000\r\nX-Tenant-ID: stage\r\n\
     X-Instance-ID-Signature: 3a6c452ef9a374179001cbf6a0e2c90f541f669e56a4e1702735ac2e24ba1ac4\r\n",
    404,
);
/// Configures the metadata API for such requests. It follows the section `[healthcheck]` in nova.conf.
pub(super) const METADATA_PROXY_SECTION: &str = "\n\n[neutron]\nservice_metadata_proxy = true";
/// This many concurrent requests occupy both processes.
const CONCURRENT_REQUESTS: usize = 16;
/// The compute that builds servers, which has Nova's fake driver.
const BUILDER: &str = "cluster";
/// How long Nova may take to answer a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long Nova may take to build a server.
const BUILD_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Makes each process of both APIs serve a request that needs the databases: before that it may have no such indicator.
pub(super) fn use_apis(cluster: &Cluster) -> Result<()> {
    for (service, (path, headers, wanted)) in [(API, LIST_SERVICES), (METADATA, GET_METADATA)] {
        let uri = cluster.listens_at(service).with_context(|| format!("{service} does not listen"))?;
        // Sequential requests might all reach the same process.
        let ask = || get_with(&uri, path, headers, ANSWER_LIMIT).map(|(code, _)| code);
        thread::scope(|scope| {
            let users: Vec<_> = (0..CONCURRENT_REQUESTS).map(|_| scope.spawn(ask)).collect();
            users.into_iter().try_for_each(|user| {
                let code = user.join().ok().context("a request panicked")??;
                ensure!(code == wanted, "{service} answered with {code}, expected {wanted}");
                Ok(())
            })
        })?;
    }
    Ok(())
}

/// A user of all of Nova.
pub(super) struct User<'a> {
    cluster: &'a Cluster,
    uri: String,
}

impl<'a> User<'a> {
    /// Maps the computes to their cell and creates the flavor, which [`User::work`] needs.
    pub(super) fn new(cluster: &'a Cluster) -> Result<Self> {
        let mapped = cluster.shell("nova-manage --config-file nova.conf cell_v2 discover_hosts")?;
        ensure!(mapped.code == Some(0), "nova-manage failed: {}", mapped.text);
        let user = Self { cluster, uri: cluster.api_url() };
        let flavor = json!({
            "name": "small", "id": "small", "ram": 1, "vcpus": 1, "disk": 0, "OS-FLV-EXT-DATA:ephemeral": 1,
        });
        user.call("/v2.1/flavors", Some(&json!({ "flavor": flavor })), 200)?;
        Ok(user)
    }

    /// Requests to both APIs, one for which the API calls every compute over RPC, and a server that is built: by the
    /// API, a conductor, the scheduler, placement and a compute. Returns when it is active.
    pub(super) fn work(&self) -> Result<()> {
        use_apis(self.cluster)?;
        self.call("/v2.1/os-hypervisors/detail", None, 200)?;
        // No image and no network: neither Glance nor Neutron runs here.
        let disk = json!({
            "boot_index": 0, "source_type": "blank", "destination_type": "local", "volume_size": 1,
        });
        let server = json!({
            "name": "built", "flavorRef": "small", "networks": "none", "host": BUILDER,
            "block_device_mapping_v2": [disk],
        });
        let made = self.call("/v2.1/servers", Some(&json!({ "server": server })), 202)?;
        let id = made["server"]["id"].as_str().context("a new server has no id")?;
        self.until_active(id)
    }

    fn until_active(&self, id: &str) -> Result<()> {
        let start = Instant::now();
        // The details of a server have its networks, which only Neutron knows.
        let path = format!("/v2.1/servers?uuid={id}&status=ACTIVE");
        while self.call(&path, None, 200)?["servers"].as_array().is_none_or(Vec::is_empty) {
            ensure!(start.elapsed() < BUILD_LIMIT, "a server was not built within {BUILD_LIMIT:?}");
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn call(&self, path: &str, body: Option<&Value>, wanted: u16) -> Result<Value> {
        let headers = format!("{OPERATOR}OpenStack-API-Version: compute 2.88\r\n");
        let (code, answer) = match body {
            Some(body) => post(&self.uri, path, &headers, body, ANSWER_LIMIT)?,
            None => get_with(&self.uri, path, &headers, ANSWER_LIMIT)?,
        };
        ensure!(code == wanted, "{path}: nova-api answered with {code}, expected {wanted}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("{path}: not JSON: {answer}"))
    }
}
