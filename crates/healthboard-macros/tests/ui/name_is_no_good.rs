use healthboard::healthcheck;

#[healthcheck("")]
fn empty() {}

#[healthcheck("data base")]
fn blank() {}

#[healthcheck("progress")]
fn built_in() {}

fn main() {}
