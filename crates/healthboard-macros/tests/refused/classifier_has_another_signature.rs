#![allow(dead_code)]

mod judges {
    use healthboard::Outcome;

    pub fn of_bytes(_: &[u8]) -> Outcome {
        Outcome::Success
    }

    pub fn by_value(_: std::fmt::Error) -> Outcome {
        Outcome::Success
    }

    pub fn of_any<E>(_: &E) -> Outcome {
        Outcome::NoEvidence
    }

    pub fn says_yes_or_no(_: &std::fmt::Error) -> bool {
        true
    }
}

use healthboard::healthcheck;

#[healthcheck("database", classify = judges::of_bytes)]
//                                   ^^^^^^^^^^^^^^^^ error
fn another_error() -> Result<(), std::fmt::Error> {
    Ok(())
}

#[healthcheck("database", classify = judges::by_value)]
//                                   ^^^^^^^^^^^^^^^^ error
async fn another_parameter() -> Result<(), std::fmt::Error> {
    Ok(())
}

#[healthcheck("database", classify = judges::says_yes_or_no)]
//                                   ^^^^^^^^^^^^^^^^^^^^^^ error
fn another_return_type() -> Result<(), std::fmt::Error> {
    Ok(())
}

#[healthcheck("database", classify = judges::of_any)]
fn no_result() -> u8 {
    //            ^^ error
    0
}
