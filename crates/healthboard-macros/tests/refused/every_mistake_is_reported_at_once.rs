#![allow(dead_code)]

mod at_once {
    use healthboard::healthcheck;

    #[healthcheck("data base", impact = "high", ttl = -1, ttl = 60, threshold = 3, classify = "judge")]
    //            ^^^^^^^^^^^ error: expected a name of 1 to 64 letters, digits and `_.:-`
    //                                  ^^^^^^ error: expected `"critical"`, `"degrading"` or `"informational"`
    //                                                ^^ error: expected whole seconds, 0 (for ever) or more
    //                                                              ^^^^^^^^^ error: unknown argument `threshold`, expected `impact`, `ttl` or `classify`
    //                                                                                        ^^^^^^^ error: expected the path of a function `fn(&E) -> healthboard::Outcome`
    const fn query() {}
//  ^^^^^ error: a `const fn` cannot record, since it may run in the compiler

    fn caller() {
        // The function itself is still there: no error about this line.
        query();
    }
}
