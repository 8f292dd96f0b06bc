//! The last test program of a `cargo test --workspace`: prints the tests that the others have
//! skipped.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    // A list of tests is requested, and there are none.
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let skipped = skipped_tests::take(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("\n{}", skipped_tests::summary(&skipped));
    Ok(())
}
