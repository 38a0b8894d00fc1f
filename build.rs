//! Compiles `proto/` without `protoc`: messages and clients once, servers a
//! second time against answers that are kept encoded.
//!
//! Messages that reach a field marked `debug_redact` get a `Debug` that prints
//! their name alone, because prost passes the mark over.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

const FILES: [&str; 4] = [
    "paramd/v1/pipeline.proto",
    "paramd/v1/run.proto",
    "paramd/v1/context.proto",
    "paramd/v1/audit.proto",
];

/// Answers that the server keeps encoded.
const ENCODED: [&str; 2] = [".paramd.v1.GetContextResponse", ".paramd.v1.ResolveRunResponse"];

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script its folder this way")]
fn output_folder() -> Result<PathBuf, std::env::VarError> {
    std::env::var("OUT_DIR").map(PathBuf::from)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let out = output_folder()?;

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    // Encoded by protox itself: a trip through prost_types drops `debug_redact`.
    let descriptors = compiler.encode_file_descriptor_set();
    let served = {
        let mut compiler = protox::Compiler::new(["proto"])?;
        compiler.include_imports(true).open_files(FILES)?;
        compiler.encode_file_descriptor_set()
    };
    std::fs::write(out.join("descriptors.bin"), served)?;

    let pool = DescriptorPool::decode(descriptors.as_slice())?;
    let redacted = redacted_messages(&pool);
    std::fs::write(out.join("redacted_debug.rs"), debug_impls(&pool, &redacted)?)?;

    let set = prost_types_set(&descriptors)?;
    generate_messages(&out, set.clone(), &redacted)?;
    generate_servers(&out, set)
}

type DescriptorSet = tonic_prost_build::FileDescriptorSet;

fn prost_types_set(bytes: &[u8]) -> Result<DescriptorSet, Box<dyn Error>> {
    Ok(DescriptorSet::decode(bytes)?)
}

fn generate_messages(
    out: &Path,
    set: DescriptorSet,
    redacted: &BTreeSet<String>,
) -> Result<(), Box<dyn Error>> {
    let folder = out.join("messages");
    std::fs::create_dir_all(&folder)?;
    let mut config = tonic_prost_build::Config::new();
    config.btree_map(["."]);
    config.skip_debug(redacted.iter().map(|name| format!(".{name}")));
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(folder)
        .compile_fds_with_config(set, config)?;
    Ok(())
}

fn generate_servers(out: &Path, set: DescriptorSet) -> Result<(), Box<dyn Error>> {
    let folder = out.join("servers");
    std::fs::create_dir_all(&folder)?;
    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .out_dir(folder)
        .extern_path(".paramd.v1", "crate::proto::v1");
    for answer in ENCODED {
        builder = builder.extern_path(answer, "crate::proto::Encoded");
    }
    builder.compile_fds(set)?;
    Ok(())
}

/// The full names of all messages from which a marked field can be reached.
fn redacted_messages(pool: &DescriptorPool) -> BTreeSet<String> {
    pool.all_messages()
        .filter(|message| message.package_name().starts_with("paramd."))
        .filter(|message| !message.is_map_entry())
        .filter(|message| reaches_mark(message, &mut BTreeSet::new()))
        .map(|message| message.full_name().to_owned())
        .collect()
}

fn reaches_mark(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> bool {
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|field| {
            is_marked(&field)
                || matches!(field.kind(), Kind::Message(inner) if reaches_mark(&inner, seen))
        })
}

fn is_marked(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").and_then(|value| value.as_bool()).unwrap_or(false)
}

fn debug_impls(pool: &DescriptorPool, names: &BTreeSet<String>) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for name in names {
        let message = pool.get_message_by_name(name).ok_or("a message went missing")?;
        let ident = message.name();
        write_impl(&mut code, ident, ident)?;
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let path = format!("{}::{}", snake(ident), camel(oneof.name()));
            write_impl(&mut code, &path, oneof.name())?;
        }
    }
    Ok(code)
}

fn write_impl(code: &mut String, path: &str, shown: &str) -> Result<(), std::fmt::Error> {
    writeln!(
        code,
        "impl ::core::fmt::Debug for {path} {{\n    \
         fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n        \
         f.write_str(\"{shown}([REDACTED])\")\n    }}\n}}"
    )
}

fn snake(camel: &str) -> String {
    let mut text = String::new();
    for (index, letter) in camel.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn camel(snake: &str) -> String {
    snake
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}
