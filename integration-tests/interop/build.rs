//! Compiles the shim around lwIP where its headers are installed (Debian's liblwip-dev), and tells the
//! tests by `cfg(lwip)`.

use std::path::Path;

/// Where Debian's package has them.
const HEADERS: &str = "/usr/include/lwip";

const SHIM: &str = "lwip/shim.c";

fn main() {
    let options = Path::new(HEADERS).join("lwipopts.h");
    println!("cargo::rustc-check-cfg=cfg(lwip)");
    println!("cargo::rerun-if-changed={}", options.display());
    println!("cargo::rerun-if-changed={SHIM}");
    if !options.exists() {
        // What is installed later may bear an older date than this run. A file that is never there has it run again.
        println!("cargo::rerun-if-changed=lwip/not-installed");
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
