//! The service under test: `service RUNTIME_DIR [URI]`.

use healthboard::{LazyIndicator, Policy, Service};
use healthboard_endpoint::Start;
use std::time::Duration;

/// With `progress` eight.
static INDICATORS: [LazyIndicator; 7] = [
    LazyIndicator::new("database", Policy::DEFAULT),
    LazyIndicator::new("api_database", Policy::DEFAULT),
    LazyIndicator::new("message_bus", Policy::DEFAULT),
    LazyIndicator::new("hypervisor", Policy::DEFAULT),
    LazyIndicator::new("placement", Policy::DEFAULT),
    LazyIndicator::new("image", Policy::DEFAULT),
    LazyIndicator::new("network", Policy::DEFAULT),
];

fn main() -> Result<(), healthboard::StartError> {
    let mut arguments = std::env::args().skip(1);
    let builder = Service::builder("bench").runtime_dir(arguments.next().unwrap_or_default());
    match arguments.next() {
        Some(uri) => builder.option("uri", &uri).start()?,
        None => builder.option("uri", "unix:///nowhere").start_with(|keeper| {
            keeper.listening(Ok(Vec::new()));
            while keeper.look_after() {
                std::thread::sleep(Duration::from_secs(1));
            }
        })?,
    };
    loop {
        INDICATORS.iter().for_each(LazyIndicator::record_ok);
        for notice in healthboard::tick() {
            eprintln!("{}", notice.text);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
