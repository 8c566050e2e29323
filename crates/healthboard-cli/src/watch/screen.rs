//! The screen: the services, the details of the selected one, and recent changes.

use super::state::{Rank, Row, State};
use crate::source::age;
use healthboard::format::{Answer, AnswerStack, AnswerStacks};
use healthboard::{Processes, printable, span};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Table, TableState};
use std::time::Instant;

const HELP: &str = "\
q Ctrl-C      end
Up Down j k   choose a service
PgUp PgDn     ten at a time; Home End
Enter         its detail, or back
/             filter; Esc ends it
? h           this help

X FAULT  ! DEGRADED
? NO ANSWER  - stopped";

/// The least height of a screen with room for details below the list, in lines.
const DETAIL_FROM: u16 = 16;

pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, now: Instant) {
    let area = frame.area();
    let [title, middle, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(summary(state), title);
    frame.render_widget(Paragraph::new(footer(state)), keys);
    if state.shows_help {
        return draw_text(frame, state, middle, HELP.lines().map(Line::from).collect());
    }
    let lines = state.visible().get(state.selected).map(|row| detail(state, row, now)).unwrap_or_default();
    if state.is_detail_only && !lines.is_empty() {
        return draw_text(frame, state, middle, lines);
    }
    // The list gets what it needs, up to half of the screen, and the detail the rest.
    let needed = u16::try_from(state.visible().len()).unwrap_or(u16::MAX).saturating_add(2);
    let has_detail = area.height >= DETAIL_FROM && !lines.is_empty();
    let list = if has_detail { needed.min(middle.height / 2) } else { middle.height };
    let [list, below] = Layout::vertical([Constraint::Length(list), Constraint::Min(0)]).areas(middle);
    draw_list(frame, state, list, now);
    if has_detail {
        draw_detail(frame, lines, below);
    }
}

fn footer(state: &State) -> String {
    match (state.is_filtering, state.filter.is_empty()) {
        (true, _) => return format!("filter: {}_   Enter keeps it, Esc ends it", state.filter),
        _ if state.shows_help || state.is_detail_only => {
            return "q end   Esc back   Up Down scroll".to_owned();
        }
        (_, false) => return format!("q end   filter: {}   Esc ends it   ? help", state.filter),
        _ => {}
    }
    match state.problems().as_slice() {
        [] => "q end   ? help   / filter   Enter detail".to_owned(),
        [only] => format!("q end   ? help   {only}"),
        [first, others @ ..] => format!("q end   ? help   {first}; and {} more", others.len()),
    }
}

fn summary(state: &State) -> Line<'static> {
    let mut parts = vec![Span::raw("healthboard: ")];
    for rank in [Rank::Fault, Rank::Unknown, Rank::Degraded, Rank::Ok, Rank::Stopped] {
        let count = state.rows.iter().filter(|row| row.rank == rank).count();
        if count > 0 {
            parts.push(Span::styled(format!("{count} {}  ", rank.word()), style(state, rank)));
        }
    }
    match state.asking() {
        0 => {}
        _ if state.rows.is_empty() => parts.push(Span::raw("asking …")),
        count => parts.push(Span::raw(format!("asking {count} more …"))),
    }
    Line::from(parts)
}

/// The widths of columns.
const STATUS: u16 = 11;
const SINCE: u16 = 9;
const SHORTEST_WHY: u16 = 20;

fn draw_list(frame: &mut Frame<'_>, state: &State, area: Rect, now: Instant) {
    let visible = state.visible();
    let widest = visible.iter().map(|row| row.name.chars().count()).max().unwrap_or(7).clamp(7, 32) as u16;
    // On a narrow screen the name of the service is worth more than the time and the words of the status, whose mark stays.
    let since = if area.width >= STATUS + widest + SINCE + SHORTEST_WHY { SINCE } else { 0 };
    let status = if area.width > STATUS + widest { STATUS } else { 1 };
    // One column is free between two.
    let why = area.width.saturating_sub(status + widest + since + 3);
    let rows = visible.iter().map(|row| {
        let since = row.since.map_or(String::new(), |since| span(now.saturating_duration_since(since)));
        ratatui::widgets::Row::new([
            Cell::from(format!("{} {}", row.rank.mark(), row.rank.word())).style(style(state, row.rank)),
            Cell::from(shortened(&row.name, widest)),
            Cell::from(since),
            Cell::from(shortened(&row.why, why)),
        ])
    });
    let widths = [status, widest, since].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Min(0)]);
    let shown = usize::from(area.height.saturating_sub(1));
    let count = match visible.len() {
        0 if state.rows.is_empty() => String::new(),
        0 => "nothing matches the filter".to_owned(),
        all if all > shown => format!("WHY   ({} of {all})", state.selected + 1),
        _ => "WHY".to_owned(),
    };
    let head = ratatui::widgets::Row::new(["  STATUS", "SERVICE", "FOR", &count].map(str::to_owned))
        .style(Modifier::BOLD);
    let table = Table::new(rows, widths).header(head).row_highlight_style(Modifier::REVERSED);
    let mut chosen = TableState::new().with_selected((!visible.is_empty()).then_some(state.selected));
    frame.render_stateful_widget(table, area, &mut chosen);
}

