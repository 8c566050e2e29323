#![allow(dead_code)]

mod name {
    use healthboard::healthcheck;

    #[healthcheck]
//  ^^^^^^^^^^^^^^ error: expected the indicator's name first: `#[healthcheck("database")]`
    fn no_arguments() {}

    #[healthcheck()]
//  ^^^^^^^^^^^^^^^^ error: expected the indicator's name first: `#[healthcheck("database")]`
    fn empty() {}

    #[healthcheck(ttl = 60)]
    //            ^^^ error: expected the indicator's name first: `#[healthcheck("database")]`
    fn no_name() {}
}
