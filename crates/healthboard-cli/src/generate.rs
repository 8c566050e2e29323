//! `healthboard-generate DIR`: writes the man pages and the completions for shells. For packagers.

#![allow(clippy::print_stderr, reason = "this is what a command does")]
#![allow(dead_code, reason = "the options are only described here")]

mod arguments;

use arguments::Arguments;
use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
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
    let mut built = command.clone().disable_help_subcommand(true);
    built.build();
    for command in built.get_subcommands().chain([&built]) {
        let page = Man::new(command.clone()).source(concat!("healthboard ", env!("CARGO_PKG_VERSION")));
        std::fs::write(directory.join(page.get_filename()), render(&page, command)?)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        std::fs::write(
            directory.join(shell.file_name("healthboard")),
            completions(shell, &mut command.clone()),
        )?;
    }
    Ok(())
}

/// As clap_complete makes them, except that a TARGET is no file. In zsh, clap's `*::` completes no option after a TARGET, and
/// without the empty list none at all.
fn completions(shell: Shell, command: &mut Command) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, command, "healthboard", &mut text);
    let text = String::from_utf8_lossy(&text);
    match shell {
        Shell::Bash => text.replace(" -o bashdefault -o default ", " -o bashdefault "),
        Shell::Fish => text.into_owned() + "complete -c healthboard -f\n",
        _ => {
            let is_target = |line: &str| line.starts_with("'*::targets ");
            let line = |line: &str| if is_target(line) { "'*:TARGET:()' \\" } else { line }.to_owned() + "\n";
            text.lines().map(line).collect()
        }
    }
}

/// As clap_mangen renders it, except that options have their values in the synopsis, that the description is a text of its own, and
/// that sections have their names. troff reads ASCII.
fn render(page: &Man, command: &Command) -> io::Result<String> {
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    text.extend(synopsis(command).to_roff().bytes());
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (description, after) = after.split_once("\n\n").unwrap_or_default();
    text.extend(sections(&format!("Description:\n{description}")).to_roff().bytes());
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    text.extend(sections(after).to_roff().bytes());
    let text = String::from_utf8_lossy(&text);
    let ascii = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    Ok(text.chars().map(ascii).collect())
}

fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_bin_name().unwrap_or(command.get_name()))];
    for option in command.get_arguments().filter(|arg| !arg.is_positional()) {
        line.push(roman(" ["));
        if let Some(short) = option.get_short() {
            line.extend([bold(format!("-{short}")), roman("|")]);
        }
        let usage = option.to_string();
        let (name, value) = usage.split_at(usage.find(' ').unwrap_or(usage.len()));
        let end = if matches!(option.get_action(), ArgAction::Append) { "]..." } else { "]" };
        line.extend([bold(name), italic(value), roman(end)]);
    }
    for arg in command.get_positionals().map(Arg::to_string) {
        line.extend([roman(" "), italic(arg)]);
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("<COMMAND>")]);
    }
    let mut section = Roff::new();
    section.control("SH", ["SYNOPSIS"]).text(line);
    section
}

/// The sections of a text: see `arguments/help.rs`. Indented lines stay lines.
fn sections(text: &str) -> Roff {
    let mut sections = Roff::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match (line.strip_prefix("  "), line.strip_suffix(':')) {
            (Some(row), _) => sections.control("nf", []).text([roman(row)]).control("fi", []),
            (None, Some(heading)) => sections.control("SH", [heading.to_uppercase().as_str()]),
            (None, None) => sections.text([roman(line)]),
        };
    }
    sections
}
