#![allow(dead_code)]

mod items {
    use healthboard::healthcheck;

    #[healthcheck("database")]
    pub struct Database;
    //  ^^^^^^ error: expected a function: `#[healthcheck]` records calls

    trait Query {
        #[healthcheck("database")]
        fn query(&self);
        //             ^ error: expected a function with a body: `#[healthcheck]` goes on the implementation
    }
}
