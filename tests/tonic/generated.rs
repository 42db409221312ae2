use std::fs;
use std::path::{Path, PathBuf};

/// What the example generates is committed, so that nobody needs a compiler of protobuf.
///
/// With `KEYGATE_REGENERATE=1` this writes the files anew.
#[test]
fn the_code_of_the_example_is_what_its_proto_file_makes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/grpc");
    let mut compiler = protox::Compiler::new([&directory]).unwrap();
    compiler.open_file("orders.proto").unwrap();
    let made = tempfile::tempdir().unwrap();
    compiler.include_source_info(true);
    tonic_prost_build::configure()
        .out_dir(made.path())
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
    compiler.include_source_info(false);
    let descriptors = made.path().join("orders.v1.bin");
    fs::write(descriptors, compiler.encode_file_descriptor_set()).unwrap();

    let mut stale: Vec<PathBuf> = Vec::new();
    for name in ["orders.v1.rs", "orders.v1.bin"] {
        let (made, committed) = (made.path().join(name), directory.join(name));
        if std::env::var_os("KEYGATE_REGENERATE").is_some() {
            fs::copy(&made, &committed).unwrap();
        }
        if fs::read(made).unwrap() != fs::read(&committed).unwrap_or_default() {
            stale.push(committed);
        }
    }
    assert!(
        stale.is_empty(),
        "out of date: {stale:?}: run this test with KEYGATE_REGENERATE=1"
    );
}