/// The text, with an ellipsis if it is wider than `width` columns.
fn shortened(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if Line::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        let longer = format!("{short}{c}");
        if Line::raw(longer.as_str()).width() >= width {
            break;
        }
        short = longer;
    }
    short + "…"
}

/// A text that fills the screen and can be scrolled.
fn draw_text(frame: &mut Frame<'_>, state: &mut State, area: Rect, lines: Vec<Line<'static>>) {
    let lines = wrapped(lines, area.width);
    let last = lines.len().saturating_sub(usize::from(area.height));
    state.scroll = state.scroll.min(u16::try_from(last).unwrap_or(u16::MAX));
    frame.render_widget(Paragraph::new(lines).scroll((state.scroll, 0)), area);
}

/// The detail below the list. Its first line is the title; the last one says how much more there is.
fn draw_detail(frame: &mut Frame<'_>, mut lines: Vec<Line<'static>>, area: Rect) {
    let title = lines.remove(0);
    let block = Block::default().borders(Borders::TOP).title(format!(" {title} "));
    let room = usize::from(area.height.saturating_sub(1));
    let mut lines = wrapped(lines, area.width);
    if lines.len() > room {
        let more = lines.len() - room.saturating_sub(1);
        lines.truncate(room.saturating_sub(1));
        lines.push(Line::from(format!("… {more} more lines: Enter")));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Lines that are too long, cut into several.
fn wrapped(lines: Vec<Line<'static>>, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width.max(1));
    let cut = |line: Line<'static>| {
        if line.width() <= width {
            return vec![line];
        }
        let (mut parts, mut part) = (Vec::new(), String::new());
        for c in line.to_string().chars() {
            let longer = format!("{part}{c}");
            if Line::raw(longer.as_str()).width() > width {
                // Breaks between two words if that leaves a line of a usual length.
                let space = part.rfind(' ').filter(|space| space * 2 > part.len());
                let rest = space.map_or(String::new(), |space| part.split_off(space + 1));
                parts.push(Line::from(std::mem::replace(&mut part, rest)));
                part.push(c);
            } else {
                part = longer;
            }
        }
        parts.push(Line::from(part));
        parts
    };
    lines.into_iter().flat_map(cut).collect()
}

/// What is known of a service, the most important lines first.
fn detail(state: &State, row: &Row, now: Instant) -> Vec<Line<'static>> {
    let mut lines = vec![format!("{} {}, from {}", row.key.1, row.rank.word(), row.from)];
    lines.extend(row.why.split("; ").filter(|reason| !reason.is_empty()).map(str::to_owned));
    if let Some(answer) = &row.answer {
        lines.extend(places(answer));
    }
    for change in state.changes.iter().filter(|change| change.key == row.key).take(5) {
        let ago = span(now.saturating_duration_since(change.at));
        lines.push(format!("{ago} ago: {} after {}", change.to.word(), change.from.word()));
    }
    if let Some(answer) = &row.answer {
        let Processes { alive, hung, dead, .. } = answer.processes;
        let hung = if hung > 0 { format!(", {hung} of them hung") } else { String::new() };
        lines.push(format!("processes: {alive} alive{hung}, {dead} dead"));
        let mut details: Vec<_> = answer.details.iter().collect();
        details.sort_by_key(|(_, detail)| std::cmp::Reverse((detail.status, detail.state.is_problem())));
        let widest = details.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, detail) in details {
            let success =
                detail.last_success.as_deref().map_or("never".to_owned(), |then| age(&answer.time, then));
            let (name, status, of) = (printable(name), detail.status.name(), detail.state.name());
            let error = detail.error.as_deref().unwrap_or("");
            let line = format!("  {name:<widest$} {status:<9} {of:<9} last success {success}  {error}");
            lines.push(printable(line.trim_end()));
        }
    }
    let mut lines: Vec<Line<'static>> = lines.into_iter().map(Line::from).collect();
    lines[0].style = style(state, row.rank);
    lines
}

