use healthboard::healthcheck;

#[healthcheck("database")]
fn query() -> Result<u8, std::fmt::Error> {
    "seven"
}

#[healthcheck("database")]
async fn fetch() -> Result<u8, std::fmt::Error> {
    Ok("seven")
}

fn main() {}
