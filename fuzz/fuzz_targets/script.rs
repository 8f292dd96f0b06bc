//! Passes text to the parser of wire scripts, which accepts it or rejects it with a position in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_conformance::script::parse;

fuzz_target!(|text: &str| {
    match parse(text) {
        // Each step has a time; adding the times must not overflow.
        Ok(script) => drop(script.duration()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
