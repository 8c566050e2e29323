use healthboard::healthcheck;

#[healthcheck("database", threshold = 3, ttl = 1, ttl = 2, impact = "high")]
fn query() {}

fn main() {
    query();
}
