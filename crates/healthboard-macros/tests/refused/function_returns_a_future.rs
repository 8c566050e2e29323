#![allow(dead_code)]

use healthboard::healthcheck;
use std::future::Future;
use std::pin::Pin;

#[healthcheck("database")]
fn boxed() -> Pin<Box<dyn Future<Output = ()>>> {
    //        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ error: the outcome of a returned future is not known yet: write `async fn`, or put the attribute on the function that does the work
    Box::pin(async {})
}

#[healthcheck("database")]
fn opaque() -> impl Future<Output = ()> {
    //         ^^^^^^^^^^^^^^^^^^^^^^^^ error: the outcome of a returned future is not known yet: write `async fn`, or put the attribute on the function that does the work
    async {}
}
