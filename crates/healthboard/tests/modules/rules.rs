//! The allowed dependencies between modules. ARCHITECTURE.md describes them too; change both together.

/// The rules of one crate.
pub(crate) struct Rules {
    /// The file that declares its modules, from this package's directory.
    pub(crate) root: &'static str,
    /// Every top-level module, with the modules that it may use. A module that is not listed must not exist.
    pub(crate) dependencies: &'static [(&'static str, &'static [&'static str])],
    /// Words that no name and no string of the code may contain, and the modules that may use them all the same.
    pub(crate) foreign: &'static [(&'static str, &'static [&'static str])],
    /// Paths that only these files may name. A directory ends with a slash.
    pub(crate) confined: &'static [(&'static str, &'static [&'static str])],
}

pub(crate) const CRATES: &[Rules] = &[CORE, ENDPOINT, COMMAND];

/// Recording, process and board know nothing of reading; reading knows nothing of verdicts; no module knows HTTP.
const CORE: Rules = Rules {
    root: "src/lib.rs",
    dependencies: &[
        ("failure", &[]),
        ("scrub", &[]),
        ("stacks", &[]),
        ("status", &[]),
        ("config", &["scrub"]),
        ("board", &["config", "failure", "scrub"]),
        ("process", &["board", "config", "status"]),
        ("record", &["process", "board", "config", "failure", "scrub"]),
        ("read", &["board", "config", "failure", "scrub", "stacks"]),
        ("verdict", &["read", "config", "failure", "scrub", "stacks", "status"]),
        ("history", &["verdict", "read", "board"]),
        ("host", &["history", "verdict", "read", "scrub"]),
        ("format", &["verdict", "config", "scrub", "stacks"]),
        ("trace", &["process", "read", "board", "config", "stacks"]),
        ("refresh", &["record", "read", "board", "config"]),
        ("handle", &["record", "process", "history", "verdict", "read", "board"]),
    ],
    // The scrubber looks for URLs in the texts of errors.
    foreign: &[("http", &["scrub"]), ("status_code", &[]), ("cache-control", &[]), ("cache_control", &[])],
    confined: &[
        // `operation` counts the threads of its own process.
        ("std::sync::atomic", &["board/", "record/operation.rs"]),
        ("core::sync::atomic", &["board/"]),
        ("Acquire", &["board/"]),
        ("Release", &["board/"]),
        ("AcqRel", &["board/"]),
        ("SeqCst", &["board/"]),
        ("fence", &["board/"]),
    ],
};

/// HTTP knows no sockets, sockets know no HTTP; only the holder knows both, and only `boards` reads boards.
const ENDPOINT: Rules = Rules {
    root: "../healthboard-endpoint/src/lib.rs",
    dependencies: &[
        ("ancestors", &[]),
        ("changes", &[]),
        ("entry", &[]),
        ("options", &[]),
        ("pauses", &[]),
        ("peer", &[]),
        ("reactor", &[]),
        ("trust", &[]),
        ("tune", &[]),
        ("systemd", &[]),
        ("boards", &["options", "pauses", "systemd"]),
        ("http", &["options"]),
        ("transport", &[]),
        ("connection", &["http", "reactor", "transport"]),
        ("places", &["connection"]),
        ("server", &["connection", "http", "places", "reactor", "transport"]),
        ("agent", &["connection", "http", "listen", "options", "pauses", "server", "transport", "tune"]),
        ("lock", &["entry"]),
        ("frozen", &["lock"]),
        ("listen", &["entry", "peer", "trust"]),
        ("handover", &["entry", "listen", "peer"]),
        ("standby", &["boards", "frozen", "handover", "listen", "lock"]),
        (
            "holder",
            &[
                "ancestors",
                "boards",
                "changes",
                "connection",
                "handover",
                "http",
                "listen",
                "lock",
                "options",
                "peer",
                "server",
                "standby",
                "systemd",
                "tune",
            ],
        ),
    ],
    foreign: &[("python", &[])],
    confined: &[("healthboard::Directory", &["boards.rs"])],
};

/// Requests know nothing of how answers are shown.
const COMMAND: Rules = Rules {
    root: "../healthboard-cli/src/main.rs",
    dependencies: &[
        ("arguments", &[]),
        ("output", &[]),
        ("ask", &[]),
        ("source", &["arguments", "ask"]),
        ("check", &["arguments", "ask", "output", "source"]),
        ("show", &["arguments", "ask", "output", "source"]),
        ("explain", &["arguments", "ask", "output", "source"]),
        ("metrics", &["arguments", "output"]),
        ("watch", &["arguments", "ask", "output", "source"]),
        ("agent", &["arguments", "output"]),
    ],
    foreign: &[("Service", &[])],
    confined: &[("healthboard::Host", &["source.rs"])],
};
