//! The service under test: `service RUNTIME_DIR [URI]`.

use healthboard::{LazyIndicator, Policy, Settings};
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

fn main() -> Result<(), healthboard::SettingError> {
    let mut arguments = std::env::args().skip(1);
    let mut settings = Settings::new("bench");
    settings.set("runtime_dir", &arguments.next().unwrap_or_default())?;
    match arguments.next() {
        Some(uri) => {
            settings.set("uri", &uri)?;
            healthboard_endpoint::start(settings);
        }
        None => {
            settings.set("uri", "unix:///nowhere")?;
            healthboard::start(settings, |_| {});
        }
    }
    loop {
        INDICATORS.iter().for_each(LazyIndicator::record_ok);
        for notice in healthboard::tick() {
            eprintln!("{}", notice.text);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
