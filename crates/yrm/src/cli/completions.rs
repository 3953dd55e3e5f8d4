//! `yrm completions` and `yrm man`: made from the same definition as the help, so that neither can
//! say anything else. They read no configuration.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::context::DONE;
use super::output::Output;
use crate::error::{Error, ErrorKind, Result};

/// What `completions` takes.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write yrm.1, yrm-serve.1 and so on into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints a script that the shell completes from.
pub(super) fn completions(args: &CompletionsArgs, mut command: Command, output: Output) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "yrm", &mut script);
    output.text(&text(script))?;
    Ok(DONE)
}

/// Prints the page about the whole, or writes every command's.
pub(super) fn man(args: &ManArgs, command: Command, output: Output) -> Result<u8> {
    let Some(dir) = &args.dir else {
        output.text(&text(page(command, Path::new("stdout"))?))?;
        return Ok(DONE);
    };
    std::fs::create_dir_all(dir).map_err(|error| unwritten(dir, error))?;
    write_pages(command, "yrm", dir)?;
    Ok(DONE)
}

/// Writes a command's page and those of the commands below it: `yrm-package-remove.1`.
fn write_pages(command: Command, name: &str, dir: &Path) -> Result<()> {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        write_pages(verb.clone(), &format!("{name}-{}", verb.get_name()), dir)?;
    }
    let file = dir.join(format!("{name}.1"));
    let page = page(command.name(name.to_owned()), &file)?;
    std::fs::write(&file, page).map_err(|error| unwritten(&file, error))
}

fn page(command: Command, to: &Path) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(|error| unwritten(to, error))?;
    Ok(page)
}

fn unwritten(to: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("writing {}", to.display()))
        .because(error)
        .hint("name a directory that can be written to with --dir")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("names, help and values of the command line are UTF-8")
}
