//! Which module may use which. ARCHITECTURE.md draws the same arrows; change both together.

/// The rules of one crate.
pub(crate) struct Rules {
    /// The file that declares its modules, from this package's directory.
    pub(crate) root: &'static str,
    /// Every top-level module, with the modules that it may use. What is not here may not exist.
    pub(crate) arrows: &'static [(&'static str, &'static [&'static str])],
    /// Words that stand in no name and no text of the code, and the modules that may use them all the same.
    pub(crate) foreign: &'static [(&'static str, &'static [&'static str])],
    /// Paths that code may name in these files alone. A directory ends with a slash.
    pub(crate) confined: &'static [(&'static str, &'static [&'static str])],
}

pub(crate) const CRATES: &[Rules] = &[CORE, ENDPOINT, COMMAND];

/// Recording, process and board know nothing of who reads; reading knows nothing of who judges; nobody knows HTTP.
const CORE: Rules = Rules {
    root: "src/lib.rs",
    arrows: &[
        ("failure", &[]),
        ("scrub", &[]),
        ("status", &[]),
        ("config", &["scrub"]),
        ("board", &["config", "failure", "scrub"]),
        ("process", &["board", "config", "status"]),
        ("record", &["process", "board", "config", "failure", "scrub"]),
        ("read", &["board", "config", "failure"]),
        ("verdict", &["read", "config", "failure", "status"]),
        ("format", &["verdict", "config", "scrub"]),
        ("refresh", &["record", "read", "board", "config"]),
        ("handle", &["record", "process", "verdict", "read", "board"]),
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

/// HTTP knows no sockets, sockets know no HTTP; only the holder knows both, and only `boards` how boards are read.
const ENDPOINT: Rules = Rules {
    root: "../healthboard-endpoint/src/lib.rs",
    arrows: &[
        ("changes", &[]),
        ("entry", &[]),
        ("options", &[]),
        ("pauses", &[]),
        ("peer", &[]),
        ("reactor", &[]),
        ("trust", &[]),
        ("tune", &[]),
        ("watchdog", &[]),
        ("boards", &["options", "pauses"]),
        ("http", &["options"]),
        ("connection", &["http", "reactor"]),
        ("places", &["connection"]),
        ("server", &["connection", "http", "places", "reactor"]),
        ("lock", &["entry"]),
        ("frozen", &["lock"]),
        ("listen", &["entry", "peer", "trust"]),
        ("handover", &["entry", "listen", "peer"]),
        ("standby", &["boards", "frozen", "handover", "listen", "lock"]),
        (
            "holder",
            &[
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
                "tune",
                "watchdog",
            ],
        ),
    ],
    foreign: &[("python", &[])],
    confined: &[("healthboard::Directory", &["boards.rs"])],
};

/// Who asks knows nothing of how it is shown.
const COMMAND: Rules = Rules {
    root: "../healthboard-cli/src/main.rs",
    arrows: &[
        ("ask", &[]),
        ("output", &[]),
        ("source", &["ask"]),
        ("arguments", &["source"]),
        ("check", &["arguments", "ask", "output", "source"]),
        ("show", &["ask", "output", "source"]),
    ],
    foreign: &[("Service", &[])],
    confined: &[("healthboard::Directory", &["source.rs"])],
};
