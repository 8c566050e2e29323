use healthboard::healthcheck;

#[healthcheck("data base", impact = "high", ttl = -1, ttl = 60, threshold = 3)]
const fn query() {}

fn main() {
    // The function itself is still there: no error about this line.
    query();
}
