//! `healthboard watch`: all services on the screen, the worst first, as they change.

mod screen;
mod state;

use crate::arguments;
use crate::ask::Form;
use crate::output::{UNKNOWN, say};
use healthboard::printable;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use state::{Asked, State};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How often the screen is drawn while nothing happens, for the ages on it.
const REDRAW: Duration = Duration::from_secs(1);

/// The longest delay until a key is noticed.
const KEYS: Duration = Duration::from_millis(50);

/// Watches until the user ends it. Returns the exit code.
pub(crate) fn run(watch: arguments::Watch) -> u8 {
    if !std::io::stdout().is_terminal() {
        say("error: found no terminal at stdout, expected one; `healthboard show` prints a table");
        return UNKNOWN;
    }
    let (answers, received) = channel();
    // A round of requests may take as long as its timeout. It runs in a thread, so that keys and the end do not wait for it.
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            let mut problems = Vec::new();
            let found = watch.source.ask(Form::Verbose, &mut |problem| problems.push(printable(problem)));
            if answers.send((found, problems)).is_err() {
                return;
            }
            std::thread::sleep(watch.interval.saturating_sub(began.elapsed()));
        }
    });
    let mut terminal = ratatui::init();
    let result = show(&mut terminal, &received);
    ratatui::restore();
    match result {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("error: cannot use the terminal: {error}"));
            UNKNOWN
        }
    }
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    received: &Receiver<(Asked, Vec<String>)>,
) -> std::io::Result<()> {
    let mut state = State::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let mut drawn = None;
    loop {
        let mut is_new = drawn.is_none_or(|drawn: Instant| drawn.elapsed() >= REDRAW);
        while let Ok((answers, problems)) = received.try_recv() {
            state.take(&answers, Instant::now());
            state.problems = problems;
            is_new = true;
        }
        if is_new {
            terminal.draw(|frame| screen::draw(frame, &mut state, Instant::now()))?;
            drawn = Some(Instant::now());
        }
        if event::poll(KEYS)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release && !state.press(key) => return Ok(()),
                _ => {}
            }
            drawn = None;
        }
    }
}
