//! What the compiler says to wrong uses. `TRYBUILD=overwrite` writes the answers anew.

#[test]
fn mistakes_are_pointed_at() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
