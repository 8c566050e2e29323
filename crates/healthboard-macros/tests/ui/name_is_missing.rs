use healthboard::healthcheck;

#[healthcheck]
fn no_arguments() {}

#[healthcheck(ttl = 60)]
fn no_name() {}

fn main() {}
