//! Compiles the shim around lwIP where its headers are installed (Debian's liblwip-dev), and tells the
//! tests by `cfg(lwip)`.

use std::path::Path;

/// Where Debian's package has them.
const HEADERS: &str = "/usr/include/lwip";

const SHIM: &str = "lwip/shim.c";

fn main() {
    // A file that is missing counts as changed: once it is installed, it is seen.
    let options = Path::new(HEADERS).join("lwipopts.h");
    println!("cargo::rustc-check-cfg=cfg(lwip)");
    println!("cargo::rerun-if-changed={}", options.display());
    println!("cargo::rerun-if-changed={SHIM}");
    if !options.exists() {
        return;
    }
    cc::Build::new()
        .file(SHIM)
        // Not `include`: lwIP's own headers are not free of warnings.
        .flag("-isystem")
        .flag(HEADERS)
        .compile("lwip_shim");
    println!("cargo::rustc-link-lib=lwip");
    println!("cargo::rustc-cfg=lwip");
}
