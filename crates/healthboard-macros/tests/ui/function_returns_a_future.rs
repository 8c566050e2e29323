use healthboard::healthcheck;
use std::future::Future;
use std::pin::Pin;

#[healthcheck("database")]
fn boxed() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {})
}

#[healthcheck("database")]
fn opaque() -> impl Future<Output = ()> {
    async {}
}

fn main() {}
