use healthboard::healthcheck;

#[healthcheck("database")]
struct Database;

trait Query {
    #[healthcheck("database")]
    fn query(&self);
}

fn main() {}