/// Where processes hang: the main thread if nothing progresses, or else the threads at work.
fn places(answer: &Answer) -> Vec<String> {
    let is_hung = answer.processes.hung > 0;
    let mut lines = Vec::new();
    for AnswerStacks { pid, threads } in &answer.stacks {
        let at_work: Vec<_> = threads.iter().filter(|thread| thread.role.ends_with("work")).collect();
        let shown = if is_hung || at_work.is_empty() { threads.iter().take(1).collect() } else { at_work };
        for AnswerStack { role, count, frames } in shown {
            let place = frames.iter().take(3).map(|frame| printable(frame)).collect::<Vec<_>>().join(" < ");
            let who = match (role.as_str(), count) {
                ("main" | "main-at-work", _) => "main thread".to_owned(),
                (_, 1) => "a thread at work".to_owned(),
                _ => format!("{count} threads at work"),
            };
            lines.push(format!("hangs: process {pid}, {who}: {place}"));
        }
    }
    lines
}

fn style(state: &State, rank: Rank) -> Style {
    let style = if rank > Rank::Ok { Style::from(Modifier::BOLD) } else { Style::default() };
    if !state.has_colours {
        return style;
    }
    match rank {
        Rank::Fault => style.fg(Color::Red),
        Rank::Unknown => style.fg(Color::Magenta),
        Rank::Degraded => style.fg(Color::Yellow),
        Rank::Ok => style.fg(Color::Green),
        Rank::Stopped => style.fg(Color::DarkGray),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Answered;
    use crate::source::{Asked, Unanswered};
    use healthboard::format::parse;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn answers(count: usize) -> Asked {
        let answer = |number: usize| {
            let status = if number % 100 == 7 { "FAULT" } else { "OK" };
            let body = format!(
                r#"{{"status":"{status}","message":"database: gone","service":"service-{number}","time":"2026-11-22T11:40:02Z","processes":{{"alive":1,"hung":0,"dead":0}},"details":{{}}}}"#
            );
            Ok(Answered { answer: parse(&body).unwrap(), body, from: "host".to_owned() })
        };
        Asked { answers: (0..count).map(answer).collect(), problems: Vec::new() }
    }

    fn drawn(state: &mut State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, Instant::now())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_worst_of_500_services_are_on_a_screen_of_any_size() {
        let mut state = State::new(1, true);
        assert!(drawn(&mut state, 80, 24).contains("asking"));
        for _ in 0..3 {
            state.take(0, answers(500), Instant::now());
        }
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("5 FAULT") && screen.contains("495 OK"), "{screen}");
        let first = screen.lines().find(|line| line.contains("service-")).unwrap();
        assert!(first.contains("X FAULT") && first.contains("service-107"), "{screen}");
        for (width, height) in [(20, 5), (1, 1), (300, 100), (10, 40)] {
            let _ = drawn(&mut state, width, height);
        }
        assert!(screen.contains("(1 of 500)"), "{screen}");
        // The name and the mark of the status stay readable, and the way out; the detail says why.
        let smallest = drawn(&mut state, 20, 5);
        assert!(smallest.contains("X service-107") && smallest.contains("q end"), "{smallest}");
        state.is_detail_only = true;
        let smallest = drawn(&mut state, 20, 5);
        assert!(smallest.contains("database: gone") && smallest.contains("q end"), "{smallest}");
        state.is_detail_only = false;
        let narrow = drawn(&mut state, 40, 12);
        assert!(
            narrow.contains("X FAULT") && narrow.contains("service-107") && narrow.contains("database: g")
        );
        state.filter = "service-499".to_owned();
        state.selected = 0;
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("service-499") && !screen.contains("service-498"), "{screen}");
        assert!(state.changes.is_empty(), "nothing has changed");
    }

    #[test]
    fn what_is_wrong_where_it_hangs_and_what_changed_come_before_what_is_well() {
        let body = |status: &str, since: &str| {
            let details: Vec<String> = (0..9)
                .map(|number| format!(r#""indicator-{number}":{{"status":"OK","state":"passing","impact":"critical","failures":0,"in_flight":0,"ttl":60}}"#))
                .collect();
            format!(
                r#"{{"status":"{status}","message":"libvirt: 1 operation in flight, none has ended for 61 s","service":"nova-compute","time":"2026-11-22T11:40:02Z"{since},"processes":{{"alive":1,"hung":0,"dead":0}},"details":{{{}}},"stacks":[{{"pid":7,"threads":[{{"role":"main","count":1,"frames":["service.py:40 wait"]}},{{"role":"work","count":2,"frames":["driver.py:26 define"]}}]}}]}}"#,
                details.join(",")
            )
        };
        let asked = |body: String| Asked {
            answers: vec![Ok(Answered { answer: parse(&body).unwrap(), body, from: "compute-1".to_owned() })],
            problems: Vec::new(),
        };
        let mut state = State::new(1, false);
        state.take(0, asked(body("FAULT", r#","since":"2026-11-22T11:35:02Z""#)), Instant::now());
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("5 min"), "it was so before the watch began: {screen}");
        assert!(screen.contains("hangs: process 7, 2 threads at work: driver.py:26 define"), "{screen}");
        assert!(!screen.contains("service.py:40"), "the main thread waits, as always: {screen}");
        state.take(0, asked(body("OK", "")), Instant::now());
        state.take(0, asked(body("FAULT", "")), Instant::now());
        let screen = drawn(&mut state, 80, 16);
        assert!(screen.contains("FAULT after OK") && screen.contains("more lines: Enter"), "{screen}");
        state.is_detail_only = true;
        state.scroll = 1000;
        assert!(drawn(&mut state, 80, 10).contains("indicator-8"));
    }

    #[test]
    fn services_of_one_name_are_told_apart_by_their_hosts_and_none_inherits_from_another() {
        let asked = |host: &str, status: &str| {
            let body = format!(
                r#"{{"status":"{status}","service":"nova-compute","time":"2026-11-22T11:40:02Z","processes":{{"alive":1,"hung":0,"dead":0}},"details":{{}}}}"#
            );
            let answers = vec![Ok(Answered { answer: parse(&body).unwrap(), body, from: host.to_owned() })];
            Asked { answers, problems: Vec::new() }
        };
        let silent = || {
            let uri: healthboard::Uri = "tcp://192.0.2.1:9955".parse().unwrap();
            let answers = vec![Err(Unanswered::Endpoint(uri, crate::ask::NoAnswer::TimedOut))];
            Asked { answers, problems: Vec::new() }
        };
        let mut state = State::new(2, false);
        state.take(1, asked("host-2", "OK"), Instant::now());
        assert!(drawn(&mut state, 80, 24).contains("asking 1 more"));
        state.take(0, asked("host-1", "FAULT"), Instant::now());
        let screen = drawn(&mut state, 80, 24);
        assert!(
            screen.contains("nova-compute @ host-1") && screen.contains("nova-compute @ host-2"),
            "{screen}"
        );
        state.take(0, silent(), Instant::now());
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("? NO ANSWER") && screen.contains("tcp://192.0.2.1:9955"), "{screen}");
        state.take(0, asked("host-1", "FAULT"), Instant::now());
        assert!(state.changes.is_empty(), "neither service has changed");
        state.take(1, Asked { answers: Vec::new(), problems: Vec::new() }, Instant::now());
        state.take(1, asked("host-2", "DEGRADED"), Instant::now());
        let changes: Vec<_> =
            state.changes.iter().map(|change| (change.key.0, change.from, change.to)).collect();
        assert_eq!(changes, [(1, Rank::Ok, Rank::Degraded)]);
    }

    #[test]
    fn the_filter_is_edited_as_in_a_shell() {
        use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let mut state = State::new(1, false);
        state.take(0, answers(3), Instant::now());
        let press = |state: &mut State, code, control| {
            state.press(KeyEvent::new(code, if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE }))
        };
        for key in "/one two".chars() {
            press(&mut state, KeyCode::Char(key), false);
        }
        assert!(drawn(&mut state, 80, 24).contains("nothing matches"));
        let mut edited = |key| {
            press(&mut state, key, true);
            state.filter.clone()
        };
        assert_eq!(edited(KeyCode::Char('h')), "one tw");
        assert_eq!(edited(KeyCode::Char('w')), "one ");
        assert_eq!(edited(KeyCode::Char('x')), "one ");
        assert_eq!(edited(KeyCode::Char('u')), "");
    }
}
