//! Compiles `closed_streams.c` into the program, where there are closed streams to look for.

fn main() {
    println!("cargo::rerun-if-changed=src/closed_streams.c");
    if std::env::var_os("CARGO_CFG_UNIX").is_some() {
        // As an object and not as a library, since nothing refers to it and a linker would drop it.
        for object in cc::Build::new().file("src/closed_streams.c").compile_intermediates() {
            println!("cargo::rustc-link-arg-bins={}", object.display());
        }
    }
}
