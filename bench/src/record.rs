//! Recording an outcome, in Rust.

use crate::measure::{Rounds, calls, interleave};
use crate::place;
use crate::table::{Part, Unit};
use anyhow::Result;
use healthboard::{Failure, Indicator, LazyIndicator, Policy, Service};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const ANCHOR: &str = "coarse clock and one store";
const RECORD: &str = "`record_ok`";
const COPIED: &str = "`record_ok` of a copied handle";
const OPERATION: &str = "`begin` and `ok`";
const PROMETHEUS: &str = "prometheus: counter and histogram";

const ROUNDS: usize = 1001;
const TURN: Duration = Duration::from_millis(1);

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "Recording in Rust",
        "Each is called in a loop, in turns of 1 ms: the median of 1001 turns, in parentheses the quartiles; compared with \
         the anchor, turn by turn. The libraries record what they have no clock to read for: a constant.",
    );
    let indicator = Indicator::register("database", Policy::DEFAULT);
    let disabled = disabled(indicator);
    let place = place()?;
    start(&place)?;

    let rounds = enabled(indicator);
    part.rows(&rounds, ANCHOR, Unit::Nanoseconds);
    let time = disabled.time("`record_ok`, health not started");
    let ratio = disabled.ratio("`record_ok`, health not started", ANCHOR).median;
    part.row("`record_ok`, health not started", time, Unit::Nanoseconds, format!("{ratio:.2}"));
    part.goal("`record_ok` / coarse clock and one store", 1.0, Unit::Times, rounds.ratio(RECORD, ANCHOR));
    part.goal(
        "`record_ok` / prometheus counter and histogram",
        0.35,
        Unit::Times,
        rounds.ratio(RECORD, PROMETHEUS),
    );
    part.goal("`begin` and `ok` / `record_ok`", 4.0, Unit::Times, rounds.ratio(OPERATION, RECORD));

    let ours = two_threads(|| black_box(indicator).record_ok());
    let shared = two_threads(|| _ = black_box(&SHARED).fetch_add(1, Relaxed));
    for (name, rounds) in [(RECORD, &ours), ("one shared `fetch_add`", &shared)] {
        let ratio = rounds.ratio("two", "one").median;
        part.row(format!("{name} in one thread"), rounds.time("one"), Unit::Nanoseconds, "1.00");
        let while_other = format!("{name} while another thread does the same");
        part.row(while_other, rounds.time("two"), Unit::Nanoseconds, format!("{ratio:.2}"));
    }
    part.goal(
        "`record_ok`, two threads on one indicator / one thread",
        1.5,
        Unit::Times,
        ours.ratio("two", "one"),
    );
    Ok(part)
}

/// As a service has it.
static DATABASE: LazyIndicator = LazyIndicator::new("database", Policy::DEFAULT);

static SHARED: AtomicU64 = AtomicU64::new(0);

/// What can not be had for less: when something succeeded last.
fn anchor() {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    black_box(&SHARED).store(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64, Relaxed);
}

fn disabled(indicator: Indicator) -> Rounds {
    let record = move || black_box(indicator).record_ok();
    interleave(ROUNDS, TURN, vec![calls(ANCHOR, anchor), calls("`record_ok`, health not started", record)])
}

/// A board, and nobody who asks.
pub fn start(place: &tempfile::TempDir) -> Result<()> {
    let uri = "unix:///nowhere".parse().map_err(anyhow::Error::msg)?;
    let builder = Service::builder("bench").runtime_dir(place.path()).uri(uri);
    builder.start_with(|keeper| keeper.listening(Ok(Vec::new())))?;
    Ok(())
}

fn enabled(indicator: Indicator) -> Rounds {
    let registry = prometheus::Registry::new();
    let counter = prometheus::IntCounter::new("calls", "Calls.").expect("a name");
    let histogram =
        prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("seconds", "Time.")).expect("a name");
    registry.register(Box::new(counter.clone())).expect("a new name");
    registry.register(Box::new(histogram.clone())).expect("a new name");

    let client_counter = prometheus_client::metrics::counter::Counter::<u64>::default();
    let client_histogram =
        prometheus_client::metrics::histogram::Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0]);

    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (metrics_counter, metrics_histogram) = metrics::with_local_recorder(&recorder, || {
        (metrics::counter!("calls"), metrics::histogram!("seconds"))
    });
    let mut drained = 0u32;

    let meters = opentelemetry_sdk::metrics::SdkMeterProvider::builder()
        .with_reader(opentelemetry_sdk::metrics::ManualReader::builder().build())
        .build();
    let meter = opentelemetry::metrics::MeterProvider::meter(&meters, "bench");
    let (otel_counter, otel_histogram) =
        (meter.u64_counter("calls").build(), meter.f64_histogram("seconds").build());

    interleave(
        ROUNDS,
        TURN,
        vec![
            calls(ANCHOR, anchor),
            calls(RECORD, || DATABASE.record_ok()),
            calls(COPIED, move || black_box(indicator).record_ok()),
            calls(OPERATION, || DATABASE.begin().ok()),
            calls("`record_fail`", move || {
                let failure = Failure::new("TimeoutError").code("110").text("no answer");
                black_box(indicator).record_fail(&failure)
            }),
            calls(PROMETHEUS, move || {
                counter.inc();
                histogram.observe(black_box(0.001));
            }),
            calls("prometheus-client: counter and histogram", move || {
                client_counter.inc();
                client_histogram.observe(black_box(0.001));
            }),
            calls("metrics with its Prometheus recorder: counter and histogram", move || {
                metrics_counter.increment(1);
                metrics_histogram.record(black_box(0.001));
                drained = drained.wrapping_add(1);
                if drained.is_multiple_of(4096) {
                    // Its histogram keeps every sample until somebody does this.
                    recorder.handle().run_upkeep();
                }
            }),
            calls("OpenTelemetry: counter and histogram", move || {
                otel_counter.add(1, &[]);
                otel_histogram.record(black_box(0.001), &[]);
            }),
        ],
    )
}

/// Time of each call in this thread: with another one that does the same all the time, and alone.
fn two_threads(record: impl Fn() + Sync) -> Rounds {
    let (busy, running, ended) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let timed = |times: u32| {
        let start = Instant::now();
        (0..times).for_each(|_| record());
        start.elapsed()
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            while !ended.load(Relaxed) {
                thread::park();
                while busy.load(Relaxed) {
                    running.store(true, Relaxed);
                    (0..100).for_each(|_| record());
                }
                running.store(false, Relaxed);
            }
        });
        let with_other = |times: u32| {
            busy.store(true, Relaxed);
            other.thread().unpark();
            wait_until(|| running.load(Relaxed));
            let elapsed = timed(times);
            busy.store(false, Relaxed);
            wait_until(|| !running.load(Relaxed));
            elapsed
        };
        let rounds = interleave(ROUNDS, TURN, vec![("one", Box::new(timed)), ("two", Box::new(with_other))]);
        ended.store(true, Relaxed);
        other.thread().unpark();
        rounds
    })
}

fn wait_until(happened: impl Fn() -> bool) {
    while !happened() {
        std::hint::spin_loop();
    }
}
