//! `healthboard watch`: all services on the screen, the worst first, as they change.

mod screen;
mod state;

use crate::arguments;
use crate::ask::Form;
use crate::output::{UNKNOWN, say};
use crate::source::Asked;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use state::State;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How often the screen is drawn while nothing happens, for the ages on it.
const REDRAW: Duration = Duration::from_secs(1);

/// The longest delay until a key or a signal is noticed.
const KEYS: Duration = Duration::from_millis(50);

/// Watches until the user ends it. Returns the exit code.
pub(crate) fn run(watch: &arguments::Watch) -> u8 {
    let can_draw = std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb");
    if !io::stdout().is_terminal() || !can_draw {
        say(
            "error: found no terminal at stdout that can be drawn on, expected one; `healthboard show` prints a table",
        );
        return UNKNOWN;
    }
    let (answers, received) = channel();
    // Each source has a thread of its own: none waits for one that does not answer, and no key waits either.
    let parts = watch.source.parts();
    let sources = parts.len();
    for (source, part) in parts.into_iter().enumerate() {
        let (answers, interval) = (answers.clone(), watch.interval);
        std::thread::spawn(move || {
            loop {
                let began = Instant::now();
                if answers.send((source, part.ask_part(Form::Verbose))).is_err() {
                    return;
                }
                std::thread::sleep(interval.saturating_sub(began.elapsed()));
            }
        });
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // The first one ends the loop, so that the terminal is as it was; the second ends the program at once. SIGHUP always does:
        // its terminal is gone, and reading it would never return.
        let _ = flag::register_conditional_default(signal, ended.clone());
        let _ = flag::register(signal, ended.clone());
    }
    let mut state = State::new(sources, std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let mut terminal = ratatui::init();
    let result = show(&mut terminal, &mut state, &received, &ended);
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
    state: &mut State,
    received: &Receiver<(usize, Asked)>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut drawn = None;
    while !ended.load(Relaxed) {
        let mut is_new = drawn.is_none_or(|drawn: Instant| drawn.elapsed() >= REDRAW);
        while let Ok((source, asked)) = received.try_recv() {
            state.take(source, asked, Instant::now());
            is_new = true;
        }
        if is_new {
            terminal.draw(|frame| screen::draw(frame, state, Instant::now()))?;
            drawn = Some(Instant::now());
        }
        if event::poll(KEYS)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Release => {}
                Event::Key(key)
                    if key.modifiers == KeyModifiers::CONTROL && key.code == KeyCode::Char('z') =>
                {
                    ratatui::restore();
                    low_level::raise(signal_hook::consts::SIGTSTP)?;
                    *terminal = ratatui::init();
                }
                Event::Key(key) if !state.press(key) => return Ok(()),
                _ => {}
            }
            drawn = None;
        }
    }
    Ok(())
}
