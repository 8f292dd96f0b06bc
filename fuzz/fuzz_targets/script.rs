//! Text at the parser of wire scripts: it is read, or refused with a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_conformance::script::parse;

fuzz_target!(|text: &str| {
    match parse(text) {
        // Of each step there is a time, and their sum is no surprise either.
        Ok(script) => drop(script.duration()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
