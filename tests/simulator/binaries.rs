//! The workspace's binaries, built by cargo as the running program was built.
//!
//! It must find nothing by guessing paths: cargo says where it put each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::OnceCell;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// Where each binary of the workspace is, by its name.
#[derive(Debug)]
pub struct Binaries {
    paths: BTreeMap<String, PathBuf>,
}

impl Binaries {
    /// Builds what is not built yet, once for each program run, with cargo's progress on standard error.
    pub async fn build() -> Result<&'static Self> {
        static BUILT: OnceCell<Binaries> = OnceCell::const_new();
        let build = || async { Ok(Self { paths: cargo_build().await? }) };
        BUILT.get_or_try_init(build).await
    }

    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.paths.get(name).cloned();
        path.with_context(|| format!("template.yaml names the binary `{name}`, which the workspace does not have"))
    }
}

/// A line of `cargo build --message-format=json`, as far as it concerns binaries.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// What cargo built of the workspace, by name.
async fn cargo_build() -> Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // All of the workspace, though only the functions are needed: with fewer packages cargo would unify the features of
    // their dependencies differently and compile the SDK once more.
    command.args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"]);
    command.args(["--manifest-path", MANIFEST]);
    if cfg!(debug_assertions) {
        // With them come the features that the tests need, so that tests and demonstration share what is compiled.
        command.arg("--examples");
    } else {
        command.arg("--release");
    }
    // Not `output`: tokio's captures standard error whatever was asked for.
    let cargo = command.stdout(Stdio::piped()).spawn().context("cargo could not be started")?;
    let output = cargo.wait_with_output().await.context("cargo build did not end")?;
    ensure!(output.status.success(), "the functions could not be built: cargo build ended with {}", output.status);

    let mut paths = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Message = serde_json::from_slice(line).context("cargo wrote a line that is not JSON")?;
        if let (Some(target), Some(path)) = (message.target, message.executable) {
            paths.insert(target.name, path);
        }
    }
    Ok(paths)
}
