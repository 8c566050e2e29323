//! What two nova-apis behind a balancer are taken through, and the balancers.

/// What happens to the nova-apis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is seen whether checks pass and requests are answered.
    None,
    /// The first one loses its way to the database.
    DatabaseOfOne,
    /// The workers of the first one are frozen.
    WorkersFrozen,
    /// Both are restarted one after the other, by SIGTERM alone.
    Restart,
    /// The same, and before the SIGTERM a file takes each out.
    RestartByFile,
    /// The database is killed.
    DatabaseOfBoth,
}

impl Fault {
    /// All, in the order in which they are played.
    pub(super) const ALL: [Self; 5] =
        [Self::DatabaseOfOne, Self::WorkersFrozen, Self::Restart, Self::RestartByFile, Self::DatabaseOfBoth];

    /// The title in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "No fault",
            Self::DatabaseOfOne => "One of two loses its database",
            Self::WorkersFrozen => "The workers of one of two are frozen",
            Self::Restart => "Rolling restart by SIGTERM alone",
            Self::RestartByFile => "Rolling restart: a file takes a server out, three seconds later SIGTERM",
            Self::DatabaseOfBoth => "The database is away for both",
        }
    }

    /// Whether it lasts until it is repaired.
    pub(super) fn lasts(self) -> bool {
        !matches!(self, Self::None | Self::Restart | Self::RestartByFile)
    }
}

/// A balancer and its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    /// `HAProxy`, which asks oslo.middleware's `/healthcheck` at the port of the API.
    Oslo,
    /// `deploy/haproxy/readyz.cfg`.
    Readyz,
    /// The same without its fail-open.
    FailClosed,
    /// `deploy/haproxy/healthcheck.cfg`.
    Healthcheck,
    /// `deploy/haproxy/agent-check.cfg`.
    Agent,
    /// `deploy/haproxy/agent-of-host.cfg`.
    AgentOfHost,
    /// `deploy/haproxy/api-port.cfg`.
    ApiPort,
    /// `deploy/haproxy/bare.cfg`.
    Bare,
    /// `deploy/haproxy/degraded.cfg`.
    Degraded,
    /// `deploy/haproxy/host-name.cfg`.
    HostName,
    /// `deploy/haproxy/unix-socket.cfg`.
    UnixSocket,
    /// `deploy/nginx/nova-api.conf`.
    Nginx,
}

/// What all configurations of `HAProxy` start from.
const DEFAULTS: &str = include_str!("../../../../deploy/haproxy/openstack-api.cfg");
const READYZ: &str = include_str!("../../../../deploy/haproxy/readyz.cfg");

impl Balancer {
    /// The title in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Oslo => "HAProxy, oslo.middleware's `/healthcheck`",
            Self::Readyz => "`haproxy/readyz.cfg`",
            Self::FailClosed => "`haproxy/readyz.cfg` without `backup`",
            Self::Healthcheck => "`haproxy/healthcheck.cfg`",
            Self::Agent => "`haproxy/agent-check.cfg`",
            Self::AgentOfHost => "`haproxy/agent-of-host.cfg`",
            Self::ApiPort => "`haproxy/api-port.cfg`",
            Self::Bare => "`haproxy/bare.cfg`",
            Self::Degraded => "`haproxy/degraded.cfg`",
            Self::HostName => "`haproxy/host-name.cfg`",
            Self::UnixSocket => "`haproxy/unix-socket.cfg`",
            Self::Nginx => "`nginx/nova-api.conf`",
        }
    }

    /// Whether users are told to use it. Then nothing may be lost that it could have saved.
    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Oslo | Self::FailClosed)
    }

    /// Its configuration, with the addresses of examples.
    pub(super) fn text(self) -> String {
        let backend = match self {
            Self::Oslo => include_str!("../../../deploy/balancers/oslo.cfg").to_owned(),
            Self::Readyz => READYZ.to_owned(),
            Self::FailClosed => READYZ
                .lines()
                .filter(|line| !line.contains("backup"))
                .map(|line| line.to_owned() + "\n")
                .collect(),
            Self::Healthcheck => include_str!("../../../../deploy/haproxy/healthcheck.cfg").to_owned(),
            Self::Agent => include_str!("../../../../deploy/haproxy/agent-check.cfg").to_owned(),
            Self::AgentOfHost => include_str!("../../../../deploy/haproxy/agent-of-host.cfg").to_owned(),
            Self::ApiPort => include_str!("../../../../deploy/haproxy/api-port.cfg").to_owned(),
            Self::Bare => include_str!("../../../../deploy/haproxy/bare.cfg").to_owned(),
            Self::Degraded => include_str!("../../../../deploy/haproxy/degraded.cfg").to_owned(),
            Self::HostName => include_str!("../../../../deploy/haproxy/host-name.cfg").to_owned(),
            Self::UnixSocket => include_str!("../../../../deploy/haproxy/unix-socket.cfg").to_owned(),
            Self::Nginx => return include_str!("../../../../deploy/nginx/nova-api.conf").to_owned(),
        };
        format!("{DEFAULTS}{backend}")
    }
}

/// A fault and a balancer.
pub type Scenario = (Fault, Balancer);

/// All scenarios.
pub fn scenarios() -> Vec<Scenario> {
    use Balancer::{Agent, AgentOfHost, ApiPort, Degraded, FailClosed, Healthcheck, Nginx, Oslo, Readyz};
    let of = |fault| -> &[Balancer] {
        match fault {
            Fault::None => &[],
            Fault::DatabaseOfOne => &[Oslo, Nginx, ApiPort, Readyz, Degraded, Agent, AgentOfHost],
            Fault::WorkersFrozen => &[Oslo, Readyz, Agent],
            Fault::Restart => &[Oslo, Readyz],
            Fault::RestartByFile => &[Healthcheck],
            Fault::DatabaseOfBoth => &[Nginx, FailClosed, Readyz],
        }
    };
    Fault::ALL
        .into_iter()
        .flat_map(|fault| of(fault).iter().map(move |balancer| (fault, *balancer)))
        .collect()
}
