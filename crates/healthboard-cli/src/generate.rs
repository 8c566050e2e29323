//! `healthboard-generate DIR`: writes the man pages and the completions for shells. For packagers.

#![allow(clippy::print_stderr, reason = "this is what a command does")]
#![allow(dead_code, reason = "the options are only described here")]

mod arguments;

use arguments::Arguments;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("error: found no directory, expected `healthboard-generate DIR`");
        return ExitCode::FAILURE;
    };
    match generate(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write to `{}`: {error}", directory.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

fn generate(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let command = Arguments::command();
    clap_mangen::generate_to(command.clone(), directory)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), "healthboard", directory)?;
    }
    Ok(())
}
