//! The screen: the services, the details of the selected one, and recent changes.

use super::state::{Rank, Row, State};
use crate::source::age;
use healthboard::{printable, span};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Table, TableState, Wrap};
use std::time::Instant;

const HELP: &str = "\
Up Down j k   choose a service
PgUp PgDn     ten at a time; Home End
Enter         show or hide its detail
/             filter; Esc ends it
? h           this help
q Ctrl-C      end

X FAULT, ? no answer, ! DEGRADED, - stopped";

/// The least height of a screen with room for details, in lines.
const DETAIL_FROM: u16 = 16;

pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, now: Instant) {
    let area = frame.area();
    let has_detail = state.shows_detail && area.height >= DETAIL_FROM && !state.rows.is_empty();
    let detail_height = if has_detail { (area.height / 2).min(18) } else { 0 };
    let [title, list, detail, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(detail_height),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(summary(state), title);
    draw_list(frame, state, list, now);
    if has_detail {
        draw_detail(frame, state, detail, now);
    }
    let line = match (state.is_filtering, state.filter.is_empty()) {
        (true, _) => format!("filter: {}_   Enter keeps it, Esc ends it", state.filter),
        (_, false) => format!("filter: {}   Esc ends it   ? help   q end", state.filter),
        _ => match state.problems.as_slice() {
            [] => "? help   / filter   Enter detail   q end".to_owned(),
            [first, ..] => format!("? help   q end   {} problems: {first}", state.problems.len()),
        },
    };
    frame.render_widget(Paragraph::new(line), keys);
    if state.shows_help {
        let lines = HELP.lines().count() as u16 + 2;
        let help = Rect::new(0, 0, 48, lines).intersection(area);
        frame.render_widget(Clear, help);
        frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" help ")), help);
    }
}

fn summary(state: &State) -> Line<'static> {
    if !state.has_asked {
        return Line::from("healthboard: asking …");
    }
    let mut parts = vec![Span::raw("healthboard: ")];
    for rank in [Rank::Fault, Rank::Unknown, Rank::Degraded, Rank::Ok, Rank::Stopped] {
        let count = state.rows.iter().filter(|row| row.rank == rank).count();
        if count > 0 {
            parts.push(Span::styled(format!("{count} {}  ", rank.word()), style(state, rank)));
        }
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
    let rows = visible.iter().map(|row| {
        let since = match state.is_since_begin(row) {
            true => String::new(),
            false => span(now.saturating_duration_since(row.since)),
        };
        ratatui::widgets::Row::new([
            Cell::from(format!("{} {}", row.rank.mark(), row.rank.word())).style(style(state, row.rank)),
            Cell::from(row.name.clone()),
            Cell::from(since),
            Cell::from(row.why.clone()),
        ])
    });
    // On a narrow screen the name of the service is worth more than the time and the words of the status, whose mark stays.
    let since = if area.width >= STATUS + widest + SINCE + SHORTEST_WHY { SINCE } else { 0 };
    let status = if area.width > STATUS + widest { STATUS } else { 1 };
    let widths = [status, widest, since].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Min(0)]);
    let head = ratatui::widgets::Row::new(["  STATUS", "SERVICE", "FOR", "WHY"]).style(Modifier::BOLD);
    let table = Table::new(rows, widths).header(head).row_highlight_style(Modifier::REVERSED);
    let mut chosen = TableState::new().with_selected((!visible.is_empty()).then_some(state.selected));
    frame.render_stateful_widget(table, area, &mut chosen);
}

fn draw_detail(frame: &mut Frame<'_>, state: &State, area: Rect, now: Instant) {
    let visible = state.visible();
    let Some(row) = visible.get(state.selected) else { return };
    let block = Block::default().borders(Borders::TOP).title(format!(" {} {} ", row.name, row.rank.word()));
    let text = Text::from(detail(state, row, now));
    frame.render_widget(Paragraph::new(text).block(block).wrap(Wrap { trim: false }), area);
}

fn detail(state: &State, row: &Row, now: Instant) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    lines.extend(
        row.why.split("; ").filter(|reason| !reason.is_empty()).map(|reason| Line::from(reason.to_owned())),
    );
    if let Some(answer) = &row.answer {
        let processes = answer.processes;
        lines.push(Line::from(format!(
            "processes: {} alive, {} hung, {} dead",
            processes.alive, processes.hung, processes.dead
        )));
        let mut details: Vec<_> = answer.details.iter().collect();
        details.sort_by_key(|(_, detail)| std::cmp::Reverse((detail.status, detail.state.is_problem())));
        for (name, detail) in details {
            let success =
                detail.last_success.as_deref().map_or("never".to_owned(), |then| age(&answer.time, then));
            let error = detail.error.as_deref().unwrap_or("");
            let text = format!(
                "  {:<20} {:<9} {:<9} last success {success}  {error}",
                printable(name),
                detail.status.name(),
                detail.state.name(),
            );
            lines.push(Line::from(text));
        }
        for stacks in &answer.stacks {
            for thread in stacks.threads.iter().take(1) {
                let place = thread
                    .frames
                    .iter()
                    .take(3)
                    .map(|frame| printable(frame))
                    .collect::<Vec<_>>()
                    .join(" < ");
                lines.push(Line::from(format!("hangs: process {}: {place}", stacks.pid)));
            }
        }
    }
    for change in state.changes.iter().filter(|change| change.name == row.name).take(5) {
        let ago = span(now.saturating_duration_since(change.at));
        lines.push(Line::from(format!("{ago} ago: {} after {}", change.to.word(), change.from.word())));
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
    use healthboard::format::parse;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn answers(count: usize) -> Vec<Result<Answered, crate::source::Unanswered>> {
        let answer = |number: usize| {
            let status = if number % 100 == 7 { "FAULT" } else { "OK" };
            let body = format!(
                r#"{{"status":"{status}","message":"database: gone","service":"service-{number}","time":"2026-11-22T11:40:02Z","processes":{{"alive":1,"hung":0,"dead":0}},"details":{{}}}}"#
            );
            Ok(Answered { answer: parse(&body).unwrap(), body })
        };
        (0..count).map(answer).collect()
    }

    fn drawn(state: &mut State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, Instant::now())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_worst_of_500_services_are_on_a_screen_of_any_size() {
        let mut state = State::new(true);
        assert!(drawn(&mut state, 80, 24).contains("asking"));
        for _ in 0..3 {
            state.take(&answers(500), Instant::now());
        }
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("5 FAULT") && screen.contains("495 OK"), "{screen}");
        let first = screen.lines().find(|line| line.contains("service-")).unwrap();
        assert!(first.contains("X FAULT") && first.contains("service-107"), "{screen}");
        for (width, height) in [(20, 5), (1, 1), (300, 100), (10, 40)] {
            let _ = drawn(&mut state, width, height);
        }
        // The name and the mark of the status stay readable.
        assert!(drawn(&mut state, 20, 5).contains("X service-107"));
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
}
