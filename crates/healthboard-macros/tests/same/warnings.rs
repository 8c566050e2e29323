use healthboard::healthcheck;

#[healthcheck("database")]
pub fn arguments(unused: u8, mut needlessly: u8) -> u8 {
    let local = 1;
    needlessly
}

#[healthcheck("database")]
pub fn unreachable() -> u8 {
    return 1;
    #[allow(clippy::all)]
    2
}

#[healthcheck("database")]
pub async fn must_use() {
    std::fs::read("file");
    std::future::ready(());
}

#[healthcheck("database")]
fn dead() {}
