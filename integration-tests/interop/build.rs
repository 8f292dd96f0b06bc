//! Compiles the shim around lwIP if lwIP's headers are installed (Debian's liblwip-dev), and
//! announces that to the tests by `cfg(lwip)`.

use std::path::Path;

/// The directory of the headers in Debian's package.
const HEADERS: &str = "/usr/include/lwip";

const SHIM: &str = "lwip/shim.c";

fn main() {
    let options = Path::new(HEADERS).join("lwipopts.h");
    println!("cargo::rustc-check-cfg=cfg(lwip)");
    println!("cargo::rerun-if-changed={}", options.display());
    println!("cargo::rerun-if-changed={SHIM}");
    if !options.exists() {
        // A file installed later may have a modification time before this run. The name of a file
        // that never exists makes the script run each time.
        println!("cargo::rerun-if-changed=lwip/not-installed");
        return;
    }
    cc::Build::new()
        .file(SHIM)
        // A system include directory, because lwIP's own headers cause warnings.
        .flag("-isystem")
        .flag(HEADERS)
        .compile("lwip_shim");
    println!("cargo::rustc-link-lib=lwip");
    println!("cargo::rustc-cfg=lwip");
}
